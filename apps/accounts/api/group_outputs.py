"""The shapes of trading groups in the staff interface's answers, and how rows are shown."""

from typing import Any, Literal

from msgspec import Struct

from apps.groups.models import TradingGroup
from apps.groups.selectors import EffectiveTerms
from rtx.kernel import openapi
from rtx.kernel.money import plain

VALUE = {"value": "12", "source": "override", "inherited": "4"}
INHERITED = {"source": "group", "inherited": ""}
OWN = {"source": "symbol", "inherited": ""}
TERMS = {
    "symbol": "XAUUSD",
    "is_offered": True,
    "book": "b",
    "commission_tiers": "",
    "markup_bid_points": VALUE,
    "markup_ask_points": VALUE,
    "commission_mode": INHERITED | {"value": "per_lot"},
    "commission_value": INHERITED | {"value": "7"},
    "commission_charge": INHERITED | {"value": "entry"},
    "commission_minimum": INHERITED | {"value": "0"},
    "leverage_max": INHERITED | {"value": "100"},
    "margin_schedule": INHERITED | {"value": ""},
    "trade_mode": OWN | {"value": "full"},
    "volume_min": OWN | {"value": "0.01"},
    "volume_max": OWN | {"value": "50"},
    "stop_level_points": OWN | {"value": "10"},
    "freeze_level_points": OWN | {"value": "0"},
    "swap_mode": OWN | {"value": "points"},
    "swap_long": OWN | {"value": "-8.5"},
    "swap_short": OWN | {"value": "2.1"},
}
GROUP = {
    "id": 1,
    "name": "standard-usd",
    "description": "Standard accounts in USD",
    "currency": "USD",
    "position_mode": "hedging",
    "leverage_max": 100,
    "margin_call_pct": "100",
    "stop_out_pct": "50",
    "margin_call_reset_pct": None,
    "stop_out_rule": "largest_loss",
    "protects_balance": True,
    "markup_bid_points": "4",
    "markup_ask_points": "4",
    "commission_mode": "per_lot",
    "commission_value": "7",
    "commission_charge": "entry",
    "commission_minimum": "0",
    "margin_schedule": None,
    "positions_max": 200,
    "orders_max": 200,
    "allows_hedging": True,
    "closes_fifo": False,
    "rollover_time": "17:00",
    "rollover_timezone": "America/New_York",
    "swap_free": False,
    "admin_fee_per_lot": "0",
    "admin_fee_after_nights": 0,
    "is_active": True,
    "accounts": 41,
    "symbols": [TERMS],
    "waiting": [],
}
NUMBERS = (
    "leverage_max",
    "positions_max",
    "orders_max",
    "admin_fee_after_nights",
)
FLAGS = ("protects_balance", "allows_hedging", "closes_fifo", "swap_free", "is_active")
DECIMALS = (
    "margin_call_pct",
    "stop_out_pct",
    "margin_call_reset_pct",
    "markup_bid_points",
    "markup_ask_points",
    "commission_value",
    "commission_minimum",
    "admin_fee_per_lot",
)
WORDS = (
    "name",
    "description",
    "currency",
    "position_mode",
    "stop_out_rule",
    "commission_mode",
    "commission_charge",
    "rollover_timezone",
)


@openapi.example(VALUE)
class ValueOut(Struct):
    """One effective value, where it comes from, and what would hold without the symbol's own."""

    value: str
    source: Literal["override", "group", "symbol"]
    inherited: str


@openapi.example(TERMS)
class EffectiveTermsOut(Struct):
    """What the group makes of one symbol."""

    symbol: str
    is_offered: bool
    book: str
    commission_tiers: str
    markup_bid_points: ValueOut
    markup_ask_points: ValueOut
    commission_mode: ValueOut
    commission_value: ValueOut
    commission_charge: ValueOut
    commission_minimum: ValueOut
    leverage_max: ValueOut
    margin_schedule: ValueOut
    trade_mode: ValueOut
    volume_min: ValueOut
    volume_max: ValueOut
    stop_level_points: ValueOut
    freeze_level_points: ValueOut
    swap_mode: ValueOut
    swap_long: ValueOut
    swap_short: ValueOut


@openapi.example(GROUP)
class GroupOut(Struct):
    """A trading group with its effective terms per symbol. `waiting`: what a second person must approve."""

    id: int
    name: str
    description: str
    currency: str
    position_mode: str
    leverage_max: int
    margin_call_pct: str
    stop_out_pct: str
    margin_call_reset_pct: str | None
    stop_out_rule: str
    protects_balance: bool
    markup_bid_points: str
    markup_ask_points: str
    commission_mode: str
    commission_value: str
    commission_charge: str
    commission_minimum: str
    margin_schedule: str | None
    positions_max: int
    orders_max: int
    allows_hedging: bool
    closes_fifo: bool
    rollover_time: str
    rollover_timezone: str
    swap_free: bool
    admin_fee_per_lot: str
    admin_fee_after_nights: int
    is_active: bool
    accounts: int
    symbols: list[EffectiveTermsOut]
    waiting: list[str]


def group_view(group: TradingGroup, terms: list[EffectiveTerms], *, waiting: list[str]) -> dict[str, Any]:
    """Return a group as the interface shows it."""
    decimals = {name: getattr(group, name) for name in DECIMALS}
    return {
        "id": group.pk,
        **{name: getattr(group, name) for name in (*WORDS, *NUMBERS, *FLAGS)},
        **{name: None if value is None else plain(value) for name, value in decimals.items()},
        "margin_schedule": group.margin_schedule.name if group.margin_schedule else None,
        "rollover_time": f"{group.rollover_time:%H:%M}",
        "accounts": group.trading_accounts.count(),
        "symbols": [terms_view(one) for one in terms],
        "waiting": waiting,
    }


def terms_view(terms: EffectiveTerms) -> dict[str, Any]:
    """Return one symbol's terms as the interface shows them."""
    values = {
        name: {"value": one.shown, "source": one.source, "inherited": one.inherited}
        for name, one in terms.values.items()
    }
    shown = {"symbol": terms.symbol, "is_offered": terms.is_offered, "book": terms.book}
    return {**shown, "commission_tiers": terms.tiers, **values}
