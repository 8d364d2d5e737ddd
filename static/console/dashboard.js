/* The live dashboard: writes the figures that live_socket.js brings every second, as far as they changed. Text only, never HTML from data. */
"use strict";

(() => {
  const start = JSON.parse(document.getElementById("rtx-dashboard").textContent);
  const root = document.getElementById("rtx-dash");
  const all = (name) => root.querySelectorAll(`[data-live="${name}"]`);
  const one = (name) => root.querySelector(`[data-live="${name}"]`);
  const { whole, two, compactTwo: compact } = window.rtxNumbers;
  const previous = new Map();
  let latest = start.figures;

  const text = (name, value) => {
    for (const node of all(name)) if (node.textContent !== value) node.textContent = value;
  };
  const sign = (value) => (value > 0 ? "rtx-gain" : value < 0 ? "rtx-loss" : "");

  function amount(value) {
    return value === null || value === undefined ? "–" : two.format(Number(value));
  }

  function age(ms) {
    if (ms === null) return "–";
    if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
    if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
    if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
    return `${Math.round(ms / 3_600_000)} h`;
  }

  /* A cell is text, or {text, tone, href, flash, cls}. Rows are reused, so nothing flickers and links stay clickable. */
  function rows(name, data) {
    const body = one(name);
    const columns = body.closest("table").tHead.rows[0].cells;
    while (body.rows.length > data.length) body.deleteRow(-1);
    data.forEach((cells, index) => {
      const row = body.rows[index] || body.insertRow();
      while (row.cells.length > cells.length) row.deleteCell(-1);
      cells.forEach((cell, column) => {
        const node = row.cells[column] || row.insertCell();
        node.className = columns[column] ? columns[column].className : "";
        write(node, typeof cell === "object" && cell !== null ? cell : { text: cell });
      });
    });
    if (!data.length) empty(body, columns.length);
  }

  function empty(body, columns) {
    const cell = body.insertRow().insertCell();
    cell.colSpan = columns;
    cell.className = "rtx-empty";
    cell.textContent = "Nothing yet";
  }

  function write(node, cell) {
    node.colSpan = 1;
    const tag = cell.href ? "A" : "SPAN";
    let inner = node.firstElementChild;
    if (!inner || inner.tagName !== tag || node.childNodes.length !== 1) {
      inner = document.createElement(tag);
      node.replaceChildren(inner);
    }
    const shown = String(cell.text ?? "–");
    const classes = [cell.cls || "", cell.tone ? `rtx-badge rtx-badge-${cell.tone}` : "", cell.href ? "rtx-link" : ""];
    if (inner.textContent !== shown) inner.textContent = shown;
    if (cell.href && inner.getAttribute("href") !== cell.href) inner.setAttribute("href", cell.href);
    const wanted = classes.filter(Boolean).join(" ");
    const kept = inner.className.replace(/\s*rtx-(up|down)\b/g, "");
    if (kept !== wanted) inner.className = wanted;
    if (cell.flash) {
      inner.classList.remove("rtx-up", "rtx-down");
      void inner.offsetWidth;
      inner.classList.add(cell.flash);
    }
  }

  function moved(key, value) {
    const before = previous.get(key);
    previous.set(key, value);
    if (before === undefined || value === null || before === value) return "";
    return Number(value) > Number(before) ? "rtx-up" : "rtx-down";
  }

  function quotes(figures) {
    rows(
      "quotes",
      figures.quotes.map((row) => {
        const stale = row.open && (row.age_ms === null || row.age_ms > row.age_max_ms);
        const source = row.simulated ? { text: "simulated prices", tone: "warn" } : { text: row.provider || "–", tone: "info" };
        return [
          { text: row.symbol, cls: "rtx-strong" },
          { text: row.bid, cls: "rtx-num", flash: moved(`${row.symbol}b`, row.bid) },
          { text: row.ask, cls: "rtx-num", flash: moved(`${row.symbol}a`, row.ask) },
          { text: row.spread, cls: "rtx-num" },
          row.open ? { text: age(row.age_ms), tone: stale ? "bad" : "good" } : { text: "closed", tone: "muted" },
          source,
          { text: whole.format(row.accepted), cls: "rtx-num" },
          { text: whole.format(row.refused), cls: row.refused ? "rtx-num rtx-loss" : "rtx-num" },
        ];
      }),
    );
  }

  function exposure(figures) {
    const data = figures.exposure;
    if (!data) return;
    const sum = (pick) => data.reduce((total, row) => total + Number(pick(row) || 0), 0);
    const count = sum((row) => row.positions);
    const gross = sum((row) => Math.abs(Number(row.notional || 0)));
    const floating = sum((row) => row.house);
    text("positions", whole.format(count));
    text("positions-note", `${data.length} symbols`);
    text("gross", compact.format(gross));
    text("gross-note", `${figures.currency}, net per symbol, ≈`);
    text("floating", two.format(floating));
    one("floating").className = sign(floating);
    text("floating-note", `${figures.currency} ≈, at mid prices`);
    rows(
      "exposure",
      data.map((row) => [
        { text: row.symbol, cls: "rtx-strong" },
        { text: row.buy, cls: "rtx-num" },
        { text: row.sell, cls: "rtx-num" },
        { text: row.net, cls: `rtx-num ${sign(Number(row.net))}` },
        { text: row.notional === null ? "–" : whole.format(Number(row.notional)), cls: "rtx-num" },
        { text: amount(row.house), cls: `rtx-num ${sign(Number(row.house || 0))}` },
        { text: whole.format(row.positions), cls: "rtx-num" },
      ]),
    );
    RtxCharts.exposure(document.getElementById("rtx-exposure-chart"), data.slice(0, 12));
  }

  function house(figures) {
    const data = figures.house;
    if (!data) return;
    const total = Number(data.total);
    text("house", data.total === null ? "–" : two.format(total));
    one("house").className = sign(total);
    text("house-note", `${figures.currency} ≈, since 00:00 UTC`);
    rows(
      "house-rows",
      data.currencies.map((row) => [
        { text: row.currency, cls: "rtx-strong" },
        ...["bbook", "markup", "commission", "swap"].map((part) => ({ text: amount(row[part]), cls: "rtx-num" })),
        { text: amount(row.total), cls: `rtx-num rtx-strong ${sign(Number(row.total))}` },
      ]),
    );
    RtxCharts.house(document.getElementById("rtx-house-chart"), data.hours);
  }

  const STATUS = { filled: "good", rejected: "bad", working: "info", partially_filled: "info" };

  function orders(figures) {
    if (!figures.orders) return;
    rows(
      "orders",
      figures.orders.map((row) => [
        { text: `#${row.id}`, href: start.order_url.replace("/0/", `/${row.id}/`) },
        { text: row.at.slice(11, 19), cls: "rtx-time" },
        { text: row.login, href: start.account_url.replace("/0/", `/${row.account_id}/`) },
        { text: row.symbol, cls: "rtx-strong" },
        { text: row.side, tone: row.side === "buy" ? "good" : "bad" },
        { text: row.volume, cls: "rtx-num" },
        { text: row.price, cls: "rtx-num" },
        { text: row.reason || row.status.replace("_", " "), tone: STATUS[row.status] || "muted" },
      ]),
    );
  }

  const account = (row) => ({ text: row.login, href: start.account_url.replace("/0/", `/${row.account_id}/`) });

  function attention(figures) {
    for (const [name, waiting] of Object.entries(figures.waiting)) {
      text(name, waiting === null ? "–" : whole.format(waiting));
      const tile = root.querySelector(`[data-queue="${name}"]`);
      if (tile) tile.classList.toggle("rtx-queue-waits", waiting > 0);
    }
    if (figures.near) {
      rows(
        "near",
        figures.near.map((row) => [
          account(row),
          { text: `${row.level} %`, tone: Number(row.level) <= Number(row.call) ? "bad" : "warn" },
          { text: `${row.call} %`, cls: "rtx-num" },
          { text: `${row.stop_out} %`, cls: "rtx-num" },
          { text: `${amount(row.equity)} ${row.currency}`, cls: "rtx-num" },
        ]),
      );
    }
    if (figures.movers) {
      const { winners, losers } = figures.movers;
      const moved = (row) => ({ text: `${amount(row.moved)} ${row.currency}`, cls: `rtx-num ${sign(Number(row.moved))}` });
      const pair = (row) => (row ? [account(row), moved(row)] : [{ text: "" }, { text: "" }]);
      const longest = Math.max(winners.length, losers.length);
      rows("movers", Array.from({ length: longest }, (_, index) => [...pair(winners[index]), ...pair(losers[index])]));
    }
    if (figures.currencies) {
      rows(
        "currencies",
        figures.currencies.slice(0, 8).map((row) => [
          { text: row.currency, cls: "rtx-strong" },
          { text: compact.format(Number(row.long)), cls: "rtx-num" },
          { text: compact.format(Number(row.short)), cls: "rtx-num" },
          { text: compact.format(Number(row.net)), cls: `rtx-num ${sign(Number(row.net))}` },
          { text: row.net_shown === null ? "–" : whole.format(Number(row.net_shown)), cls: "rtx-num" },
        ]),
      );
    }
  }

  function state(value, yes, no) {
    if (value === null || value === undefined) return { text: "unknown", tone: "muted" };
    return value ? { text: yes, tone: "good" } : { text: no, tone: "bad" };
  }

  function seals(found) {
    const check = found.check === "" ? "never verified" : `last check: ${found.check}, ${age(found.check_age_s * 1000)} ago`;
    const isBad = found.is_slow || found.check === "tampered" || found.check === "failed";
    const said = found.is_slow ? "late" : isBad ? found.check : "sealing";
    return [
      { text: "seals of the logs", cls: "rtx-strong" },
      { text: said, tone: isBad ? "bad" : "good" },
      { text: `${age(found.lag_s * 1000)} behind, ${found.waiting} waiting; ${check}` },
    ];
  }

  function processes(figures) {
    const found = figures.processes;
    const list = figures.leases.map((lease) => [
      { text: `engine: ${lease.name}`, cls: "rtx-strong" },
      state(lease.expires_in_s > 0, "leading", "expired"),
      { text: `${lease.holder}, fence ${lease.fence}` },
    ]);
    if (!figures.leases.length) list.push([{ text: "engine", cls: "rtx-strong" }, state(false, "", "never seen"), { text: "no lease yet" }]);
    list.push([
      { text: "task workers", cls: "rtx-strong" },
      state(found.workers === null ? null : found.workers > 0, "running", "none answers"),
      { text: found.queued === null ? "–" : `${found.workers ?? 0} answering, ${found.queued} tasks waiting` },
    ]);
    list.push([{ text: "Redis", cls: "rtx-strong" }, state(found.redis, "answers", "away"), { text: "quotes, caches, task queue" }]);
    list.push(seals(figures.seals));
    rows("processes", list);
  }

  function show(figures) {
    latest = figures;
    text("now", figures.now.slice(11, 19));
    text("currency", figures.currency);
    for (const node of all("simulated")) node.hidden = !figures.simulated;
    if (figures.accounts) {
      text("accounts", whole.format(figures.accounts.total));
      text("accounts-note", `${whole.format(figures.accounts.active)} active`);
    }
    quotes(figures);
    exposure(figures);
    house(figures);
    orders(figures);
    processes(figures);
    attention(figures);
  }

  function connection(ok, words) {
    const node = one("state");
    node.classList.toggle("rtx-live-off", !ok);
    node.querySelector("b").textContent = words;
  }

  new MutationObserver(() => requestAnimationFrame(() => show(latest))).observe(document.documentElement, {
    attributes: true,
    attributeFilter: ["class"],
  });
  show(start.figures);
  RtxLive.start({ ...start, csrf: root.dataset.csrf, show, connection });
})();
