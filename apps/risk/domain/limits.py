"""
Limits on orders that add exposure, and the facts that they are held against. Pure, exact.

A limit holds for one account by itself (scope account, or `is_per_account`), or for all accounts of its scope
together. What each kind measures and when it refuses: limit_checks.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from apps.risk.domain.minutes import LastMinute
from apps.risk.domain.order_exposure import Correlations
from apps.risk.domain.prices import Prices
from apps.risk.domain.totals import Totals
from apps.trading.domain.orders import RejectReason
from apps.trading.domain.pricing import MarketView


class LimitKind(StrEnum):
    """What a limit measures."""

    ORDER_VOLUME = "order_volume"
    OPEN_VOLUME = "open_volume"
    POSITIONS = "positions"
    ORDERS_PER_MINUTE = "orders_per_minute"
    SYMBOL_EXPOSURE = "symbol_exposure"
    CURRENCY_EXPOSURE = "currency_exposure"
    CORRELATED_EXPOSURE = "correlated_exposure"
    CREDIT_USE = "credit_use"
    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"


REFUSALS = {
    LimitKind.ORDER_VOLUME: RejectReason.LIMIT_VOLUME,
    LimitKind.OPEN_VOLUME: RejectReason.LIMIT_VOLUME,
    LimitKind.POSITIONS: RejectReason.LIMIT_POSITIONS,
    LimitKind.ORDERS_PER_MINUTE: RejectReason.RATE_LIMIT,
    LimitKind.SYMBOL_EXPOSURE: RejectReason.LIMIT_EXPOSURE,
    LimitKind.CURRENCY_EXPOSURE: RejectReason.LIMIT_EXPOSURE,
    LimitKind.CORRELATED_EXPOSURE: RejectReason.LIMIT_EXPOSURE,
    LimitKind.CREDIT_USE: RejectReason.CREDIT_LIMIT,
    LimitKind.DAILY_LOSS: RejectReason.DAILY_LOSS,
    LimitKind.DRAWDOWN: RejectReason.DRAWDOWN,
}
MARKED = frozenset({LimitKind.DAILY_LOSS, LimitKind.DRAWDOWN})  # measured against an account's marks
NOT_BY_SYMBOL = frozenset({LimitKind.ORDER_VOLUME, LimitKind.SYMBOL_EXPOSURE})  # the order's alone counts
HELD = frozenset(  # totals of these need what all accounts hold
    {
        LimitKind.OPEN_VOLUME,
        LimitKind.POSITIONS,
        LimitKind.SYMBOL_EXPOSURE,
        LimitKind.CURRENCY_EXPOSURE,
        LimitKind.CORRELATED_EXPOSURE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit. `value` in lots, a number, percent, or an amount of `currency`."""

    id: int
    scope: str
    kind: LimitKind
    value: Decimal
    currency: str = "USD"
    group_id: int | None = None
    account_id: int | None = None
    symbol: str | None = None
    exposed_currency: str = ""
    is_per_account: bool = False

    @property
    def is_own(self) -> bool:
        """Whether it measures what one account has by itself."""
        return self.is_per_account or self.scope == "account"

    @property
    def measure(self) -> tuple[object, ...]:
        """What it measures: of limits with the same measure only the lowest can be the first to refuse."""
        kind = self.kind
        counted = () if self.is_own or kind is LimitKind.ORDER_VOLUME else (self.group_id, self.scope)
        symbol = self.symbol if kind not in NOT_BY_SYMBOL or counted else None
        rate = self.id if kind is LimitKind.ORDERS_PER_MINUTE and counted else None
        return (kind, counted, symbol, self.currency, self.exposed_currency, rate)

    def concerns(self, *, account_id: int, group_id: int, symbol: str) -> bool:
        """Say whether it holds for an order of this account on this symbol."""
        return (
            self.account_id in (None, account_id)
            and self.group_id in (None, group_id)
            and self.symbol in (None, symbol)
        )


@dataclass(frozen=True, slots=True)
class Mark:
    """
    What an account's loss is measured against, in its currency, moved by what was paid in and out since.
    """

    day_start: Decimal
    peak: Decimal


@dataclass(frozen=True, slots=True)
class MarksTotal:
    """The marks of a group's accounts in one currency, added up."""

    group_id: int
    currency: str
    used_credit: Decimal
    day_start: Decimal
    peak: Decimal
    equity: Decimal


@dataclass(slots=True)
class Facts:
    """
    What limits need besides the account's own book, as of a batch; totals grow with what the batch adds.
    """

    now: datetime
    totals: Totals | None = None
    placed: dict[int, LastMinute] = field(default_factory=dict)  # account -> its new orders
    placed_totals: dict[int, int] = field(default_factory=dict)  # limit -> new orders of its scope
    marks: dict[int, Mark] = field(default_factory=dict)
    marks_totals: tuple[MarksTotal, ...] = ()
    credit_added: dict[tuple[int, str], Decimal] = field(default_factory=dict)
    correlations: Correlations = field(default_factory=dict)
    costs: Mapping[str, Decimal] = field(default_factory=dict)  # what totals hold and nobody has a price of
    prices: dict[int, Prices] = field(default_factory=dict)  # by the view's identity

    def prices_of(self, market: MarketView) -> Prices:
        """Return what lots are worth in a market view."""
        found = self.prices.get(id(market))
        if found is None:
            found = self.prices[id(market)] = Prices(market, self.costs)
        return found
