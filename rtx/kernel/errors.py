"""
Typed errors with a stable code: what a caller did wrong or what is not available right now.

A refusal by a business rule is data (a rejected order), not one of these; a broken invariant is a plain
exception.
"""

from http import HTTPStatus
from typing import Any


class RtxError(Exception):
    """
    Base of every error that an interface may show. `detail` must never hold a secret. `is_logged` says that
    the staff log tells of it already: the executor wrote down what the book refused.
    """

    status = HTTPStatus.BAD_REQUEST
    code = "error"
    title = "Request failed"
    is_logged = False

    def __init__(
        self, detail: str = "", *, code: str | None = None, errors: dict[str, Any] | None = None
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.code = code or self.code
        self.errors = errors


class Invalid(RtxError):
    """The input does not have the required form."""

    code = "invalid"
    title = "Invalid input"


class NotFound(RtxError):
    """Nothing there, or nothing within the caller's reach: both look the same."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"
    title = "Not found"


class NotAuthenticated(RtxError):
    """No valid credentials came with the request."""

    status = HTTPStatus.UNAUTHORIZED
    code = "not_authenticated"
    title = "Not authenticated"


class Forbidden(RtxError):
    """The caller is known and lacks the right."""

    status = HTTPStatus.FORBIDDEN
    code = "forbidden"
    title = "Not allowed"


class Conflict(RtxError):
    """The request contradicts what is already booked."""

    status = HTTPStatus.CONFLICT
    code = "conflict"
    title = "Conflict"


class TooManyRequests(RtxError):
    """A rate limit was reached. `retry_after_s` says when to come back."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "rate_limit"
    title = "Too many requests"

    def __init__(self, detail: str = "", *, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Unavailable(RtxError):
    """A part that the request needs is down; nothing was done."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "unavailable"
    title = "Temporarily unavailable"


# The state with which triggers refuse what a caller may not do: the constraint's name is the stable code.
REFUSED_BY_RULE = "RX409"


def refused_by_database(error: BaseException) -> Conflict | None:
    """Return the typed error that a database rule stands for; None: the error is no such refusal."""
    diagnosis = getattr(error.__cause__ or error, "diag", None)
    if diagnosis is None or diagnosis.sqlstate != REFUSED_BY_RULE:
        return None
    return Conflict(diagnosis.message_primary or "", code=diagnosis.constraint_name or Conflict.code)
