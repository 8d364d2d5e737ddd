"""
The demo broker's groups: standard, raw spread with commission, VIP, EUR netting, swap-free. Creates what is
missing.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.db import transaction

from apps.groups.models import (
    CommissionCharge,
    CommissionMode,
    CommissionTier,
    GroupSymbol,
    MarginBand,
    MarginSchedule,
    TradingGroup,
)
from apps.market.models import Symbol

NETTING = TradingGroup.PositionMode.NETTING

GROUPS: dict[str, dict[str, Any]] = {
    "standard": {
        "description": "Standard: spread markup, no commission",
        "leverage_max": 200,
        "markup_bid_points": Decimal(4),
        "markup_ask_points": Decimal(4),
    },
    "raw": {
        "description": "Raw spread: USD 3.50 per lot and side",
        "leverage_max": 500,
        "commission_mode": CommissionMode.PER_LOT,
        "commission_value": Decimal("3.50"),
        "commission_charge": CommissionCharge.BOTH,
    },
    "vip": {
        "description": "VIP: small markup, USD 15 per million",
        "leverage_max": 100,
        "margin_call_pct": Decimal(80),
        "stop_out_pct": Decimal(30),
        "markup_bid_points": Decimal(1),
        "markup_ask_points": Decimal(1),
        "commission_mode": CommissionMode.PER_MILLION,
        "commission_value": Decimal(15),
    },
    "eur-netting": {
        "description": "EUR accounts, one position per symbol",
        "currency": "EUR",
        "position_mode": NETTING,
        "leverage_max": 30,
        "margin_call_pct": Decimal(100),
        "stop_out_pct": Decimal(50),
        "markup_bid_points": Decimal(2),
        "markup_ask_points": Decimal(3),
    },
    "swap-free": {
        "description": "Swap-free: USD 4 per lot and night from the fourth night on",
        "leverage_max": 200,
        "markup_bid_points": Decimal(6),
        "markup_ask_points": Decimal(6),
        "swap_free": True,
        "admin_fee_per_lot": Decimal(4),
        "admin_fee_after_nights": 3,
    },
}
# Leverage falls as the notional of an account grows, in the groups where it may be high.
LARGE_EXPOSURE = "large-exposure"
LARGE_EXPOSURE_BANDS = ((1_000_000, 500), (5_000_000, 200), (20_000_000, 100), (None, 50))
SCHEDULED = ("raw", "vip")
# Larger deals pay less: (from lots or notional, value).
TIERS = {"raw": ((10, "3.00"), (50, "2.50")), "vip": ((5_000_000, "12"), (25_000_000, "9"))}
# Leverage by asset class where the group's own is too much; markups that suit the size of a point.
CLASS_LEVERAGE = {"crypto": 5, "stock": 10, "index": 20, "commodity": 20, "metal": 50}
CLASS_MARKUP_POINTS = {"metal": 8, "index": 5, "crypto": 200, "stock": 2, "commodity": 2}


@transaction.atomic
def seed_demo_groups(symbols: Iterable[Symbol]) -> list[TradingGroup]:
    """
    Create the groups with their terms for these symbols; groups that exist keep what staff made of them.
    """
    offered = list(symbols)
    schedule = _schedule()
    found = []
    for name, values in GROUPS.items():
        own = {**values, "margin_schedule": schedule} if name in SCHEDULED else values
        group, created = TradingGroup.objects.get_or_create(name=name, defaults=own)
        found.append(group)
        if created:
            GroupSymbol.objects.bulk_create(
                GroupSymbol(
                    group=group,
                    symbol=symbol,
                    leverage_max=_leverage(group, symbol),
                    markup_bid_points=_markup(group, symbol, group.markup_bid_points),
                    markup_ask_points=_markup(group, symbol, group.markup_ask_points),
                )
                for symbol in offered
            )
            CommissionTier.objects.bulk_create(
                CommissionTier(group=group, from_size=Decimal(start), value=Decimal(value))
                for start, value in TIERS.get(name, ())
            )
    return found


def _schedule() -> MarginSchedule:
    schedule, created = MarginSchedule.objects.get_or_create(
        name=LARGE_EXPOSURE, defaults={"kind": MarginSchedule.Kind.NOTIONAL, "is_pooled": True}
    )
    if created:
        MarginBand.objects.bulk_create(
            MarginBand(
                schedule=schedule,
                up_to=None if end is None else Decimal(end),
                value=Decimal(leverage),
            )
            for end, leverage in LARGE_EXPOSURE_BANDS
        )
    return schedule


def _leverage(group: TradingGroup, symbol: Symbol) -> int | None:
    limit = CLASS_LEVERAGE.get(symbol.asset_class)
    return min(limit, group.leverage_max) if limit else None


def _markup(group: TradingGroup, symbol: Symbol, own: Decimal) -> Decimal | None:
    points = CLASS_MARKUP_POINTS.get(symbol.asset_class)
    if points is None or not own:
        return None
    return Decimal(points)
