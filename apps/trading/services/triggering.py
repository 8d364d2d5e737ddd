"""
The trigger service of the engine: pending orders, stop losses, take profits, trailing stops, expiry.

Three threads besides the feed's, which checks each tick: `triggers-lease` (one leader), `triggers-follow`
(loads what waits, follows the journal, lets orders expire), `triggers-dispatch` (submits to the executor).
It leads where the feed leads, because only there ticks pass. What waits is read from PostgreSQL alone: a
change made by any process is seen within `FOLLOW_S`, and is held against the ticks that came in between.
"""

import threading
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import structlog
from django.db import Error, connection

from apps.groups.selectors import TermsBook, terms_book, terms_version
from apps.market.selectors.quotes import last_quotes
from apps.market.services.engine import Engine, TickBatch
from apps.market.services.feed_leases import FeedLease
from apps.trading.domain.triggers import Entry, Waiting
from apps.trading.selectors import following
from apps.trading.selectors.following import Follower, JournalEvent
from apps.trading.selectors.triggers import all_waiting, waiting_of
from apps.trading.services.trigger_dispatch import Dispatcher
from apps.trading.services.trigger_watch import Change, Since, Watch
from rtx.kernel import clock

FOLLOW_S = 0.05
FOLLOW_BUSY_S = 1.0  # while much is under way: the many events of one account are then read once
BUSY = 256
TERMS_S = 0.5
POLLS_MAX = 8  # so often the journal is read before what it told is acted upon
RETRY_S = 0.3

WITHOUT_EFFECT = frozenset(
    {
        "account_opened",
        "balance_changed",
        "balance_protected",
        "balance_rejected",
        "margin_call_ended",
        "margin_called",
        "order_change_rejected",
        "position_change_rejected",
        "swaps_charged",
    }
)

log = structlog.get_logger(__name__)


