"""
A past for the demo broker's simulated symbols: daily candles that lead to the present price, so that
correlations and value at risk have something to be estimated from. Demo only; never for recorded prices.

Each symbol moves with one factor of its class and by itself; a cross moves as its two legs do.
"""

import math
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.conf import settings

from apps.market.adapters.simulated import model_of
from apps.market.domain.symbols import SymbolSpec
from apps.market.models import Candle
from apps.risk.services import correlations, value_at_risk
from rtx.kernel.money import rounded

DAYS = 370
DAY = timedelta(days=1)
DAYS_A_YEAR = 260
FACTORS = {  # factor of a class, and how much of a symbol's moves it explains
    "forex": ("dollar", 0.7),
    "metal": ("dollar", 0.4),
    "index": ("stocks", 0.8),
    "stock": ("stocks", 0.6),
    "crypto": ("crypto", 0.8),
    "commodity": ("oil", 0.9),
}

Prices = dict[str, tuple[SymbolSpec, Decimal]]


def seed(prices: Prices, *, now: datetime) -> int:
    """
    Give the symbols that have no daily candles yet a past up to yesterday, and estimate from it.

    `prices` are symbols with their present prices; returns how many candles were written.
    """
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    known = set(Candle.objects.filter(interval="1d", opened_at__lt=today).values_list("symbol_id", flat=True))
    missing = {name: found for name, found in prices.items() if found[0].id not in known}
    days = [today - DAY * back for back in range(DAYS, 0, -1)]
    moves = _moves(missing, days)
    rows = [row for name, (spec, price) in missing.items() for row in _candles(spec, price, moves[name])]
    Candle.objects.bulk_create(rows, ignore_conflicts=True)
    if rows:
        correlations.estimate_all(now=now)
        value_at_risk.run_daily(now=now)
    return len(rows)


def _moves(prices: Prices, days: Iterable[datetime]) -> dict[str, list[tuple[datetime, float]]]:
    """Return each symbol's log return of each day that it trades."""
    generator = random.Random(settings.FEED_SEED)  # noqa: S311 - a demo's prices, no secret
    found: dict[str, list[tuple[datetime, float]]] = {name: [] for name in prices}
    for day in days:
        factors = {name: generator.gauss(0, 1) for name in ("dollar", "stocks", "crypto", "oil")}
        own = {name: generator.gauss(0, 1) for name in sorted(prices)}
        moved = {name: _move(spec, factors, own[name]) for name, (spec, _) in prices.items()}
        for name, (spec, _) in prices.items():
            if day.weekday() < 5 or spec.asset_class == "crypto":
                found[name].append((day, _as_cross(spec, moved)))
    return found


def _move(spec: SymbolSpec, factors: dict[str, float], own: float) -> float:
    factor, share = FACTORS.get(spec.asset_class, FACTORS["forex"])
    if factor == "dollar" and spec.base_currency == "USD":
        share = -share  # a stronger dollar lifts what it is the base of
    mixed = share * factors[factor] + math.sqrt(1 - share * share) * own
    return model_of(spec).volatility / math.sqrt(DAYS_A_YEAR) * mixed


def _as_cross(spec: SymbolSpec, moved: dict[str, float]) -> float:
    base, profit = moved.get(f"{spec.base_currency}USD"), moved.get(f"{spec.profit_currency}USD")
    is_cross = len({spec.base_currency, spec.profit_currency, "USD"}) == 3
    if not is_cross or base is None or profit is None:
        return moved[spec.name]
    return base - profit


def _candles(spec: SymbolSpec, price: Decimal, moves: list[tuple[datetime, float]]) -> list[Candle]:
    """Walk back from the present price."""
    rows = []
    close = float(price)
    for day, move in reversed(moves):
        opened = close / math.exp(move)
        reach = abs(opened - close) / 2
        shown = {
            "open": opened,
            "high": max(opened, close) + reach,
            "low": min(opened, close) - reach,
            "close": close,
        }
        rows.append(
            Candle(
                symbol_id=spec.id,
                interval="1d",
                opened_at=day,
                **{name: rounded(Decimal(repr(value)), spec.digits) for name, value in shown.items()},
            )
        )
        close = opened
    return rows
