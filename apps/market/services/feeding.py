"""
The feed service of the engine: takes ticks from the feeds, filters them, and lets everybody know.

Three threads: `feed` (the hot loop), `record` (PostgreSQL once a second), `lease`. Only the holder of the
lease publishes; a standby waits and takes over within seconds. No outage of PostgreSQL or Redis ends the
process.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from django.db import Error, connection

from apps.market.adapters.bus import QuotePublisher
from apps.market.adapters.feed import NEVER_MS, FeedRefused, RawTick, SymbolFeed
from apps.market.adapters.feeds import FeedFactory, LastPrice
from apps.market.domain.quotes import AHEAD_MAX_MS, Quote, TickFilter
from apps.market.models import LastQuote
from apps.market.selectors.candles import minutes_since
from apps.market.selectors.quotes import last_quotes
from apps.market.selectors.symbols import FedSymbol, fed_symbols, terms_version
from apps.market.services import ticks
from apps.market.services.board import own_board
from apps.market.services.engine import Engine, TickBatch
from apps.market.services.leases import Lease, NotLeading
from apps.market.services.recorder import Counted, Recorder
from apps.market.services.ticks import StoredTick
from rtx.kernel import clock

BATCH_S = 0.002  # ticks that fall due within so long travel together
IDLE_S = 0.05  # the longest sleep of the hot loop
RESTORE_S = 1.0  # how often the bus gets all latest quotes again
RECORD_S = 1.0
LEASE_S = 1.5
RELOAD_S = 2.0
PARTITIONS_S = 3600.0

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Line:
    """One symbol on its way from its feed to the board."""

    fed: FedSymbol
    feed: SymbolFeed
    ticks: TickFilter
    counted: Counted
    quote: Quote | None = None
    was_open: bool = True
    same_ms: int = 0

    def due(self, now_ms: int) -> tuple[list[Quote], list[tuple[StoredTick, Quote]]]:
        """Take what is due: quotes to publish (repeats included) and ticks to keep."""
        due = self.feed.take(now_ms)
        if not due:
            return [], []
        if not self.fed.spec.calendar.is_open(clock.from_ms(now_ms)):
            self.was_open = False
            return [], []
        if not self.was_open:
            self.was_open = True
            self.ticks.break_session()
        quotes: list[Quote] = []
        kept: list[tuple[StoredTick, Quote]] = []
        for tick in due:
            quote = self._repeat(tick, now_ms) if tick.is_repeat else self._judge(tick, now_ms)
            if quote is None:
                continue
            quotes.append(quote)
            if not tick.is_repeat:
                kept.append((self._row(quote), quote))
            self.quote = quote
        return quotes, kept

    def _repeat(self, tick: RawTick, now_ms: int) -> Quote | None:
        last = self.quote
        if last is None or tick.time_ms <= last.time_ms <= now_ms + AHEAD_MAX_MS:
            return None
        return Quote(last.symbol, last.bid, last.ask, tick.time_ms)

    def _judge(self, tick: RawTick, now_ms: int) -> Quote | None:
        if tick.after_break:
            self.ticks.break_session()
        refusal = self.ticks.refusal(bid=tick.bid, ask=tick.ask, time_ms=tick.time_ms, now_ms=now_ms)
        if refusal is not None:
            return None
        assert tick.bid is not None  # the filter refuses empty prices
        assert tick.ask is not None
        return Quote(self.fed.spec.name, tick.bid, tick.ask, tick.time_ms)

    def _row(self, quote: Quote) -> StoredTick:
        last = self.quote
        self.same_ms = self.same_ms + 1 if last is not None and last.time_ms == quote.time_ms else 0
        return StoredTick(
            self.counted.symbol_id,
            clock.from_ms(quote.time_ms),
            self.same_ms,
            self.feed.provider,
            quote.bid,
            quote.ask,
        )


class FeedService:
    """Prices all active symbols while it leads. See the module for its threads."""

    name = "feed"

    def __init__(self) -> None:
        self._factory = FeedFactory()
        self._board = own_board()
        self._lease = Lease(self.name)
        self._recorder = Recorder(self._lease)
        self._publisher = QuotePublisher()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lines: dict[str, Line] = {}
        self._simulated: frozenset[str] = frozenset()
        self._fed: dict[str, FedSymbol] | None = None
        self._leading = False
        self._engine: Engine | None = None
        self._batches = 0

    # Life

    def start(self, engine: Engine) -> None:
        """Start the three threads."""
        self._engine = engine
        loops: dict[str, Callable[[], None]] = {
            "lease": self._keep_lease,
            "record": self._keep_records,
            "feed": self._feed,
        }
        for name, loop in loops.items():
            thread = threading.Thread(target=self._guard, args=(loop,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Stop the loop, store what is pending, let the next engine in."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=5)
        try:
            if self._leading:
                self._recorder.flush()
            self._lease.release()
        except (Error, NotLeading) as error:
            log.warning("feed_last_flush_failed", error=str(error))
        finally:
            connection.close()
            self._publisher.close()

    def health(self) -> dict[str, Any]:
        """Return who leads and what was done so far."""
        return {
            "leading": self._leading,
            "fence": self._lease.fence,
            "symbols": len(self._lines),
            "simulated": sorted(self._simulated),
            "batches": self._batches,
            "ticks_stored": self._recorder.stored,
            "ticks_lost": self._recorder.lost,
            "bus_connected": self._publisher.is_connected,
            "bus_failures": self._publisher.failures,
        }

    def _guard(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        except Exception as error:  # noqa: BLE001 - ends the engine, loudly
            if self._engine is not None:
                self._engine.fail(self.name, error)

    # Thread "lease"

    def _keep_lease(self) -> None:
        self._repeat_until_stopped(self._lease.renew, pause_s=LEASE_S, what="lease")

    # Thread "record"

    def _keep_records(self) -> None:
        next_reload = next_partitions = 0.0
        version = -1
        while not self._stopping.is_set():
            try:
                if time.monotonic() >= next_reload:
                    next_reload = time.monotonic() + RELOAD_S
                    present = terms_version()
                    if present != version:
                        self._fed = fed_symbols()
                        version = present
                if self._leading and time.monotonic() >= next_partitions:
                    ticks.ensure_days_ahead(today=clock.now().date())
                    next_partitions = time.monotonic() + PARTITIONS_S
                if self._leading:
                    self._recorder.count([line.counted for line in list(self._lines.values())])
                    self._recorder.flush()
            except NotLeading as error:
                log.warning("feed_deposed", error=str(error))
            except Error as error:
                log.warning("feed_records_wait", error=str(error))
                connection.close()
            self._stopping.wait(RECORD_S)
        connection.close()

    # Thread "feed"

    def _feed(self) -> None:
        next_restore = 0.0
        applied: dict[str, FedSymbol] | None = None
        while not self._stopping.is_set():
            if not self._lease.is_held:
                self._leading = False
                self._stopping.wait(IDLE_S)
                continue
            if not self._leading:
                applied = self._take_over()
                if applied is None:
                    self._stopping.wait(0.5)
                    continue
                self._leading = True
            if self._fed is not None and self._fed is not applied:
                applied = self._fed
                self._adopt(applied)
            self._pump(clock.now_ms())
            if time.monotonic() >= next_restore:
                self._publisher.restore(self._board.latest.values(), self._simulated)
                next_restore = time.monotonic() + RESTORE_S
            self._sleep()
        connection.close()

    def _pump(self, now_ms: int) -> None:
        """Take what is due of every symbol and tell the board, the bus, the recorder and the listeners."""
        quotes: list[Quote] = []
        kept: list[tuple[StoredTick, Quote]] = []
        latest: dict[str, tuple[Quote, str, bool]] = {}
        for name, line in self._lines.items():
            if line.feed.next_due_ms() > now_ms:
                continue
            published, stored = line.due(now_ms)
            line.counted.accepted, line.counted.refused = line.ticks.accepted, line.ticks.refused
            if published:
                quotes += published
                kept += stored
                latest[name] = (published[-1], line.feed.provider, line.feed.is_simulated)
        if not quotes:
            return
        self._batches += 1
        self._board.apply(quotes, simulated=self._simulated)
        self._publisher.publish([quote for quote, _, _ in latest.values()], self._simulated)
        self._recorder.take(accepted=kept, latest=latest)
        if self._engine is not None:
            self._engine.publish(TickBatch(quotes, self._board.latest))

    def _sleep(self) -> None:
        due_ms = min((line.feed.next_due_ms() for line in self._lines.values()), default=NEVER_MS)
        wait_s = (due_ms - clock.now_ms()) / 1000
        self._stopping.wait(min(IDLE_S, max(BATCH_S, wait_s)))

    def _take_over(self) -> dict[str, FedSymbol] | None:
        """Load what a leader needs: symbols, last quotes, the day's minutes. None: PostgreSQL is away."""
        now = clock.now()
        try:
            fed = fed_symbols()
            stored = last_quotes()
            sources = dict(LastQuote.objects.values_list("symbol__name", "source"))
            ticks.ensure_days_ahead(today=now.date())
            day = datetime(now.year, now.month, now.day, tzinfo=UTC)
            minutes = minutes_since(symbols=fed, since=day)
        except Error as error:
            log.warning("feed_take_over_waits", error=str(error))
            connection.close()
            return None
        self._board.apply(stored.quotes.values(), simulated=stored.simulated)
        self._recorder.begin(ids={name: one.spec.id for name, one in fed.items()}, minutes=minutes)
        self._lines = {}
        self._adopt(fed, sources=sources)
        self._publisher.restore(self._board.latest.values(), self._simulated)
        connection.close()
        log.info(
            "feed_leads", symbols=len(self._lines), simulated=len(self._simulated), fence=self._lease.fence
        )
        return fed

    def _adopt(self, fed: dict[str, FedSymbol], *, sources: dict[str, str] | None = None) -> None:
        """Make the lines those of the present symbols; lines that stay keep their feed and their counters."""
        now_ms = clock.now_ms()
        self._recorder.know({name: one.spec.id for name, one in fed.items()})
        lines: dict[str, Line] = {}
        for name, one in fed.items():
            line = self._lines.get(name)
            if line is None:
                line = self._open_line(one, now_ms, (sources or {}).get(name, ""))
            elif line.fed != one:
                line.fed = one
                line.ticks.limit_spikes(one.spike_max_pct)
            if line is not None:
                lines[name] = line
        self._lines = lines
        self._simulated = frozenset(name for name, line in lines.items() if line.feed.is_simulated)

    def _open_line(self, fed: FedSymbol, now_ms: int, source: str) -> Line | None:
        name = fed.spec.name
        last = self._board.get(name)
        try:
            feed = self._factory.make(
                fed.spec, now_ms=now_ms, last=LastPrice(last.bid, source) if last is not None else None
            )
        except FeedRefused as error:
            log.error("feed_refused", symbol=name, error=str(error))
            return None
        filtered = TickFilter(spike_max_pct=fed.spike_max_pct)
        if last is not None and (source != feed.provider or last.time_ms > now_ms):
            last = None  # another provider's price says nothing about this one's
        if last is not None:
            filtered.start_from(bid=last.bid, time_ms=last.time_ms)
        return Line(
            fed=fed,
            feed=feed,
            ticks=filtered,
            quote=last,
            counted=Counted(
                symbol_id=fed.spec.id,
                provider=feed.provider,
                is_simulated=feed.is_simulated,
                started_at=clock.now(),
            ),
        )

    def _repeat_until_stopped(self, act: Callable[[], object], *, pause_s: float, what: str) -> None:
        while not self._stopping.is_set():
            try:
                act()
            except Error as error:
                log.warning("feed_waits", what=what, error=str(error))
                connection.close()
            self._stopping.wait(pause_s)
        connection.close()
