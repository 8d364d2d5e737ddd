"""
Limits and circuit breakers of the demo broker: such as a broker would set them, far from what the demo's
traders do. Rules only: nothing is stopped, nothing has tripped. Demo only.
"""

from decimal import Decimal
from typing import Any

from apps.groups.models import TradingGroup
from apps.market.models import Symbol
from apps.risk.models import Breaker, RiskLimit

EACH: dict[str, Any] = {"scope": "platform", "is_per_account": True}


def seed(groups: dict[str, TradingGroup]) -> None:
    """Create whatever is missing."""
    symbols = {symbol.name: symbol for symbol in Symbol.objects.all()}
    for kind, value, note, more in _limits(groups, symbols):
        RiskLimit.objects.get_or_create(
            kind=kind,
            scope=more["scope"],
            group=more.get("group"),
            symbol=more.get("symbol"),
            account=None,
            is_per_account=more.get("is_per_account", False),
            exposed_currency=more.get("exposed_currency", ""),
            defaults={"value": Decimal(value), "note": note},
        )
    for name, scope, kind, threshold, more in _breakers(symbols):
        Breaker.objects.get_or_create(
            name=name, defaults={"scope": scope, "kind": kind, "threshold": Decimal(threshold), **more}
        )


def _limits(
    groups: dict[str, TradingGroup], symbols: dict[str, Symbol]
) -> list[tuple[str, str, str, dict[str, Any]]]:
    found: list[tuple[str, str, str, dict[str, Any]]] = [
        ("order_volume", "50", "Larger orders are dealt by hand", {"scope": "platform"}),
        ("open_volume", "500", "", EACH),
        ("orders_per_minute", "1200", "Programs that run wild", EACH),
        ("currency_exposure", "50000000", "", EACH),
        ("drawdown", "95", "", EACH),
        ("symbol_exposure", "1000000000", "All clients together", {"scope": "platform"}),
    ]
    if "vip" in groups:
        found.append(
            (
                "correlated_exposure",
                "100000000",
                "",
                {"scope": "group", "group": groups["vip"], "is_per_account": True},
            )
        )
    if "BTCUSD" in symbols:
        of_bitcoin = {"scope": "symbol", "symbol": symbols["BTCUSD"]}
        found.append(("open_volume", "5000", "All clients together", of_bitcoin))
    return found


def _breakers(symbols: dict[str, Symbol]) -> list[tuple[str, str, str, str, dict[str, Any]]]:
    found: list[tuple[str, str, str, str, dict[str, Any]]] = [
        ("price-move", "symbol", "price_move", "8", {"window_s": 60, "cooldown_s": 60}),
        ("feed-silence", "lp", "tick_silence", "120", {"cooldown_s": 10}),
        ("refused-orders", "account", "reject_rate", "95", {"window_s": 60, "observations_min": 200}),
        (
            "house-loss",
            "platform",
            "house_loss",
            "5000000",
            {"window_s": 300, "reset": Breaker.Reset.MANUAL},
        ),
    ]
    if "EURUSD" in symbols:
        found.append(("eurusd-spread", "symbol", "spread", "200", {"symbol": symbols["EURUSD"]}))
    return found
