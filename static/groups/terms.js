/* Live prices on the pages of effective terms: the raw price beside what the group's clients see. Text only. */
"use strict";

(() => {
  const root = document.getElementById("rtx-terms");
  const data = JSON.parse(document.getElementById("rtx-terms-data").textContent);
  const state = root.querySelector("[data-live=state]");
  const OLD_MS = 60000;

  const cell = (row, name) => row.querySelector(`[data-price=${name}]`);
  const two = (node, first, second) => {
    if (node.dataset.shown === `${first}/${second}`) return;
    const before = Number(node.dataset.first || 0);
    node.dataset.shown = `${first}/${second}`;
    node.dataset.first = first;
    node.replaceChildren(document.createTextNode(first), document.createElement("br"), document.createTextNode(second));
    if (!before) return;
    node.classList.remove("rtx-up", "rtx-down");
    void node.offsetWidth; // begins the animation anew
    node.classList.add(Number(first) >= before ? "rtx-up" : "rtx-down");
  };

  const show = (prices) => {
    for (const price of prices) {
      const row = root.querySelector(`tr[data-key="${price.key}"]`);
      if (!row) continue;
      two(cell(row, "raw"), price.raw_bid, price.raw_ask);
      two(cell(row, "client"), price.bid, price.ask);
      const spread = cell(row, "spread");
      const raw = document.createElement("small");
      raw.textContent = `raw ${price.raw_spread_points}`;
      spread.replaceChildren(document.createTextNode(price.spread_points), raw);
      row.classList.toggle("rtx-stale", Date.now() - price.time_ms > OLD_MS);
    }
  };

  const alive = (is) => {
    state.classList.toggle("rtx-live-off", !is);
    state.querySelector("b").textContent = is ? "live" : "no connection";
  };

  const poll = async () => {
    if (!document.hidden) {
      try {
        const answer = await fetch(data.url, { headers: { Accept: "application/json" }, credentials: "same-origin" });
        if (!answer.ok) throw new Error(String(answer.status));
        show((await answer.json()).prices);
        alive(true);
      } catch {
        alive(false);
      }
    }
    setTimeout(poll, data.every_ms);
  };
  poll();
})();
