// The mapping's editor: rows are added and removed, and each says what its fields and its form are about. Text only.
"use strict";
(() => {
  const form = document.getElementById("rtx-crm-map");
  const facts = JSON.parse(document.getElementById("rtx-crm-facts").textContent);
  const total = form.querySelector('input[name="form-TOTAL_FORMS"]');
  const body = form.querySelector("tbody");
  const isKnown = Object.keys(facts.crm).length > 0;

  const field = (row, name) => row.querySelector(`[data-map="${name}"]`);
  const about = (row, name, text) => {
    row.querySelector(`[data-about="${name}"]`).textContent = text;
  };

  function tell(row) {
    const rtx = facts.rtx[field(row, "rtx_field").value];
    about(row, "rtx", rtx ? [rtx.type, rtx.help, rtx.choices.join(", ")].filter(Boolean).join(" · ") : "");
    const name = field(row, "crm_field").value.trim();
    const crm = facts.crm[name];
    const notes = crm ? [crm.label, crm.type, crm.read_only ? "read only" : "", crm.required ? "required" : "", crm.choices.join(", ")] : [];
    about(row, "crm", crm ? notes.filter(Boolean).join(" · ") : name && isKnown ? "not among the CRM's fields" : "");
    const options = facts.transforms[field(row, "transform").value] || [];
    about(row, "options", options.map((one) => `${one.name}: ${one.label}`).join("; "));
    for (const choice of field(row, "direction").options) choice.disabled = choice.value !== "push" && Boolean(rtx) && !rtx.pull;
  }

  for (const row of body.querySelectorAll("[data-row]")) tell(row);
  form.addEventListener("input", (event) => {
    const row = event.target.closest("[data-row]");
    if (row) tell(row);
  });
  form.addEventListener("click", (event) => {
    const drop = event.target.closest("[data-drop]");
    if (drop) {
      const row = drop.closest("[data-row]");
      const mark = row.querySelector('input[name$="-DELETE"]');
      mark.checked = !mark.checked;
      row.toggleAttribute("data-gone", mark.checked);
      drop.textContent = mark.checked ? "Keep" : "Remove";
      return;
    }
    if (!event.target.closest("[data-add]")) return;
    const made = document.getElementById("rtx-crm-row").content.querySelector("tr").cloneNode(true);
    for (const node of made.querySelectorAll("[name], [id]")) {
      for (const attribute of ["name", "id"]) {
        const value = node.getAttribute(attribute);
        if (value) node.setAttribute(attribute, value.replace("__prefix__", total.value));
      }
    }
    total.value = String(Number(total.value) + 1);
    body.querySelector("[data-empty]")?.remove();
    body.append(made);
    tell(made);
    field(made, "rtx_field").focus();
  });
})();
