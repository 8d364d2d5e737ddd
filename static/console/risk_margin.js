/* The charts of margin levels and of an account's days, drawn with the Chart.js that unfold brings. */
"use strict";

(() => {
  const css = (name) => getComputedStyle(document.querySelector(".rtx-dash")).getPropertyValue(name).trim();
  const data = (id) => JSON.parse(document.getElementById(id).textContent);
  const drawn = [];

  function axis(extra) {
    const ticks = { color: css("--rtx-muted"), padding: 6, font: { size: 11 }, ...(extra.ticks || {}) };
    return { border: { display: false }, grid: { color: css("--rtx-line"), drawTicks: false }, ...extra, ticks };
  }

  function options(legend, y) {
    return {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      plugins: {
        legend: { display: legend, position: "bottom", labels: { color: css("--rtx-muted"), boxWidth: 10, boxHeight: 10 } },
        tooltip: { enabled: true },
      },
      scales: { x: axis({ grid: { display: false } }), y: axis(y) },
    };
  }

  function levels(canvas) {
    const found = data("rtx-levels");
    const tone = (label) => (label.startsWith("above") ? "--rtx-gain" : Number.parseInt(label.slice(3), 10) <= 50 ? "--rtx-loss" : Number.parseInt(label.slice(3), 10) <= 100 ? "--rtx-c3" : "--rtx-gain");
    const bars = { label: "Accounts", data: found.values, backgroundColor: found.labels.map((label) => css(tone(label))), borderRadius: 2, maxBarThickness: 40 };
    return new Chart(canvas, {
      type: "bar",
      data: { labels: found.labels, datasets: [bars] },
      options: options(false, { beginAtZero: true, ticks: { precision: 0, maxTicksLimit: 6 } }),
    });
  }

  function days(canvas) {
    const found = data("rtx-days");
    const line = (label, values, color, more) => ({ label, data: values.map(Number), borderColor: css(color), backgroundColor: css(color), borderWidth: 2, pointRadius: found.labels.length > 40 ? 0 : 2, tension: 0, ...more });
    return new Chart(canvas, {
      type: "line",
      data: {
        labels: found.labels,
        datasets: [
          line("End", found.end, "--rtx-c2", {}),
          line("High", found.high, "--rtx-gain", { borderDash: [4, 4], borderWidth: 1 }),
          line("Low", found.low, "--rtx-loss", { borderDash: [4, 4], borderWidth: 1 }),
        ],
      },
      options: options(true, { ticks: { maxTicksLimit: 6 } }),
    });
  }

  function draw() {
    while (drawn.length) drawn.pop().destroy();
    for (const canvas of document.querySelectorAll("[data-rtx-levels]")) drawn.push(levels(canvas));
    for (const canvas of document.querySelectorAll("[data-rtx-days]")) drawn.push(days(canvas));
  }

  const start = () => {
    draw();
    new MutationObserver(() => requestAnimationFrame(draw)).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
