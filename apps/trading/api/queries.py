"""
Query parameters that trading views share, read strictly: what is not understood is an error, never ignored.
"""

import re
from datetime import datetime
from enum import StrEnum
from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from apps.accounts.selectors.accounts import AccountRef, accounts_of, owned
from apps.trading.api.inputs import OWN_ID
from apps.trading.selectors.history import Filter
from rtx.kernel.errors import Invalid
from rtx.kernel.rest import instant_of

SYMBOL = re.compile(r"[\x21-\x7e]{1,32}")
KEY = re.compile(OWN_ID)
KEY_MAX_CHARS = 64

ACCOUNT = OpenApiParameter("account", int, description="Login of one of the caller's accounts.")
SYMBOL_PARAMETER = OpenApiParameter("symbol", str, description="Only rows of this symbol.")
PERIOD = [
    OpenApiParameter("from", datetime, description="Only rows made at or after this instant (RFC 3339)."),
    OpenApiParameter("to", datetime, description="Only rows made before this instant (RFC 3339)."),
]
PAGES = [
    OpenApiParameter("limit", int, description="Rows per page, up to 500; 100 when not given."),
    OpenApiParameter("cursor", str, description="Where a page begins: taken from `next`, never made up."),
]
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": KEY_MAX_CHARS},
    OpenApiParameter.HEADER,
    description="Makes a repeat the same request, like `client_order_id`; one of both is enough.",
)


def caller_id(request: Request) -> int:
    """Return the id of the user behind an authenticated request."""
    return int(request.user.pk)  # type: ignore[arg-type]  # IsAuthenticated stands before every view


def integer(request: Request, name: str, *, default: int | None = None) -> int | None:
    """
    Return a whole number of the query, or the default when it is absent.

    :raises Invalid: it is not a number, or too large.
    """
    given = request.query_params.get(name)
    if given is None:
        return default
    if not (given.isascii() and given.isdigit()) or len(given) > 18:
        raise Invalid(f"{name} is not a whole number.", errors={name: ["must be a whole number"]})
    return int(given)


def login_of(request: Request) -> int | None:
    """
    Return the login in `?account=`, checked to be the caller's; None when not given.

    :raises NotFound: there is no such account, or it is somebody else's.
    """
    login = integer(request, "account")
    if login is not None:
        owned(user_id=caller_id(request), login=login)
    return login


def chosen(request: Request) -> AccountRef:
    """
    Return the account in `?account=`, else the caller's first one.

    :raises NotFound: the caller has no such account.
    """
    login = integer(request, "account")
    if login is not None:
        return owned(user_id=caller_id(request), login=login)
    found = accounts_of(user_id=caller_id(request))
    if not found:
        raise Invalid("The caller has no trading account.", code="no_account")
    return found[0]


def account_ids(request: Request) -> list[int]:
    """Return the ids of the account in `?account=`, else of all the caller's accounts."""
    login = integer(request, "account")
    if login is not None:
        return [owned(user_id=caller_id(request), login=login).id]
    return [account.id for account in accounts_of(user_id=caller_id(request))]


def choice(request: Request, name: str, known: type[StrEnum]) -> str | None:
    """
    Return a word of the query that must be one of an enumeration's.

    :raises Invalid: it is not.
    """
    given = request.query_params.get(name)
    if given is not None and given not in set(known):
        raise Invalid(f"{name} is unknown.", errors={name: [f"one of {', '.join(known)}"]})
    return given


def symbol_of(request: Request) -> str | None:
    """
    Return the symbol in `?symbol=`.

    :raises Invalid: it cannot be one.
    """
    given = request.query_params.get("symbol")
    if given is not None and not SYMBOL.fullmatch(given):
        raise Invalid("symbol is no symbol's name.", errors={"symbol": ["1 to 32 characters, no blanks"]})
    return given


def rows_of(request: Request) -> Filter:
    """
    Return which rows are wanted: account, symbol and period, which all lists have.

    :raises Invalid: a parameter is not understood.
    :raises NotFound: the account is unknown, or somebody else's.
    """
    return Filter(
        login=login_of(request),
        symbol=symbol_of(request),
        since=instant_of(request.query_params.get("from"), "from"),
        until=instant_of(request.query_params.get("to"), "to"),
    )


def key_of(request: Request, given: Any) -> str | None:
    """
    Return the key that makes a repeat the same request: the `Idempotency-Key` header or `client_order_id`.

    :raises Invalid: it has the wrong form, or both are given and differ.
    """
    in_body: str | None = given.client_order_id
    in_header = request.headers.get("Idempotency-Key")
    if in_header is None:
        return in_body
    if len(in_header) > KEY_MAX_CHARS or not KEY.search(in_header):
        raise Invalid(
            "Idempotency-Key is not valid.",
            errors={"Idempotency-Key": ["1 to 64 printable characters, not beginning with #"]},
        )
    if in_body is not None and in_body != in_header:
        raise Invalid("Two different keys.", errors={"client_order_id": ["differs from Idempotency-Key"]})
    return in_header
