"""
Closing prices of symbols from stored candles, aligned in time: what correlations and value at risk are
estimated from. Only finished candles count. Double precision: for estimates, never for booking.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from apps.market.domain.candles import INTERVALS_MS
from apps.market.models import Candle
from apps.market.selectors.quotes import to_ms

INTERVALS = ("1d", "1h")
LOOKBACK = {"1d": timedelta(days=750), "1h": timedelta(days=120)}
BARS_A_DAY = {"1d": 1, "1h": 24}

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Closes:
    """The closes of one symbol: openings of its candles in milliseconds, ascending, and prices."""

    opened_ms: Integers
    prices: Floats

    def __len__(self) -> int:
        return len(self.opened_ms)


def closes(*, symbols: Iterable[str], interval: str, now: datetime) -> dict[str, Closes]:
    """Return the closes of finished candles within the lookback; symbols without any are absent."""
    finished_before = now - timedelta(milliseconds=INTERVALS_MS[interval])
    rows = (
        Candle.objects.filter(
            symbol__name__in=list(symbols),
            interval=interval,
            opened_at__gt=now - LOOKBACK[interval],
            opened_at__lte=finished_before,
            close__gt=0,
        )
        .order_by("opened_at")
        .values_list("symbol__name", "opened_at", "close")
    )
    found: dict[str, tuple[list[int], list[float]]] = {}
    for name, opened_at, close in rows.iterator(chunk_size=20_000):
        times, prices = found.setdefault(name, ([], []))
        times.append(to_ms(opened_at))
        prices.append(float(close))
    return {
        name: Closes(np.array(times, dtype=np.int64), np.array(prices, dtype=np.float64))
        for name, (times, prices) in found.items()
    }


def common_returns(first: Closes, second: Closes) -> tuple[Floats, Floats]:
    """Return the log returns of two symbols between the instants at which both have a close."""
    _, at_first, at_second = np.intersect1d(
        first.opened_ms, second.opened_ms, assume_unique=True, return_indices=True
    )
    return np.diff(np.log(first.prices[at_first])), np.diff(np.log(second.prices[at_second]))


def aligned_returns(series: dict[str, Closes]) -> tuple[list[str], Floats, Integers]:
    """
    Return the names, a matrix of log returns (one row per step, one column per symbol) and the steps' times.

    The steps are the instants at which at least half of the symbols have a close, from the first at which all
    of them have had one: a weekend on which one symbol trades is no step of the others, its moves fall into
    the next one. A symbol that was closed kept its price: no return, and the gap when it opens again.
    """
    names = sorted(series)
    if not names:
        return [], np.zeros((0, 0)), np.zeros(0, dtype=np.int64)
    start = max(int(series[name].opened_ms[0]) for name in names)
    steps, counts = np.unique(np.concatenate([series[name].opened_ms for name in names]), return_counts=True)
    steps = steps[(steps >= start) & (2 * counts >= len(names))]
    columns = []
    for name in names:
        held = series[name]
        columns.append(held.prices[np.searchsorted(held.opened_ms, steps, side="right") - 1])
    logs = np.log(np.column_stack(columns))
    return names, np.diff(logs, axis=0), steps[1:]
