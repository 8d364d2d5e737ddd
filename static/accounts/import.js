// Follows a running import: numbers and bar each second; the page is loaded anew when it has ended.
"use strict";
(() => {
  const watched = document.querySelector("[data-rtx-import]");
  if (!watched) return;
  const bar = document.querySelector("[data-import-bar]");
  const timer = setInterval(async () => {
    let told;
    try {
      const answer = await fetch(watched.dataset.rtxImport, { headers: { Accept: "application/json" } });
      if (!answer.ok) return;
      told = await answer.json();
    } catch {
      return;
    }
    for (const cell of watched.querySelectorAll("[data-import]")) cell.textContent = told[cell.dataset.import];
    bar.value = told.next_row;
    if (told.status !== "queued" && told.status !== "running") {
      clearInterval(timer);
      location.reload();
    }
  }, 1000);
})();
