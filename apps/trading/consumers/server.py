"""
The edges of a stream process: the `/ws` consumer, its health answers, and its start and end.
"""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from channels.consumer import AsyncConsumer
from django.conf import settings

from apps.trading.consumers.connection import CloseCode
from apps.trading.consumers.process import stop_stream_process, stream_process
from apps.trading.consumers.session import Session
from apps.trading.consumers.wires import Send
from rtx.kernel import interpreter

log = logging.getLogger(__name__)

PATH = "/ws"

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class StreamConsumer(AsyncConsumer):
    """
    The Channels consumer of `/ws`. It takes no part in the channel layer: prices and account events come
    from the process's own hub and feeds (see `process.py`), which one Redis connection serves for all
    sockets.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket."""
        await Session(stream_process(), scope, receive, send).run()


class StreamSocket:
    """Routes sockets to the consumer: the path must be `/ws`, and a browser's page one that may."""

    def __init__(self) -> None:
        self._consumer = StreamConsumer.as_asgi()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket, or refuse it with 4403."""
        if scope["path"].rstrip("/") == PATH and origin_is_allowed(scope):
            await self._consumer(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": int(CloseCode.NOT_ALLOWED), "reason": "not allowed"})


def origin_is_allowed(scope: Scope) -> bool:
    """
    Tell whether the page that opened a socket may.

    Clients that are no browsers send no Origin. Without `STREAM_ALLOWED_ORIGINS` a page must come from the
    host name that it connects to (any port: web and stream differ in it).
    """
    headers = dict(scope.get("headers", ()))
    origin = headers.get(b"origin", b"").decode("latin-1")
    if not origin:
        return True
    allowed = settings.STREAM_ALLOWED_ORIGINS
    if allowed:
        return origin in allowed
    host = urlsplit(f"//{headers.get(b'host', b'').decode('latin-1')}").hostname
    return host is not None and urlsplit(origin).hostname == host


class StreamHealth:
    """Answers `/health` and `/ready` at once, and leaves the rest to Django."""

    def __init__(self, django_application: Any) -> None:
        self._django = django_application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        path = scope["path"].rstrip("/")
        if path == "/health":
            await _answer(send, 200, b'{"status":"ok"}')
        elif path == "/ready":
            is_ready = stream_process().is_ready
            body = b'{"status":"ready"}' if is_ready else b'{"status":"not ready"}'
            await _answer(send, 200 if is_ready else 503, body)
        else:
            await self._django(scope, receive, send)


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class StreamLifespan:
    """Starts the shared part with the server, and drains it before the server closes its sockets."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Follow the server's lifespan."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                stream_process()
                drain_on_signals()
                interpreter.prepare()
                await send({"type": "lifespan.startup.complete"})
            else:
                await stop_stream_process()
                await send({"type": "lifespan.shutdown.complete"})
                return


def drain_on_signals() -> None:
    """
    Put draining before the server's own reaction to SIGTERM and SIGINT.

    The server would close every socket at once; orders under way would lose their answer.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            server_reaction = signal.getsignal(number)
            signal.signal(number, _Draining(loop, server_reaction))
        except ValueError:
            log.info("not in the main thread: sockets close without draining")
            return


class _Draining:
    """
    A signal handler that drains once, then lets the server react; a second signal goes straight through.
    """

    drains: set["asyncio.Task[None]"] = set()

    def __init__(self, loop: asyncio.AbstractEventLoop, server_reaction: Any) -> None:
        self._loop = loop
        self._server_reaction = server_reaction

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if stream_process().is_draining:
            self._react(number, frame)
        else:
            self._loop.call_soon_threadsafe(self._start, number)

    def _start(self, number: int) -> None:
        drain = self._loop.create_task(stream_process().drain())
        self.drains.add(drain)
        drain.add_done_callback(self.drains.discard)
        drain.add_done_callback(lambda _: self._react(number, None))

    def _react(self, number: int, frame: FrameType | None) -> None:
        if callable(self._server_reaction):
            self._server_reaction(number, frame)
