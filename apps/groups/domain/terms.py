"""
Terms of one symbol in one group: inheritance, the client's price, the commission. Pure.

Inheritance: a value set for the symbol in the group wins, else the group's, else the symbol's own.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from apps.groups.domain.schedules import MarginSchedule
from apps.market.domain.quotes import Quote
from apps.market.domain.symbols import SwapMode, SymbolSpec, TradeMode

MILLION = Decimal(1_000_000)
CALL_ENDS_ABOVE = Decimal("1.05")  # x the margin call level: prices that tremble there call once


class PositionMode(StrEnum):
    """One position per symbol, or many with opposite ones allowed."""

    HEDGING = "hedging"
    NETTING = "netting"


class CommissionMode(StrEnum):
    """How a commission is computed; its value is in the group's currency."""

    NONE = "none"
    PER_LOT = "per_lot"
    PER_DEAL = "per_deal"
    PER_MILLION = "per_million"


class CommissionCharge(StrEnum):
    """On which deals a commission is charged."""

    BOTH = "both"
    ENTRY = "entry"
    EXIT = "exit"


class StopOutRule(StrEnum):
    """In which order a stop-out closes (see trading/domain/stop_out.py)."""

    LARGEST_LOSS = "largest_loss"
    LARGEST_MARGIN = "largest_margin"
    FIFO = "fifo"
    SMART = "smart"


@dataclass(frozen=True, slots=True)
class Commission:
    """
    A commission rule: a value, replaced by that of the highest tier a deal reaches, and a least amount.

    `tiers` are (size from which, value) by ascending size: lots, or notional for the rule per million.
    """

    mode: CommissionMode = CommissionMode.NONE
    value: Decimal = Decimal(0)
    charge: CommissionCharge = CommissionCharge.BOTH
    minimum: Decimal = Decimal(0)
    tiers: tuple[tuple[Decimal, Decimal], ...] = ()

    def charges(self, *, is_entry: bool) -> bool:
        """Say whether entries (or exits) pay."""
        if self.mode is CommissionMode.NONE:
            return False
        return self.charge is CommissionCharge.BOTH or is_entry is (self.charge is CommissionCharge.ENTRY)

    def value_for(self, *, volume_lots: Decimal, notional: Decimal) -> Decimal:
        """Return the value that holds for a deal of this size."""
        size = notional if self.mode is CommissionMode.PER_MILLION else volume_lots
        return next((value for start, value in reversed(self.tiers) if size >= start), self.value)

    def due(self, *, value: Decimal, volume_lots: Decimal, notional: Decimal) -> Decimal:
        """
        Return the commission of lots that pay at `value`, unrounded and without the minimum.

        It and `notional` are in the group's currency.
        """
        match self.mode:
            case CommissionMode.PER_LOT:
                return value * volume_lots
            case CommissionMode.PER_MILLION:
                return value * notional / MILLION
            case CommissionMode.PER_DEAL:
                return value
        return Decimal(0)


@dataclass(frozen=True, slots=True)
class Rollover:
    """When a group's trading day ends: a wall-clock time of a named zone, so it follows daylight saving."""

    time: dt.time = dt.time(17)
    timezone: str = "America/New_York"


@dataclass(frozen=True, slots=True)
class AdminFee:
    """What a swap-free group charges instead of swaps: per lot and night, once `after_nights` have passed."""

    per_lot: Decimal = Decimal(0)
    after_nights: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSpec:
    """A group's own values."""

    id: int
    name: str
    currency: str
    position_mode: PositionMode
    leverage_max: int
    margin_call_pct: Decimal
    stop_out_pct: Decimal
    markup_bid_points: Decimal
    markup_ask_points: Decimal
    commission: Commission
    positions_max: int
    is_active: bool
    orders_max: int = 500
    allows_hedging: bool = True
    closes_fifo: bool = False
    rollover: Rollover = Rollover()
    swap_free: bool = False
    admin_fee: AdminFee = AdminFee()
    margin_schedule: MarginSchedule | None = None
    margin_call_reset_pct: Decimal | None = None
    stop_out_rule: StopOutRule = StopOutRule.LARGEST_LOSS
    protects_balance: bool = False

    @property
    def margin_call_ends_pct(self) -> Decimal:
        """The margin level above which a margin call is over."""
        own = self.margin_call_reset_pct
        return self.margin_call_pct * CALL_ENDS_ABOVE if own is None else own


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """What one group sets for one symbol; None or empty inherits."""

    is_offered: bool = True
    book: str = "b"
    trade_mode: str = ""
    markup_bid_points: Decimal | None = None
    markup_ask_points: Decimal | None = None
    commission_mode: str = ""
    commission_value: Decimal | None = None
    commission_charge: str = ""
    leverage_max: int | None = None
    volume_min: Decimal | None = None
    volume_max: Decimal | None = None
    commission_minimum: Decimal | None = None
    commission_tiers: tuple[tuple[Decimal, Decimal], ...] = ()
    margin_schedule: MarginSchedule | None = None
    stop_level_points: int | None = None
    freeze_level_points: int | None = None
    swap_mode: str = ""
    swap_long: Decimal | None = None
    swap_short: Decimal | None = None


