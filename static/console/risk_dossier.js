/* The chart of a liquidation's steps, drawn with the Chart.js that unfold brings. */
"use strict";

(() => {
  const css = (name) => getComputedStyle(document.querySelector(".rtx-dash")).getPropertyValue(name).trim();
  let drawn = null;

  function axis(extra) {
    const ticks = { color: css("--rtx-muted"), padding: 6, font: { size: 11 }, maxTicksLimit: 8, ...(extra.ticks || {}) };
    return { border: { display: false }, grid: { color: css("--rtx-line"), drawTicks: false }, ...extra, ticks };
  }

  function draw() {
    const canvas = document.querySelector("[data-rtx-dossier]");
    if (!canvas) return;
    if (drawn) drawn.destroy();
    const found = JSON.parse(document.getElementById("rtx-dossier").textContent);
    const numbers = (values) => values.map((value) => (value === null ? null : Number(value)));
    const line = (label, values, color, more) => ({
      type: "line", label, data: values, borderColor: css(color), backgroundColor: css(color), borderWidth: 2, pointRadius: 3, tension: 0, ...more,
    });
    const level = numbers(found.level);
    const stopOut = Number(found.stop_out);
    const bars = {
      type: "bar", label: "Level %", data: level, yAxisID: "level", maxBarThickness: 36, borderRadius: 2, order: 2,
      backgroundColor: level.map((value) => css(value !== null && value <= stopOut ? "--rtx-loss" : "--rtx-c2")),
    };
    drawn = new Chart(canvas, {
      data: {
        labels: found.labels,
        datasets: [
          line("Equity", numbers(found.equity), "--rtx-gain", { yAxisID: "money", order: 1 }),
          line("Margin", numbers(found.margin), "--rtx-c3", { yAxisID: "money", order: 1, stepped: true }),
          line(`Stop-out ${found.stop_out} %`, found.labels.map(() => stopOut), "--rtx-loss", { yAxisID: "level", order: 0, borderDash: [4, 4], borderWidth: 1, pointRadius: 0 }),
          bars,
        ],
      },
      options: {
        animation: false,
        responsive: true,
        maintainAspectRatio: false,
        interaction: { mode: "index", intersect: false },
        plugins: {
          legend: { position: "bottom", labels: { color: css("--rtx-muted"), boxWidth: 10, boxHeight: 10, padding: 12, font: { size: 11 } } },
          tooltip: { enabled: true },
        },
        scales: {
          x: axis({ grid: { display: false } }),
          level: axis({ position: "left", beginAtZero: true, title: { display: true, text: "level %", color: css("--rtx-muted") } }),
          money: axis({ position: "right", grid: { display: false }, title: { display: true, text: found.currency, color: css("--rtx-muted") } }),
        },
      },
    });
  }

  const start = () => {
    draw();
    new MutationObserver(() => requestAnimationFrame(draw)).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
