/* The search box of every page: Ctrl-K goes there, Enter asks, one hit opens at once. The term travels in a body only. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("rtx-find");
  if (!form) return;
  const input = form.querySelector("input[type=search]");
  const list = form.querySelector("ul");
  const token = form.querySelector("[name=csrfmiddlewaretoken]").value;

  function say(words) {
    const item = document.createElement("li");
    item.className = "rtx-find-none";
    item.textContent = words;
    list.replaceChildren(item);
    list.hidden = false;
  }

  function offer(found) {
    list.replaceChildren(
      ...found.map((hit) => {
        const item = document.createElement("li");
        const link = document.createElement("a");
        const kind = document.createElement("small");
        link.href = hit.url;
        link.textContent = hit.name;
        kind.textContent = hit.kind;
        link.append(kind);
        item.append(link);
        return item;
      }),
    );
    list.hidden = false;
    list.querySelector("a").focus();
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const term = input.value.trim();
    if (!term) return;
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        headers: { Accept: "application/json", "Content-Type": "application/json", "X-CSRFToken": token },
        body: JSON.stringify({ term }),
        redirect: "manual",
      });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const { found } = await answer.json();
      if (found.length === 1) window.location.assign(found[0].url);
      else if (found.length) offer(found);
      else say("Nothing found");
    } catch (error) {
      say("No answer, try again");
    }
  });

  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      input.focus();
      input.select();
    } else if (event.key === "Escape") {
      list.hidden = true;
    }
  });
  document.addEventListener("click", (event) => {
    if (!form.contains(event.target)) list.hidden = true;
  });
});
