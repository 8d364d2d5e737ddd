"""Orders and positions across accounts for staff, within the trading groups they reach. Reads only."""

from django.db.models import QuerySet

from apps.accounts.models import TradingAccount
from apps.trading.models import Deal, Order, Position
from apps.trading.selectors.history import Filter, OrderNotFound
from rtx.kernel.errors import NotFound

Reach = frozenset[int] | None


class NoSuchPosition(NotFound):
    """There is no such open position, or it is not within the caller's reach."""

    code = "position_not_found"
    title = "Position not found"


def orders(*, reach: Reach, wanted: Filter) -> QuerySet[Order]:
    """Return orders within reach, newest first, with their deals."""
    found = Order.objects.filter(**wanted.conditions())
    if reach is not None:
        found = found.filter(account__group_id__in=reach)
    return found.select_related("account", "symbol").prefetch_related("deals__symbol").order_by("-id")


def order(*, reach: Reach, order_id: int) -> Order:
    """
    Return one order.

    :raises OrderNotFound: unknown, or outside reach.
    """
    found = orders(reach=reach, wanted=Filter()).filter(pk=order_id).first()
    if found is None:
        raise OrderNotFound("There is no such order.")
    return found


def positions(*, reach: Reach, login: int | None = None, symbol: str | None = None) -> QuerySet[Position]:
    """Return open positions within reach, newest first."""
    found = Position.objects.select_related("account__group", "symbol").order_by("-id")
    if login is not None:
        found = found.filter(account__login=login)
    if symbol is not None:
        found = found.filter(symbol__name=symbol)
    return found if reach is None else found.filter(account__group_id__in=reach)


def account_of_position(*, reach: Reach, position_id: int) -> TradingAccount:
    """
    Return the account that holds a position, or held it: an answer may be asked for again.

    :raises NoSuchPosition: unknown, or outside reach.
    """
    accounts = TradingAccount.objects.select_related("group")
    if reach is not None:
        accounts = accounts.filter(group_id__in=reach)
    for rows in (Position.objects.filter(pk=position_id), Deal.objects.filter(position_id=position_id)):
        account_id = rows.values_list("account_id", flat=True).first()
        found = None if account_id is None else accounts.filter(pk=account_id).first()
        if found is not None:
            return found
    raise NoSuchPosition("There is no such open position.")
