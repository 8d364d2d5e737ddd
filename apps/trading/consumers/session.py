"""
One client's socket: who it is, what it asks, what it is answered. Close codes are those of `CloseCode`.

Subscriptions are handled one after another; orders wait side by side, and their replies, which carry the
request's id, come as they are decided. Nothing a client sends closes the socket without a code or reaches a
log with its content.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

from django.conf import settings
from django.db import Error as DatabaseError

from apps.trading.consumers import access, channels, trading
from apps.trading.consumers.connection import CloseCode, Connection
from apps.trading.consumers.frames import error_frame, quotes_frame, reply_frame
from apps.trading.consumers.limits import RequestBudget
from apps.trading.consumers.process import StreamProcess
from apps.trading.consumers.requests import (
    Auth,
    Ping,
    Request,
    RequestError,
    Subscribe,
    Trade,
    Unsubscribe,
    decode,
)
from apps.trading.consumers.wires import WIRE_EXTENSION, AsgiWire, Send
from rtx.kernel import clock
from rtx.kernel.actor import Actor, ActorKind
from rtx.kernel.errors import NotAuthenticated, RtxError, Unavailable

log = logging.getLogger(__name__)

AUTH_TIMEOUT_S = 5.0
IN_FLIGHT_MAX = 256

Receive = Callable[[], Awaitable[dict[str, Any]]]


class Session:
    """A socket from its handshake to its end."""

    def __init__(self, process: StreamProcess, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        self.process = process
        self.name = f"ws-{uuid4().hex[:12]}"
        self.grant: access.Grant | None = None
        self.priced_by: dict[str, int] = {}  # symbol -> account whose group prices it
        self.connection = Connection(
            wire=scope.get("extensions", {}).get(WIRE_EXTENSION) or AsgiWire(send),
            buffer_max_bytes=settings.STREAM_BUFFER_MAX_BYTES,
            compose=quotes_frame,
        )
        self._scope = scope
        self._receive = receive
        self._send = send
        self._tasks: set[asyncio.Task[None]] = set()
        self._requests = count(1)
        self._budget = RequestBudget(
            per_s=settings.STREAM_REQUESTS_PER_S,
            burst=settings.STREAM_REQUESTS_PER_S * 2,
            now_s=time.monotonic(),
        )

    @property
    def in_flight(self) -> int:
        """How many requests wait for their answer."""
        return len(self._tasks)

    async def run(self) -> None:
        """Serve the socket until it ends."""
        if (await self._receive())["type"] != "websocket.connect":
            return
        await self._send({"type": "websocket.accept"})
        if self.process.is_draining:
            self.close(CloseCode.RESTARTING, "restarting")
            await self.connection.wire.finished()
            return
        self.process.sessions.add(self)
        try:
            if await self._authenticate():
                await self._serve()
        finally:
            self._leave()
            await self.connection.wire.finished()

    def close(self, code: CloseCode, reason: str) -> None:
        """End the socket with a code."""
        self.connection.close(code, reason)

    def _leave(self) -> None:
        self.process.sessions.discard(self)
        self.process.conflated += self.connection.conflated
        if self.connection.closed_with is not None:
            self.process.closed[self.connection.closed_with] += 1
        self.process.hub.leave(self.connection)
        self.process.accounts.leave(self.connection)
        self.process.candles.leave(self.connection)
        self.connection.drop()
        for task in self._tasks:
            task.cancel()

    # Who it is

    async def _authenticate(self) -> bool:
        ticket = parse_qs(self._scope.get("query_string", b"").decode("latin-1")).get("ticket")
        try:
            if ticket:
                self.grant = await access.by_ticket(ticket[0])
            else:
                self.grant = await self._first_frame()
        except TimeoutError:
            self.close(CloseCode.AUTH_TIMEOUT, "no authentication in time")
        except NotAuthenticated as error:
            self.close(CloseCode.NOT_AUTHENTICATED, error.code)
        except (DatabaseError, Unavailable) as error:
            log.warning("socket not authenticated: %s", type(error).__name__)
            self.close(CloseCode.RESTARTING, "temporarily unavailable")
        except Exception:
            log.exception("socket not authenticated")
            self.close(CloseCode.INTERNAL, "failed on our side")
        return self.grant is not None

    async def _first_frame(self) -> access.Grant | None:
        async with asyncio.timeout(AUTH_TIMEOUT_S):
            text = await self._next_text()
        if text is None:
            return None
        try:
            request = decode(text)
        except RequestError as error:
            raise NotAuthenticated(error.detail) from error
        if not isinstance(request, Auth):
            raise NotAuthenticated
        grant = await access.by_token(request.token)
        self.reply(request, {"authenticated": True})
        return grant

    # What it asks

    async def _next_text(self) -> str | bytes | None:
        message = await self._receive()
        if message["type"] != "websocket.receive":
            return None
        text = message.get("text")
        return text if text is not None else message.get("bytes") or b""

    async def _serve(self) -> None:
        await self.process.ready()
        while (text := await self._next_text()) is not None:
            if not self._budget.take(time.monotonic()):
                self.close(CloseCode.TOO_MANY_REQUESTS, "too many requests")
                return
            try:
                request = decode(text)
                if self.process.is_draining:
                    raise RequestError("unavailable", "restarting", request_id=request.id)
                self._count_for_user(request)
                await self._handle(request)
            except RequestError as error:
                self._refuse(error.request_id, error)

    def _count_for_user(self, request: Request) -> None:
        """
        Take the request from what all sockets of the user may ask of this process.

        :raises RequestError: nothing is left; the socket stays open.
        """
        verdict = self.process.user_requests.take(str(self.granted().user_id))
        if verdict.retry_after_s:
            detail = "too many requests of this user, slow down"
            raise RequestError(
                "rate_limit", detail, request_id=request.id, retry_after_s=verdict.retry_after_s
            )

    async def _handle(self, request: Request) -> None:
        match request:
            case Ping():
                self.reply(request, {"t": clock.now_ms()})
            case Subscribe():
                await self._answer(request, channels.subscribe(self, request))
            case Unsubscribe():
                await self._answer(request, channels.unsubscribe(self, request))
            case Trade():
                self._in_background(request, trading.perform(self, request))
            case _:
                raise RequestError("invalid", "already authenticated", request_id=request.id)

    def _in_background(self, request: Request, work: Any) -> None:
        if len(self._tasks) >= IN_FLIGHT_MAX:
            work.close()
            raise RequestError("busy", "too many requests are waiting", request_id=request.id)
        task = asyncio.get_running_loop().create_task(self._answer(request, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: Request, work: Awaitable[Any]) -> None:
        """Reply with what `work` returns; None: it has replied by itself."""
        try:
            data = await work
        except (RequestError, RtxError) as error:
            self._refuse(request.id, error)
        except DatabaseError:
            log.warning("%s not answered, the database is away", request.op)
            self._refuse(request.id, RequestError("unavailable", "temporarily unavailable"))
        except Exception:
            log.exception("%s failed", request.op)
            self._refuse(request.id, RequestError("internal", "the request failed on our side"))
        else:
            if data is not None:
                self.reply(request, data)

    def reply(self, request: Request, data: Any) -> None:
        """Answer a request."""
        self.connection.send(reply_frame(request.id, data))

    def _refuse(self, request_id: Any, error: RequestError | RtxError) -> None:
        if isinstance(error, RequestError):
            more = error.more
        else:
            more = {"errors": error.errors} if error.errors else {}
        self.connection.send(error_frame(request_id, code=error.code, detail=error.detail, **more))

    def granted(self) -> access.Grant:
        """Return who this is; requests are only served to somebody."""
        assert self.grant is not None
        return self.grant

    def actor(self) -> Actor:
        """Return who does what the next request asks."""
        client = self._scope.get("client")
        return Actor(
            kind=ActorKind.CLIENT,
            name=f"user:{self.granted().user_id}",
            ip=client[0] if client else "",
            request_id=f"{self.name}-{next(self._requests)}",
        )
