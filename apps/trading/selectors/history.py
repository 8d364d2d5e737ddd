"""Reads of orders, deals and the journal, in the shapes of the public interface."""

from typing import Any

from django.db.models import QuerySet

from apps.accounts.models import AccountEvent
from apps.trading.domain import journal
from apps.trading.models import Deal, Order
from rtx.kernel.clock import rfc3339
from rtx.kernel.money import plain, text

Payload = dict[str, Any]


def orders(*, user_id: int, login: int | None = None, status: str | None = None) -> QuerySet[Order]:
    """Return a client's orders, newest first, with their deals."""
    found = Order.objects.filter(account__client__user_id=user_id)
    if login is not None:
        found = found.filter(account__login=login)
    if status is not None:
        found = found.filter(status=status)
    return found.select_related("account", "symbol").prefetch_related("deals__symbol").order_by("-id")


def deals(*, user_id: int, login: int | None = None) -> QuerySet[Deal]:
    """Return a client's deals, newest first."""
    found = Deal.objects.filter(account__client__user_id=user_id)
    if login is not None:
        found = found.filter(account__login=login)
    return found.select_related("account", "symbol").order_by("-id")


def events(*, account_id: int, since: int, limit: int) -> list[AccountEvent]:
    """Return an account's events after `since`, in order."""
    return list(AccountEvent.objects.filter(account_id=account_id, seq__gt=since).order_by("seq")[:limit])


def order_view(order: Order) -> Payload:
    """Return a stored order as its outcome showed it."""
    shown: Payload = {
        "id": order.pk,
        "account": order.account.login,
        "client_order_id": order.client_order_id,
        "symbol": order.symbol.name,
        "side": order.side,
        "type": order.type,
        "volume": plain(order.volume),
        "filled_volume": plain(order.filled_volume),
        "price": _optional(order.price),
        "average_price": _optional(order.average_price),
        "stop_loss": _optional(order.stop_loss),
        "take_profit": _optional(order.take_profit),
        "status": order.status,
        "reject_reason": order.reject_reason or None,
        "position_id": order.position_id,
        "comment": order.comment,
        "created_at": rfc3339(order.created_at),
        "deals": [deal_view(deal) for deal in order.deals.all()],
    }
    if order.requote_price is not None:
        shown["requote_price"] = text(order.requote_price)
    return shown


def deal_view(deal: Deal) -> Payload:
    """Return a stored deal as the client may see it."""
    return {
        "id": deal.pk,
        "order_id": deal.order_id,
        "position_id": deal.position_id,
        "symbol": deal.symbol.name,
        "entry": deal.entry,
        "side": deal.side,
        "volume": plain(deal.volume),
        "price": text(deal.price),
        "profit": text(deal.profit),
        "commission": text(deal.commission),
        "swap": text(deal.swap),
        "profit_rate": text(deal.profit_rate),
        "margin_rate": text(deal.margin_rate),
        "bid": text(deal.client_bid),
        "ask": text(deal.client_ask),
        "quote_time": int(deal.quote_at.timestamp() * 1000),
        "at": rfc3339(deal.created_at),
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


def _optional(value: Any) -> str | None:
    return None if value is None else text(value)
