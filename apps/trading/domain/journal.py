"""
The text form of what happens to an account: payloads of its events, and reading them back. Pure.

What only the house may see stands under `house`; `public` leaves it out. Decimals are strings, instants
RFC 3339.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.accounts.domain.ledger import BalanceKind, Line, balance_lines
from apps.trading.domain.commands import SwapBooked, SwapDue
from apps.trading.domain.orders import (
    ContractTerms,
    Deal,
    Entry,
    Order,
    OrderReason,
    OrderStatus,
    OrderType,
    Position,
    Side,
    TimeInForce,
)
from rtx.kernel.money import plain, text

Payload = dict[str, Any]

WITHOUT_EFFECT = frozenset(
    {
        "account_opened",
        "balance_rejected",
        "margin_call_ended",
        "margin_called",
        "order_change_rejected",
        "position_change_rejected",
    }
)

# The order in which fields are shown: the database does not keep it.
ORDER_FIELDS = (
    "client_order_id",
    "symbol",
    "side",
    "type",
    "volume",
    "filled_volume",
    "price",
    "average_price",
    "stop_limit_price",
    "stop_loss",
    "take_profit",
    "trailing_points",
    "time_in_force",
    "expires_at",
    "activated_at",
    "status",
    "reason",
    "trigger",
    "reject_reason",
    "requote_price",
    "position_id",
    "comment",
    "created_at",
)
DEAL_FIELDS = (
    "id",
    "order_id",
    "position_id",
    "symbol",
    "entry",
    "side",
    "volume",
    "price",
    "profit",
    "commission",
    "swap",
    "profit_rate",
    "margin_rate",
    "bid",
    "ask",
    "quote_time",
    "at",
)


def instant(value: datetime) -> str:
    """Return a UTC instant as RFC 3339 text."""
    return value.isoformat().replace("+00:00", "Z")


def _optional(value: Decimal | None) -> str | None:
    return None if value is None else text(value)


def order_payload(order: Order) -> Payload:
    """Return an order as the public interfaces show it, with its deals."""
    payload: Payload = {
        "id": order.id,
        "client_order_id": order.client_order_id,
        "symbol": order.symbol,
        "side": order.side.value,
        "type": order.type.value,
        "volume": plain(order.volume),
        "filled_volume": plain(order.filled_volume),
        "price": _optional(order.price),
        "average_price": _optional(order.average_price),
        "stop_limit_price": _optional(order.stop_limit_price),
        "stop_loss": _optional(order.stop_loss),
        "take_profit": _optional(order.take_profit),
        "trailing_points": order.trailing_points,
        "time_in_force": order.time_in_force.value,
        "expires_at": instant(order.expires_at) if order.expires_at else None,
        "activated_at": instant(order.activated_at) if order.activated_at else None,
        "status": order.status.value,
        "reason": order.reason.value,
        "trigger": order.trigger,
        "reject_reason": order.reject_reason.value if order.reject_reason else None,
        "position_id": order.position_id,
        "comment": order.comment,
        "created_at": instant(order.created_at),
        "deals": [deal_payload(deal) for deal in order.deals],
    }
    if order.requote_price is not None:
        payload["requote_price"] = text(order.requote_price)
    return payload


def deal_payload(deal: Deal) -> Payload:
    """Return a deal as the client may see it: enough to derive its profit again."""
    return {
        "id": deal.id,
        "order_id": deal.order_id,
        "position_id": deal.position_id,
        "symbol": deal.symbol,
        "entry": deal.entry.value,
        "side": deal.side.value,
        "volume": plain(deal.volume),
        "price": text(deal.price),
        "profit": text(deal.profit),
        "commission": text(deal.commission),
        "swap": text(deal.swap),
        "profit_rate": text(deal.profit_rate),
        "margin_rate": text(deal.margin_rate),
        "bid": text(deal.client_bid),
        "ask": text(deal.client_ask),
        "quote_time": deal.quote_time_ms,
        "at": instant(deal.at),
    }


def house_payload(deal: Deal) -> Payload:
    """Return what only the house may see of a deal."""
    return {
        "raw_bid": text(deal.raw_bid),
        "raw_ask": text(deal.raw_ask),
        "markup": text(deal.markup),
        "rule": deal.rule,
        "terms": deal.terms.encoded(),
        "terms_version": deal.terms_version,
        "book": deal.book,
    }


def working_house(order: Order) -> Payload:
    """Return what only the house may see of a working order."""
    return {
        "margin_rate": _optional(order.margin_rate),
        "terms": order.terms.encoded() if order.terms else None,
    }


def swap_payload(kept: SwapBooked) -> Payload:
    """Return one position's charge for one night."""
    due = kept.due
    return {
        "position_id": due.position_id,
        "symbol": due.symbol,
        "kind": due.kind,
        "side": due.side.value,
        "volume": plain(due.volume),
        "mode": due.mode,
        "value": text(due.value),
        "multiplier": due.multiplier,
        "price": _optional(due.price),
        "rate": text(due.rate),
        "amount": text(due.amount),
        "is_settled": kept.is_settled,
    }


