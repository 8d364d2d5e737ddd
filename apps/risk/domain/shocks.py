"""
What may be asked of a what-if: other prices, wider spreads, other terms of groups. Pure; changes nothing.

A price moves by percent and keeps its spread (in percent too); a spread grows around the middle. Prices are
rounded to their symbol's digits, as a feed's are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import Any

from apps.groups.domain.terms import GroupSpec
from apps.market.domain.quotes import Quote
from rtx.kernel.money import ZERO, rounded

HUNDRED = Decimal(100)
PRICE_PCT_MIN, PRICE_PCT_MAX = Decimal(-99), Decimal(1000)
SPREAD_PCT_MIN, SPREAD_PCT_MAX = Decimal(-100), Decimal(100_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDraft:
    """
    Terms of a group that are not saved (yet); None: as they are.

    With `leverage_max` every open position is margined as if its account's leverage were set again under it:
    at the smaller of both. Without, positions keep the margin of the terms they were dealt under.
    """

    leverage_max: int | None = None
    margin_call_pct: Decimal | None = None
    stop_out_pct: Decimal | None = None
    protects_balance: bool | None = None
    markup_bid_points: Decimal | None = None
    markup_ask_points: Decimal | None = None

    @property
    def changes(self) -> dict[str, Any]:
        """What is not as it is."""
        named = ((one.name, getattr(self, one.name)) for one in fields(self))
        return {name: value for name, value in named if value is not None}

    def of(self, group: GroupSpec) -> GroupSpec:
        """Return the group as it would be."""
        return replace(group, **self.changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shock:
    """Moves in percent: of every symbol, and of single ones instead; drafts by the group's id."""

    price_pct: Decimal = ZERO
    prices_pct: Mapping[str, Decimal] = field(default_factory=dict)
    spread_pct: Decimal = ZERO
    spreads_pct: Mapping[str, Decimal] = field(default_factory=dict)
    groups: Mapping[int, GroupDraft] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for pct in (self.price_pct, *self.prices_pct.values()):
            if not PRICE_PCT_MIN <= pct <= PRICE_PCT_MAX:
                raise ValueError(f"a price moves by {PRICE_PCT_MIN} to {PRICE_PCT_MAX} percent")
        for pct in (self.spread_pct, *self.spreads_pct.values()):
            if not SPREAD_PCT_MIN <= pct <= SPREAD_PCT_MAX:
                raise ValueError(f"a spread changes by {SPREAD_PCT_MIN} to {SPREAD_PCT_MAX} percent")

    @property
    def leverages(self) -> dict[int, int]:
        """Group id -> the leverage its positions are margined at, where a draft names one."""
        return {
            group_id: draft.leverage_max
            for group_id, draft in self.groups.items()
            if draft.leverage_max is not None
        }

    def quote(self, raw: Quote, *, digits: int) -> Quote:
        """Return a raw quote as it would be."""
        moved = 1 + self.prices_pct.get(raw.symbol, self.price_pct) / HUNDRED
        widened = 1 + self.spreads_pct.get(raw.symbol, self.spread_pct) / HUNDRED
        if moved == 1 and widened == 1:
            return raw
        bid, ask = raw.bid * moved, raw.ask * moved
        if widened != 1:
            middle, half = (bid + ask) / 2, (ask - bid) / 2 * widened
            bid, ask = middle - half, middle + half
        return replace(raw, bid=rounded(bid, digits), ask=rounded(ask, digits))
