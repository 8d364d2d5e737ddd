"""
Stores candles: live ones from the engine, and the same ones again from stored ticks.

A minute is built from one source only, the one with the most ticks in it, so that two providers never mix.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db import connection, transaction

from apps.market.domain.candles import Bar, Bucket
from rtx.kernel import bulk, clock

SETTLE_S = 10  # the engine has stored its ticks after so long
COLUMNS = ("symbol_id", "interval", "opened_at", "open", "high", "low", "close", "ticks")

UPSERT = """
INSERT INTO market_candle (symbol_id, interval, opened_at, open, high, low, close, ticks)
SELECT symbol_id, interval, opened_at, open, high, low, close, ticks
FROM json_to_recordset(%s::json) AS bar (
    symbol_id bigint, interval text, opened_at timestamptz,
    open numeric, high numeric, low numeric, close numeric, ticks int
)
ORDER BY symbol_id, interval, opened_at
ON CONFLICT (symbol_id, interval, opened_at) DO UPDATE SET
    open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
    ticks = excluded.ticks
"""

CHANGED = """
WHERE (market_candle.open, market_candle.high, market_candle.low, market_candle.close, market_candle.ticks)
    IS DISTINCT FROM (excluded.open, excluded.high, excluded.low, excluded.close, excluded.ticks)
"""
SPARING = """
WHERE market_candle.ticks = 0
    AND (market_candle.open, market_candle.high, market_candle.low, market_candle.close)
    IS DISTINCT FROM (excluded.open, excluded.high, excluded.low, excluded.close)
"""
FULLER = "WHERE excluded.ticks > market_candle.ticks"

MINUTES = """
WITH per_source AS (
    SELECT symbol_id, source, date_trunc('minute', time, 'UTC') AS opened_at,
        (array_agg(bid ORDER BY time, nth))[1] AS open, max(bid) AS high, min(bid) AS low,
        (array_agg(bid ORDER BY time DESC, nth DESC))[1] AS close, count(*) AS ticks
    FROM market_tick
    WHERE time >= %(since)s AND time < %(until)s
        AND (%(symbol_id)s::bigint IS NULL OR symbol_id = %(symbol_id)s)
    GROUP BY 1, 2, 3
), chosen AS (
    SELECT DISTINCT ON (symbol_id, opened_at) * FROM per_source
    ORDER BY symbol_id, opened_at, ticks DESC, source
), written AS (
    INSERT INTO market_candle (symbol_id, interval, opened_at, open, high, low, close, ticks)
    SELECT symbol_id, '1m', opened_at, open, high, low, close, ticks FROM chosen
    ORDER BY symbol_id, opened_at
    ON CONFLICT (symbol_id, interval, opened_at) DO UPDATE SET
        open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
        ticks = excluded.ticks
    {condition}
    RETURNING symbol_id, opened_at
)
SELECT symbol_id, min(opened_at), max(opened_at), count(*) FROM written GROUP BY symbol_id
"""

HIGHER = """
INSERT INTO market_candle (symbol_id, interval, opened_at, open, high, low, close, ticks)
SELECT symbol_id, %(interval)s, date_bin(%(width)s::interval, opened_at, 'epoch'::timestamptz) AS bin,
    (array_agg(open ORDER BY opened_at))[1], max(high), min(low),
    (array_agg(close ORDER BY opened_at DESC))[1], sum(ticks)
FROM market_candle
WHERE symbol_id = %(symbol_id)s AND interval = '1m'
    AND opened_at >= date_bin(%(width)s::interval, %(first)s, 'epoch'::timestamptz)
    AND opened_at < date_bin(%(width)s::interval, %(last)s, 'epoch'::timestamptz) + %(width)s::interval
GROUP BY symbol_id, bin
ORDER BY bin
ON CONFLICT (symbol_id, interval, opened_at) DO UPDATE SET
    open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
    ticks = excluded.ticks
{condition}
"""

WIDTHS = {"5m": "5 minutes", "15m": "15 minutes", "1h": "1 hour", "4h": "4 hours", "1d": "1 day"}


def store(bars: Mapping[Bucket, Bar], *, ids: Mapping[str, int]) -> int:
    """Write bars as they stand, the running ones included; returns how many. `ids`: symbol name -> id."""
    rows = [
        (
            ids[at.symbol],
            at.interval,
            clock.from_ms(at.opened_ms),
            bar.open,
            bar.high,
            bar.low,
            bar.close,
            bar.ticks,
        )
        for at, bar in bars.items()
        if at.symbol in ids
    ]
    return store_rows(rows)


def store_rows(rows: Sequence[tuple[object, ...]], *, spares_ticks: bool = False) -> int:
    """
    Write candles given as rows of `COLUMNS`; returns how many were written.

    `spares_ticks`: a candle built from ticks stays, and one that is right already is not written.
    """
    if not rows:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(UPSERT + (SPARING if spares_ticks else ""), [bulk.rows_as_json(COLUMNS, rows)])
        return int(cursor.rowcount)


@transaction.atomic
def rebuild(
    *, since: datetime, until: datetime, symbol_id: int | None = None, only_fuller: bool = False
) -> int:
    """
    Build the minutes within [since, until) from stored ticks, then every higher candle they touch.

    Safe to repeat: what is right already is not written. With `only_fuller` a stored minute is replaced only
    by one with more ticks. Returns how many minutes were written.
    """
    condition = FULLER if only_fuller else CHANGED
    with connection.cursor() as cursor:
        cursor.execute(
            MINUTES.format(condition=condition), {"since": since, "until": until, "symbol_id": symbol_id}
        )
        written = cursor.fetchall()
    for symbol, first, last, _ in written:
        merge_higher(symbol_id=symbol, first=first, last=last)
    return sum(count for *_, count in written)


def merge_higher(*, symbol_id: int, first: datetime, last: datetime) -> None:
    """Merge the stored minutes into every higher candle that overlaps [first, last]."""
    with connection.cursor() as cursor:
        for interval, width in WIDTHS.items():
            cursor.execute(
                HIGHER.format(condition=CHANGED),
                {"interval": interval, "width": width, "symbol_id": symbol_id, "first": first, "last": last},
            )


def repair(*, now: datetime, minutes: int = 15) -> int:
    """Fill from stored ticks what the engine could not write lately; returns how many minutes."""
    until = (now - timedelta(seconds=SETTLE_S)).replace(second=0, microsecond=0)
    return rebuild(since=until - timedelta(minutes=minutes), until=until, only_fuller=True)