class TriggerService:
    """Sets off what ticks reach while it leads. See the module for its threads."""

    name = "triggers"

    def __init__(self) -> None:
        self._lease = FeedLease(self.name)
        self._watch = Watch()
        self._dispatcher = Dispatcher(self._watch, ask=self._ask)
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._threads: list[threading.Thread] = []
        self._asked: set[int] = set()
        self._touched: dict[int, list[JournalEvent]] = {}
        self._asking = threading.Lock()
        self._leading = False
        self._seen_ms: dict[str, int] = {}  # symbol -> time of the first quote that this process saw
        self._standby_ms: dict[str, int] = {}  # symbol -> time of the last quote before that
        self._polled_at = self._terms_at = 0.0
        self._book: TermsBook | None = None
        self._follower: Follower | None = None
        self._engine: Engine | None = None
        self.last_error = ""

    # Life

    def start(self, engine: Engine) -> None:
        """Start the threads and listen to ticks."""
        self._engine = engine
        engine.on_ticks(self._on_ticks)
        self._dispatcher.start()
        for name, loop in (("lease", self._keep_lease), ("follow", self._keep_following)):
            thread = threading.Thread(target=self._guard, args=(loop,), name=f"triggers-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Submit nothing more, let what is under way end, let the next engine in."""
        self._stopping.set()
        self._wake.set()
        self._watch.end()
        self._dispatcher.stop()
        for thread in self._threads:
            thread.join(timeout=5)
        self._lease.end()

    def health(self) -> dict[str, Any]:
        """Return who leads, what waits, how far the journal is followed and what was set off."""
        return {
            "leading": self._leading,
            "fence": self._lease.fence,
            **self._watch.counts(),
            "terms_version": self._book.version if self._book else None,
            "follow_lag_s": round(time.monotonic() - self._polled_at, 3) if self._leading else None,
            "unsettled": self._follower.ahead if self._follower else 0,
            **self._dispatcher.health(),
            "last_error": self.last_error or self._dispatcher.last_error,
        }

    def _guard(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        except Exception as error:  # noqa: BLE001 - ends the engine, loudly
            if self._engine is not None:
                self._engine.fail(self.name, error)

    # The feed's thread

    def _on_ticks(self, batch: TickBatch) -> None:
        for quote in batch.quotes:
            if quote.symbol not in self._seen_ms:
                self._seen_ms[quote.symbol] = quote.time_ms
        if self._leading and self._lease.is_held:
            self._dispatcher.offer(self._watch.on_ticks(batch.quotes))

    # Thread "triggers-lease"

    def _keep_lease(self) -> None:
        self._lease.keep(self._stopping, before=self._note_quotes)

    def _note_quotes(self) -> None:
        """Remember until when another leader watched: the last stored quotes that no feed of ours gave."""
        if self._leading:
            return
        for name, quote in last_quotes().quotes.items():
            first_ms = self._seen_ms.get(name)
            if first_ms is None or quote.time_ms < first_ms:
                self._standby_ms[name] = quote.time_ms

    # Thread "triggers-follow"

    def _keep_following(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            wait_s = FOLLOW_S
            try:
                if not self._lease.is_held:
                    self._step_down()
                elif self._lead():
                    self._follow()
                    wait_s = self._until_next()
            except Error as error:
                self.last_error = repr(error)
                log.warning("triggers_wait", error=str(error))
                connection.close()
                wait_s = RETRY_S
            self._wake.wait(wait_s)
        connection.close()

    def _step_down(self) -> None:
        if self._leading:
            self._leading = False
            self._seen_ms.clear()
            self._standby_ms |= self._watch.end()
            self._dispatcher.drop()
            log.warning("triggers_deposed", fence=self._lease.fence)

    def _lead(self) -> bool:
        """Load everything when a leadership begins."""
        if self._leading:
            return True
        started = time.monotonic()
        self._note_quotes()
        self._book = terms_book(terms_version())
        self._touched = {}
        follower = Follower(following.present())
        self._watch.begin(specs=self._book.symbols, watched=self._standby_ms)
        self._watch.update(all_waiting(book=self._book))
        if not self._lease.is_held:
            return False
        self._follower, self._leading = follower, True
        self._terms_at = time.monotonic()
        self._watch.open()
        seconds = round(time.monotonic() - started, 2)
        log.info("triggers_lead", fence=self._lease.fence, seconds=seconds, **self._watch.counts())
        return True

    def _follow(self) -> None:
        assert self._follower is not None
        self._check_terms()
        assert self._book is not None
        self._take_events(self._follower)
        touched = self._touched  # kept until it is read, whatever the database does meanwhile
        if touched:
            self._watch.begin_reading()
            found = waiting_of(touched, book=self._book)
            changes = {account_id: since(events) for account_id, events in touched.items() if events}
            self._dispatcher.offer(self._watch.update(found, changes=changes))
            self._touched = {}
        self._dispatcher.offer(self._watch.ended(clock.now()))
        self._polled_at = time.monotonic()

    def _take_events(self, follower: Follower) -> None:
        """Note which accounts the journal's new events touch, and who asked to be read again."""
        for _ in range(POLLS_MAX):
            events = follower.poll()
            for event in events:
                if event.type not in WITHOUT_EFFECT:
                    self._touched.setdefault(event.account_id, []).append(event)
            if not events:
                break
        with self._asking:
            for account_id in self._asked:
                self._touched.setdefault(account_id, [])
            self._asked.clear()

    def _check_terms(self) -> None:
        """Arm everything again when markups or sessions may have changed."""
        if time.monotonic() < self._terms_at + TERMS_S:
            return
        version = terms_version()
        if self._book is not None and self._book.version == version:
            self._terms_at = time.monotonic()
            return
        book = terms_book(version)
        self._watch.begin_reading()
        found = all_waiting(book=book)
        self._book, self._terms_at = book, time.monotonic()
        self._watch.take_terms(book.symbols)
        self._dispatcher.offer(self._watch.update({**{one: {} for one in self._watch.accounts()}, **found}))

    def _until_next(self) -> float:
        wait_s = FOLLOW_BUSY_S if self._dispatcher.backlog > BUSY else FOLLOW_S
        ends_at = self._watch.next_end()
        if ends_at is not None:
            wait_s = min(wait_s, max(0.001, (ends_at - clock.now()).total_seconds()))
        return wait_s

    def _ask(self, account_id: int) -> None:
        with self._asking:
            self._asked.add(account_id)


def since(events: list[JournalEvent]) -> Since:
    """Return what tells, from one account's events, when an entry began to wait as it does now."""
    ordered = sorted(events, key=lambda event: event.seq)

    def change_of(entry: Entry) -> Change:
        for event in ordered:
            payload = event.payload
            if _tells(payload, entry):
                return Change(_ms(event), cause=_cause(event.type, payload))
        return Change(_ms(ordered[-1]))

    return change_of


def _ms(event: JournalEvent) -> int:
    return int(event.at.timestamp() * 1000)


def _tells(payload: dict[str, Any], entry: Entry) -> bool:
    """Say whether an event leaves an order or position waiting for an entry's price."""
    waiting = entry.key.waiting
    told = payload.get("order" if waiting is Waiting.ORDER else "position")
    if not told or told.get("id") != entry.key.id:
        return False
    if waiting is Waiting.TRAILING:
        return told.get("trailing_points") is not None
    names = ("price", "stop_limit_price") if waiting is Waiting.ORDER else (waiting.value,)
    return any(told.get(name) is not None and Decimal(told[name]) == entry.price for name in names)


def _cause(type_: str, payload: dict[str, Any]) -> int | None:
    """Return the ticket of what a tick of this engine set off, if that brought the event about."""
    if type_ == "position_modified" and payload["cause"] == "trailing":
        return int(payload["position"]["id"])
    if type_ == "order_activated" or (type_ == "order_filled" and payload["order"].get("trigger")):
        return int(payload["order"]["id"])
    return None
