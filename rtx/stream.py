"""
The WebSocket protocol class of stream processes: `uvicorn rtx.asgi:application --ws
rtx.stream:StreamWebSocket`.

uvicorn's own (sans-IO) class plus one scope extension, `rtx.wire`: ready frames go to the transport without
another encoding per socket, the bytes in flight are known, and a socket that nobody reads can be cut. Serves
no request itself.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

CLOSE_GRACE_S = 3.0

# uvicorn logs every accepted socket with its address line, which may carry a ticket.
log = logging.getLogger("rtx.stream")
log.setLevel(logging.WARNING)


class TransportWire:
    """The outgoing side of one uvicorn socket."""

    def __init__(self, protocol: "StreamWebSocket") -> None:
        self._protocol = protocol
        self._transport: asyncio.Transport = protocol.transport
        self.resumed: Callable[[], None] | None = None

    def is_writable(self) -> bool:
        """Tell whether the transport is below its high-water mark (64 KB)."""
        return self._protocol.writable.is_set()

    def buffered_bytes(self) -> int:
        """Return the bytes that the transport holds."""
        return self._transport.get_write_buffer_size()

    def write(self, frame: bytes) -> None:
        """Hand whole frames to the transport; after a close nothing more is sent."""
        protocol = self._protocol
        if not protocol.close_sent and not self._transport.is_closing():
            self._transport.write(frame)

    def on_writable(self, callback: Callable[[], None]) -> None:
        """Name what is called when the transport drops below its low-water mark."""
        self.resumed = callback

    def close(self, code: int, reason: str) -> None:
        """Send a close frame even when the transport is full, and cut the socket when nothing answers."""
        protocol = self._protocol
        if protocol.close_sent or self._transport.is_closing():
            return
        protocol.conn.send_close(code, reason)
        self._transport.write(b"".join(protocol.conn.data_to_send()))
        protocol.close_sent = True
        protocol.stop_keepalive()
        protocol.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if protocol.read_paused:
            protocol.read_paused = False
            self._transport.resume_reading()
        protocol.close_timer = protocol.loop.call_later(CLOSE_GRACE_S, self._transport.abort)

    async def finished(self) -> None:
        """The transport sends by itself what it was given."""


class StreamWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's protocol with the wire put into the scope."""

    wire: TransportWire | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.logger = self.conn.logger = log

    async def run_asgi(self) -> None:
        """Run the application with the wire at hand."""
        self.wire = TransportWire(self)
        extensions = cast(dict[str, Any], self.scope["extensions"])
        extensions["rtx.wire"] = self.wire
        await super().run_asgi()
        self._cut_unread()

    def resume_writing(self) -> None:
        """Tell the wire's owner that there is room again."""
        super().resume_writing()
        if self.wire is not None and self.wire.resumed is not None and not self.close_sent:
            self.wire.resumed()

    def shutdown(self) -> None:
        """Close for a restart; a peer that does not read must not hold the process."""
        super().shutdown()
        self.loop.call_later(CLOSE_GRACE_S, self.transport.abort)

    def _cut_unread(self) -> None:
        """A closed transport still waits for a peer to read what is buffered: bound that time."""
        if self.transport.get_write_buffer_size():
            self.loop.call_later(CLOSE_GRACE_S, self.transport.abort)