def position_payload(position: Position) -> Payload:
    """Return a position's own values (what moves with the market is added by whoever shows it)."""
    return {
        "id": position.id,
        "symbol": position.symbol,
        "side": position.side.value,
        "volume": plain(position.volume),
        "open_price": text(position.open_price),
        "stop_loss": _optional(position.stop_loss),
        "take_profit": _optional(position.take_profit),
        "trailing_points": position.trailing_points,
        "swap": text(position.swap),
        "commission": text(position.commission),
        "opened_at": instant(position.opened_at),
    }


def orders_told(payload: Payload) -> list[Payload]:
    """Return every order that an event tells of: its only one, those closed together, those canceled."""
    only = [payload["order"]] if "order" in payload else []
    return [*only, *payload.get("orders", ()), *payload.get("canceled", ())]


def public(payload: Payload) -> Payload:
    """Return a payload without the house's part."""
    return {key: value for key, value in payload.items() if key != "house"}


def balance_lines_read(payload: Payload) -> list[Line]:
    """Return the ledger lines of a balance operation's event."""
    return balance_lines(kind=BalanceKind(payload["kind"]), amount=Decimal(payload["amount"]))


def deal_read(kept: Payload, *, house: Payload, order: Payload) -> Deal:
    """Return the deal that its payloads describe, its outcome (profit, swap) not yet computed."""
    return Deal(
        stop_loss=_read(order["stop_loss"]),
        take_profit=_read(order["take_profit"]),
        trailing_points=order.get("trailing_points"),
        id=kept["id"],
        order_id=kept["order_id"],
        position_id=kept["position_id"],
        symbol=kept["symbol"],
        entry=Entry(kept["entry"]),
        side=Side(kept["side"]),
        volume=Decimal(kept["volume"]),
        price=Decimal(kept["price"]),
        profit_rate=Decimal(kept["profit_rate"]),
        margin_rate=Decimal(kept["margin_rate"]),
        terms=ContractTerms.decoded(house["terms"]),
        commission=Decimal(kept["commission"]),
        markup=Decimal(house["markup"]),
        raw_bid=Decimal(house["raw_bid"]),
        raw_ask=Decimal(house["raw_ask"]),
        client_bid=Decimal(kept["bid"]),
        client_ask=Decimal(kept["ask"]),
        quote_time_ms=kept["quote_time"],
        rule=house["rule"],
        terms_version=house["terms_version"],
        book=house["book"],
        at=datetime.fromisoformat(kept["at"]),
    )


def order_read(kept: Payload, *, house: Payload) -> Order:
    """Return the working order that its payloads describe."""
    return Order(
        id=kept["id"],
        client_order_id=kept["client_order_id"],
        symbol=kept["symbol"],
        side=Side(kept["side"]),
        type=OrderType(kept["type"]),
        volume=Decimal(kept["volume"]),
        status=OrderStatus(kept["status"]),
        created_at=datetime.fromisoformat(kept["created_at"]),
        price=_read(kept["price"]),
        stop_limit_price=_read(kept["stop_limit_price"]),
        stop_loss=_read(kept["stop_loss"]),
        take_profit=_read(kept["take_profit"]),
        trailing_points=kept["trailing_points"],
        time_in_force=TimeInForce(kept["time_in_force"]),
        expires_at=datetime.fromisoformat(kept["expires_at"]) if kept["expires_at"] else None,
        activated_at=datetime.fromisoformat(kept["activated_at"]) if kept["activated_at"] else None,
        reason=OrderReason(kept["reason"]),
        comment=kept["comment"],
        filled_volume=Decimal(kept["filled_volume"]),
        margin_rate=_read(house["margin_rate"]),
        terms=ContractTerms.decoded(house["terms"]) if house["terms"] else None,
    )


def swap_read(kept: Payload, *, terms_version: int) -> SwapDue:
    """Return the charge that its payload describes."""
    return SwapDue(
        position_id=kept["position_id"],
        symbol=kept["symbol"],
        kind=kept["kind"],
        side=Side(kept["side"]),
        volume=Decimal(kept["volume"]),
        mode=kept["mode"],
        value=Decimal(kept["value"]),
        multiplier=kept["multiplier"],
        price=_read(kept["price"]),
        rate=Decimal(kept["rate"]),
        amount=Decimal(kept["amount"]),
        terms_version=terms_version,
    )


def _read(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)
