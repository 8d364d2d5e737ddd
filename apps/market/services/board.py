"""
The quote board: the latest raw quote of every symbol, in memory, one per process. Reads take no lock.

Web and worker processes fill it from the quote bus in a thread that starts with the first use after a fork;
the engine feeds its own directly. Before the bus is heard, the last quotes come from PostgreSQL.
"""

import os
import threading
from collections.abc import Iterable

import structlog
from django.conf import settings
from django.db import DatabaseError, connection

from apps.market.adapters.bus import QuoteBatch, QuoteSubscriber
from apps.market.domain.quotes import AHEAD_MAX_MS, Quote
from apps.market.selectors.quotes import last_quotes
from rtx.kernel import clock

FIRST_USE_WAIT_S = 2.0

log = structlog.get_logger(__name__)


class QuoteBoard:
    """`latest` is replaced as a whole, never changed in place: whoever holds it sees one consistent state."""

    def __init__(self) -> None:
        self.latest: dict[str, Quote] = {}
        self.simulated: frozenset[str] = frozenset()
        self._writing = threading.Lock()
        self._ready = threading.Event()
        self._subscriber: QuoteSubscriber | None = None

    def get(self, symbol: str) -> Quote | None:
        """Return the latest quote of a symbol."""
        return self.latest.get(symbol)

    def is_simulated(self, symbol: str) -> bool:
        """Tell whether a symbol's price comes from the simulated model."""
        return symbol in self.simulated

    def put(self, quote: Quote) -> None:
        """Set one quote, whatever was there."""
        with self._writing:
            self.latest = {**self.latest, quote.symbol: quote}
        self._ready.set()

    def apply(self, quotes: Iterable[Quote], *, simulated: frozenset[str] = frozenset()) -> None:
        """
        Take quotes over; one that is older than what is there is left out, unless that lies in the future
        (the clock was set back meanwhile).
        """
        ahead_ms = clock.now_ms() + AHEAD_MAX_MS
        with self._writing:
            latest = dict(self.latest)
            named = set()
            for quote in quotes:
                known = latest.get(quote.symbol)
                if known is None or known.time_ms <= quote.time_ms or known.time_ms > ahead_ms:
                    latest[quote.symbol] = quote
                    named.add(quote.symbol)
            marked = (self.simulated - named) | (simulated & named)
            if marked != self.simulated:
                self.simulated = marked
            self.latest = latest
        self._ready.set()

    def clear(self) -> None:
        """Forget all quotes."""
        with self._writing:
            self.latest, self.simulated = {}, frozenset()

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until there are quotes, from wherever; False: there are none yet."""
        return self._ready.wait(timeout_s)

    def start(self) -> None:
        """Follow the quote bus in a daemon thread. Safe to repeat."""
        with self._writing:
            if self._subscriber is not None:
                return
            self._subscriber = QuoteSubscriber(on_latest=self._take, on_batch=self._take)
        threading.Thread(target=self._subscriber.run, name="quote-board", daemon=True).start()
        threading.Thread(target=self._restore, name="quote-board-restore", daemon=True).start()

    def stop(self) -> None:
        """Stop following; what is known stays."""
        if self._subscriber is not None:
            self._subscriber.stop()

    def _take(self, batch: QuoteBatch) -> None:
        self.apply(batch.quotes, simulated=batch.simulated)

    def _restore(self) -> None:
        """Fill what the bus does not know from the last quotes in PostgreSQL; newer ones stay."""
        if self._subscriber is not None:
            self._subscriber.attempted.wait(FIRST_USE_WAIT_S)
        try:
            stored = last_quotes()
        except DatabaseError as error:
            log.warning("quote_board_restore_failed", error=str(error))
        else:
            missing = [quote for name, quote in stored.quotes.items() if name not in self.latest]
            if missing:
                self.apply(missing, simulated=stored.simulated)
        finally:
            connection.close()


_board: QuoteBoard | None = None
_owner_pid = 0
_making = threading.Lock()


def board() -> QuoteBoard:
    """Return this process's board, following the bus from the first call on (unless settings forbid it)."""
    if _board is not None and _owner_pid == os.getpid():
        return _board
    return _make()


def own_board() -> QuoteBoard:
    """Return this process's board without following the bus: for the engine, which feeds it itself."""
    return _make(follow=False)


def _make(*, follow: bool | None = None) -> QuoteBoard:
    global _board, _owner_pid
    with _making:
        if _board is None or _owner_pid != os.getpid():
            made = QuoteBoard()
            if settings.QUOTE_BOARD_FOLLOWS_BUS if follow is None else follow:
                made.start()
                made.wait_ready(FIRST_USE_WAIT_S)
            _board, _owner_pid = made, os.getpid()
        return _board


def _forget_after_fork() -> None:
    """A child has neither its parent's threads nor, perhaps, a usable lock."""
    global _board, _making
    _board, _making = None, threading.Lock()


os.register_at_fork(after_in_child=_forget_after_fork)
