"""Orders, deals and positions as values, and the contract terms that a position keeps. Pure."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any

from apps.groups.domain.schedules import MarginSchedule
from apps.groups.domain.terms import Terms
from apps.market.domain.symbols import MarginMode, SymbolSpec
from rtx.kernel.money import ZERO, plain, rounded


class Side(StrEnum):
    """Direction of an order, a deal or a position."""

    BUY = "buy"
    SELL = "sell"

    @property
    def opposite(self) -> "Side":
        """The other direction."""
        return Side.SELL if self is Side.BUY else Side.BUY


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


# What fills at once or not at all.
IMMEDIATE = frozenset({TimeInForce.IOC, TimeInForce.FOK})


class OrderReason(StrEnum):
    """Who or what an order comes from."""

    CLIENT = "client"
    STAFF = "staff"
    SYSTEM = "system"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    STOP_OUT = "stop_out"


class OrderStatus(StrEnum):
    """Where an order stands in its life."""

    NEW = "new"
    WORKING = "working"
    FILLED = "filled"
    PARTIALLY_FILLED = "partially_filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"


# The order lifecycle. What has no row is final; `working` to `working` is a modification or an activation.
TRANSITIONS: dict[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.NEW: frozenset(
        {
            OrderStatus.WORKING,
            OrderStatus.FILLED,
            OrderStatus.PARTIALLY_FILLED,
            OrderStatus.CANCELED,
            OrderStatus.REJECTED,
        }
    ),
    OrderStatus.WORKING: frozenset(
        {
            OrderStatus.WORKING,
            OrderStatus.PARTIALLY_FILLED,
            OrderStatus.FILLED,
            OrderStatus.CANCELED,
            OrderStatus.REJECTED,
            OrderStatus.EXPIRED,
        }
    ),
    OrderStatus.PARTIALLY_FILLED: frozenset(
        {
            OrderStatus.PARTIALLY_FILLED,
            OrderStatus.FILLED,
            OrderStatus.CANCELED,
            OrderStatus.EXPIRED,
        }
    ),
}


class Entry(StrEnum):
    """What a deal does to its position."""

    IN = "in"
    OUT = "out"
    INOUT = "inout"
    OUT_BY = "out_by"


class RejectReason(StrEnum):
    """Why an order was refused: the words of the public interface."""

    NO_MONEY = "no_money"
    OFF_QUOTES = "off_quotes"
    MARKET_CLOSED = "market_closed"
    TRADE_DISABLED = "trade_disabled"
    CLOSE_ONLY = "close_only"
    INVALID_VOLUME = "invalid_volume"
    INVALID_STOPS = "invalid_stops"
    INVALID_PRICE = "invalid_price"
    REQUOTE = "requote"
    LIMIT_POSITIONS = "limit_positions"
    HEDGING_PROHIBITED = "hedging_prohibited"
    FIFO_VIOLATION = "fifo_violation"
    LIMIT_VOLUME = "limit_volume"
    LIMIT_EXPOSURE = "limit_exposure"
    KILL_SWITCH = "kill_switch"
    CIRCUIT_BREAKER = "circuit_breaker"
    RATE_LIMIT = "rate_limit"
    CREDIT_LIMIT = "credit_limit"
    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"
    FROZEN = "frozen"
    ACCOUNT_DISABLED = "account_disabled"
    POSITION_NOT_FOUND = "position_not_found"
    POSITION_CHANGED = "position_changed"
    A_BOOK = "a_book"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractTerms:
    """
    What margin and profit of a position depend on, kept as of its last deal so that edits cannot move them.
    """

    mode: MarginMode
    contract_size: Decimal
    hedged_contract_size: Decimal
    leverage: int
    rate_buy: Decimal
    rate_sell: Decimal
    initial: Decimal
    tick_factor: Decimal
    digits: int
    margin_currency: str
    profit_currency: str
    rate_pending: Decimal = ZERO
    schedule: MarginSchedule | None = None

    @classmethod
    def of(cls, terms: Terms, *, account_leverage: int) -> "ContractTerms":
        """Return the contract terms for one account: the smaller leverage of account and terms holds."""
        return _contract_terms(terms, min(account_leverage, terms.leverage_max))

    def is_same_contract(self, symbol: SymbolSpec) -> bool:
        """Say whether the symbol still is what was traded; an edited contract joins no open position."""
        return (self.mode, self.contract_size, self.profit_currency, self.margin_currency) == (
            symbol.margin_mode,
            symbol.contract_size,
            symbol.profit_currency,
            symbol.margin_currency,
        )

    def encoded(self) -> str:
        """Return the terms as JSON text."""
        return _encoded(self)

    @classmethod
    def decoded(cls, text: str) -> "ContractTerms":
        """Return the terms of a JSON text made by `encoded`."""
        return _decoded(text)


EXACT = (
    "contract_size",
    "hedged_contract_size",
    "rate_buy",
    "rate_sell",
    "initial",
    "tick_factor",
    "rate_pending",
)


@lru_cache(maxsize=4096)
def _contract_terms(terms: Terms, leverage: int) -> ContractTerms:
    symbol = terms.symbol
    indexed = symbol.margin_mode is MarginMode.INDEX and symbol.tick_size
    return ContractTerms(
        mode=symbol.margin_mode,
        contract_size=symbol.contract_size,
        hedged_contract_size=symbol.hedged_contract_size,
        leverage=leverage,
        rate_buy=symbol.margin_rate_buy,
        rate_sell=symbol.margin_rate_sell,
        initial=symbol.margin_initial,
        tick_factor=symbol.tick_price / symbol.tick_size if indexed else Decimal(1),
        digits=symbol.digits,
        margin_currency=symbol.margin_currency,
        profit_currency=symbol.profit_currency,
        rate_pending=symbol.margin_rate_pending,
        schedule=terms.margin_schedule,
    )


@lru_cache(maxsize=4096)
def _encoded(terms: ContractTerms) -> str:
    kept: dict[str, Any] = {
        "mode": terms.mode.value,
        "contract_size": plain(terms.contract_size),
        "hedged_contract_size": plain(terms.hedged_contract_size),
        "leverage": terms.leverage,
        "rate_buy": plain(terms.rate_buy),
        "rate_sell": plain(terms.rate_sell),
        "initial": plain(terms.initial),
        "tick_factor": plain(terms.tick_factor),
        "digits": terms.digits,
        "margin_currency": terms.margin_currency,
        "profit_currency": terms.profit_currency,
    }
    if terms.rate_pending:
        kept["rate_pending"] = plain(terms.rate_pending)
    if terms.schedule is not None:
        kept["schedule"] = terms.schedule.as_json()
    return json.dumps(kept, separators=(",", ":"))


@lru_cache(maxsize=4096)
def _decoded(text: str) -> ContractTerms:
    kept: dict[str, Any] = json.loads(text)
    kept.update({name: Decimal(kept[name]) for name in EXACT if name in kept}, mode=MarginMode(kept["mode"]))
    if "schedule" in kept:
        kept["schedule"] = MarginSchedule.from_json(kept["schedule"])
    return ContractTerms(**kept)


@dataclass(slots=True, kw_only=True)
class Deal:
    """
    One execution. Volume in lots, money booked in the account's currency as the client sees it (a fee is
    negative).

    `profit` and `swap` are outcomes that the book computes; everything else is input and is kept in the
    journal.
    """

    id: int
    order_id: int
    position_id: int
    symbol: str
    entry: Entry
    side: Side
    volume: Decimal
    price: Decimal
    profit_rate: Decimal
    margin_rate: Decimal
    terms: ContractTerms
    commission: Decimal
    markup: Decimal
    raw_bid: Decimal
    raw_ask: Decimal
    client_bid: Decimal
    client_ask: Decimal
    quote_time_ms: int
    rule: str
    terms_version: int
    book: str
    at: datetime
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    trailing_points: int | None = None
    profit: Decimal = ZERO
    swap: Decimal = ZERO


@dataclass(slots=True, kw_only=True)
class Order:
    """
    One instruction and its fate. Volumes in lots.

    `price` is what a market order asked for, else the price a pending one waits for: the limit, or the stop.
    A stop limit whose stop was reached (`activated_at`) waits for `stop_limit_price`. `trigger` tells what
    set a pending order, SL or TP off. `margin_rate` and `terms` are what a working order's margin follows.
    """

    id: int
    client_order_id: str
    symbol: str
    side: Side
    type: OrderType
    volume: Decimal
    status: OrderStatus
    created_at: datetime
    price: Decimal | None = None
    deviation: int | None = None
    stop_limit_price: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    trailing_points: int | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    expires_at: datetime | None = None
    activated_at: datetime | None = None
    reason: OrderReason = OrderReason.CLIENT
    comment: str = ""
    filled_volume: Decimal = ZERO
    average_price: Decimal | None = None
    reject_reason: RejectReason | None = None
    requote_price: Decimal | None = None
    position_id: int | None = None
    margin_rate: Decimal | None = None
    terms: ContractTerms | None = None
    trigger: dict[str, Any] | None = None
    deals: list[Deal] = field(default_factory=list)

    def move(self, status: OrderStatus) -> None:
        """
        Step to the next status of the order's life.

        :raises ValueError: the lifecycle has no such step (a broken invariant, never a caller's mistake).
        """
        if status not in TRANSITIONS.get(self.status, frozenset()):
            raise ValueError(f"order {self.id} cannot go from {self.status} to {status}")
        self.status = status

    def has_expired(self, now: datetime) -> bool:
        """Say whether the order's time is over."""
        return self.expires_at is not None and now >= self.expires_at

    @property
    def waits_for(self) -> Decimal | None:
        """The price that sets the order off next."""
        return self.price if self.activated_at is None else self.stop_limit_price

    @property
    def waits_as(self) -> OrderType:
        """As what the order waits: a stop limit is a stop first, then a limit."""
        if self.type is not OrderType.STOP_LIMIT:
            return self.type
        return OrderType.STOP if self.activated_at is None else OrderType.LIMIT


@dataclass(slots=True, kw_only=True)
class Position:
    """
    Open exposure. `cost` is the exact sum of lots x price; swap and commission in the account's currency.
    """

    id: int
    symbol: str
    side: Side
    volume: Decimal
    cost: Decimal
    margin_rate: Decimal
    terms: ContractTerms
    book: str
    last_deal_id: int
    opened_at: datetime
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    trailing_points: int | None = None
    swap: Decimal = ZERO
    commission: Decimal = ZERO

    @property
    def open_price(self) -> Decimal:
        """The average price, rounded to the symbol's digits: for display."""
        return rounded(self.cost / self.volume, self.terms.digits)