@dataclass(frozen=True, slots=True)
class SwapRule:
    """Overnight financing of one symbol in one group; multipliers are those of Monday to Sunday."""

    mode: SwapMode
    long: Decimal
    short: Decimal
    multipliers: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Terms:
    """
    Everything that decides how one group trades one symbol. `version` names the state of all terms.

    Compared by identity, so that what is derived from terms can be remembered cheaply.
    """

    symbol: SymbolSpec
    group: GroupSpec
    version: int
    is_offered: bool
    book: str
    trade_mode: TradeMode
    markup_bid_points: Decimal
    markup_ask_points: Decimal
    commission: Commission
    leverage_max: int
    volume_min: Decimal
    volume_max: Decimal
    margin_schedule: MarginSchedule | None
    stop_level_points: int
    freeze_level_points: int
    swap: SwapRule

    @property
    def profile(self) -> tuple[Decimal, Decimal]:
        """The part of the terms that a price depends on."""
        return (self.markup_bid_points, self.markup_ask_points)


def resolve(*, symbol: SymbolSpec, group: GroupSpec, override: Override | None, version: int) -> Terms:
    """
    Merge symbol, group and override into terms.

    A symbol that is not offered (or whose group is not active) keeps terms: what is open can still be closed.
    """
    own = override or Override()
    is_offered = own.is_offered and group.is_active
    trade_mode = TradeMode(own.trade_mode or symbol.trade_mode)
    if not is_offered and trade_mode is not TradeMode.DISABLED:
        trade_mode = TradeMode.CLOSE_ONLY
    rule = group.commission
    return Terms(
        symbol=symbol,
        group=group,
        version=version,
        is_offered=is_offered,
        book=own.book,
        trade_mode=trade_mode,
        markup_bid_points=_first(own.markup_bid_points, group.markup_bid_points),
        markup_ask_points=_first(own.markup_ask_points, group.markup_ask_points),
        commission=Commission(
            mode=CommissionMode(own.commission_mode or rule.mode),
            value=_first(own.commission_value, rule.value),
            charge=CommissionCharge(own.commission_charge or rule.charge),
            minimum=_first(own.commission_minimum, rule.minimum),
            tiers=own.commission_tiers or (() if _sets_own_rule(own) else rule.tiers),
        ),
        leverage_max=own.leverage_max or group.leverage_max,
        volume_min=_first(own.volume_min, symbol.volume_min),
        volume_max=_first(own.volume_max, symbol.volume_max),
        margin_schedule=own.margin_schedule or group.margin_schedule,
        stop_level_points=_first(own.stop_level_points, symbol.stop_level_points),
        freeze_level_points=_first(own.freeze_level_points, symbol.freeze_level_points),
        swap=SwapRule(
            mode=SwapMode(own.swap_mode or symbol.swap_mode),
            long=_first(own.swap_long, symbol.swap_long),
            short=_first(own.swap_short, symbol.swap_short),
            multipliers=symbol.swap_multipliers,
        ),
    )


def _sets_own_rule(own: Override) -> bool:
    """A symbol with its own mode or value does not take over tiers that were made for the group's."""
    return bool(own.commission_mode) or own.commission_value is not None


T = TypeVar("T", Decimal, int)


def _first(own: T | None, inherited: T) -> T:
    return inherited if own is None else own


def client_quote(*, raw: Quote, terms: Terms) -> Quote:
    """Widen a raw quote by the group's markup: bid goes down, ask goes up (points of the symbol)."""
    if terms.markup_bid_points < 0 or terms.markup_ask_points < 0:
        raise ValueError("markup widens the spread, never narrows it")
    point = terms.symbol.point
    return Quote(
        symbol=raw.symbol,
        bid=raw.bid - terms.markup_bid_points * point,
        ask=raw.ask + terms.markup_ask_points * point,
        time_ms=raw.time_ms,
    )


def price_profiles(terms_by_group: Mapping[int, Iterable[Terms]]) -> dict[int, int]:
    """Give groups with the same markups on the same symbols one price profile: group id -> profile number."""
    numbers: dict[frozenset[tuple[str, tuple[Decimal, Decimal]]], int] = {}
    return {
        group_id: numbers.setdefault(
            frozenset((terms.symbol.name, terms.profile) for terms in offered), len(numbers) + 1
        )
        for group_id, offered in sorted(terms_by_group.items())
    }
