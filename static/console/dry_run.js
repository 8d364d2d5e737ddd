/* A dry run grows old: counts down how long its figures hold. The server decides; this only tells. */
"use strict";

for (const box of document.querySelectorAll("[data-rtx-dry-run]")) {
  const told = box.querySelector("[data-rtx-fresh]");
  const end = performance.now() + Number(box.dataset.maxAge) * 1000;
  const timer = setInterval(() => {
    const left = Math.ceil((end - performance.now()) / 1000);
    if (left > 0) {
      told.textContent = `Nothing is booked yet. These figures hold for ${left} s; after that they are worked out again.`;
      return;
    }
    clearInterval(timer);
    told.textContent = "These figures are too old to act on. Confirming works them out again and shows them first.";
    told.classList.add("rtx-old");
  }, 250);
}
