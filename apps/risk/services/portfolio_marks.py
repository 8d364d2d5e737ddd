"""
Marks of accounts kept tick by tick: peak equity, and start, low and high of the UTC day, used credit.

Money paid in or out moves all of them by its amount, so that they measure trading. Arrays run beside those of
the accounts. Stores nothing: that is marks.py.
"""

import numpy as np
from numpy.typing import NDArray

from apps.risk.services.portfolio_accounts import Indices

Floats = NDArray[np.float64]


class Marks:
    """
    What is not known yet is infinite (peak and high: minus, low: plus) or NaN (the day's start).
    """

    FLOATS = {
        "peak": -np.inf,
        "day_start": np.nan,
        "day_low": np.inf,
        "day_high": -np.inf,
        "used_credit": 0.0,
        "used_max": 0.0,
        "stored": np.nan,  # equity as it was stored last
    }

    peak: Floats
    day_start: Floats
    day_low: Floats
    day_high: Floats
    used_credit: Floats
    used_max: Floats
    stored: Floats

    def __init__(self) -> None:
        for name in self.FLOATS:
            setattr(self, name, np.zeros(0))
        self.peak_ms = np.zeros(0, np.int64)
        self.is_new = np.zeros(0, np.bool_)  # something beside the equity changed since it was stored

    def reserve(self, size: int) -> None:
        """Have room for so many accounts."""
        if size <= len(self.peak):
            return
        size = max(64, size, 2 * len(self.peak))
        for name, unknown in self.FLOATS.items():
            array = getattr(self, name)
            grown = np.full(size, unknown)
            grown[: len(array)] = array
            setattr(self, name, grown)
        self.peak_ms = np.concatenate([self.peak_ms, np.zeros(size - len(self.peak_ms), np.int64)])
        self.is_new = np.concatenate([self.is_new, np.zeros(size - len(self.is_new), np.bool_)])

    def observe(self, places: Indices, equity: Floats, now_ms: int) -> None:
        """Take the present equity of accounts into account; the same account may come more than once."""
        peak = self.peak[places]
        higher = equity > peak
        if higher.any():
            risen = higher.nonzero()[0] if isinstance(places, slice) else places[higher]
            self.peak[risen] = equity[higher]
            self.peak_ms[risen] = now_ms
        self.day_low[places] = np.minimum(self.day_low[places], equity)
        self.day_high[places] = np.maximum(self.day_high[places], equity)

    def sample(self, places: Indices, equity: Floats, credit: Floats, margin: Floats) -> None:
        """
        Note what of the credit is in use: what margin and losses need beyond the account's own equity.

        Also gives accounts their day's start when they have none yet.
        """
        used = np.clip(margin - (equity - credit), 0.0, np.maximum(credit, 0.0))
        self.used_credit[places] = used
        self.used_max[places] = np.maximum(self.used_max[places], used)
        start = self.day_start[places]
        self.day_start[places] = np.where(np.isnan(start), equity, start)

    def flow(self, place: int, amount: float) -> None:
        """Move peak and day by money that was paid in (or, negative, out)."""
        for marked in (self.peak, self.day_start, self.day_low, self.day_high):
            marked[place] += amount

    def begin_day(self, count: int, equity: Floats) -> None:
        """Begin the next day at the present equity."""
        known = np.isfinite(self.day_start[:count])
        self.day_start[:count] = np.where(known, equity, np.nan)
        self.day_low[:count] = np.where(known, equity, np.inf)
        self.day_high[:count] = np.where(known, equity, -np.inf)
        self.used_max[:count] = self.used_credit[:count]
        self.is_new[:count] = True

    def forget(self, place: int) -> None:
        """Know nothing of an account."""
        for name, unknown in self.FLOATS.items():
            getattr(self, name)[place] = unknown
