"""
What clients may send over `/ws`: one strict struct per operation, and the error when a frame is none of
them. Pure.

An unknown field, a wrong type or a NaN is refused by name; nothing is guessed.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from rtx.kernel import jsontext

ID_MAX_CHARS = 64
SYMBOLS_MAX = 500
SEQ_MAX = 2**63 - 1

TRADES = (
    "order.market",
    "order.pending",
    "order.modify",
    "order.cancel",
    "position.modify",
    "position.close",
    "position.close_by",
    "position.close_all",
)


class RequestError(Exception):
    """A frame that is no valid request. `request_id` is the id that it carried, if any could be read."""

    def __init__(self, code: str, detail: str, *, request_id: Any = None, **more: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.request_id = request_id
        self.more = more


class Request(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Base: every request names its operation and may carry an id, which the reply repeats."""

    op: str
    id: str | int | None = None


class Auth(Request, frozen=True):
    """The first frame of a socket that came without a ticket."""

    token: str


class Ping(Request, frozen=True):
    """Asks for a reply and nothing else."""


class Subscribe(Request, frozen=True):
    """Start receiving a channel. Which fields count depends on the channel."""

    channel: str
    symbols: list[str] | None = None
    account: int | None = None
    since: int | None = None
    symbol: str | None = None
    interval: str | None = None


class Unsubscribe(Request, frozen=True):
    """Stop receiving a channel; without further fields all of it."""

    channel: str
    symbols: list[str] | None = None
    account: int | None = None
    symbol: str | None = None
    interval: str | None = None


class Trade(Request, frozen=True):
    """An operation on an account; `data` is the JSON object that REST takes as a body, checked there."""

    data: msgspec.Raw


OPERATIONS: Mapping[str, type[Request]] = {
    "auth": Auth,
    "ping": Ping,
    "subscribe": Subscribe,
    "unsubscribe": Unsubscribe,
    **dict.fromkeys(TRADES, Trade),
}
SUPPORTED = tuple(sorted(OPERATIONS))


def decode(text: str | bytes) -> Request:
    """
    Return the request that a frame carries.

    :raises RequestError: `malformed`, `unknown_op` or `invalid`.
    """
    try:
        message = jsontext.decoded(text if isinstance(text, bytes) else text.encode())
    except jsontext.DuplicateName as error:
        raise RequestError("malformed", f"`{error.name[:ID_MAX_CHARS]}` is given twice") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError("malformed", f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise RequestError("malformed", "a request is a JSON object")
    request_id = _checked_id(message.get("id"))
    op = message.get("op")
    kind = OPERATIONS.get(op) if isinstance(op, str) else None
    if kind is None:
        raise _no_operation(op, request_id)
    if kind is Trade and not isinstance(message.get("data"), dict):
        raise RequestError("invalid", "`data` is an object, as the body over REST", request_id=request_id)
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        raise RequestError("invalid", str(error), request_id=request_id) from error


def _checked_id(value: Any) -> str | int | None:
    if value is None or (isinstance(value, str) and len(value) <= ID_MAX_CHARS):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= SEQ_MAX:
        return value
    raise RequestError("invalid", f"`id` is a whole number or a text of up to {ID_MAX_CHARS} characters")


def _no_operation(op: Any, request_id: str | int | None) -> RequestError:
    shown = op if isinstance(op, str) and len(op) <= ID_MAX_CHARS else "this"
    return RequestError(
        "unknown_op", f"{shown} is not an operation", request_id=request_id, supported=SUPPORTED
    )
