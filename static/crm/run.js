// Follows a run of the sync: its figures each second; the page is loaded anew when it has ended.
"use strict";
(() => {
  const watched = document.querySelector("[data-rtx-run]");
  if (!watched) return;
  const bar = document.querySelector("[data-run-bar]");
  const waits = document.querySelector("[data-run-waits]");
  const timer = setInterval(async () => {
    let told;
    try {
      const answer = await fetch(watched.dataset.rtxRun, { headers: { Accept: "application/json" } });
      if (!answer.ok) return;
      told = await answer.json();
    } catch {
      return;
    }
    for (const cell of watched.querySelectorAll("[data-run]")) cell.textContent = told[cell.dataset.run] || (cell.dataset.run === "phase" ? told.status : 0);
    bar.max = told.total || 1;
    bar.value = told.done;
    waits.hidden = !told.waits_until;
    if (told.status !== "queued" && told.status !== "running") {
      clearInterval(timer);
      location.reload();
    }
  }, 1000);
})();
