"""
The dashboard's socket, `/ws/staff`: pushes the figures every second to signed-in staff. Takes no requests.

Figures are computed once a second for each view (reach and rights), however many people share it, and only
while somebody looks. Every few seconds each person's session, rights and reach are asked for again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import orjson
from django.db import Error as DatabaseError

from apps.console.services import live
from apps.console.services.live import Pass, View
from apps.trading.consumers.connection import CloseCode
from apps.trading.consumers.server import origin_is_allowed
from apps.trading.consumers.threads import off_loop
from rtx.kernel.errors import Unavailable

log = logging.getLogger(__name__)

PATH = "/ws/staff"
EVERY_S = 1.0
CHECK_EVERY_S = 5.0
SEND_TIMEOUT_S = 5.0

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class _Shared:
    """The latest figures of one view, computed while somebody waits for them."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._next: asyncio.Task[str] | None = None

    async def next(self) -> str:
        """Return the figures of the next tick: all who wait for them share one computation."""
        if self._next is None or self._next.done():
            self._next = asyncio.get_running_loop().create_task(self._computed())
        return await asyncio.shield(self._next)

    async def _computed(self) -> str:
        await asyncio.sleep(EVERY_S)
        return orjson.dumps(await off_loop(live.figures, self._view), default=str).decode()


class DashboardSocket:
    """Serves the sockets of one process."""

    def __init__(self) -> None:
        self._views: dict[View, _Shared] = {}
        self._viewers: dict[View, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a socket in by its ticket, then push until it ends or its session does."""
        if (await receive())["type"] != "websocket.connect":
            return
        await send({"type": "websocket.accept"})
        code: CloseCode | None = CloseCode.NOT_ALLOWED
        reason = "not allowed"
        if origin_is_allowed(scope):
            code, reason = await self._admit(scope, receive, send)
        if code is not None:
            await send({"type": "websocket.close", "code": int(code), "reason": reason})

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> tuple[CloseCode | None, str]:
        ticket = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("ticket", [""])[0]
        try:
            held = await off_loop(live.redeem, ticket)
            view = None if held is None else await off_loop(live.present_view, held)
        except (DatabaseError, Unavailable) as error:
            log.warning("dashboard socket not admitted: %s", type(error).__name__)
            return CloseCode.RESTARTING, "temporarily unavailable"
        if held is None or view is None:
            return CloseCode.NOT_AUTHENTICATED, "not authenticated"
        return await self._serve(held, view, receive, send)

    async def _serve(
        self, held: Pass, view: View, receive: Receive, send: Send
    ) -> tuple[CloseCode | None, str]:
        """Push until the peer leaves (no code) or may look no longer."""
        pushing = asyncio.create_task(self._push(held, view, send))
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait({pushing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            return pushing.result() if pushing.done() else (None, "")
        finally:
            pushing.cancel()
            leaving.cancel()

    async def _push(self, held: Pass, view: View, send: Send) -> tuple[CloseCode, str]:
        loop = asyncio.get_running_loop()
        check_at = loop.time() + CHECK_EVERY_S
        while True:
            try:
                if loop.time() >= check_at:
                    now_seen = await off_loop(live.present_view, held)
                    if now_seen is None:
                        return CloseCode.REVOKED, "the session has ended"
                    view, check_at = now_seen, loop.time() + CHECK_EVERY_S
                text = await self._figures(view)
            except DatabaseError as error:
                log.warning("dashboard not computed: %s", type(error).__name__)
                await asyncio.sleep(EVERY_S)
                continue
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await send({"type": "websocket.send", "text": text})
            except TimeoutError:
                return CloseCode.TOO_SLOW, "too slow"

    async def _figures(self, view: View) -> str:
        self._viewers[view] = self._viewers.get(view, 0) + 1
        try:
            return await self._views.setdefault(view, _Shared(view)).next()
        finally:
            self._viewers[view] -= 1
            if not self._viewers[view]:
                del self._viewers[view], self._views[view]


async def _left(receive: Receive) -> None:
    """Wait for the peer's end; what it says meanwhile is not listened to."""
    while (await receive())["type"] != "websocket.disconnect":
        pass
