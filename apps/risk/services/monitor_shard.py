"""
One shard of the margin monitor: its accounts in memory, watched on every tick, followed through the journal.

Four threads: `lease` (one leader), `value` (revalues what a tick batch moved and asks for stop-outs),
`follow` (loads everything when a leadership begins, then what the journal tells), `record` (once a second: a
look at every account, marks, the shard's row, alarms). The portfolio has one lock; no thread holds it while
it waits for the database. An error that is not the database's ends the engine; a thread that hangs does so
too.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import structlog
from django.db import Error, connection

from apps.groups.selectors import terms_book, terms_version
from apps.market.domain.quotes import Quote
from apps.market.selectors.quotes import last_quotes
from apps.market.services.board import own_board
from apps.market.services.engine import TickBatch
from apps.market.services.feed_leases import FeedLease
from apps.market.services.leases import NotLeading
from apps.risk.selectors import portfolio as stored
from apps.risk.services import liquidation, marks, portfolio_rows
from apps.risk.services.liquidation_asks import Rank
from apps.risk.services.margin_calls import Caller
from apps.risk.services.monitor_records import Recorder
from apps.risk.services.monitor_status import Lags
from apps.risk.services.portfolio import Found, Portfolio
from apps.trading.selectors import following
from apps.trading.selectors.following import Follower
from rtx.kernel import clock

FOLLOW_S = 0.05
FOLLOW_BUSY_S = 0.25  # while much happens: the many events of one account are then read once
BUSY = 64  # events at once
TERMS_S = 0.5
RECORD_S = 1.0
RETRY_S = 0.3
POLLS_MAX = 8  # so often the journal is read before what it told is acted upon
READ_MAX = 500  # accounts that are read together
TICK_S = 1.0  # so long is waited for a tick
PUT_MAX = 64  # accounts that are taken over before a tick gets its turn

WITHOUT_EFFECT = frozenset({"balance_rejected", "order_change_rejected", "position_change_rejected"})

log = structlog.get_logger(__name__)


class Ticked(NamedTuple):
    """What waits to be valued: the symbols that moved, since when, and how old the first tick of them is."""

    moved: set[str]
    latest: Mapping[str, Quote]
    arrived_at: float
    first_ms: int


class Shard:
    """The accounts whose id leaves `number` when divided by `of`. See the module for its threads."""

    def __init__(
        self, number: int, *, of: int, fail: Callable[[str, Exception], None], is_fed: Callable[[], bool]
    ) -> None:
        self.number, self.of = number, of
        self.name = str(number)
        self.lease = FeedLease(f"margin:{number}")
        self.caller = Caller()
        self.lags = Lags()
        self.lock = threading.Lock()
        self.portfolio: Portfolio | None = None
        self.is_leading = False
        self.last_error = ""
        self.counted = {"batches": 0, "events": 0, "accounts_read": 0, "stop_outs_asked": 0}
        self._fail, self._is_fed = fail, is_fed
        self._recorder = Recorder(self)
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._ticked = threading.Condition()
        self._moved: set[str] = set()
        self._latest: Mapping[str, Quote] = {}
        self._arrived_at: float | None = None
        self._first_ms = 0
        self.valuing_since: float | None = None
        self._follower: Follower | None = None
        self._touched: set[int] = set()
        self._terms_at = 0.0

    # Life

    def start(self) -> None:
        """Start the threads."""
        self.caller.start()
        loops = {
            "lease": self._keep_lease,
            "value": self._keep_valuing,
            "follow": self._keep_following,
            "record": self._keep_recording,
        }
        for name, loop in loops.items():
            thread = threading.Thread(
                target=self.guard, args=(loop,), name=f"margin-{self.name}-{name}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Ask for nothing more, end the threads, let the next engine in."""
        self._stopping.set()
        with self._ticked:
            self._ticked.notify_all()
        for thread in self._threads:
            thread.join(timeout=5)
        self._recorder.stop()
        self.caller.stop()
        self.is_leading = False
        self.lease.end()

    def health(self) -> dict[str, Any]:
        """Return who leads, what is held, how late it is and what was asked for."""
        portfolio = self.portfolio
        return {
            "leading": self.is_leading,
            "fence": self.lease.fence,
            "accounts": portfolio.accounts.count if portfolio else 0,
            "positions": portfolio.positions if portfolio else 0,
            "without_price": portfolio.blind if portfolio else 0,
            "terms_version": portfolio.prices.book.version if portfolio else None,
            "lag_ms": self.lags.last_ms,
            "lag_max_ms": self.lags.max_ms,
            "follow_lag_s": round(self.lags.follow_s, 3) if self.is_leading else None,
            "unsettled": self._follower.ahead if self._follower else 0,
            **self.counted,
            "calls": self.caller.health(),
            "last_error": self.last_error or self.caller.last_error,
        }

    def guard(self, loop: Callable[[], None]) -> None:
        """Run the body of a thread; what it does not handle itself ends the engine."""
        try:
            loop()
        except Exception as error:  # noqa: BLE001 - ends the engine, loudly
            self.last_error = repr(error)
            self._fail(self.name, error)
        finally:
            connection.close()

    @property
    def _may_act(self) -> bool:
        return self.is_leading and self.lease.is_held and not self._stopping.is_set()

    # The feed's thread

    def on_ticks(self, batch: TickBatch) -> None:
        """Note which symbols moved; the `value` thread takes them together."""
        with self._ticked:
            self._moved.update(quote.symbol for quote in batch.quotes)
            self._latest = batch.latest
            if self._arrived_at is None:
                self._arrived_at = time.monotonic()
                self._first_ms = min((quote.time_ms for quote in batch.quotes), default=0)
            self._ticked.notify()

    # Thread "lease"

    def _keep_lease(self) -> None:
        self.lease.keep(self._stopping, before=self._recorder.watch)

    # Thread "value"

    def _keep_valuing(self) -> None:
        while not self._stopping.is_set():
            ticked, portfolio = self._next_ticks(), self.portfolio
            if ticked is None or portfolio is None:
                continue
            self.valuing_since, self.lags.working_since = time.monotonic(), ticked.arrived_at
            with self.lock:
                found = portfolio.tick(ticked.latest, ticked.moved, now_ms=clock.now_ms())
            self.act(found, quote_time_ms=ticked.first_ms)
            self.counted["batches"] += 1
            self.lags.note(time.monotonic() - ticked.arrived_at)
            self.valuing_since = self.lags.working_since = None

    def _next_ticks(self) -> Ticked | None:
        """Wait for ticks and take all of them; what may not be acted upon yet stays. None: nothing to do."""
        with self._ticked:
            if self._arrived_at is None or not self._may_act:
                self._ticked.wait(TICK_S)
            if self._arrived_at is None or not self._may_act:
                return None
            taken = Ticked(self._moved, self._latest, self._arrived_at, self._first_ms)
            self._moved, self._arrived_at = set(), None
        return taken

    def act(self, found: Found, *, quote_time_ms: int | None = None) -> None:
        """Ask for what was found, stop-outs first."""
        if not self._may_act:
            return
        portfolio = self.portfolio
        if portfolio is None:
            return
        if found.stop:
            self.counted["stop_outs_asked"] += len(found.stop)
            liquidation.ask(
                dict(zip(found.stop, map(Rank._make, found.ranks), strict=True)),
                quote_time_ms=quote_time_ms,
                fence=self.lease.fence,
                shard=self.name,
                seqs=portfolio.seqs(found.stop),
            )
        if found.call or found.end:
            self.caller.offer(portfolio.seqs(found.call), portfolio.seqs(found.end))

    # Thread "follow"

    def _keep_following(self) -> None:
        while not self._stopping.is_set():
            wait_s = FOLLOW_S
            try:
                if not self.lease.is_held:
                    self._step_down()
                elif self._lead() and self._follow() > BUSY:
                    wait_s = FOLLOW_BUSY_S
            except (Error, NotLeading) as error:
                self.last_error = repr(error)
                log.warning("margin_waits", shard=self.name, error=str(error))
                connection.close()
                wait_s = RETRY_S
            self._stopping.wait(wait_s)

    def _step_down(self) -> None:
        if self.is_leading:
            self.is_leading = False
            self.caller.drop()
            log.warning("margin_deposed", shard=self.name, fence=self.lease.fence)

    def _lead(self) -> bool:
        """Load everything when a leadership begins; not before the feed here does: it brings the board up."""
        if self.is_leading:
            return True
        if not self._is_fed():
            return False
        started = time.monotonic()
        follower = Follower(following.present())
        portfolio = Portfolio(terms_book(terms_version()))
        known = last_quotes()  # whoever led meanwhile stored newer ones than the board here may have
        own_board().apply(known.quotes.values(), simulated=known.simulated)
        latest = own_board().latest
        portfolio.prices.take(latest, latest)
        found = stored.shard(self.number, of=self.of)
        portfolio.load(*portfolio_rows.of_shard(found))
        day = clock.now().date()
        marks.restore(portfolio, found.marks, today=day)
        if not self.lease.is_held:
            return False
        self._recorder.begin(day)
        self._follower, self._touched = follower, set()
        self._terms_at = self.lags.followed_at = time.monotonic()
        with self._ticked:
            self._moved, self._arrived_at = set(), None  # before: the board has it
        with self.lock:
            self.portfolio, self.is_leading = portfolio, True
            latest = own_board().latest
            portfolio.tick(latest, latest, now_ms=clock.now_ms())
            seen = portfolio.look(now_ms=clock.now_ms())
        self.act(seen)
        log.info(
            "margin_leads",
            shard=self.name,
            fence=self.lease.fence,
            seconds=round(time.monotonic() - started, 2),
            accounts=portfolio.accounts.count,
            positions=portfolio.positions,
        )
        return True

    def _follow(self) -> int:
        """Take over what the journal tells; return how many events that were."""
        assert self._follower is not None
        self._check_terms()
        count = self._take_events(self._follower)
        touched = sorted(self._touched)
        for start in range(0, len(touched), READ_MAX):
            self._read(touched[start : start + READ_MAX])
        self.lags.followed_at = time.monotonic()
        return count

    def _take_events(self, follower: Follower) -> int:
        before = self.counted["events"]
        for _ in range(POLLS_MAX):
            events = follower.poll()
            self.counted["events"] += len(events)
            for event in events:
                if event.account_id % self.of == self.number and event.type not in WITHOUT_EFFECT:
                    self._touched.add(event.account_id)
            if not events:
                break
        return self.counted["events"] - before

    def _read(self, account_ids: list[int]) -> None:
        """Take over what accounts have become; they stay touched until that is done."""
        portfolio = self.portfolio
        assert portfolio is not None
        found = portfolio_rows.of_accounts(stored.accounts(portfolio.known(account_ids)))
        if any(facts.group_id not in portfolio.prices.book.groups for facts, _ in found):
            self._terms_at = 0.0
            self._check_terms()
        for start in range(0, len(found), PUT_MAX):
            with self.lock:
                seen = portfolio.put(found[start : start + PUT_MAX], now_ms=clock.now_ms())
            self.act(seen)
        self.counted["accounts_read"] += len(found)
        self._touched.difference_update(account_ids)

    def _check_terms(self) -> None:
        """Value everything anew when markups, levels or symbols may have changed."""
        portfolio = self.portfolio
        if portfolio is None or time.monotonic() < self._terms_at + TERMS_S:
            return
        version = terms_version()
        if portfolio.prices.book.version != version:
            book = terms_book(version)
            with self.lock:
                portfolio.take_terms(book)
                seen = portfolio.look(now_ms=clock.now_ms())
            self.act(seen)
        self._terms_at = time.monotonic()

    # Thread "record"

    def _keep_recording(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._may_act:
                    self._recorder.record()
            except (Error, NotLeading) as error:
                self.last_error = repr(error)
                log.warning("margin_records_wait", shard=self.name, error=str(error))
                connection.close()
            self._stopping.wait(RECORD_S)
