"""
Keeps what the engine saw: ticks, candles, last quotes and counters go to PostgreSQL about once a second.

Collects in memory while PostgreSQL is away, up to a limit; what had to be given up is counted. Writes only
while its lease is held, inside a transaction that proves it.
"""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

import structlog
from django.db import Error, connection, transaction

from apps.market.domain.candles import Bar, Bucket, CandleBuilder
from apps.market.domain.quotes import Quote, Refusal
from apps.market.services import candles, ticks
from apps.market.services.leases import Lease, NotLeading
from apps.market.services.ticks import StoredTick
from rtx.kernel import bulk, clock

PENDING_TICKS_MAX = 200_000

SAVE_QUOTES = """
INSERT INTO market_lastquote (symbol_id, bid, ask, time, source, simulated)
SELECT symbol_id, bid, ask, time, source, simulated
FROM json_to_recordset(%s::json) AS quote (
    symbol_id bigint, bid numeric, ask numeric, time timestamptz, source text, simulated boolean
)
ORDER BY symbol_id
ON CONFLICT (symbol_id) DO UPDATE SET
    bid = excluded.bid, ask = excluded.ask, time = excluded.time, source = excluded.source,
    simulated = excluded.simulated
WHERE market_lastquote.time < excluded.time
    OR market_lastquote.time > clock_timestamp() + interval '5 seconds'
"""
QUOTE_COLUMNS = ("symbol_id", "bid", "ask", "time", "source", "simulated")

COUNTERS = ("accepted", *(f"refused_{reason}" for reason in Refusal))
STATUS_COLUMNS = ("symbol_id", "provider", "simulated", *COUNTERS, "started_at", "updated_at")
SAVE_STATUS = """
INSERT INTO market_feedstatus ({columns})
SELECT {columns} FROM json_to_recordset(%s::json) AS status (
    symbol_id bigint, provider text, simulated boolean, {counters},
    started_at timestamptz, updated_at timestamptz
)
ORDER BY symbol_id
ON CONFLICT (symbol_id) DO UPDATE SET {updates}
""".format(
    columns=", ".join(STATUS_COLUMNS),
    counters=", ".join(f"{name} bigint" for name in COUNTERS),
    updates=", ".join(f"{name} = excluded.{name}" for name in STATUS_COLUMNS if name != "symbol_id"),
)

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Counted:
    """What one symbol's feed delivered so far."""

    symbol_id: int
    provider: str
    is_simulated: bool
    started_at: datetime
    accepted: int = 0
    refused: Mapping[Refusal, int] = field(default_factory=dict)

    def row(self, now: datetime) -> tuple[object, ...]:
        """Return the row of `STATUS_COLUMNS`."""
        refused = (self.refused.get(reason, 0) for reason in Refusal)
        return (
            self.symbol_id, self.provider, self.is_simulated, self.accepted, *refused, self.started_at, now,
        )  # fmt: skip


class Recorder:
    """Filled by the feed's thread, emptied by `flush` in another one."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._lock = threading.Lock()
        self._ticks: deque[StoredTick] = deque(maxlen=PENDING_TICKS_MAX)
        self._builder = CandleBuilder()
        self._bars: dict[Bucket, Bar] = {}
        self._quotes: dict[str, tuple[int, Quote, str, bool]] = {}
        self._ids: dict[str, int] = {}
        self._counted: list[Counted] = []
        self.stored = 0
        self.lost = 0

    def begin(self, *, ids: Mapping[str, int], minutes: Mapping[str, list[tuple[int, Bar]]]) -> None:
        """Forget everything and go on from the stored minutes of the day: the start of a leadership."""
        with self._lock:
            self._ticks.clear()
            self._bars.clear()
            self._quotes.clear()
            self._ids = dict(ids)
            self._builder = CandleBuilder()
            for symbol, bars in minutes.items():
                self._builder.resume(symbol, bars)

    def know(self, ids: Mapping[str, int]) -> None:
        """Learn the ids of new symbols."""
        with self._lock:
            self._ids = {**self._ids, **ids}

    def take(
        self,
        *,
        accepted: list[tuple[StoredTick, Quote]],
        latest: Mapping[str, tuple[Quote, str, bool]],
    ) -> None:
        """Remember a batch: new ticks, and the last quote of each symbol with its source and mark."""
        with self._lock:
            overflow = len(self._ticks) + len(accepted) - PENDING_TICKS_MAX
            if overflow > 0:
                self.lost += overflow
            for tick, quote in accepted:
                self._ticks.append(tick)
                self._builder.add(quote.symbol, quote.bid, quote.time_ms)
            for symbol, (quote, source, is_simulated) in latest.items():
                self._quotes[symbol] = (self._ids[symbol], quote, source, is_simulated)

    def count(self, counted: list[Counted]) -> None:
        """Replace the counters to be saved."""
        self._counted = counted

    def flush(self) -> int:
        """
        Write what is pending in one transaction; returns the number of ticks stored.

        :raises NotLeading: another engine leads; what was pending is given up.
        :raises django.db.Error: PostgreSQL is away; what was pending is kept.
        """
        with self._lock:
            rows, self._ticks = self._ticks, deque(maxlen=PENDING_TICKS_MAX)
            self._bars.update(self._builder.drain())
            bars, self._bars = self._bars, {}
            quotes, self._quotes = self._quotes, {}
            ids = self._ids
        try:
            self._write(rows, bars, quotes, ids)
        except NotLeading:
            self.lost += len(rows)
            raise
        except Error:
            self._put_back(rows, bars, quotes)
            raise
        self.stored += len(rows)
        return len(rows)

    def _write(
        self,
        rows: deque[StoredTick],
        bars: Mapping[Bucket, Bar],
        quotes: Mapping[str, tuple[int, Quote, str, bool]],
        ids: Mapping[str, int],
    ) -> None:
        with transaction.atomic():
            self._lease.verify()
            if rows:
                ticks.append(rows)
            candles.store(bars, ids=ids)
            if quotes:
                save_quotes(list(quotes.values()))
            if self._counted:
                save_counters(self._counted, now=clock.now())

    def _put_back(
        self,
        rows: deque[StoredTick],
        bars: dict[Bucket, Bar],
        quotes: dict[str, tuple[int, Quote, str, bool]],
    ) -> None:
        with self._lock:
            self.lost += max(0, len(rows) + len(self._ticks) - PENDING_TICKS_MAX)
            rows.extend(self._ticks)
            self._ticks = rows
            self._bars = bars | self._bars
            self._quotes = quotes | self._quotes


def save_quotes(quotes: list[tuple[int, Quote, str, bool]]) -> None:
    """Save last quotes given as (symbol id, quote, source, simulated); a newer one is never replaced."""
    rows: list[tuple[int, Decimal, Decimal, datetime, str, bool]] = [
        (symbol_id, quote.bid, quote.ask, clock.from_ms(quote.time_ms), source, is_simulated)
        for symbol_id, quote, source, is_simulated in quotes
    ]
    with connection.cursor() as cursor:
        cursor.execute(SAVE_QUOTES, [bulk.rows_as_json(QUOTE_COLUMNS, rows)])


def save_counters(counted: list[Counted], *, now: datetime) -> None:
    """Save what each feed delivered."""
    with connection.cursor() as cursor:
        cursor.execute(SAVE_STATUS, [bulk.rows_as_json(STATUS_COLUMNS, [one.row(now) for one in counted])])
