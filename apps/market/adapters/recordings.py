"""
Reads recorded prices, one layout per reader. What a file is follows from its name, folder and first line.

- `{symbol}_tick_{date}.zip`: `ms since midnight,bid,ask`, perhaps with a fraction; UTC, in a folder
  `fxcm` UTC-5.
- `{symbol}_minute_{date}.zip`: `ms,bid O,H,L,C,size,ask O,H,L,C,size`; UTC.
- `{symbol}_daily.zip`: `YYYYMMDD HH:MM`, then as above.
- `*.csv`, `*.csv.gz` with the header `timestamp,bid,ask` (TrueFX, Binance quotes): ISO 8601, UTC unless
  it says so.
- `{symbol}-m1-bid-*.csv.gz` and its twin `ask`: header `timestamp,open,high,low,close`.
- HistData, plain or zipped: `YYYYMMDD HHMMSSmmm,bid,ask,volume` in EST without daylight saving.

A missing price is handed on as None, for the filters to count; a line that is not of the layout is an error
that names file and line. A bar becomes four ticks: open, the two extremes (first the one behind), close.
"""

import gzip
import io
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

MS_US, MINUTE_US, HOUR_US, DAY_US = 1_000, 60_000_000, 3_600_000_000, 86_400_000_000
OFFSETS_US = {"fxcm": 5 * HOUR_US}  # added to get UTC
EST_US = 5 * HOUR_US
BAR_STEPS_US = (0, 15_000_000, 30_000_000, 45_000_000)  # where a minute's four ticks lie
EPOCH_DAY = date(1970, 1, 1)
PRICES_KEPT = 100_000

_DAY_FILE = re.compile(r"(?P<symbol>[a-z0-9]+)_(?P<kind>tick|minute)_(?P<date>\d{8})\.zip")
_DAILY_FILE = re.compile(r"(?P<symbol>[a-z0-9]+)(?:_daily)?\.(?:zip)")
_BARS_FILE = re.compile(r"(?P<symbol>[a-z0-9]+)-m1-(?P<side>bid|ask)-.*\.csv(\.gz)?")
_HISTDATA_LINE = re.compile(r"\d{8} \d{9},")
_NOT_SYMBOLS = {
    "dat",
    "ascii",
    "histdata",
    "com",
    "tick",
    "ticks",
    "quote",
    "quotes",
    "csv",
    "gz",
    "zip",
    "t",
}


class RecordingError(Exception):
    """A file that cannot be read as the recording that it seems to be; the text names file and line."""


class Kind(StrEnum):
    """What a line of the recording is."""

    TICKS = "ticks"
    MINUTES = "minutes"
    DAYS = "days"


class Tick(NamedTuple):
    """One recorded quote; microseconds since the epoch, UTC. None: the price is missing."""

    time_us: int
    bid: Decimal | None
    ask: Decimal | None


class BarLine(NamedTuple):
    """One recorded bar: `(open, high, low, close)` of the bid and of the ask."""

    opened_us: int
    bid: tuple[Decimal, Decimal, Decimal, Decimal]
    ask: tuple[Decimal, Decimal, Decimal, Decimal]


@dataclass(frozen=True, slots=True)
class Recording:
    """One file (for bars in two files: the bid's) of one symbol by one provider."""

    path: Path
    symbol: str
    provider: str
    kind: Kind
    layout: str
    day: date | None = None

    def count_lines(self) -> int:
        """Count the lines, quickly: for progress bars."""
        with opened(self.path) as lines:
            return sum(1 for _ in lines)

    def ticks(self) -> Iterator[Tick]:
        """
        Read the quotes in the order of the file; bars as four ticks each.

        :raises RecordingError: a line is not of the layout.
        """
        if self.kind is Kind.TICKS:
            return _TICK_READERS[self.layout](self)
        return (tick for bar in self.bars() for tick in _ticks_of(bar))

    def bars(self) -> Iterator[BarLine]:
        """
        Read the bars of a minute or day recording.

        :raises RecordingError: a line is not of the layout.
        """
        return _paired_bars(self) if self.layout == "bar_pair" else _zipped_bars(self)


