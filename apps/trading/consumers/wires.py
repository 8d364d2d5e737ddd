"""
What the stream needs from a server to write to one socket, and the portable form of it over plain ASGI.

uvicorn started with `--ws rtx.stream:StreamWebSocket` brings a faster wire (scope extension `rtx.wire`) that
also knows the bytes in flight and can cut a socket that nobody reads. Decides nothing about what is sent.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from apps.trading.consumers.frames import payload_of

WIRE_EXTENSION = "rtx.wire"
HIGH_WATER_BYTES = 65_536
FINISH_MAX_S = 3.0

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Wire(Protocol):
    """One socket's outgoing side. Nothing here waits."""

    def is_writable(self) -> bool:
        """Tell whether the socket takes more right now."""

    def buffered_bytes(self) -> int:
        """Return the bytes handed over and not yet sent."""

    def write(self, frame: bytes) -> None:
        """Hand one or several whole frames over."""

    def on_writable(self, callback: Callable[[], None]) -> None:
        """Name what is called when a full socket takes more again."""

    def close(self, code: int, reason: str) -> None:
        """Send a close frame and end the socket; a peer that does not answer is cut after a moment."""

    async def finished(self) -> None:
        """Wait until what was handed over may be left to the server."""


class AsgiWire:
    """A wire over any ASGI server: one task per socket sends what `write` was given."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._writer: asyncio.Task[None] | None = None
        self._closing: tuple[int, str] | None = None
        self._resumed: Callable[[], None] = lambda: None

    def is_writable(self) -> bool:
        """Tell whether less than the high-water mark is queued."""
        return self._queued_bytes < HIGH_WATER_BYTES

    def buffered_bytes(self) -> int:
        """Return the bytes queued here; what the server itself holds is not visible."""
        return self._queued_bytes

    def write(self, frame: bytes) -> None:
        """Queue one frame and see that somebody sends it."""
        if self._closing is not None:
            return
        self._queue.append(frame)
        self._queued_bytes += len(frame)
        self._wake()

    def on_writable(self, callback: Callable[[], None]) -> None:
        """Name what is called when a full queue has room again."""
        self._resumed = callback

    def close(self, code: int, reason: str) -> None:
        """Drop what is queued beyond the message being sent, then close."""
        if self._closing is None:
            self._closing = (int(code), reason)  # daphne takes no kind of int but int itself
            self._wake()

    async def finished(self) -> None:
        """Wait until everything is with the server: what is not sent when the application returns is lost."""
        if self._writer is not None:
            await asyncio.wait([self._writer], timeout=FINISH_MAX_S)

    def _wake(self) -> None:
        if self._writer is None or self._writer.done():
            self._writer = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        try:
            while self._queue:
                frame = self._queue.popleft()
                await self._send({"type": "websocket.send", "text": payload_of(frame).decode()})
                was_full = not self.is_writable()
                self._queued_bytes -= len(frame)
                if was_full and self.is_writable():
                    self._resumed()
            if self._closing is not None:
                code, reason = self._closing
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except (OSError, RuntimeError):
            # The peer is gone, or the server closed the socket by itself: the reading side learns it and
            # cleans up.
            self._queue.clear()
            self._queued_bytes = 0
            self._closing = self._closing or (1006, "")
