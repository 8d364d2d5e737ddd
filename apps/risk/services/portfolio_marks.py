"""
Marks of accounts kept tick by tick: peak equity, and start, low and high of the UTC day, used credit.

Money paid in or out moves the day's marks by its amount and scales the peak by what it does to the equity, so
that they measure trading: a drawdown in percent is the same before and after. Arrays run beside those of the
accounts. Stores nothing: that is marks.py.
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

    def flow(self, place: int, amount: float, *, equity: float) -> None:
        """
        Follow money that was paid in (or, negative, out) while the account was worth `equity`.

        The peak moves by the amount too where there is nothing to scale by: no equity, or none known (NaN).
        """
        for marked in (self.day_start, self.day_low, self.day_high):
            marked[place] += amount
        if equity > 0.0 and equity + amount >= 0.0:
            self.peak[place] *= (equity + amount) / equity
        else:
            self.peak[place] += amount

    def begin_day(self, equity: Floats, known: NDArray[np.bool_]) -> None:
        """Begin the next day at the present equity; what it is not `known` of begins when it is."""
        count = len(known)
        self.day_start[:count] = np.where(known, equity, np.nan)
        self.day_low[:count] = np.where(known, equity, np.inf)
        self.day_high[:count] = np.where(known, equity, -np.inf)
        self.used_max[:count] = self.used_credit[:count]
        self.is_new[:count] = True

    def forget(self, place: int) -> None:
        """Know nothing of an account."""
        for name, unknown in self.FLOATS.items():
            getattr(self, name)[place] = unknown
