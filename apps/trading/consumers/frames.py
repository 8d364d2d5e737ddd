"""
WebSocket text frames, encoded once and shared by every subscriber. Pure bytes; knows no connection and no
table.

A server's frames carry no mask, so the frame of one message is the same for all sockets.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import orjson

from rtx.kernel import money

_TEXT = 0x81
_SHORT_MAX = 125
_MEDIUM_MAX = 0xFFFF

QUOTES_HEAD = b'{"ch":"quotes","q":['
QUOTES_TAIL = b"]}"


def text_frame(payload: bytes) -> bytes:
    """Return the unmasked text frame (RFC 6455, section 5.2) that carries a JSON payload."""
    length = len(payload)
    if length <= _SHORT_MAX:
        return bytes((_TEXT, length)) + payload
    if length <= _MEDIUM_MAX:
        return bytes((_TEXT, 126)) + length.to_bytes(2, "big") + payload
    return bytes((_TEXT, 127)) + length.to_bytes(8, "big") + payload


def payload_of(frame: bytes) -> bytes:
    """Return what a frame made by `text_frame` carries."""
    marker = frame[1]
    return frame[2:] if marker <= _SHORT_MAX else frame[4:] if marker == 126 else frame[10:]


def json_frame(message: Any) -> bytes:
    """Return the frame of one message. Decimals become plain strings."""
    return text_frame(orjson.dumps(message, default=_plain))


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        return money.text(value)
    raise TypeError(f"{type(value).__name__} does not belong into a message")


def quote_part(*, symbol: bytes, bid: Decimal, ask: Decimal, time_ms: int) -> bytes:
    """Return one quote as it stands in the list of a quotes message; `symbol` is JSON-encoded already."""
    return b'{"s":%b,"b":"%b","a":"%b","t":%d}' % (
        symbol,
        money.text(bid).encode(),
        money.text(ask).encode(),
        time_ms,
    )


def quotes_frame(parts: Iterable[bytes]) -> bytes:
    """Return the frame of one quotes message."""
    return text_frame(QUOTES_HEAD + b",".join(parts) + QUOTES_TAIL)


def reply_frame(request_id: Any, data: Any) -> bytes:
    """Return the frame of a successful reply."""
    return json_frame({"id": request_id, "ok": True, "data": data})


def error_frame(request_id: Any, *, code: str, detail: str, **more: Any) -> bytes:
    """Return the frame of a failed reply. `code` is stable, `detail` is for people."""
    return json_frame({"id": request_id, "ok": False, "error": {"code": code, "detail": detail, **more}})


def heartbeat_frame(now_ms: int) -> bytes:
    """Return the frame that tells a client that the socket lives."""
    return text_frame(b'{"ch":"hb","t":%d}' % now_ms)