def identify(path: Path) -> Recording | None:
    """
    Tell what a file is; None: no recording of quotes (trades, licenses, the ask half of a pair).

    :raises RecordingError: an archive that cannot be opened.
    """
    name, provider = path.name.lower(), path.parent.name.lower()
    if match := _DAY_FILE.fullmatch(name):
        day = datetime.strptime(match["date"], "%Y%m%d").date()  # noqa: DTZ007 - a day, not an instant
        kind = Kind.TICKS if match["kind"] == "tick" else Kind.MINUTES
        return Recording(path, symbol_of(match["symbol"]), provider, kind, "day_file", day)
    if match := _BARS_FILE.fullmatch(name):
        if match["side"] == "ask":
            return None
        return Recording(path, symbol_of(match["symbol"]), provider, Kind.MINUTES, "bar_pair")
    if not name.endswith((".csv", ".csv.gz", ".zip", ".txt")):
        return None
    first = _first_line(path)
    if _HISTDATA_LINE.match(first):
        return Recording(path, _symbol_in(name), "histdata", Kind.TICKS, "histdata")
    if first.replace(" ", "").lower().startswith("timestamp,bid,ask"):
        return Recording(path, _symbol_in(name), provider, Kind.TICKS, "stamped")
    if (match := _DAILY_FILE.fullmatch(name)) and re.match(r"\d{8} \d\d:\d\d,", first):
        return Recording(path, symbol_of(match["symbol"]), provider, Kind.DAYS, "day_file")
    return None


def symbol_of(text: str) -> str:
    """Return the symbol's name as RTX writes it: capitals; a Tether pair is the dollar pair."""
    name = text.upper()
    return name[:-1] if name.endswith("USDT") and len(name) > 5 else name


def _symbol_in(name: str) -> str:
    words = re.split(r"[^a-z0-9]+", name)
    found = next(
        (word for word in words if len(word) > 4 and word not in _NOT_SYMBOLS and word[0].isalpha()), ""
    )
    return symbol_of(found)


