"""
One socket's outgoing messages: what must arrive is kept in order within a bound, quotes give way to newer
ones.

A slow client costs a set of stale streams and at most `STREAM_BUFFER_MAX_BYTES`; beyond that, or when it
takes nothing for too long, it is closed with 4409. Never waits, so that no client delays another. Reads no
table and no bus.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from enum import IntEnum
from typing import Protocol

from apps.trading.consumers.wires import Wire

STALL_MAX_S = 30.0


class CloseCode(IntEnum):
    """Why the server closed a socket."""

    RESTARTING = 1012
    INTERNAL = 1011
    NOT_AUTHENTICATED = 4401
    NOT_ALLOWED = 4403
    AUTH_TIMEOUT = 4408
    TOO_SLOW = 4409
    REVOKED = 4410
    TOO_MANY_REQUESTS = 4429


class Part(Protocol):
    """A source of latest values: `part` is the encoded value, empty when there is none yet."""

    part: bytes


class Connection:
    """The sending side of one socket, with everything the hub needs to know about it."""

    __slots__ = (
        "_backlog",
        "_backlog_bytes",
        "_buffer_max_bytes",
        "_compose",
        "_latest",
        "_stale",
        "_waiting",
        "blocked_since",
        "closed_with",
        "conflated",
        "is_clear",
        "is_closed",
        "wire",
        "write",
    )

    def __init__(
        self, *, wire: Wire, buffer_max_bytes: int, compose: Callable[[Iterable[bytes]], bytes]
    ) -> None:
        self.wire = wire
        self.write = wire.write
        self.is_clear = True  # nothing is kept back: the next frame may go straight to the wire
        self.is_closed = False
        self.closed_with: CloseCode | None = None
        self.blocked_since: float | None = None
        self.conflated = 0
        self._buffer_max_bytes = buffer_max_bytes
        self._compose = compose
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._stale: dict[Part, None] = {}
        self._latest: dict[Hashable, bytes] = {}
        self._waiting: list[asyncio.Future[None]] = []
        wire.on_writable(self.flush)

    def send(self, frame: bytes) -> None:
        """Send a message that must arrive, after everything sent before it."""
        if self.is_closed:
            return
        if self.is_clear and self.wire.is_writable():
            self.write(frame)
            return
        self.is_clear = False
        self._backlog.append(frame)
        self._backlog_bytes += len(frame)
        self._check_bound()

    def push_quotes(self, frame: bytes, parts: Iterable[Part]) -> None:
        """Send the frame of several streams' latest values, or remember which streams are stale."""
        if self.is_clear and self.wire.is_writable():
            self.write(frame)
            return
        if self.is_closed:
            return
        self.is_clear = False
        self.conflated += 1
        for part in parts:
            self._stale[part] = None

    def push_latest(self, key: Hashable, frame: bytes) -> None:
        """Send a frame that a later one with the same key replaces."""
        if self.is_clear and self.wire.is_writable():
            self.write(frame)
            return
        if self.is_closed:
            return
        self.is_clear = False
        self._latest[key] = frame
        self._check_bound()

    def flush(self) -> None:
        """
        Send what was kept back, as far as the wire takes it: first what must arrive, then the latest
        values.
        """
        wire = self.wire
        while self._backlog and wire.is_writable():
            frame = self._backlog.popleft()
            self._backlog_bytes -= len(frame)
            wire.write(frame)
        if self._stale and wire.is_writable():
            parts = [stream.part for stream in self._stale if stream.part]
            self._stale.clear()
            if parts:
                wire.write(self._compose(parts))
        while self._latest and wire.is_writable():
            wire.write(self._latest.pop(next(iter(self._latest))))
        self.is_clear = not (self.is_closed or self._backlog or self._stale or self._latest)
        if self.is_clear and self._waiting:
            self._wake()

    async def drained(self) -> None:
        """
        Wait until nothing is kept back: for senders of more than fits the bound. Returns on a closed socket
        too.
        """
        while not (self.is_closed or (self.is_clear and self.wire.is_writable())):
            self.is_clear = False  # so that `flush` runs to the end and wakes us
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting

    def _wake(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()

    def forget(self, parts: Iterable[Part]) -> None:
        """Drop streams that are no longer subscribed from what waits."""
        for part in parts:
            self._stale.pop(part, None)

    def forget_latest(self, matches: Callable[[Hashable], bool]) -> None:
        """Drop waiting frames whose key matches."""
        for key in [key for key in self._latest if matches(key)]:
            del self._latest[key]

    def buffered_bytes(self) -> int:
        """Return what is held for this client, here and in the server's transport."""
        latest = sum(map(len, self._latest.values())) if self._latest else 0
        return self._backlog_bytes + latest + self.wire.buffered_bytes()

    def check_stall(self, now_s: float) -> None:
        """Close a client that took nothing for too long. Called about once a second."""
        if self.is_closed:
            return
        if self.wire.is_writable():
            self.blocked_since = None
            if not self.is_clear:
                self.flush()
        elif self.blocked_since is None:
            self.blocked_since = now_s
        elif now_s - self.blocked_since >= STALL_MAX_S:
            self.close(CloseCode.TOO_SLOW, "nothing was read for too long")

    def close(self, code: CloseCode, reason: str) -> None:
        """End the socket with a code that says why, and let go of everything kept for it."""
        if self.is_closed:
            return
        self.drop()
        self.closed_with = code
        self.wire.close(code, reason)

    def drop(self) -> None:
        """Let go of everything kept for a socket that is gone."""
        self.is_closed = True
        self.is_clear = False
        self._backlog.clear()
        self._backlog_bytes = 0
        self._stale.clear()
        self._latest.clear()
        self._wake()

    def _check_bound(self) -> None:
        if self.buffered_bytes() > self._buffer_max_bytes:
            self.close(CloseCode.TOO_SLOW, f"more than {self._buffer_max_bytes} bytes waiting")
