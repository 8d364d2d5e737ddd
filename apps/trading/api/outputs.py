"""
The shapes of trading answers, for the OpenAPI description. Answers are built by selectors; nothing is
converted here.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from rtx.kernel import openapi

Text = Annotated[str, Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?$", description="An exact decimal number.")]
Instant = Annotated[datetime, Meta(tz=True)]
SideWord = Literal["buy", "sell"]
Status = Literal["new", "working", "filled", "partially_filled", "canceled", "rejected", "expired"]

DEAL = {
    "id": 1003,
    "order_id": 1002,
    "position_id": 1004,
    "symbol": "EURUSD",
    "entry": "in",
    "side": "buy",
    "volume": "0.1",
    "price": "1.10013",
    "profit": "0.00",
    "commission": "-0.35",
    "swap": "0",
    "profit_rate": "1",
    "margin_rate": "1.10013",
    "bid": "1.09998",
    "ask": "1.10013",
    "quote_time": 1767607200123,
    "at": "2026-01-05T10:00:00.131000Z",
}
ORDER = {
    "id": 1002,
    "account": 100001,
    "client_order_id": "my-1",
    "symbol": "EURUSD",
    "side": "buy",
    "type": "market",
    "volume": "0.1",
    "filled_volume": "0.1",
    "price": None,
    "average_price": "1.10013",
    "stop_limit_price": None,
    "stop_loss": "1.09500",
    "take_profit": None,
    "trailing_points": None,
    "time_in_force": "gtc",
    "expires_at": None,
    "activated_at": None,
    "status": "filled",
    "reason": "client",
    "trigger": None,
    "reject_reason": None,
    "position_id": 1004,
    "comment": "",
    "created_at": "2026-01-05T10:00:00.131000Z",
    "deals": [DEAL],
}
POSITION = {
    "id": 1004,
    "account": 100001,
    "symbol": "EURUSD",
    "side": "buy",
    "volume": "0.1",
    "open_price": "1.10013",
    "stop_loss": "1.09500",
    "take_profit": None,
    "trailing_points": 150,
    "swap": "0",
    "commission": "-0.35",
    "opened_at": "2026-01-05T10:00:00.131000Z",
}


class DealOut(Struct):
    """An execution; decimals are strings."""

    id: int
    order_id: int
    position_id: int
    symbol: str
    entry: Literal["in", "out", "inout", "out_by"]
    side: SideWord
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
    at: Instant


@openapi.example({**DEAL, "account": 100001})
class AccountDealOut(DealOut, kw_only=True):
    """An execution with the account that it belongs to."""

    account: int


class TriggerOut(Struct):
    """What set an order off: the price it waited for and the quote that reached it."""

    kind: Literal["limit", "stop", "stop_loss", "take_profit"]
    price: Text
    bid: Text
    ask: Text
    quote_time: int
    slippage_points: Annotated[int, Meta(description="Positive: worse for the client than the price.")]
    unwatched_ms: Annotated[int, Meta(description="How long nobody watched before: an outage.")]


@openapi.example(ORDER)
class OrderOut(Struct, kw_only=True):
    """An order and its fate."""

    id: int
    account: int
    client_order_id: str
    symbol: str
    side: SideWord
    type: Literal["market", "limit", "stop", "stop_limit"]
    volume: Text
    filled_volume: Text
    price: Text | None
    average_price: Text | None
    stop_limit_price: Text | None
    stop_loss: Text | None
    take_profit: Text | None
    trailing_points: int | None
    time_in_force: Literal["gtc", "day", "gtd", "ioc", "fok"]
    expires_at: Instant | None
    activated_at: Instant | None
    status: Status
    reason: Literal["client", "staff", "system", "stop_loss", "take_profit", "stop_out"]
    trigger: TriggerOut | None
    reject_reason: str | None
    requote_price: Text | None = None
    position_id: int | None
    comment: str
    created_at: Instant
    deals: list[DealOut]


@openapi.example(POSITION)
class OwnPositionOut(Struct, kw_only=True):
    """An open position without what moves with the market."""

    id: int
    account: int
    symbol: str
    side: SideWord
    volume: Text
    open_price: Text
    stop_loss: Text | None
    take_profit: Text | None
    trailing_points: int | None
    swap: Text
    commission: Text
    opened_at: Instant


@openapi.example({**POSITION, "current_price": "1.10050", "profit": "3.70", "margin": "110.01"})
class PositionOut(OwnPositionOut, kw_only=True):
    """An open position at the present prices."""

    current_price: Text | None
    profit: Text | None
    margin: Text


class NotClosedOut(Struct):
    """A position that stayed open, and why."""

    position_id: int
    reject_reason: str


@openapi.example(
    {
        "account": 100001,
        "orders": [ORDER],
        "failed": [{"position_id": 1007, "reject_reason": "market_closed"}],
    }
)
class CloseAllOut(Struct):
    """What became of closing everything."""

    account: int
    orders: list[OrderOut]
    failed: list[NotClosedOut]


@openapi.example(
    {
        "login": 100001,
        "group": "standard",
        "currency": "USD",
        "leverage": 100,
        "status": "active",
        "position_mode": "hedging",
        "balance": "9999.65",
        "credit": "0.00",
        "margin": "110.01",
        "profit": "3.70",
        "equity": "10003.35",
        "free_margin": "9893.34",
        "margin_level": "9093.13",
        "seq": 43,
    }
)
class AccountOut(Struct):
    """A trading account at the present prices."""

    login: int
    group: str
    currency: str
    leverage: int
    status: Literal["active", "close_only", "disabled"]
    position_mode: Literal["hedging", "netting"]
    balance: Text
    credit: Text
    margin: Text
    profit: Text | None
    equity: Text | None
    free_margin: Text | None
    margin_level: Text | None
    seq: int


@openapi.example(
    {"symbol": "EURUSD", "bid": "1.09998", "ask": "1.10013", "time": "2026-01-05T10:00:00.123000Z"}
)
class QuoteOut(Struct):
    """The caller's group's price of a symbol."""

    symbol: str
    bid: Text
    ask: Text
    time: Instant


@openapi.example(
    {
        "account": 100001,
        "seq": 43,
        "type": "order_filled",
        "at": "2026-01-05T10:00:00.131000Z",
        "order": ORDER,
        "balance": "9999.65",
        "credit": "0.00",
        "margin": "110.01",
    }
)
class EventOut(Struct):
    """One event of an account's journal; more fields depend on `type`."""

    account: int
    seq: int
    type: str
    at: Instant


