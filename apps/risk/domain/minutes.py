"""New orders of one account within the last minute, counted as a window that slides. Pure."""

from collections import deque
from datetime import datetime, timedelta

MINUTE = timedelta(seconds=60)


class LastMinute:
    """Instants of new orders, all together and by symbol; times never go back."""

    __slots__ = ("_all", "_by_symbol")

    def __init__(self) -> None:
        self._all: deque[datetime] = deque()
        self._by_symbol: dict[str, deque[datetime]] = {}

    def add(self, at: datetime, symbol: str) -> None:
        """Count one order."""
        self._all.append(at)
        self._by_symbol.setdefault(symbol, deque()).append(at)

    def count(self, now: datetime, *, symbol: str | None = None) -> int:
        """Return how many orders were placed less than a minute ago, on one symbol or on all."""
        kept = self._all if symbol is None else self._by_symbol.get(symbol)
        if kept is None:
            return 0
        since = now - MINUTE
        while kept and kept[0] <= since:
            kept.popleft()
        return len(kept)
