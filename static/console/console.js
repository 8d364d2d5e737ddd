/* Small behavior of admin pages: tabs. No inline handlers anywhere. */
"use strict";

document.addEventListener("click", (event) => {
  const tab = event.target.closest('[data-rtx-tabs] [role="tab"]');
  if (!tab) return;
  const box = tab.closest("[data-rtx-tabs]");
  for (const other of box.querySelectorAll('[role="tab"]')) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", String(chosen));
    box.querySelector(`#${other.getAttribute("aria-controls")}`).hidden = !chosen;
  }
});