@contextmanager
def opened(path: Path) -> Iterator[io.TextIOBase]:
    """
    Open a recording as text, whatever it is packed in; a zip must hold one table.

    :raises RecordingError: it is missing, damaged, or an archive of something else.
    """
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                names = [name for name in archive.namelist() if name.lower().endswith((".csv", ".txt"))]
                tables = [name for name in names if name.lower().endswith(".csv")] or names
                if len(tables) != 1:
                    raise RecordingError(f"{path}: holds {len(tables)} tables instead of one")
                with archive.open(tables[0]) as packed:
                    yield io.TextIOWrapper(packed, encoding="utf-8-sig")
        elif path.suffix == ".gz":
            with gzip.open(path, "rt", encoding="utf-8-sig") as lines:
                yield lines
        else:
            with path.open(encoding="utf-8-sig") as lines:
                yield lines
    except (OSError, EOFError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise RecordingError(f"{path}: cannot be read: {error}") from error


def _first_line(path: Path) -> str:
    with opened(path) as lines:
        return lines.readline(1000)


class _Prices:
    """Text to Decimal, remembered: recorded prices repeat."""

    def __init__(self) -> None:
        self._known: dict[str, Decimal | None] = {"": None}

    def __call__(self, text: str) -> Decimal | None:
        try:
            return self._known[text]
        except KeyError:
            if len(self._known) > PRICES_KEPT:
                self._known = {"": None}
            stripped = text.strip()
            price = self._known[text] = Decimal(stripped) if stripped else None
            return price


def _lines(recording: Recording, read: Callable[[str], Tick | BarLine | None]) -> Iterator[Tick | BarLine]:
    """Yield what `read` makes of each line; None and empty lines are skipped."""
    number = 0
    with opened(recording.path) as lines:
        for line in lines:
            number += 1
            if line.isspace():
                continue
            try:
                row = read(line)
            except (ValueError, InvalidOperation, IndexError) as error:
                shown = f"{line.strip()[:80]!r}"
                raise RecordingError(
                    f"{recording.path}, line {number}: not of the {recording.layout} layout: {shown}"
                ) from error
            if row is not None:
                yield row


def _day_us(day: date) -> int:
    return (day - EPOCH_DAY).days * DAY_US


def _day_file_ticks(recording: Recording) -> Iterator[Tick]:
    assert recording.day is not None  # it comes from the file's name
    start_us = _day_us(recording.day) + OFFSETS_US.get(recording.provider, 0)
    price = _Prices()

    def read(line: str) -> Tick:
        ms, bid, ask = line.rstrip("\r\n").split(",")[:3]
        return Tick(start_us + _ms_us(ms), price(bid), price(ask))

    return _lines(recording, read)  # type: ignore[return-value]


def _ms_us(text: str) -> int:
    """Return milliseconds, perhaps with a fraction, as whole microseconds."""
    whole, point, rest = text.partition(".")
    us = int(whole) * MS_US
    return us + int((rest + "000")[:3]) if point else us


def _stamped_ticks(recording: Recording) -> Iterator[Tick]:
    price = _Prices()

    def read(line: str) -> Tick | None:
        stamp, bid, ask = line.rstrip("\r\n").split(",")[:3]
        if stamp == "timestamp":
            return None
        return Tick(_iso_us(stamp), price(bid), price(ask))

    return _lines(recording, read)  # type: ignore[return-value]


def _iso_us(stamp: str) -> int:
    instant = datetime.fromisoformat(stamp)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    delta = instant - datetime(1970, 1, 1, tzinfo=UTC)
    return delta.days * DAY_US + delta.seconds * 1_000_000 + delta.microseconds


def _histdata_ticks(recording: Recording) -> Iterator[Tick]:
    price = _Prices()
    days: dict[str, int] = {}

    def read(line: str) -> Tick:
        stamp, bid, ask = line.rstrip("\r\n").split(",")[:3]
        day, _, clock = stamp.partition(" ")
        start_us = days.get(day)
        if start_us is None:
            start_us = days[day] = _day_us(date(int(day[:4]), int(day[4:6]), int(day[6:8]))) + EST_US
        if len(clock) != 9:
            raise ValueError(clock)
        seconds = int(clock[:2]) * 3600 + int(clock[2:4]) * 60 + int(clock[4:6])
        return Tick(start_us + seconds * 1_000_000 + int(clock[6:]) * MS_US, price(bid), price(ask))

    return _lines(recording, read)  # type: ignore[return-value]


_TICK_READERS: dict[str, Callable[[Recording], Iterator[Tick]]] = {
    "day_file": _day_file_ticks,
    "stamped": _stamped_ticks,
    "histdata": _histdata_ticks,
}


def _zipped_bars(recording: Recording) -> Iterator[BarLine]:
    start_us = _day_us(recording.day) if recording.day is not None else 0

    def read(line: str) -> BarLine:
        cells = line.rstrip("\r\n").split(",")
        opened_us = (
            start_us + _ms_us(cells[0]) if recording.kind is Kind.MINUTES else _iso_us(_dashed(cells[0]))
        )
        return BarLine(opened_us, _four(cells[1:5]), _four(cells[6:10]))

    return _lines(recording, read)  # type: ignore[return-value]


def _dashed(stamp: str) -> str:
    return f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}T{stamp[9:]}"


def _four(cells: list[str]) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    open_, high, low, close = (Decimal(cell) for cell in cells)
    return open_, high, low, close


def _paired_bars(recording: Recording) -> Iterator[BarLine]:
    """Join the bid file with the ask file beside it; minutes that only one of them has are left out."""
    other = recording.path.with_name(recording.path.name.replace("-bid-", "-ask-"))
    if not other.exists():
        raise RecordingError(f"{recording.path}: the ask file {other.name} is not beside it")

    def read(line: str) -> BarLine | None:
        cells = line.rstrip("\r\n").split(",")
        if cells[0] == "timestamp":
            return None
        prices = _four(cells[1:5])
        return BarLine(_iso_us(cells[0]), prices, prices)

    asks_of = Recording(other, recording.symbol, recording.provider, recording.kind, recording.layout)
    asks = {bar.opened_us: bar.ask for bar in _lines(asks_of, read) if isinstance(bar, BarLine)}
    for bid in _lines(recording, read):
        if isinstance(bid, BarLine) and bid.opened_us in asks:
            yield BarLine(bid.opened_us, bid.bid, asks[bid.opened_us])


def _ticks_of(bar: BarLine) -> Iterator[Tick]:
    open_, high, low, close = range(4)
    first_down = bar.bid[close] >= bar.bid[open_]
    order = (open_, low, high, close) if first_down else (open_, high, low, close)
    for step_us, part in zip(BAR_STEPS_US, order, strict=True):
        yield Tick(bar.opened_us + step_us, bar.bid[part], bar.ask[part])


def midnight(instant_us: int) -> datetime:
    """Return the UTC day that holds an instant."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=instant_us // DAY_US)
