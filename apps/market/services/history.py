"""
Imports recordings into the tick history and the candles. Running it again adds nothing.

Ticks pass the same filters as live ones. A bar is not a tick: minute and day recordings become candles only,
and never replace a candle that was built from ticks.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import islice

from django.db import connection, transaction

from apps.market.adapters.recordings import MINUTE_US, BarLine, Kind, Recording, midnight
from apps.market.domain.quotes import Refusal, TickFilter
from apps.market.models import Symbol
from apps.market.services import candles, ticks
from apps.market.services.ticks import StoredTick
from rtx.kernel import clock

CHUNK = 20_000
BREAK_US = 30 * MINUTE_US  # a longer silence is a session break for the filters

DRAFT = """
CREATE TEMPORARY TABLE market_import (
    symbol_id bigint, time timestamptz, nth smallint, source text, bid numeric, ask numeric
) ON COMMIT DROP
"""
TAKE_OVER = """
INSERT INTO market_tick (symbol_id, time, nth, source, bid, ask)
SELECT symbol_id, time, nth, source, bid, ask FROM market_import AS draft
WHERE NOT EXISTS (
    SELECT FROM market_tick AS known
    WHERE known.symbol_id = draft.symbol_id AND known.time = draft.time
        AND known.nth = draft.nth AND known.source = draft.source
        AND known.time BETWEEN %(first)s AND %(last)s
)
ORDER BY time, nth
"""

Progress = Callable[[int], object]


@dataclass(slots=True)
class Imported:
    """What became of one recording: read, new and known ticks (or bars), refusals, candles written."""

    read: int = 0
    added: int = 0
    known: int = 0
    candles: int = 0
    refused: Counter[Refusal] = field(default_factory=Counter)


@transaction.atomic
def import_recording(
    recording: Recording,
    *,
    symbol: Symbol,
    source: str,
    builds_candles: bool = True,
    progress: Progress = lambda lines: None,
) -> Imported:
    """
    Load one recording in one transaction: all of it or nothing.

    :raises RecordingError: a line is not of the recording's layout.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('market_import'), %s)", [symbol.pk])
    if recording.kind is Kind.TICKS:
        return _import_ticks(recording, symbol, source, builds_candles, progress)
    return _import_bars(recording, symbol, progress)


def _import_ticks(
    recording: Recording, symbol: Symbol, source: str, builds_candles: bool, progress: Progress
) -> Imported:
    result = Imported()
    days: set[int] = set()
    first: StoredTick | None = None
    last: StoredTick | None = None
    with connection.cursor() as cursor:
        cursor.execute(DRAFT)
    accepted = _accepted(recording, symbol, source, result)
    while chunk := list(islice(accepted, CHUNK)):
        ticks.copy_into("market_import", chunk)
        first, last = first or chunk[0], chunk[-1]
        days.update(row.time.toordinal() for row in chunk)
        progress(len(chunk))
    if first is None or last is None:
        return result
    ticks.ensure_days((date.fromordinal(day) for day in days), keeps_history=True)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE market_import")
        cursor.execute(TAKE_OVER, {"first": first.time, "last": last.time})
        result.added = cursor.rowcount
    result.known = result.read - result.refused.total() - result.added
    if builds_candles:
        result.candles = candles.rebuild(
            since=first.time.replace(second=0, microsecond=0),
            until=last.time.replace(second=0, microsecond=0) + timedelta(minutes=1),
            symbol_id=symbol.pk,
        )
    return result


def _accepted(recording: Recording, symbol: Symbol, source: str, result: Imported) -> Iterator[StoredTick]:
    """Yield the rows of the ticks that pass the filters; count what is read and refused."""
    judge = TickFilter(spike_max_pct=symbol.spike_max_pct)
    last_us, nth = 0, 0
    for time_us, bid, ask in recording.ticks():
        result.read += 1
        if time_us - last_us > BREAK_US:
            judge.break_session()
        if judge.refusal(bid=bid, ask=ask, time_ms=time_us // 1000) is not None:
            continue
        nth = nth + 1 if time_us == last_us else 0
        last_us = time_us
        yield StoredTick(symbol.pk, instant(time_us), nth, source, bid, ask)
    result.refused = judge.refused


def instant(time_us: int) -> datetime:
    """Return the UTC instant of microseconds since the epoch."""
    seconds, rest = divmod(time_us, 1_000_000)
    return clock.from_ms(seconds * 1000).replace(microsecond=rest)


def _import_bars(recording: Recording, symbol: Symbol, progress: Progress) -> Imported:
    interval = "1d" if recording.kind is Kind.DAYS else "1m"
    result = Imported()
    bars = recording.bars()
    first_us: int | None = None
    last_us = 0
    while chunk := list(islice(bars, CHUNK)):
        result.read += len(chunk)
        rows = [_candle_row(symbol, interval, bar) for bar in chunk]
        result.added += candles.store_rows(rows, spares_ticks=True)
        first_us, last_us = chunk[0].opened_us if first_us is None else first_us, chunk[-1].opened_us
        progress(len(chunk))
    result.known = result.read - result.added
    result.candles = result.added
    if interval == "1m" and first_us is not None and result.added:
        candles.merge_higher(symbol_id=symbol.pk, first=instant(first_us), last=instant(last_us))
    return result


def _candle_row(symbol: Symbol, interval: str, bar: BarLine) -> tuple[object, ...]:
    opened = instant(bar.opened_us) if interval == "1m" else midnight(bar.opened_us)
    prices: tuple[Decimal, ...] = bar.bid
    return (symbol.pk, interval, opened, *prices, 0)
