"""
What the trigger engine knows: what waits, which ticks came lately, what has been hit and is not answered.

Every method is safe from any thread and short: the feed's thread calls `on_ticks`. Reads no database and
submits nothing.
"""

import heapq
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import NamedTuple

from apps.market.domain.quotes import Quote
from apps.market.domain.symbols import SymbolSpec
from apps.trading.domain.triggers import Entry, Key, Ladder, first_to_reach
from rtx.kernel import clock

TICKS_KEPT = 2048  # per symbol: what a newly armed price is held against
TICKS_KEPT_MS = 15_000
CHUNK = 300  # so many entries are compared before the feed's thread gets its turn
TURN_S = 0.0005
CAUSED_MIN = 10_000

Since = Callable[[Entry], "Change"]


class Tick(NamedTuple):
    """A quote and when this process took it."""

    received_ms: int
    quote: Quote


@dataclass(frozen=True, slots=True)
class Change:
    """
    When a price began to wait, by the journal.

    `cause`: the ticket of the order or position whose hit brought it about: then it waits since that tick.
    """

    at_ms: int | None = None
    cause: int | None = None


UNKNOWN = Change()


@dataclass(frozen=True, slots=True, eq=False)
class Hit:
    """
    An entry whose price was reached (no `quote`: whose time is over). `number` is the order of arrival,
    `term` the leadership it belongs to.
    """

    number: int
    term: int
    entry: Entry
    quote: Quote | None
    received_ms: int
    unwatched_ms: int = 0


