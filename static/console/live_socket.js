/* Brings the dashboard's figures: over a WebSocket, and by asking every second for as long as none can be had. */
"use strict";

window.RtxLive = (() => {
  const ENDED = new Set([4401, 4410]);
  const RETRY_MAX_MS = 30_000;
  const SILENT_MS = 8_000;
  let given;
  let socket = null;
  let failures = 0;
  let polls = 0;
  let pollTimer = 0;
  let retryTimer = 0;
  let silence = 0;

  function address(ticket) {
    const own = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`;
    return `${given.socket_url || own}/staff?ticket=${encodeURIComponent(ticket)}`;
  }

  async function connect() {
    clearTimeout(retryTimer);
    if (socket || document.hidden) return;
    try {
      const answer = await fetch(given.ticket_url, {
        method: "POST",
        headers: { Accept: "application/json", "X-CSRFToken": given.csrf },
        redirect: "manual",
      });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      open((await answer.json()).ticket);
    } catch (error) {
      retry();
    }
  }

  function open(ticket) {
    const opened = new WebSocket(address(ticket));
    socket = opened;
    opened.onmessage = (event) => {
      failures = 0;
      stopPolling();
      heard();
      given.show(JSON.parse(event.data));
      given.connection(true, "live");
    };
    opened.onclose = (event) => {
      if (socket !== opened) return;
      socket = null;
      clearTimeout(silence);
      if (ENDED.has(event.code)) failures = Math.max(failures, 3);
      retry();
    };
    heard();
  }

  function heard() {
    clearTimeout(silence);
    silence = setTimeout(() => socket && drop(), SILENT_MS);
  }

  function drop() {
    const old = socket;
    socket = null;
    clearTimeout(silence);
    old.onclose = null;
    old.close();
    retry();
  }

  function retry() {
    clearTimeout(retryTimer);
    if (document.hidden) return;
    failures += 1;
    const pause = Math.min(1_000 * 2 ** Math.min(failures - 1, 5), RETRY_MAX_MS);
    retryTimer = setTimeout(connect, pause * (0.5 + Math.random() / 2));
    if (!pollTimer) ask();
  }

  /* Without a socket: ask. An answer that leads elsewhere means that the session is over. */
  async function ask() {
    try {
      const answer = await fetch(given.live_url, { headers: { Accept: "application/json" }, redirect: "manual" });
      if (answer.type === "opaqueredirect" || answer.status === 403) {
        window.location.reload();
        return;
      }
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      given.show(await answer.json());
      polls = 0;
      given.connection(true, "live");
    } catch (error) {
      polls += 1;
      given.connection(false, polls < 3 ? "reconnecting" : "no answer, trying again");
    }
    if (!document.hidden) pollTimer = setTimeout(ask, Math.min(given.every_ms * 2 ** Math.min(polls, 4), 15_000));
  }

  function stopPolling() {
    clearTimeout(pollTimer);
    pollTimer = 0;
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      stopPolling();
      clearTimeout(retryTimer);
      if (socket) {
        const old = socket;
        socket = null;
        clearTimeout(silence);
        old.onclose = null;
        old.close();
      }
    } else if (given) {
      failures = 0;
      connect();
    }
  });

  function start(options) {
    given = options;
    connect();
  }

  return { start };
})();
