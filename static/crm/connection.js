// Keeps the figures of a connection's page current. Text only, never HTML from data.
"use strict";
(() => {
  const root = document.getElementById("rtx-crm");
  const start = document.getElementById("rtx-crm-live");
  if (!root || !start) return;
  const { url, run_url: runUrl } = JSON.parse(start.textContent);
  const EVERY_MS = 2000;
  const put = (name, value) => {
    for (const node of root.querySelectorAll(`[data-crm="${name}"]`)) node.textContent = value ?? "–";
  };
  let hadRun = !root.querySelector("[data-crm-run]").hidden;
  let status = null;

  function show(told) {
    const now = `${told.status} ${told.fault ? told.fault.code : ""}`;
    if (status !== null && status !== now) location.reload();
    status = now;
    put("in_step", told.customers.in_step);
    put("waiting", told.customers.waiting);
    put("given_up", told.dead_letters);
    put("conflicts", told.conflicts_24h);
    put("calls", `${told.limits.calls} / ${told.limits.calls_max}`);
    put("daily", told.limits.daily_left);
    root.querySelector('[data-crm-note="breaker"]').hidden = told.breaker.state === "closed" || Boolean(told.fault);
    const box = root.querySelector("[data-crm-run]");
    box.hidden = !told.run;
    if (told.run) {
      const link = root.querySelector("[data-crm-run-link]");
      link.textContent = `run ${told.run.id}`;
      link.setAttribute("href", runUrl.replace("/0/", `/${told.run.id}/`));
      const held = told.run.waits_until ? ", waits" : "";
      root.querySelector("[data-crm-run-text]").textContent =
        `${told.run.kind}, ${told.run.phase || told.run.status}: ${told.run.done} of ${told.run.total}${held}`;
      const bar = root.querySelector("[data-crm-run-bar]");
      bar.max = told.run.total || 1;
      bar.value = told.run.done;
    } else if (hadRun) {
      location.reload(); // the table of runs has a new line
    }
    hadRun = Boolean(told.run);
  }

  setInterval(async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch(url, { headers: { Accept: "application/json" }, credentials: "same-origin" });
      if (answer.ok) show(await answer.json());
    } catch {
      // the next one may come through
    }
  }, EVERY_MS);
})();
