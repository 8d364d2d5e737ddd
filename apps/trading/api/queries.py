"""
Query parameters that trading views share, read strictly: what is not understood is an error, never ignored.
"""

from rest_framework.request import Request

from apps.accounts.selectors.accounts import AccountRef, accounts_of, owned
from apps.trading.domain.orders import OrderStatus
from rtx.kernel.errors import Invalid


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


def status_of(request: Request) -> str | None:
    """
    Return the order status in `?status=`.

    :raises Invalid: there is no such status.
    """
    given = request.query_params.get("status")
    if given is not None and given not in set(OrderStatus):
        raise Invalid("status is unknown.", errors={"status": [f"one of {', '.join(OrderStatus)}"]})
    return given
