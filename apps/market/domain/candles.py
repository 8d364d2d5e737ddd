"""Candles from bids, 1 minute to 1 day, aligned to UTC; higher ones are merged from lower ones. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

MINUTE_MS = 60_000
INTERVALS_MS = {
    "1m": MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "4h": 240 * MINUTE_MS,
    "1d": 1440 * MINUTE_MS,
}


class Bucket(NamedTuple):
    """Which candle: symbol, interval and its opening in milliseconds since the epoch."""

    symbol: str
    interval: str
    opened_ms: int


@dataclass(slots=True)
class Bar:
    """Open, high, low and close of the bids in one bucket, and how many ticks it holds."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    ticks: int = 1

    @classmethod
    def at(cls, bid: Decimal) -> "Bar":
        """Start a bar with its first tick."""
        return cls(bid, bid, bid, bid)

    def add(self, bid: Decimal) -> None:
        """Take the next tick in."""
        if bid > self.high:
            self.high = bid
        elif bid < self.low:
            self.low = bid
        self.close = bid
        self.ticks += 1

    def merge(self, later: "Bar") -> None:
        """Take a later bar in."""
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.ticks += later.ticks

    def copy(self) -> "Bar":
        """Return an independent copy."""
        return Bar(self.open, self.high, self.low, self.close, self.ticks)


def opened_ms(interval: str, time_ms: int) -> int:
    """Return the opening of the candle that holds an instant."""
    return time_ms - time_ms % INTERVALS_MS[interval]


def merge(interval: str, minutes: Iterable[tuple[int, Bar]]) -> dict[int, Bar]:
    """Merge bars of a lower interval, `(opened_ms, bar)` in time order, into those of a higher one."""
    merged: dict[int, Bar] = {}
    for opened, bar in minutes:
        key = opened_ms(interval, opened)
        known = merged.get(key)
        if known is None:
            merged[key] = bar.copy()
        else:
            known.merge(bar)
    return merged


class CandleBuilder:
    """
    Builds the present candles of many symbols from ticks in time order and remembers which ones changed.

    A tick touches one bar, the minute; higher bars take finished minutes in, so a tick costs the same however
    many intervals there are. `drain` returns every changed bar as it stands, the running ones included.
    """

    def __init__(self) -> None:
        self._minutes: dict[str, tuple[int, Bar]] = {}
        self._higher: dict[tuple[str, str], tuple[int, Bar]] = {}
        self._finished: dict[Bucket, Bar] = {}
        self._touched: set[str] = set()

    def add(self, symbol: str, bid: Decimal, time_ms: int) -> None:
        """Take one accepted tick in."""
        current = self._minutes.get(symbol)
        if current is not None and time_ms < current[0] + MINUTE_MS:
            current[1].add(bid)
        else:
            if current is not None:
                self._finish(symbol, *current)
            self._minutes[symbol] = (time_ms - time_ms % MINUTE_MS, Bar.at(bid))
        self._touched.add(symbol)

    def resume(self, symbol: str, minutes: list[tuple[int, Bar]]) -> None:
        """Take the day's stored minutes over after a restart, before the symbol's first tick."""
        if not minutes:
            return
        self._minutes[symbol] = minutes[-1]
        for interval in INTERVALS_MS:
            if interval != "1m":
                for key, bar in merge(interval, minutes[:-1]).items():
                    self._higher[symbol, interval] = (key, bar)

    def drain(self) -> dict[Bucket, Bar]:
        """Return copies of all bars that changed since the last call."""
        changed, self._finished = self._finished, {}
        for symbol in self._touched:
            opened, minute = self._minutes[symbol]
            changed[Bucket(symbol, "1m", opened)] = minute.copy()
            for interval in INTERVALS_MS:
                if interval != "1m":
                    key, bar = self._running(symbol, interval, opened, minute)
                    changed[Bucket(symbol, interval, key)] = bar
        self._touched.clear()
        return changed

    def running(self, symbol: str, interval: str) -> tuple[int, Bar] | None:
        """Return the running bar of a symbol, its minute included."""
        minute = self._minutes.get(symbol)
        if minute is None:
            return None
        if interval == "1m":
            return minute[0], minute[1].copy()
        return self._running(symbol, interval, *minute)

    def _running(self, symbol: str, interval: str, opened: int, minute: Bar) -> tuple[int, Bar]:
        key = opened_ms(interval, opened)
        known = self._higher.get((symbol, interval))
        if known is None or known[0] != key:
            return key, minute.copy()
        bar = known[1].copy()
        bar.merge(minute)
        return key, bar

    def _finish(self, symbol: str, opened: int, minute: Bar) -> None:
        self._finished[Bucket(symbol, "1m", opened)] = minute
        for interval in INTERVALS_MS:
            if interval == "1m":
                continue
            key, bar = self._running(symbol, interval, opened, minute)
            self._higher[symbol, interval] = (key, bar)
            self._finished[Bucket(symbol, interval, key)] = bar.copy()
