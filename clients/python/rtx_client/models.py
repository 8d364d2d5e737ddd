"""
What a broker answers, as typed values: decimals are Decimal, instants are aware datetimes.

Fields that are not known here are ignored, so that a newer broker does not break an older client.
"""

import types
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any, Self, Union, cast, get_args, get_origin, get_type_hints


class Side(StrEnum):
    """Direction of an order, a deal or a position."""

    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    """How an order asks to be filled."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"


class TimeInForce(StrEnum):
    """How long an order may wait."""

    GTC = "gtc"
    DAY = "day"
    GTD = "gtd"
    IOC = "ioc"
    FOK = "fok"


class OrderStatus(StrEnum):
    """Where an order stands in its life."""

    NEW = "new"
    WORKING = "working"
    FILLED = "filled"
    PARTIALLY_FILLED = "partially_filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"


class Model:
    """Base of values read from JSON."""

    @classmethod
    def read(cls, data: dict[str, Any]) -> Self:
        """Return the value that a JSON object describes."""
        found = {
            name: _value(kind, data[name]) for name, kind in _hints(cast(Any, cls)).items() if name in data
        }
        return cls(**found)


@lru_cache(maxsize=64)
def _hints(kind: type[Any]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {one.name: hints[one.name] for one in fields(kind) if one.init}


def _value(kind: Any, given: Any) -> Any:
    """Return a JSON value as the type that a field is declared with."""
    if given is None:
        return None
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _value(next(one for one in get_args(kind) if one is not type(None)), given)
    if origin is list:
        return [_value(get_args(kind)[0], item) for item in given]
    if kind is Decimal:
        return Decimal(str(given))
    if kind is datetime:
        return datetime.fromisoformat(given)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(given)
    if isinstance(kind, type) and issubclass(kind, Model):
        return kind.read(given)
    return given


@dataclass(frozen=True, kw_only=True)
class Tokens(Model):
    """A login: `access` lasts `expires_in` seconds, `refresh` brings the next pair."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expires_in: int


@dataclass(frozen=True, kw_only=True)
class Account(Model):
    """A trading account at the present prices; what needs a missing price is None."""

    login: int
    group: str
    currency: str
    leverage: int
    status: str
    position_mode: str
    balance: Decimal
    credit: Decimal
    margin: Decimal
    profit: Decimal | None
    equity: Decimal | None
    free_margin: Decimal | None
    margin_level: Decimal | None
    seq: int


@dataclass(frozen=True, kw_only=True)
class Symbol(Model):
    """A symbol under the terms of the account's group."""

    symbol: str
    description: str
    asset_class: str
    base_currency: str
    profit_currency: str
    margin_currency: str
    digits: int
    contract_size: Decimal
    volume_min: Decimal
    volume_max: Decimal
    volume_step: Decimal
    stop_level_points: int = 0
    freeze_level_points: int = 0
    margin_mode: str
    leverage: int
    trade_mode: str
    in_session: bool
    sessions: dict[str, Any]
    commission: dict[str, Any]
    swap: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Quote(Model):
    """The price of a symbol for the account's group."""

    symbol: str
    bid: Decimal
    ask: Decimal
    time: datetime


@dataclass(frozen=True, kw_only=True)
class Candle(Model):
    """Bid prices of one interval; `time` is its opening."""

    time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    ticks: int


@dataclass(frozen=True, kw_only=True)
class Bar(Candle):
    """A candle of the stream, as it stands."""

    symbol: str
    interval: str


@dataclass(frozen=True, kw_only=True)
class Deal(Model):
    """An execution; volume in lots, money in the account's currency (a fee is negative)."""

    id: int
    order_id: int
    position_id: int
    symbol: str
    entry: str
    side: Side
    volume: Decimal
    price: Decimal
    profit: Decimal
    commission: Decimal
    swap: Decimal
    bid: Decimal
    ask: Decimal
    at: datetime
    account: int | None = None


@dataclass(frozen=True, kw_only=True)
class Trigger(Model):
    """What set an order off; slippage in points, positive: worse than the price it waited for."""

    kind: str
    price: Decimal
    bid: Decimal
    ask: Decimal
    quote_time: int
    slippage_points: int
    unwatched_ms: int


@dataclass(frozen=True, kw_only=True)
class Order(Model):
    """An order and its fate; volumes in lots."""

    id: int
    account: int | None = None
    client_order_id: str
    symbol: str
    side: Side
    type: OrderType
    volume: Decimal
    filled_volume: Decimal
    status: OrderStatus
    price: Decimal | None = None
    average_price: Decimal | None = None
    stop_limit_price: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    trailing_points: int | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    expires_at: datetime | None = None
    activated_at: datetime | None = None
    reason: str = ""
    trigger: Trigger | None = None
    reject_reason: str | None = None
    requote_price: Decimal | None = None
    position_id: int | None = None
    comment: str = ""
    created_at: datetime
    deals: list[Deal] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Position(Model):
    """An open position; what moves with the market is None where the answer does not carry it."""

    id: int
    account: int | None = None
    symbol: str
    side: Side
    volume: Decimal
    open_price: Decimal
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    trailing_points: int | None = None
    swap: Decimal
    commission: Decimal
    opened_at: datetime
    current_price: Decimal | None = None
    profit: Decimal | None = None
    margin: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class NotClosed(Model):
    """A position that stayed open, and why."""

    position_id: int
    reject_reason: str


@dataclass(frozen=True, kw_only=True)
class Closed(Model):
    """What became of closing everything."""

    account: int
    orders: list[Order]
    failed: list[NotClosed]


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event of an account's journal; what depends on its type stands in `data`."""

    account: int
    seq: int
    type: str
    at: datetime
    data: dict[str, Any]

    @classmethod
    def read(cls, data: dict[str, Any]) -> Self:
        """Return the event that a JSON object describes."""
        rest = {name: data[name] for name in data if name not in {"ch", "account", "seq", "type", "at"}}
        return cls(
            account=data["account"],
            seq=data["seq"],
            type=data["type"],
            at=datetime.fromisoformat(data["at"]),
            data=rest,
        )

    @property
    def order(self) -> Order | None:
        """The order that the event is about, if it is about one."""
        return Order.read(self.data["order"]) if self.data.get("order") else None
