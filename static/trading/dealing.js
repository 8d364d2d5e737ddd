/* The form of a new order: fields that do not belong to its type are put away, the client's price is shown live. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const symbol = document.querySelector("[data-rtx-priced]");
  const type = document.querySelector("[data-rtx-order-type]");
  if (!symbol || !type) return;

  const limited = document.querySelectorAll("[data-rtx-only]");
  function showFields() {
    for (const field of limited) {
      const belongs = field.dataset.rtxOnly.split(" ").includes(type.value);
      field.closest(".group").hidden = !belongs;
      if (!belongs) field.value = "";
    }
  }

  const box = document.createElement("p");
  box.className = "rtx-live-price";
  box.setAttribute("role", "status");
  symbol.closest(".group").append(box);

  function tell(quote) {
    box.replaceChildren();
    if (!quote.symbol) {
      box.textContent = "No price";
      return;
    }
    const age = Math.max(0, (Date.now() - Date.parse(quote.time)) / 1000);
    for (const [name, value] of [["Bid", quote.bid], ["Ask", quote.ask]]) {
      const label = document.createElement("span");
      label.textContent = name;
      const shown = document.createElement("strong");
      shown.textContent = value;
      box.append(label, shown);
    }
    const told = document.createElement("small");
    told.textContent = `client price, ${age.toFixed(1)} s old`;
    box.append(told);
  }

  async function refresh() {
    if (document.hidden) return;
    const address = new URL(`../${symbol.dataset.rtxPriced}`, window.location.href);
    address.searchParams.set("symbol", symbol.value);
    try {
      const answer = await fetch(address, { credentials: "same-origin" });
      tell(answer.ok ? await answer.json() : {});
    } catch {
      tell({});
    }
  }

  type.addEventListener("change", showFields);
  symbol.addEventListener("change", refresh);
  showFields();
  refresh();
  setInterval(refresh, 1000);
});
