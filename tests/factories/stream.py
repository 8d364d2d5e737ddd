"""Sockets in memory for tests of the stream."""

from collections.abc import Callable
from typing import Any

import orjson

from apps.trading.consumers.frames import payload_of


class FakeWire:
    """A socket that takes everything until it is told to be full."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.full = False
        self.room: int | None = None  # frames until the socket is full again
        self.closed: tuple[int, str] | None = None
        self.resumed: Callable[[], None] = lambda: None

    def is_writable(self) -> bool:
        return not self.full

    def buffered_bytes(self) -> int:
        return 0

    def write(self, frame: bytes) -> None:
        self.frames.append(frame)
        if self.room is not None:
            self.room -= 1
            self.full = self.room <= 0

    def on_writable(self, callback: Callable[[], None]) -> None:
        self.resumed = callback

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    def read_again(self) -> None:
        self.full = False
        self.resumed()

    def messages(self) -> list[Any]:
        """Return and forget what arrived."""
        arrived = [orjson.loads(payload_of(frame)) for frame in self.frames]
        self.frames.clear()
        return arrived

    async def finished(self) -> None:
        """Nothing is under way here."""
