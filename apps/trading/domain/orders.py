"""Orders, deals and positions as values, and the contract terms that a position keeps. Pure."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any

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


class OrderStatus(StrEnum):
    """Where an order stands in its life."""

    NEW = "new"
    WORKING = "working"
    FILLED = "filled"
    PARTIALLY_FILLED = "partially_filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"


class Entry(StrEnum):
    """What a deal does to its position."""

    IN = "in"
    OUT = "out"
    INOUT = "inout"


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
    ACCOUNT_DISABLED = "account_disabled"
    POSITION_NOT_FOUND = "position_not_found"


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
    )


@lru_cache(maxsize=4096)
def _encoded(terms: ContractTerms) -> str:
    return json.dumps(
        {
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
        },
        separators=(",", ":"),
    )


@lru_cache(maxsize=4096)
def _decoded(text: str) -> ContractTerms:
    kept: dict[str, Any] = json.loads(text)
    exact = ("contract_size", "hedged_contract_size", "rate_buy", "rate_sell", "initial", "tick_factor")
    kept.update({name: Decimal(kept[name]) for name in exact}, mode=MarginMode(kept["mode"]))
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
    profit: Decimal = ZERO
    swap: Decimal = ZERO


@dataclass(slots=True, kw_only=True)
class Order:
    """One instruction and its fate. Volumes in lots."""

    id: int
    client_order_id: str
    symbol: str
    side: Side
    type: str
    volume: Decimal
    status: OrderStatus
    created_at: datetime
    price: Decimal | None = None
    deviation: int | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    comment: str = ""
    filled_volume: Decimal = ZERO
    average_price: Decimal | None = None
    reject_reason: RejectReason | None = None
    requote_price: Decimal | None = None
    position_id: int | None = None
    deals: list[Deal] = field(default_factory=list)


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
