/* Pages of risk: live exposure, and the charts of exposure, what-if and value at risk. Text only, never HTML from data. */
"use strict";

(() => {
  const root = document.getElementById("rtx-risk");
  const source = document.getElementById("rtx-risk-data");
  const data = source ? JSON.parse(source.textContent) : null;
  const { whole, two, few, compact } = window.rtxNumbers;
  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const charts = {};

  const missing = (value) => value === null || value === undefined || value === "" || value === "-";
  const sign = (value) => (Number(value) > 0 ? "rtx-gain" : Number(value) < 0 ? "rtx-loss" : "");
  const money = (value) => (missing(value) ? "–" : two.format(Number(value)).replace(/^-0\.00$/, "0.00"));
  const rounded = (value) => (missing(value) ? "–" : whole.format(Number(value)).replace(/^-0$/, "0"));

  const units = (value) => (missing(value) ? "–" : Math.abs(Number(value)) < 1000 ? few.format(Number(value)) : rounded(value));

  for (const link of root.querySelectorAll(".rtx-pages a")) {
    if (link.getAttribute("href") !== window.location.pathname) continue;
    link.setAttribute("aria-current", "page");
    link.scrollIntoView({ block: "nearest", inline: "nearest" }); // on a phone the last pages are out of sight
  }
  for (const node of root.querySelectorAll("[data-amount]")) {
    node.textContent = money(node.dataset.amount);
    const tone = sign(node.dataset.amount);
    if (tone) node.classList.add(tone);
  }
  for (const node of root.querySelectorAll("[data-plain]")) node.textContent = money(node.dataset.plain);

  function axis(extra) {
    return {
      border: { display: false },
      grid: { color: css("--rtx-line"), drawTicks: false },
      ticks: { color: css("--rtx-muted"), padding: 6, font: { size: 11 }, maxTicksLimit: 8 },
      ...extra,
    };
  }

  function amounts(extra) {
    return axis({
      ticks: { color: css("--rtx-muted"), padding: 6, font: { size: 11 }, maxTicksLimit: 6, callback: (value) => compact.format(value) },
      ...extra,
    });
  }

  function draw(name, type, shown, options) {
    const canvas = root.querySelector(`[data-chart="${name}"]`);
    if (!canvas) return;
    const fingerprint = JSON.stringify([shown, css("--rtx-muted")]);
    const known = charts[name];
    if (known && known.fingerprint === fingerprint) return;
    const all = {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      plugins: {
        legend: {
          display: shown.datasets.length > 1,
          position: "bottom",
          labels: { color: css("--rtx-muted"), boxWidth: 10, boxHeight: 10, padding: 12, font: { size: 11 } },
        },
      },
      ...options,
    };
    if (known) {
      known.fingerprint = fingerprint;
      known.chart.data = shown;
      known.chart.options = all;
      known.chart.update("none");
    } else {
      charts[name] = { fingerprint, chart: new Chart(canvas, { type, data: shown, options: all }) };
    }
  }

  function bars(name, labels, datasets, { sideways = false } = {}) {
    const shown = { labels, datasets: datasets.map((one) => ({ borderRadius: 2, maxBarThickness: 18, ...one })) };
    const scales = sideways
      ? { x: amounts(), y: axis({ grid: { display: false }, ticks: { color: css("--rtx-muted"), font: { size: 11 }, autoSkip: false } }) }
      : { x: axis({ grid: { display: false } }), y: amounts() };
    draw(name, "bar", shown, { indexAxis: sideways ? "y" : "x", scales });
  }

  const toned = (values) => values.map((value) => (value >= 0 ? css("--rtx-gain") : css("--rtx-loss")));

  /* exposure */
  function rows(name, list) {
    const body = root.querySelector(`[data-rows="${name}"]`);
    const columns = body.closest("table").tHead.rows[0].cells;
    while (body.rows.length > Math.max(list.length, 1)) body.deleteRow(-1);
    list.forEach((cells, index) => {
      const row = body.rows[index] || body.insertRow();
      while (row.cells.length > cells.length) row.deleteCell(-1);
      cells.forEach((cell, column) => {
        const node = row.cells[column] || row.insertCell();
        const [text, tone] = Array.isArray(cell) ? cell : [cell, ""];
        const wanted = `${columns[column].className} ${column ? "rtx-num" : "rtx-strong"} ${tone}`.trim();
        if (node.colSpan !== 1) node.colSpan = 1;
        if (node.className !== wanted) node.className = wanted;
        if (node.textContent !== text) node.textContent = text;
      });
    });
    if (!list.length) {
      const row = body.rows[0] || body.insertRow();
      while (row.cells.length > 1) row.deleteCell(-1);
      const cell = row.cells[0] || row.insertCell();
      cell.colSpan = columns.length;
      cell.className = "rtx-empty";
      cell.textContent = "No open positions";
    }
  }

  function text(name, value, tone) {
    for (const node of root.querySelectorAll(`[data-live="${name}"]`)) {
      if (node.textContent !== value) node.textContent = value;
      if (tone !== undefined) node.className = tone;
    }
  }

  function exposure(view) {
    text("at", view.at.slice(11, 19));
    text("currency", view.currency);
    text("gross", rounded(view.total.gross));
    text("net", rounded(view.total.net), sign(view.total.net));
    text("house", money(view.total.house), sign(view.total.house));
    text("positions", whole.format(view.total.positions));
    text("symbols-note", `${view.symbols.length} symbols, ${view.groups.length} groups`);
    const unpriced = root.querySelector('[data-live="unpriced"]');
    unpriced.hidden = !view.unpriced.length;
    unpriced.textContent = `no price: ${view.unpriced.join(", ")}`;
    const tail = (row) => [[rounded(row.net), sign(row.net)], rounded(row.gross)];
    rows("symbols", view.symbols.map((row) => [row.symbol, row.buy_lots, row.sell_lots, [row.net_lots, sign(row.net_lots)], ...tail(row), [money(row.house), sign(row.house)]]));
    rows("currencies", view.currencies.map((row) => [row.currency, units(row.long), units(row.short), [units(row.net), sign(row.net)], [rounded(row.net_shown), sign(row.net_shown)], rounded(row.gross_shown)]));
    rows("groups", view.groups.map((row) => [row.group, whole.format(row.positions), ...tail(row), `${rounded(row.net_own)} ${row.currency}`, `${rounded(row.gross_own)} ${row.currency}`, `${rounded(row.margin)} ${row.currency}`, [money(row.house), sign(row.house)]]));
    rows("books", view.books.map((row) => [`${row.book.toUpperCase()}-book`, whole.format(row.positions), ...tail(row), [money(row.house), sign(row.house)]]));
    const symbols = view.symbols.slice(0, 14);
    const nets = symbols.map((row) => Number(row.net || 0));
    bars(
      "symbols",
      symbols.map((row) => row.symbol),
      [
        { label: "Net", data: nets, backgroundColor: toned(nets) },
        { label: "Gross", data: symbols.map((row) => Number(row.gross || 0)), backgroundColor: css("--rtx-line") },
      ],
      { sideways: true },
    );
    const currencies = view.currencies.slice(0, 14);
    const converted = currencies.map((row) => Number(row.net_shown || 0));
    bars("currencies", currencies.map((row) => row.currency), [{ label: "Net", data: converted, backgroundColor: toned(converted) }], { sideways: true });
  }

  function connection(ok, words) {
    const node = root.querySelector('[data-live="state"]');
    node.classList.toggle("rtx-live-off", !ok);
    node.querySelector("b").textContent = words;
  }

  function follow() {
    let latest = data.view;
    let failures = 0;
    let timer = 0;
    const plan = () => {
      clearTimeout(timer);
      if (!document.hidden) timer = setTimeout(ask, Math.min(data.every_ms * 2 ** Math.min(failures, 4), 15_000));
    };
    async function ask() {
      try {
        const answer = await fetch(data.url, { headers: { Accept: "application/json" }, redirect: "manual" });
        if (answer.type === "opaqueredirect") {
          window.location.reload(); // the session ended: the sign-in page comes
          return;
        }
        if (!answer.ok) throw new Error(`status ${answer.status}`);
        latest = await answer.json();
        exposure(latest);
        failures = 0;
        connection(true, "live");
      } catch (error) {
        failures += 1;
        connection(false, failures < 3 ? "reconnecting" : "no answer, trying again");
      }
      plan();
    }
    document.addEventListener("visibilitychange", plan);
    repaint(() => exposure(latest));
    exposure(latest);
    plan();
  }

  /* what-if */
  function whatIf() {
    const labels = data.levels.map((row, index) => (row.up_to_pct === null ? `over ${data.levels[index - 1].up_to_pct} %` : `to ${row.up_to_pct} %`));
    bars("levels", labels, [
      { label: "Now", data: data.levels.map((row) => row.before), backgroundColor: css("--rtx-c2") },
      { label: "Then", data: data.levels.map((row) => row.after), backgroundColor: css("--rtx-c3") },
    ]);
    const moved = data.symbols.filter((row) => Number(row.change)).slice(0, 12);
    const values = moved.map((row) => Number(row.change || 0));
    bars("changes", moved.map((row) => row.symbol), [{ label: "House makes", data: values, backgroundColor: toned(values) }], { sideways: true });
  }

  /* value at risk */
  function history() {
    const series = new Map();
    const times = [...new Set(data.map((row) => row.at))].sort();
    for (const row of data) {
      const name = `${row.method} ${row.confidence_pct} %, ${row.horizon_days} d`;
      if (!series.has(name)) series.set(name, new Map());
      series.get(name).set(row.at, Number(row.amount));
    }
    const palette = ["--rtx-c1", "--rtx-c2", "--rtx-c3", "--rtx-c4", "--rtx-gain", "--rtx-loss"];
    const datasets = [...series].map(([label, points], index) => ({
      label,
      data: times.map((at) => points.get(at) ?? null),
      borderColor: css(palette[index % palette.length]),
      backgroundColor: css(palette[index % palette.length]),
      borderWidth: 2,
      pointRadius: times.length > 40 ? 0 : 3,
      spanGaps: true,
    }));
    draw("history", "line", { labels: times.map((at) => at.slice(5, 16).replace("T", " ")), datasets }, { scales: { x: axis({ grid: { display: false } }), y: amounts({ beginAtZero: true }) } });
  }

  function repaint(show) {
    new MutationObserver(() => requestAnimationFrame(show)).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
  }

  if (root.dataset.page === "exposure") follow();
  if (root.dataset.page === "what-if" && data) {
    whatIf();
    repaint(whatIf);
  }
  if (root.dataset.page === "value-at-risk" && data.length) {
    history();
    repaint(history);
  }
})();
