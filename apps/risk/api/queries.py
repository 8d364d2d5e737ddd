"""Query parameters that views of risk share, read strictly: what is not understood is an error."""

import re

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from apps.accounts.api.staff import Staff
from apps.risk.selectors.analytics import Period
from apps.trading.api.queries import PAGES as PAGES
from apps.trading.api.queries import PERIOD as PERIOD
from apps.trading.api.queries import SYMBOL_PARAMETER as SYMBOL_PARAMETER
from apps.trading.api.queries import integer, symbol_of
from rtx.kernel.errors import Invalid
from rtx.kernel.rest import instant_of

__all__ = ["ACCOUNT", "CURRENCY", "PAGES", "PERIOD", "SYMBOL_PARAMETER", "account_id_of", "symbol_of"]

ACCOUNT = OpenApiParameter("account", int, description="Login of one account within reach.")
CURRENCY = OpenApiParameter("currency", str, description="Reporting currency; USD when not given.")
CURRENCY_CODE = re.compile(r"[A-Z]{3,8}")


def account_id_of(request: Request, staff: Staff) -> int | None:
    """
    Return the id of the account in `?account=`; None when not given.

    :raises AccountNotFound: unknown, or outside reach.
    """
    login = integer(request, "account")
    return None if login is None else staff.account(login).pk


def period_of(request: Request) -> Period:
    """
    Return the period between `?from=` and `?to=`.

    :raises Invalid: one of them is no instant.
    """
    given = request.query_params
    return Period(since=instant_of(given.get("from"), "from"), until=instant_of(given.get("to"), "to"))


def currency_of(request: Request) -> str:
    """
    Return the reporting currency in `?currency=`.

    :raises Invalid: it cannot be one.
    """
    given = request.query_params.get("currency", "USD")
    if not CURRENCY_CODE.fullmatch(given):
        raise Invalid("currency is no currency.", errors={"currency": ["3 to 8 capital letters"]})
    return given


def flag_of(request: Request, name: str) -> bool | None:
    """
    Return a yes or no of the query; None when not given.

    :raises Invalid: it is neither.
    """
    given = request.query_params.get(name)
    if given is None:
        return None
    if given not in {"true", "false"}:
        raise Invalid(f"{name} is neither true nor false.", errors={name: ["true or false"]})
    return given == "true"
