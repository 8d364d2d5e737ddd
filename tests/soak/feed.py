"""How fast the recorded day really ran: ticks that reached the engine against those the recording has."""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Seen:
    """Ticks of one symbol since the engine started, refused ones included, and from where."""

    provider: str
    ticks: int
    started_at: datetime
    counted_at: datetime

    def moment_ms(self, at: datetime, speed: float) -> int:
        """Return the replay's own time at a wall time: it runs `speed` times as fast since the start."""
        start_ms = self.started_at.timestamp() * 1000
        return round(start_ms + (at.timestamp() * 1000 - start_ms) * speed)


def seen() -> dict[str, Seen]:
    """Return what the engine has counted so far, by symbol."""
    from apps.market.models import FeedStatus

    return {
        row.symbol.name: Seen(row.provider, row.accepted + row.refused, row.started_at, row.updated_at)
        for row in FeedStatus.objects.select_related("symbol")
    }


def expected(folder: str, symbol: str, provider: str, *, from_ms: int, recorded_ms: int) -> int:
    """
    Return how many ticks the recording has in `recorded_ms` from the time of day of an instant on.

    A replay keeps the time of day at which it was started and repeats the recording by whole days. Where the
    recording is silent for long (a session's break), the replay plays its last stretch once more: such ticks
    come on top, so that more than all may be seen.
    """
    from apps.market.adapters.library import Library

    reel = Library(Path(folder)).reel(symbol, provider)
    if reel is None:
        return 0
    times = list(reel.load().times_ms)
    origin = times[0]
    offsets = sorted(time - origin for time in times)
    period = (offsets[-1] // DAY_MS + 1) * DAY_MS
    begin = (from_ms - origin) % period
    laps, rest = divmod(begin + recorded_ms, period)
    return laps * len(offsets) + bisect_left(offsets, rest) - bisect_left(offsets, begin)
