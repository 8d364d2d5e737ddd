/* The dashboard's two charts, drawn with the Chart.js that unfold brings. Colors follow the page's theme. */
"use strict";

window.RtxCharts = (() => {
  const charts = {};
  const css = (name) => getComputedStyle(document.querySelector(".rtx-dash")).getPropertyValue(name).trim();

  function colors() {
    return {
      text: css("--rtx-muted"),
      grid: css("--rtx-line"),
      gain: css("--rtx-gain"),
      loss: css("--rtx-loss"),
      parts: { bbook: css("--rtx-c1"), markup: css("--rtx-c2"), commission: css("--rtx-c3"), swap: css("--rtx-c4") },
    };
  }

  const { compact } = window.rtxNumbers;
  const LABELS = { bbook: "B-book", markup: "Markup", commission: "Commission", swap: "Swap" };

  function axis(palette, extra) {
    return {
      border: { display: false },
      grid: { color: palette.grid, drawTicks: false },
      ticks: { color: palette.text, padding: 6, font: { size: 11 } },
      ...extra,
    };
  }

  function house(canvas, hours) {
    const palette = colors();
    const data = {
      labels: hours.map((row) => row.hour),
      datasets: Object.keys(LABELS).map((name) => ({
        label: LABELS[name],
        data: hours.map((row) => Number(row[name] || 0)),
        backgroundColor: palette.parts[name],
        stack: "house",
        borderRadius: 2,
        maxBarThickness: 26,
      })),
    };
    const options = {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      plugins: {
        legend: {
          position: "bottom",
          labels: { color: palette.text, boxWidth: 10, boxHeight: 10, padding: 12, font: { size: 11 } },
        },
        tooltip: { enabled: true },
      },
      scales: {
        x: axis(palette, { stacked: true, grid: { display: false } }),
        y: axis(palette, {
          stacked: true,
          ticks: { color: palette.text, padding: 6, font: { size: 11 }, maxTicksLimit: 6, callback: (value) => compact.format(value) },
        }),
      },
    };
    draw("house", canvas, "bar", data, options);
  }

  function exposure(canvas, rows) {
    const palette = colors();
    const values = rows.map((row) => Number(row.notional || 0));
    const data = {
      labels: rows.map((row) => row.symbol),
      datasets: [
        {
          label: "Net notional",
          data: values,
          backgroundColor: values.map((value) => (value >= 0 ? palette.gain : palette.loss)),
          borderRadius: 2,
          maxBarThickness: 18,
        },
      ],
    };
    const options = {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      indexAxis: "y",
      plugins: { legend: { display: false }, tooltip: { enabled: true } },
      scales: {
        x: axis(palette, {
          ticks: { color: palette.text, padding: 6, font: { size: 11 }, maxTicksLimit: 6, callback: (value) => compact.format(value) },
        }),
        y: axis(palette, { grid: { display: false } }),
      },
    };
    draw("exposure", canvas, "bar", data, options);
  }

  function draw(name, canvas, type, data, options) {
    const fingerprint = JSON.stringify([data, css("--rtx-muted")]);
    const known = charts[name];
    if (known && known.fingerprint === fingerprint) return;
    if (known) {
      known.fingerprint = fingerprint;
      known.chart.data = data;
      known.chart.options = options;
      known.chart.update("none");
    } else {
      charts[name] = { fingerprint, chart: new Chart(canvas, { type, data, options }) };
    }
  }

  return { house, exposure };
})();
