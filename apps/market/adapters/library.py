"""The folder of recordings: which providers recorded a symbol, and a tape of one of them in memory."""

from array import array
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import structlog

from apps.market.adapters.recordings import DAY_US, Kind, Recording, RecordingError, identify

DAYS_MAX = 5  # a replay holds so many recorded days of a symbol

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Tape:
    """Recorded quotes as columns: small, and quick to find a time in."""

    times_ms: "array[int]" = field(default_factory=lambda: array("q"))
    bids: list[Decimal | None] = field(default_factory=list)
    asks: list[Decimal | None] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reel:
    """All recordings of one symbol by one provider, oldest first."""

    symbol: str
    provider: str
    kind: Kind
    recordings: tuple[Recording, ...]

    def load(self) -> Tape:
        """
        Read the first `DAYS_MAX` recorded days into memory.

        :raises RecordingError: a file cannot be read.
        """
        tape = Tape()
        days: set[int] = set()
        for recording in self.recordings:
            for time_us, bid, ask in recording.ticks():
                day = time_us // DAY_US
                if day not in days:
                    if len(days) == DAYS_MAX:
                        return tape
                    days.add(day)
                tape.times_ms.append(time_us // 1000)
                tape.bids.append(bid)
                tape.asks.append(ask)
        return tape


class Library:
    """The recordings of a folder and its subfolders, found by their names and first lines."""

    def __init__(self, folder: str | Path) -> None:
        self._reels: dict[str, list[Reel]] = {}
        found: dict[tuple[str, str, Kind], list[Recording]] = {}
        for path in sorted(Path(folder).rglob("*")):
            if not path.is_file():
                continue
            try:
                recording = identify(path)
            except RecordingError as error:
                log.warning("recording_skipped", error=str(error))
                continue
            if recording is not None and recording.kind is not Kind.DAYS:
                key = (recording.symbol, recording.provider, recording.kind)
                found.setdefault(key, []).append(recording)
        for (symbol, provider, kind), recordings in found.items():
            self._reels.setdefault(symbol, []).append(Reel(symbol, provider, kind, tuple(recordings)))

    def reel(self, symbol: str, provider: str | None = None) -> Reel | None:
        """Return a provider's recordings of a symbol; of any: ticks before bars, then the most files."""
        reels = [reel for reel in self._reels.get(symbol, []) if provider in (None, reel.provider)]
        if not reels:
            return None
        return min(
            reels, key=lambda reel: (reel.kind is not Kind.TICKS, -len(reel.recordings), reel.provider)
        )

    def providers(self) -> set[str]:
        """Return the names of all providers."""
        return {reel.provider for reels in self._reels.values() for reel in reels}

    def symbols(self) -> list[str]:
        """Return the names of all recorded symbols."""
        return sorted(self._reels)