class Watch:
    """All that waits for a price while this process leads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = count(1)
        self.term = 0
        self._reset()

    def _reset(self) -> None:
        self.is_watching = False
        self._specs: dict[str, SymbolSpec] = {}
        self._ladders: dict[str, Ladder] = {}
        self._wanted: dict[int, dict[Key, Entry]] = {}
        self._held: dict[Key, Change] = {}  # hit or asked for, with the last change meanwhile
        self._ticks: dict[str, deque[Tick]] = {}
        self._watched: dict[
            str, int
        ] = {}  # symbols without a tick since we lead: when they were watched last
        self._caused: dict[int, int] = {}  # order or position that was hit -> when that tick came
        self._caused_max = CAUSED_MIN
        self._settled: dict[Key, Entry] = {}  # what came to its end since the rows were last read
        self._ends: list[tuple[datetime, Key, int]] = []
        self._ending: dict[Key, datetime] = {}

    # -- leadership

    def begin(self, *, specs: dict[str, SymbolSpec], watched: dict[str, int]) -> None:
        """Start a leadership without entries. `watched`: symbol -> time of its last watched quote."""
        with self._lock:
            self.term += 1
            self._reset()
            self._specs, self._watched = specs, dict(watched)

    def open(self) -> None:
        """Check ticks from now on."""
        with self._lock:
            self.is_watching = True

    def end(self) -> dict[str, int]:
        """Forget everything: another one leads. Returns symbol -> time of the last quote that was watched."""
        with self._lock:
            watched = self._watched | {name: ticks[-1].quote.time_ms for name, ticks in self._ticks.items()}
            self.term += 1
            self._reset()
            return watched

    def take_terms(self, specs: dict[str, SymbolSpec]) -> None:
        """Use changed symbols (their sessions) from now on."""
        with self._lock:
            self._specs = specs

    # -- ticks

    def on_ticks(self, quotes: Iterable[Quote]) -> list[Hit]:
        """Check quotes in order of arrival; return what they reached. An expired order is not reached."""
        now_ms = clock.now_ms()
        hits: list[Hit] = []
        with self._lock:
            if not self.is_watching:
                return hits
            for quote in quotes:
                name = quote.symbol
                ticks = self._ticks.get(name)
                if ticks is None:
                    ticks = self._ticks[name] = deque(maxlen=TICKS_KEPT)
                ticks.append(Tick(now_ms, quote))
                gap_ms = self._gap_ms(quote) if name in self._watched else 0
                ladder = self._ladders.get(name)
                if ladder is None or not ladder.is_reached(quote) or not self._is_open(name, now_ms):
                    continue
                now = clock.from_ms(now_ms)
                for entry in ladder.take(quote):
                    if entry.expires_at is None or entry.expires_at > now:
                        hits.append(self._hit(entry, Tick(now_ms, quote), gap_ms))
        return hits

    def _gap_ms(self, quote: Quote) -> int:
        return max(0, quote.time_ms - self._watched.pop(quote.symbol))

    def _is_open(self, symbol: str, at_ms: int) -> bool:
        spec = self._specs.get(symbol)
        return spec is not None and spec.calendar.is_open(clock.from_ms(at_ms))

    def _hit(self, entry: Entry, tick: Tick, gap_ms: int) -> Hit:
        self._held[entry.key] = UNKNOWN
        self._caused[entry.key.id] = tick.received_ms
        if len(self._caused) > self._caused_max:
            oldest_ms = tick.received_ms - TICKS_KEPT_MS
            self._caused = {key: at_ms for key, at_ms in self._caused.items() if at_ms >= oldest_ms}
            self._caused_max = 2 * len(self._caused) + CAUSED_MIN
        return Hit(next(self._numbers), self.term, entry, tick.quote, tick.received_ms, gap_ms)

    def ended(self, now: datetime) -> list[Hit]:
        """Return the orders whose time is over."""
        hits: list[Hit] = []
        with self._lock:
            while self._ends and self._ends[0][0] <= now:
                at, key, account_id = heapq.heappop(self._ends)
                if self._ending.get(key) == at:
                    del self._ending[key]
                entry = self._wanted.get(account_id, {}).get(key)
                if entry is None or entry.expires_at is None or entry.expires_at > now or key in self._held:
                    continue
                self._remove(entry)
                self._held[key] = UNKNOWN
                hits.append(Hit(next(self._numbers), self.term, entry, None, 0))
        return hits

    def next_end(self) -> datetime | None:
        """Return when the next order's time is over."""
        with self._lock:
            return self._ends[0][0] if self._ends else None

    # -- what waits

    def begin_reading(self) -> None:
        """Say that rows are read from now on, for `update`: what ends meanwhile may still be among them."""
        with self._lock:
            self._settled.clear()

    def accounts(self) -> list[int]:
        """Return the accounts on which anything waits."""
        with self._lock:
            return list(self._wanted)

    def update(
        self, found: dict[int, dict[Key, Entry]], *, changes: dict[int, Since] | None = None
    ) -> list[Hit]:
        """
        Take over what waits on these accounts now. What has changed is held against the ticks since then.

        Returns what they reached. Gives the feed's thread its turn in between.
        """
        hits: list[Hit] = []
        accounts = iter(found.items())
        present = next(accounts, None)
        while present is not None:
            compared = 0
            with self._lock:
                while present is not None and compared < CHUNK:
                    account_id, entries = present
                    self._update(account_id, entries, (changes or {}).get(account_id), hits)
                    compared += len(entries) + 1
                    present = next(accounts, None)
            if present is not None:
                time.sleep(TURN_S)
        return hits

    def _update(self, account_id: int, found: dict[Key, Entry], since: Since | None, hits: list[Hit]) -> None:
        old = self._wanted.get(account_id, {})
        for key in found.keys() & self._settled.keys():
            if found[key] == self._settled[key]:
                del found[key]  # read before it ended
        for key, entry in old.items():
            if key not in found:
                self._remove(entry)
        if found:
            self._wanted[account_id] = found
        else:
            self._wanted.pop(account_id, None)
        for key, entry in found.items():
            known = old.get(key)
            if known == entry:
                continue
            change = since(entry) if since else UNKNOWN
            if key in self._held:
                self._held[key] = change
            else:
                self._arm(entry, change, hits)

    def _remove(self, entry: Entry) -> None:
        ladder = self._ladders.get(entry.symbol)
        if ladder is not None:
            ladder.remove(entry.key)

    def _arm(self, entry: Entry, change: Change, hits: list[Hit]) -> None:
        """Let an entry wait, unless a tick since its change, or the present price, has reached it."""
        if entry.expires_at is not None and self._ending.get(entry.key) != entry.expires_at:
            self._ending[entry.key] = entry.expires_at
            heapq.heappush(self._ends, (entry.expires_at, entry.key, entry.account_id))
        tick = self._reached_since(entry, change)
        if tick is not None:
            self._remove(entry)
            hits.append(self._hit(entry, tick, 0))
            return
        ladder = self._ladders.get(entry.symbol)
        if ladder is None:
            ladder = self._ladders[entry.symbol] = Ladder()
        ladder.put(entry)

    def _reached_since(self, entry: Entry, change: Change) -> Tick | None:
        ticks = self._ticks.get(entry.symbol)
        if not ticks or not self.is_watching:
            return None  # the next tick will be checked against it
        latest = ticks[-1]
        now_ms = clock.now_ms()
        if not self._is_open(entry.symbol, now_ms):
            return None
        if entry.expires_at is not None and entry.expires_at <= clock.from_ms(now_ms):
            return None
        since_ms = latest.received_ms if change.at_ms is None else change.at_ms
        if change.cause is not None:
            since_ms = self._caused.get(change.cause, since_ms)
        since_ms = max(since_ms, now_ms - TICKS_KEPT_MS)
        candidates: list[Tick] = []
        for tick in reversed(ticks):
            if tick.received_ms <= since_ms:
                break
            candidates.append(tick)
        candidates = candidates[::-1] or [latest]
        quote = first_to_reach(entry, (tick.quote for tick in candidates))
        return next((tick for tick in candidates if tick.quote is quote), None)

    # -- outcomes

    def settle(self, hit: Hit, *, is_done: bool, is_held: bool = False) -> tuple[bool, list[Hit]]:
        """
        Let go of an answered hit. `is_held`: trading was stopped (see `rearm`).

        Returns whether its entry waits for the same as before (then nothing is armed: `rearm` does that when
        it may be tried again), and what was reached when what has changed meanwhile was armed.
        """
        key, hits = hit.entry.key, list[Hit]()
        with self._lock:
            if hit.term != self.term or key not in self._held:
                return False, hits
            wanted = self._wanted.get(hit.entry.account_id, {})
            present = wanted.get(key)
            if present == hit.entry and not is_done:
                return True, hits
            change = self._held.pop(key)
            if present is None:
                return False, hits
            if present == hit.entry:
                del wanted[key]  # what came of it, the journal tells
                self._settled[key] = present
                if not wanted:
                    del self._wanted[hit.entry.account_id]
            else:
                self._arm(present, UNKNOWN if is_held else change, hits)
            return False, hits

    def rearm(self, hit: Hit, *, is_held: bool = False) -> list[Hit]:
        """
        Let an entry wait again after an attempt that did not come to anything.

        What came after the tick that was tried in vain counts: it is held against all of it. `is_held`:
        trading was stopped, so that only the present price counts, whatever came and was changed meanwhile.
        """
        hits: list[Hit] = []
        with self._lock:
            if hit.term == self.term and hit.entry.key in self._held:
                change = self._held.pop(hit.entry.key)
                present = self._wanted.get(hit.entry.account_id, {}).get(hit.entry.key)
                if present is not None:
                    if present == hit.entry:
                        change = Change(hit.received_ms)
                    self._arm(present, UNKNOWN if is_held else change, hits)
        return hits

    def counts(self) -> dict[str, int]:
        """Return how much waits, by what it is, and how much is hit and not answered."""
        with self._lock:
            ladders = list(self._ladders.values())
            found = {"armed": sum(map(len, ladders)), "symbols": sum(1 for one in ladders if len(one))}
            found |= {"accounts": len(self._wanted), "held": len(self._held), "expiring": len(self._ends)}
            return found
