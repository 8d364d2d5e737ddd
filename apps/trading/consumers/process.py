"""
What the sockets of one stream process share: the quote hub, the account and candle feeds, and their timers.

Started by the ASGI lifespan, or by the first socket where a server has none. Everything here survives Redis
and PostgreSQL being away. Speaks to no client itself: that is `session.py`.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import Error as DatabaseError

from apps.groups.domain.terms import Terms
from apps.groups.selectors import TermsBook, terms_book
from apps.market.adapters.bus import AsyncQuoteSubscriber, QuoteBatch
from apps.market.domain.candles import Bar
from apps.market.selectors.candles import minutes_since
from apps.market.selectors.quotes import last_quotes
from apps.market.services.board import own_board
from apps.trading.consumers import access, metrics
from apps.trading.consumers.account_feed import AccountFeed
from apps.trading.consumers.buses import AccountBus
from apps.trading.consumers.candle_feed import CandleFeed
from apps.trading.consumers.connection import CloseCode
from apps.trading.consumers.frames import heartbeat_frame
from apps.trading.consumers.hub import QuoteHub
from apps.trading.consumers.threads import off_loop
from apps.trading.selectors import stream as journal
from rtx.kernel import clock
from rtx.kernel.limits import TokenBucket

if TYPE_CHECKING:
    from apps.trading.consumers.session import Session

log = logging.getLogger(__name__)

TERMS_CHECK_S = 1.0
TERMS_STALE_S = 10.0
ACCESS_CHECK_S = 2.0
JOURNAL_CHECK_S = 2.0
STALL_CHECK_S = 1.0
CANDLES_EVERY_S = 0.25
HEARTBEAT_S = 10.0
RESTART_PAUSE_S = 1.0
FIRST_QUOTES_WAIT_S = 2.0
DRAIN_MAX_S = 5.0


class StreamProcess:
    """One per process. Create it on the event loop that it shall live on."""

    def __init__(self) -> None:
        self.hub = QuoteHub(self.terms_of)
        self.candles = CandleFeed()
        self.bus = AccountBus(settings.REDIS_URL, self._account_message)
        self.accounts = AccountFeed(wakeups=self.bus, read_events=_read_events, read_seqs=_read_seqs)
        self.sessions: set[Session] = set()
        self.user_requests = TokenBucket(
            rate=settings.STREAM_USER_REQUESTS_PER_S, burst=int(settings.STREAM_USER_REQUESTS_PER_S * 2)
        )
        self.is_draining = False
        self.conflated = 0  # of sockets that are gone
        self.closed: Counter[int] = Counter()
        self._terms_read_s = -TERMS_STALE_S
        self._terms: TermsBook | None = None
        self._board = own_board()
        self._tasks: list[asyncio.Task[None]] = []
        self._ready = asyncio.Event()

    def start(self) -> None:
        """Start listening and the timers."""
        quotes = AsyncQuoteSubscriber(on_latest=self._latest, on_batch=self._batch)
        self._run(self._prepare, "prepare", once=True)
        self._run(quotes.run, "quotes")
        self._run(self.bus.run, "accounts")
        self._every(TERMS_CHECK_S, self.check_terms)
        self._every(ACCESS_CHECK_S, self.check_access)
        self._every(ACCESS_CHECK_S, self.check_groups)
        self._every(JOURNAL_CHECK_S, self.accounts.poll)
        self._every(STALL_CHECK_S, self._check_stalls)
        self._every(CANDLES_EVERY_S, self._flush_candles)
        self._every(HEARTBEAT_S, self._beat)

    async def stop(self) -> None:
        """Stop everything that `start` started."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def drain(self) -> None:
        """Take no more requests, let those under way be answered, then tell every client to come back."""
        self.is_draining = True
        deadline = time.monotonic() + DRAIN_MAX_S
        while any(session.in_flight for session in self.sessions) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        for session in list(self.sessions):
            session.close(CloseCode.RESTARTING, "restarting, reconnect after a random pause")

    async def ready(self) -> None:
        """Wait until terms and last quotes were read, at most a moment."""
        if not self._ready.is_set():
            try:
                await asyncio.wait_for(self._ready.wait(), FIRST_QUOTES_WAIT_S)
            except TimeoutError:
                log.warning("stream starts without terms: the database has not answered yet")

    @property
    def is_ready(self) -> bool:
        """Tell whether the database answered lately and neither a restart nor a drain is under way."""
        if self.is_draining or (settings.DRAIN_FILE and Path(settings.DRAIN_FILE).exists()):
            return False
        return self._ready.is_set() and time.monotonic() - self._terms_read_s < TERMS_STALE_S

    @property
    def knows_terms(self) -> bool:
        """Tell whether terms were read at all."""
        return self._terms is not None

    def terms_of(self, group_id: int, symbol: str) -> Terms | None:
        """Return the present terms of a symbol that the group offers."""
        found = self._terms.terms.get(group_id, {}).get(symbol) if self._terms is not None else None
        return found if found is not None and found.is_offered else None

    def is_simulated(self, symbol: str) -> bool:
        """Tell whether a symbol's price comes from the simulated model."""
        return self._board.is_simulated(symbol)

    # Timers

    async def check_terms(self) -> None:
        """Take changed terms over: prices follow within about a second."""
        book = await off_loop(terms_book)
        self._terms_read_s = time.monotonic()
        if book is not self._terms:
            self._terms = book
            self.hub.reprice(self.terms_of)

    async def check_access(self) -> None:
        """Close the sockets whose user may no longer be here: one query for all."""
        by_grant: dict[access.Grant, list[Session]] = {}
        for session in self.sessions:
            if session.grant is not None:
                by_grant.setdefault(session.grant, []).append(session)
        if by_grant:
            for grant in await off_loop(access.revoked, list(by_grant)):
                for session in by_grant[grant]:
                    session.close(CloseCode.REVOKED, "session revoked")

    async def check_groups(self) -> None:
        """Let prices follow accounts that were moved to another group: one query for all sockets."""
        wanted = {account_id for session in self.sessions for account_id in session.priced_by.values()}
        if not wanted:
            return
        found = await off_loop(access.groups, wanted)
        for session in list(self.sessions):
            priced_by = session.priced_by
            for account_id in set(priced_by.values()) & found.keys():
                own = [name for name, by in priced_by.items() if by == account_id]
                self.hub.regroup(session.connection, dict.fromkeys(own, found[account_id]))

    async def _check_stalls(self) -> None:
        now_s = time.monotonic()
        for session in list(self.sessions):
            session.connection.check_stall(now_s)

    async def _flush_candles(self) -> None:
        self.candles.flush()

    async def _beat(self) -> None:
        frame = heartbeat_frame(clock.now_ms())
        for session in list(self.sessions):
            if session.grant is not None:
                session.connection.push_latest("hb", frame)

    # Quotes

    async def _prepare(self) -> None:
        """Read terms, last quotes and running candles; what the bus brought meanwhile is newer and stays."""
        await self.check_terms()
        stored = await off_loop(last_quotes)
        missing = {name: quote for name, quote in stored.quotes.items() if name not in self._board.latest}
        self._board.apply(missing.values(), simulated=stored.simulated & missing.keys())
        self.hub.restore(missing)
        self.candles.resume(await off_loop(_minutes_of_today))
        self._ready.set()

    def _latest(self, batch: QuoteBatch) -> None:
        self._board.apply(batch.quotes, simulated=batch.simulated)
        self.hub.restore({quote.symbol: quote for quote in batch.quotes})

    def _batch(self, batch: QuoteBatch) -> None:
        self.hub.publish(batch.quotes)
        self._board.apply(batch.quotes, simulated=batch.simulated)
        self.candles.publish(batch.quotes)

    def _account_message(self, account_id: int, message: bytes) -> None:
        self.accounts.received(account_id, message)

    # Tasks

    def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        async def loop() -> None:
            while True:
                await asyncio.sleep(seconds)
                try:
                    await work()
                except DatabaseError as error:
                    log.warning(
                        "%s failed, the database is away: %s", work.__qualname__, type(error).__name__
                    )

        self._run(loop, work.__qualname__)

    def _run(self, work: Callable[[], Coroutine[Any, Any, None]], name: str, *, once: bool = False) -> None:
        async def supervised() -> None:
            while True:
                try:
                    await work()
                except Exception:
                    log.exception("%s broke, starting it again", name)
                else:
                    if once:
                        return
                await asyncio.sleep(RESTART_PAUSE_S)

        self._tasks.append(asyncio.get_running_loop().create_task(supervised(), name=f"rtx-{name}"))


def _minutes_of_today() -> dict[str, list[tuple[int, Bar]]]:
    midnight = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    return minutes_since(symbols=terms_book().symbols, since=midnight)


async def _read_events(account_id: int, login: int, seq: int, limit: int) -> list[tuple[int, bytes]]:
    return await off_loop(journal.events_after, account_id=account_id, login=login, seq=seq, limit=limit)


async def _read_seqs(account_ids: Any) -> dict[int, int]:
    return await off_loop(journal.last_seqs, account_ids)


_process: StreamProcess | None = None


def stream_process() -> StreamProcess:
    """Return this process's shared part, started with the first call on the running event loop."""
    global _process
    if _process is None:
        _process = metrics.collector.process = StreamProcess()
        _process.start()
    return _process


async def stop_stream_process() -> None:
    """End this process's shared part, if it was started."""
    global _process
    if _process is not None:
        stopping, _process = _process, None
        metrics.collector.process = None
        await stopping.stop()
