"""
The rows of orders, deals and swap charges as the writer path stores them. Decides nothing and opens no
transaction.
"""

from datetime import datetime
from typing import Any

import orjson

from apps.trading.domain.commands import SwapBooked
from apps.trading.domain.orders import Deal, Order
from apps.trading.services.rows import EventRow, Rows
from rtx.kernel import bulk
from rtx.kernel.clock import from_ms

ORDER_COLUMNS = [
    "id",
    "account_id",
    "symbol_id",
    "client_order_id",
    "side",
    "type",
    "status",
    "volume",
    "filled_volume",
    "price",
    "average_price",
    "deviation",
    "stop_loss",
    "take_profit",
    "stop_limit_price",
    "trailing_points",
    "time_in_force",
    "expires_at",
    "activated_at",
    "reason",
    "margin_rate",
    "terms",
    "trigger",
    "reject_reason",
    "requote_price",
    "position_id",
    "comment",
    "created_at",
    "updated_at",
]
# What of a stored order may still change, with its database type.
ORDER_CHANGES = {
    "status": "text",
    "volume": "numeric",
    "filled_volume": "numeric",
    "price": "numeric",
    "average_price": "numeric",
    "stop_loss": "numeric",
    "take_profit": "numeric",
    "stop_limit_price": "numeric",
    "trailing_points": "int",
    "time_in_force": "text",
    "expires_at": "timestamptz",
    "activated_at": "timestamptz",
    "margin_rate": "numeric",
    "terms": "text",
    "trigger": "jsonb",
    "reject_reason": "text",
    "position_id": "bigint",
    "updated_at": "timestamptz",
}
_ORDER_RECORD = ", ".join(f"{name} {kind}" for name, kind in ORDER_CHANGES.items())
UPDATE_ORDERS = f"""
    UPDATE trading_order o SET {", ".join(f"{name} = r.{name}" for name in ORDER_CHANGES)}
    FROM json_to_recordset(%s::json) AS r(id bigint, {_ORDER_RECORD})
    WHERE o.id = r.id
"""  # noqa: S608 - built from the fixed names above
SWAP_COLUMNS = [
    "event_id",
    "account_id",
    "symbol_id",
    "position_id",
    "date",
    "rolled_at",
    "kind",
    "side",
    "volume",
    "mode",
    "value",
    "multiplier",
    "price",
    "rate",
    "amount",
    "is_settled",
    "terms_version",
]
DEAL_COLUMNS = [
    "id",
    "order_id",
    "account_id",
    "symbol_id",
    "position_id",
    "entry",
    "side",
    "volume",
    "price",
    "profit",
    "commission",
    "swap",
    "markup",
    "raw_bid",
    "raw_ask",
    "client_bid",
    "client_ask",
    "quote_at",
    "profit_rate",
    "margin_rate",
    "rule",
    "terms_version",
    "book",
    "created_at",
]


def order_row(order: Order, *, account_id: int, symbol_id: int, now: datetime) -> tuple[Any, ...]:
    """Return an order in the order of ORDER_COLUMNS."""
    return (
        order.id,
        account_id,
        symbol_id,
        order.client_order_id,
        order.side.value,
        order.type.value,
        order.status.value,
        order.volume,
        order.filled_volume,
        order.price,
        order.average_price,
        order.deviation,
        order.stop_loss,
        order.take_profit,
        order.stop_limit_price,
        order.trailing_points,
        order.time_in_force.value,
        order.expires_at,
        order.activated_at,
        order.reason.value,
        order.margin_rate,
        order.terms.encoded() if order.terms else "",
        orjson.dumps(order.trigger).decode() if order.trigger else None,
        order.reject_reason.value if order.reject_reason else "",
        order.requote_price,
        order.position_id,
        order.comment,
        order.created_at,
        now,
    )


def order_change(order: Order, *, now: datetime) -> tuple[Any, ...]:
    """Return an order's id and what of it may have changed, in the order of ORDER_CHANGES."""
    return (
        order.id,
        order.status.value,
        order.volume,
        order.filled_volume,
        order.price,
        order.average_price,
        order.stop_loss,
        order.take_profit,
        order.stop_limit_price,
        order.trailing_points,
        order.time_in_force.value,
        order.expires_at,
        order.activated_at,
        order.margin_rate,
        order.terms.encoded() if order.terms else "",
        order.trigger,
        order.reject_reason.value if order.reject_reason else "",
        order.position_id,
        now,
    )


def swap_row(charge: SwapBooked, *, event: EventRow, symbol_id: int) -> tuple[Any, ...]:
    """Return a swap charge in the order of SWAP_COLUMNS."""
    due = charge.due
    return (
        event.id,
        event.account_id,
        symbol_id,
        due.position_id,
        charge.date,
        charge.rolled_at,
        due.kind,
        due.side.value,
        due.volume,
        due.mode,
        due.value,
        due.multiplier,
        due.price,
        due.rate,
        due.amount,
        charge.is_settled,
        due.terms_version,
    )


def deal_row(deal: Deal, *, account_id: int, symbol_id: int) -> tuple[Any, ...]:
    """Return a deal in the order of DEAL_COLUMNS."""
    return (
        deal.id,
        deal.order_id,
        account_id,
        symbol_id,
        deal.position_id,
        deal.entry.value,
        deal.side.value,
        deal.volume,
        deal.price,
        deal.profit,
        deal.commission,
        deal.swap,
        deal.markup,
        deal.raw_bid,
        deal.raw_ask,
        deal.client_bid,
        deal.client_ask,
        from_ms(deal.quote_time_ms),
        deal.profit_rate,
        deal.margin_rate,
        deal.rule,
        deal.terms_version,
        deal.book,
        deal.at,
    )


def write_order_changes(cursor: Rows, changed: list[tuple[Any, ...]]) -> None:
    """Store what became of orders that were stored before."""
    columns = ("id", *ORDER_CHANGES)
    cursor.execute(UPDATE_ORDERS, (bulk.rows_as_json(columns, changed),), prepare=True)