@openapi.example(
    {
        "symbol": "EURUSD",
        "description": "Euro against US dollar",
        "asset_class": "forex",
        "base_currency": "EUR",
        "profit_currency": "USD",
        "margin_currency": "EUR",
        "digits": 5,
        "contract_size": "100000",
        "volume_min": "0.01",
        "volume_max": "100",
        "volume_step": "0.01",
        "stop_level_points": 10,
        "freeze_level_points": 0,
        "margin_mode": "forex",
        "leverage": 100,
        "trade_mode": "full",
        "in_session": True,
        "sessions": {
            "timezone": "America/New_York",
            "always_open": False,
            "hours": [{"weekday": 6, "opens_at": "17:00", "closes_at": "00:00"}],
        },
        "commission": {
            "mode": "per_lot",
            "value": "3.5",
            "charge": "both",
            "minimum": "0",
            "tiers": [],
            "currency": "USD",
        },
        "swap": {
            "mode": "points",
            "long": "-7.2",
            "short": "2.1",
            "multipliers": [1, 1, 3, 1, 1, 0, 0],
            "rollover_time": "17:00",
            "timezone": "America/New_York",
        },
    }
)
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
    stop_level_points: int
    freeze_level_points: int
    margin_mode: str
    leverage: int
    trade_mode: str
    in_session: bool
    sessions: dict[str, Any]
    commission: dict[str, Any]
    swap: dict[str, Any] | None
