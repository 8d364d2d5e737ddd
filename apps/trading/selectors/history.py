"""
Reads of orders, deals and the journal, in the shapes of the public interface.

A stored row is shown with the fields that the journal shows (`journal.ORDER_FIELDS`, `DEAL_FIELDS`): there
is one list of them.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Any

from django.db.models import QuerySet

from apps.accounts.models import AccountEvent
from apps.accounts.selectors.accounts import AccountRef, accounts_of
from apps.trading.domain import journal
from apps.trading.models import Deal, Order
from rtx.kernel.clock import rfc3339
from rtx.kernel.errors import NotFound
from rtx.kernel.money import plain, text

Payload = dict[str, Any]

QUANTITIES = frozenset({"volume", "filled_volume"})
OPTIONAL = frozenset({"requote_price"})  # shown only when there is one
EPOCH, MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
DEAL_COLUMNS = {"at": "created_at", "bid": "client_bid", "ask": "client_ask"}


class OrderNotFound(NotFound):
    """There is no such order, or it is not the caller's."""

    code = "order_not_found"
    title = "Order not found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which rows of a caller are wanted. None: all. `since` is included, `until` is not."""

    login: int | None = None
    symbol: str | None = None
    status: str | None = None
    type: str | None = None
    position_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> dict[str, Any]:
        """Return the lookups of those that are set."""
        found = {
            "account__login": self.login,
            "symbol__name": self.symbol,
            "status": self.status,
            "type": self.type,
            "position_id": self.position_id,
            "created_at__gte": self.since,
            "created_at__lt": self.until,
        }
        return {name: value for name, value in found.items() if value is not None}


def orders(*, user_id: int, wanted: Filter | None = None) -> QuerySet[Order]:
    """Return a client's orders, newest first, with their deals."""
    conditions = wanted.conditions() if wanted is not None else {}
    found = Order.objects.filter(account__client__user_id=user_id, **conditions)
    return found.select_related("account", "symbol").prefetch_related("deals__symbol").order_by("-id")


def order(*, user_id: int, order_id: int) -> Order:
    """
    Return one order of a client.

    :raises OrderNotFound: unknown, or somebody else's.
    """
    found = orders(user_id=user_id).filter(pk=order_id).first()
    if found is None:
        raise OrderNotFound("There is no such order.")
    return found


def account_of_order(*, user_id: int, order_id: int) -> AccountRef:
    """
    Return the client's account that an order belongs to.

    :raises OrderNotFound: unknown, or somebody else's.
    """
    account_id = (
        Order.objects.filter(pk=order_id, account__client__user_id=user_id)
        .values_list("account_id", flat=True)
        .first()
    )
    found = next((a for a in accounts_of(user_id=user_id) if a.id == account_id), None)
    if found is None:
        raise OrderNotFound("There is no such order.")
    return found


def deals(*, user_id: int, wanted: Filter | None = None) -> QuerySet[Deal]:
    """Return a client's deals, newest first."""
    conditions = wanted.conditions() if wanted is not None else {}
    found = Deal.objects.filter(account__client__user_id=user_id, **conditions)
    return found.select_related("account", "symbol").order_by("-id")


def events(*, account_id: int, since: int, limit: int) -> list[AccountEvent]:
    """Return an account's events after `since`, in order."""
    return list(AccountEvent.objects.filter(account_id=account_id, seq__gt=since).order_by("seq")[:limit])


def order_view(order: Order) -> Payload:
    """Return a stored order as its outcome showed it."""
    shown: Payload = {"id": order.pk, "account": order.account.login}
    for name in journal.ORDER_FIELDS:
        value = _shown(name, getattr(order, name))
        if value is not None or name not in OPTIONAL:
            shown[name] = value
    shown["reject_reason"] = order.reject_reason or None
    shown["deals"] = [deal_view(deal) for deal in sorted(order.deals.all(), key=attrgetter("pk"))]
    return shown


def deal_view(deal: Deal) -> Payload:
    """Return a stored deal as the client may see it."""
    return {
        name: (deal.quote_at - EPOCH) // MILLISECOND
        if name == "quote_time"
        else _shown(name, getattr(deal, DEAL_COLUMNS.get(name, name)))
        for name in journal.DEAL_FIELDS
    }


def event_view(event: AccountEvent, *, login: int) -> Payload:
    """Return a journal event as the account stream shows it."""
    return {
        "account": login,
        "seq": event.seq,
        "type": event.type,
        "at": rfc3339(event.at),
        **journal.public(event.payload),
    }


def _shown(name: str, value: Any) -> Any:
    """Return a column's value in the interface's form."""
    if isinstance(value, Decimal):
        return plain(value) if name in QUANTITIES else text(value)
    if isinstance(value, datetime):
        return rfc3339(value)
    return value.name if name == "symbol" else value
