"""
The demo broker's groups: standard, raw spread with commission, VIP, EUR netting. Creates what is missing.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from apps.groups.models import CommissionCharge, CommissionMode, GroupSymbol, TradingGroup
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
}
# Leverage by asset class where the group's own is too much; markups that suit the size of a point.
CLASS_LEVERAGE = {"crypto": 5, "stock": 10, "index": 20, "commodity": 20, "metal": 50}
CLASS_MARKUP_POINTS = {"metal": 8, "index": 5, "crypto": 200, "stock": 2, "commodity": 2}


def seed_demo_groups(symbols: Iterable[Symbol]) -> list[TradingGroup]:
    """
    Create the four groups with their terms for these symbols; groups that exist keep what staff made of them.
    """
    offered = list(symbols)
    found = []
    for name, values in GROUPS.items():
        group, created = TradingGroup.objects.get_or_create(name=name, defaults=values)
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
    return found


def _leverage(group: TradingGroup, symbol: Symbol) -> int | None:
    limit = CLASS_LEVERAGE.get(symbol.asset_class)
    return min(limit, group.leverage_max) if limit else None


def _markup(group: TradingGroup, symbol: Symbol, own: Decimal) -> Decimal | None:
    points = CLASS_MARKUP_POINTS.get(symbol.asset_class)
    if points is None or not own:
        return None
    return Decimal(points)
