// The page of an account while it is open: figures and positions each second, the equity chart on demand.
"use strict";
(() => {
  const box = document.querySelector("[data-rtx-account]");
  if (!box) return;
  const EVERY_MS = 1000;
  const stale = document.querySelector("[data-stale]");
  const unpriced = document.querySelector("[data-unpriced]");
  let failures = 0;

  // Cells come from the server as it writes them into the page: numbers, units and classes, escaped there.
  function put(cell, html) {
    if (cell && cell.innerHTML !== html) cell.innerHTML = html;
  }

  async function ask(url) {
    const answer = await fetch(url, { headers: { Accept: "application/json" }, redirect: "error" });
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  }

  async function refresh() {
    if (document.hidden) return;
    try {
      const told = await ask(box.dataset.rtxAccount);
      for (const [name, html] of Object.entries(told.figures)) put(box.querySelector(`[data-figure="${name}"]`), html);
      for (const [id, cells] of Object.entries(told.positions || {}))
        for (const [name, html] of Object.entries(cells)) put(document.querySelector(`[data-live="${id}:${name}"]`), html);
      unpriced.hidden = !told.unpriced;
      failures = 0;
    } catch {
      failures += 1;
    }
    stale.hidden = failures < 3;
  }

  async function follow() {
    await refresh();
    setTimeout(follow, EVERY_MS * Math.min(1 + failures, 10));
  }

  const canvas = document.querySelector("[data-equity-chart]");
  const note = document.querySelector("[data-equity-note]");
  const css = (name) => getComputedStyle(canvas.closest(".rtx-dash")).getPropertyValue(name).trim();
  let chart = null;

  function day(at, days) {
    const text = new Date(at).toISOString();
    return days <= 7 ? `${text.slice(5, 10)} ${text.slice(11, 16)}` : text.slice(0, 10);
  }

  function line(label, values, color, filled) {
    return {
      label, data: values, borderColor: color, backgroundColor: filled ? `color-mix(in srgb, ${color} 14%, transparent)` : color,
      fill: filled, borderWidth: 2, pointRadius: 0, pointHitRadius: 12, tension: 0.15, spanGaps: false,
    };
  }

  function draw(told, days) {
    const grid = css("--rtx-line"), text = css("--rtx-muted");
    const axis = { border: { display: false }, grid: { color: grid, drawTicks: false } };
    const ticks = { color: text, padding: 6, font: { size: 11 } };
    if (chart) chart.destroy();
    chart = new Chart(canvas, {
      type: "line",
      data: {
        labels: told.points.map((point) => day(point[0], days)),
        datasets: [
          line("Equity", told.points.map((point) => (point[2] === null ? null : Number(point[2]))), css("--rtx-c1"), true),
          line("Balance", told.points.map((point) => Number(point[1])), css("--rtx-c2"), false),
        ],
      },
      options: {
        animation: false, responsive: true, maintainAspectRatio: false,
        interaction: { mode: "index", intersect: false },
        plugins: { legend: { position: "bottom", labels: { color: text, boxWidth: 10, boxHeight: 10, font: { size: 11 } } } },
        scales: {
          x: { ...axis, grid: { display: false }, ticks: { ...ticks, maxTicksLimit: canvas.clientWidth < 500 ? 3 : 8, maxRotation: 0 } },
          y: { ...axis, ticks: { ...ticks, maxTicksLimit: 6 } },
        },
      },
    });
  }

  async function show(days) {
    note.hidden = true;
    try {
      const told = await ask(`${box.dataset.equity}?days=${days}`);
      if (told.points.length) draw(told, days);
      else { note.textContent = told.note || "There is nothing to draw for this period."; note.hidden = false; }
    } catch {
      note.textContent = "The chart cannot be drawn now.";
      note.hidden = false;
    }
  }

  document.addEventListener("click", (event) => {
    const chosen = event.target.closest("[data-days]");
    if (!chosen) return;
    for (const other of document.querySelectorAll("[data-days]")) other.setAttribute("aria-pressed", String(other === chosen));
    show(Number(chosen.dataset.days));
  });

  follow();
  show(7);
})();
