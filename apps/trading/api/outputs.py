"""
The shapes of trading answers, for the OpenAPI description. Answers are built by selectors; nothing is
converted here.
"""

from typing import Any, Literal

from msgspec import Struct

Text = str
Status = Literal["new", "working", "filled", "partially_filled", "canceled", "rejected", "expired"]


class DealOut(Struct):
    """An execution; decimals are strings."""

    id: int
    order_id: int
    position_id: int
    symbol: str
    entry: Literal["in", "out", "inout", "out_by"]
    side: Literal["buy", "sell"]
    volume: Text
    price: Text
    profit: Text
    commission: Text
    swap: Text
    profit_rate: Text
    margin_rate: Text
    bid: Text
    ask: Text
    quote_time: int
    at: str


class OrderOut(Struct):
    """An order and its fate."""

    id: int
    account: int
    client_order_id: str
    symbol: str
    side: Literal["buy", "sell"]
    type: Literal["market", "limit", "stop", "stop_limit"]
    volume: Text
    filled_volume: Text
    price: Text | None
    average_price: Text | None
    stop_loss: Text | None
    take_profit: Text | None
    status: Status
    reject_reason: str | None
    position_id: int | None
    comment: str
    created_at: str
    deals: list[DealOut]
    requote_price: Text | None = None


class PositionOut(Struct):
    """An open position at the present prices."""

    id: int
    account: int
    symbol: str
    side: Literal["buy", "sell"]
    volume: Text
    open_price: Text
    current_price: Text | None
    stop_loss: Text | None
    take_profit: Text | None
    trailing_points: int | None
    swap: Text
    commission: Text
    profit: Text | None
    margin: Text
    opened_at: str


class AccountOut(Struct):
    """A trading account at the present prices."""

    login: int
    group: str
    currency: str
    leverage: int
    status: str
    position_mode: Literal["hedging", "netting"]
    balance: Text
    credit: Text
    margin: Text
    profit: Text | None
    equity: Text | None
    free_margin: Text | None
    margin_level: Text | None
    seq: int


class QuoteOut(Struct):
    """The caller's group's price of a symbol."""

    symbol: str
    bid: Text
    ask: Text
    time: str


class EventOut(Struct):
    """One event of an account's journal; more fields depend on `type`."""

    account: int
    seq: int
    type: str
    at: str


class SymbolOut(Struct):
    """A symbol under the terms of the caller's group."""

    symbol: str
    description: str
    asset_class: str
    base_currency: str
    profit_currency: str
    margin_currency: str
    digits: int
    contract_size: Text
    volume_min: Text
    volume_max: Text
    volume_step: Text
    margin_mode: str
    leverage: int
    trade_mode: str
    in_session: bool
    sessions: dict[str, Any]
    commission: dict[str, str]
    swap: dict[str, str] | None
