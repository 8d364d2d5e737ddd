"""
What a broker's answers may say instead of yes, as exceptions by code. A refused order is no error: it is an
order with status `rejected`.
"""

from collections.abc import Mapping
from typing import Any


class RtxError(Exception):
    """Base of everything that goes wrong. `code` is stable, `detail` is for people, `errors` names fields."""

    def __init__(
        self,
        detail: str,
        *,
        code: str = "",
        status: int = 0,
        errors: Mapping[str, Any] | None = None,
        request_id: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}" if code else detail)
        self.detail = detail
        self.code = code
        self.status = status
        self.errors = dict(errors or {})
        self.request_id = request_id
        self.retry_after_s = retry_after_s


class InvalidRequest(RtxError):
    """The request does not have the required form (400)."""


class NotAuthenticated(RtxError):
    """No valid login (401), or the one behind the stream ended."""


class NotAllowed(RtxError):
    """The caller is known and lacks the right (403)."""


class NotFound(RtxError):
    """Unknown, or somebody else's (404)."""


class Conflict(RtxError):
    """The request contradicts what is booked (409)."""


class IdReused(Conflict):
    """The `client_order_id` already names a request with other content."""


class OrderNotWorking(Conflict):
    """The order is final: nothing about it can change."""


class ChangeRefused(Conflict):
    """A rule refused to change an order or a position; `code` is the reason, such as `invalid_stops`."""


class RateLimited(RtxError):
    """Too many requests (429); `retry_after_s` says when to come back."""


class Unavailable(RtxError):
    """A part that the request needs is down; nothing was done (503)."""


class Busy(Unavailable):
    """Too many requests wait; nothing was accepted."""


class OutcomeUnknown(Unavailable):
    """The answer did not arrive in time: repeat with the same id to learn it."""


class ConnectionLost(RtxError):
    """The broker cannot be reached, or the connection broke before the answer came."""


class ServerFault(RtxError):
    """The request failed on the broker's side (5xx), or its answer is none that the broker gives."""


BY_CODE: dict[str, type[RtxError]] = {
    "client_order_id_reused": IdReused,
    "order_not_working": OrderNotWorking,
    "busy": Busy,
    "outcome_unknown": OutcomeUnknown,
    "unavailable": Unavailable,
    "rate_limit": RateLimited,
    "account_not_found": NotFound,
    "order_not_found": NotFound,
    "position_not_found": NotFound,
    "symbol_not_found": NotFound,
    "not_authenticated": NotAuthenticated,
    "invalid": InvalidRequest,
    "malformed": InvalidRequest,
    "invalid_time_in_force": InvalidRequest,
    "invalid_order_type": InvalidRequest,
    "positions_do_not_match": InvalidRequest,
    "internal": ServerFault,
}
BY_STATUS: dict[int, type[RtxError]] = {
    400: InvalidRequest,
    401: NotAuthenticated,
    403: NotAllowed,
    404: NotFound,
    409: ChangeRefused,
    413: InvalidRequest,
    415: InvalidRequest,
    429: RateLimited,
    503: Unavailable,
}
REASONS = frozenset(  # of refused changes over the stream, which has no status
    {
        "invalid_price",
        "invalid_stops",
        "invalid_volume",
        "frozen",
        "no_money",
        "off_quotes",
        "account_disabled",
    }
)


def of(code: str, *, status: int = 0) -> type[RtxError]:
    """Return the kind of error that a code, else a status, stands for."""
    if code in BY_CODE:
        return BY_CODE[code]
    if status in BY_STATUS:
        return BY_STATUS[status]
    if code in REASONS:
        return ChangeRefused
    return ServerFault if status >= 500 else RtxError
