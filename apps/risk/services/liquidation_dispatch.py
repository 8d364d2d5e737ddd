"""
Brings stop-outs to the executor, worst account first, and deals with what becomes of them.

One thread per process. So few are under way at once that clients' orders and triggers pass between them; an
account is never twice under way. A command's id is made of the account's `seq` as it is read just before: two
engines, or monitor and sweep, that see the same account stop it out once. Levels only order those who wait:
whether anything is closed, the account book decides under its lock.
"""

import heapq
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple

import structlog
from django.conf import settings
from django.db import connection

from apps.market.services.leases import NotLeading
from apps.risk.services.liquidation_asks import (
    POSITIONS_MAX,
    TOGETHER_MAX,
    Arrived,
    Ask,
    Facts,
    Rank,
    command_id_of,
    facts_of,
    fitting,
)
from apps.risk.services.liquidation_records import Notes, dossiers_of
from apps.trading.domain.commands import Command, Outcome, StopOut
from apps.trading.domain.stop_out import StopOutStuck, StopOutVoid
from apps.trading.services import executor
from apps.trading.services.batch import Effect
from apps.trading.services.executor import Busy
from rtx.kernel.actor import Actor
from rtx.kernel.errors import NotFound, Unavailable

log = structlog.get_logger(__name__)

ACTOR = Actor.system("liquidation")
UNDER_WAY_MAX = 96
REST_S = 30.0  # what waits for a market is the queue's, unless the account itself has changed
LONG_SHARE = 8  # a list of more than an eighth of those who wait
PAUSE_S = 0.2  # after a failure of the database
STOP_WAIT_S = 5.0

Submit = Callable[[Sequence[Command], tuple[Effect, ...]], list["Future[Outcome]"]]


class _Rest(NamedTuple):
    until: float
    seq: int


class _UnderWay(NamedTuple):
    since: float
    facts: Facts


def _submitted(commands: Sequence[Command], effects: tuple[Effect, ...]) -> list["Future[Outcome]"]:
    return executor.submit_all(commands, effects=effects)


class Dispatcher:
    """Takes accounts from any thread; see the module."""

    def __init__(self, *, submit: Submit = _submitted) -> None:
        self._submit = submit
        self._changed = threading.Condition()
        self._arrived: deque[Arrived] = deque()
        self._answered: deque[tuple[Ask, Future[Outcome]]] = deque()
        self._pending: dict[int, Ask] = {}
        self._heap: list[tuple[Rank, int]] = []  # accounts; an entry counts while its rank is the pending one
        self._under_way: dict[int, _UnderWay] = {}
        self._asked_again: dict[int, Ask] = {}
        self._rests: dict[int, _Rest] = {}
        self._booked: dict[int, _Rest] = {}  # what was stopped out of late: its event
        self._deposed: dict[str, int] = {}  # shard -> latest fence that turned out to be no leader's
        self._pruned_at = 0.0
        self._notes = Notes()
        self._is_held_up = False
        self._paused_until = 0.0
        self._stopping = False
        self._thread: threading.Thread | None = None
        counted = ("asked", "late", "done", "void", "stuck", "failed", "retried", "deposed")
        self.counted = dict.fromkeys(counted, 0)
        self.last_error = ""

    # -- for other threads

    def offer(
        self,
        ranks: Mapping[int, Rank],
        *,
        cause: str,
        quote_time_ms: int | None = None,
        fence: int = 0,
        shard: str = "",
        is_urgent: bool = False,
        seqs: Mapping[int, int] | None = None,
    ) -> None:
        """
        Queue accounts by their ranks; who waits already gets its new one. Quick: the monitor's threads call
        it. `is_urgent` ends an account's rest; so does a later event of the account (`seqs`: account -> its
        last known event).
        """
        if not ranks:
            return
        arrived = Arrived(ranks, cause, quote_time_ms, fence, shard, is_urgent, seqs or {})
        with self._changed:
            if self._arrived and arrived.overrules(self._arrived[-1]):
                self._arrived.pop()  # nobody has looked yet, and the newer one names who is below now
            self._arrived.append(arrived)
            if self._thread is None or not self._thread.is_alive():
                self._stopping = False
                self._thread = threading.Thread(target=self._work, name="liquidation-dispatch", daemon=True)
                self._thread.start()
            self._changed.notify()

    def stop(self) -> None:
        """Submit nothing more and end; what is under way is waited for a few seconds."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(STOP_WAIT_S)

    @property
    def backlog(self) -> int:
        """How many accounts are queued or under way."""
        return len(self._pending) + len(self._under_way) + sum(len(one.ranks) for one in [*self._arrived])

    def has(self, account_id: int, *, seq: int) -> bool:
        """
        Tell whether an account is queued or under way, or was stopped out after its event `seq`: whoever
        knows no later one does not know how it stands.
        """
        return account_id in self._pending or account_id in self._under_way or self._is_past(account_id, seq)

    @property
    def oldest_s(self) -> float:
        """For how long the oldest account under way has waited for its answer."""
        since = [one.since for one in [*self._under_way.values()]]
        return time.monotonic() - min(since) if since else 0.0

    def health(self) -> dict[str, Any]:
        """Return what is queued and what became of what was submitted."""
        return {
            "queued": len(self._pending),
            "in_flight": len(self._under_way),
            "resting": len(self._rests),
            **self.counted,
            "last_error": self.last_error,
        }

    # -- the thread

    def _work(self) -> None:
        try:
            while self._wait():
                try:
                    self._take_in()
                    self._deal_with_answers()
                    self._prune()
                    self._notes.write()
                    self._submit_what_may()
                except Exception as error:
                    self.last_error = repr(error)
                    log.exception("liquidations_could_not_be_dispatched")
                    connection.close()
                    self._paused_until = time.monotonic() + PAUSE_S
                    time.sleep(PAUSE_S)
        finally:
            connection.close()

    def _wait(self) -> bool:
        """Wait until there is something to do; False: stop."""
        with self._changed:
            while not self._answered and not self._arrived:
                if self._stopping:
                    return bool(self._under_way) and self._changed.wait(STOP_WAIT_S)
                wait_s: float | None = None
                if self._notes.void or self._notes.waits:
                    wait_s = PAUSE_S
                if self._pending and self._has_room():
                    wait_s = self._paused_until - time.monotonic()
                if wait_s is not None and wait_s <= 0:
                    break
                if wait_s is None and not self._under_way:
                    connection.close()  # to the pool, until something is wrong again
                if not self._changed.wait(wait_s) and wait_s is not None:
                    break
        return True

    def _has_room(self) -> bool:
        positions = sum(one.facts.positions for one in self._under_way.values())
        is_little = len(self._under_way) <= UNDER_WAY_MAX - TOGETHER_MAX and positions <= POSITIONS_MAX
        return is_little and not self._is_held_up

    def _take_in(self) -> None:
        now = time.monotonic()
        while True:
            with self._changed:
                if not self._arrived:
                    return
                arrived = self._arrived.popleft()
            self.counted["asked"] += len(arrived.ranks)
            if not arrived.fence or arrived.fence > self._deposed.get(arrived.shard, 0):
                self._queue(arrived, now)

    def _queue(self, arrived: Arrived, now: float) -> None:
        """Give a list its places; a long one orders everybody anew instead of each on its own."""
        is_long = len(arrived.ranks) * LONG_SHARE > len(self._pending)
        for account_id, rank in arrived.ranks.items():
            ask, seq = Ask(account_id, rank, *arrived[1:5]), arrived.seqs.get(account_id)
            if seq is not None and self._is_past(account_id, seq):
                self.counted["late"] += 1
            elif account_id in self._under_way:
                self._asked_again[account_id] = ask
            elif arrived.is_urgent or not self._rests_still(account_id, now, seq or 0):
                self._push(ask, is_ordered=not is_long)
        if is_long:
            self._heap = [(ask.rank, account_id) for account_id, ask in self._pending.items()]
            heapq.heapify(self._heap)

    def _is_past(self, account_id: int, seq: int) -> bool:
        booked = self._booked.get(account_id)
        return booked is not None and booked.seq > seq

    def _rests_still(self, account_id: int, now: float, seq: int) -> bool:
        rest = self._rests.get(account_id)
        return rest is not None and rest.until > now and rest.seq >= seq

    def _push(self, ask: Ask, *, is_ordered: bool = True) -> None:
        """Queue one account; of who waits for the same asker already, only the rank changes."""
        before = self._pending.get(ask.account_id)
        if before is not None and (before.fence, before.shard) == (ask.fence, ask.shard):
            if before.rank == ask.rank:
                return
            ask = before._replace(rank=ask.rank)
        self._rests.pop(ask.account_id, None)
        self._pending[ask.account_id] = ask
        if is_ordered:
            heapq.heappush(self._heap, (ask.rank, ask.account_id))

    def _submit_what_may(self) -> None:
        while self._pending and self._has_room() and not self._stopping:
            if time.monotonic() < self._paused_until:
                return
            asks = self._next()
            try:
                facts = facts_of([ask.account_id for ask in asks])
                fit = fitting([ask.account_id for ask in asks], facts)
                for group in _by_effect(asks[:fit]):
                    self._submit_group([ask for ask in group if ask.account_id in facts], facts)
                self._give_back(asks[fit:])
            except Busy:
                self._give_back(asks)
                self._paused_until = time.monotonic() + PAUSE_S / 10
                return
            except Exception:
                self._give_back(asks)
                raise

    def _submit_group(self, asks: list[Ask], facts: Mapping[int, Facts]) -> None:
        if not asks:
            return
        commands = [
            StopOut(
                account_id=ask.account_id,
                command_id=command_id_of(ask.account_id, seq=facts[ask.account_id].seq),
                actor=ACTOR,
                cause=ask.cause,
                quote_time_ms=ask.quote_time_ms,
                fence=ask.fence,
            )
            for ask in asks
        ]
        futures = self._submit(commands, (dossiers_of(asks[0].shard),))
        now = time.monotonic()
        self._under_way.update((ask.account_id, _UnderWay(now, facts[ask.account_id])) for ask in asks)
        for ask, future in zip(asks, futures, strict=True):
            future.add_done_callback(partial(self._take_answer, ask))

    def _next(self) -> list[Ask]:
        asks: list[Ask] = []
        room = min(TOGETHER_MAX, settings.EXECUTOR_QUEUE_MAX, UNDER_WAY_MAX - len(self._under_way))
        while self._heap and len(asks) < room:
            rank, account_id = heapq.heappop(self._heap)
            ask = self._pending.get(account_id)
            if ask is not None and ask.rank == rank:
                del self._pending[account_id]
                asks.append(ask)
        return asks

    def _give_back(self, asks: list[Ask]) -> None:
        """Queue again what was not submitted."""
        for ask in asks:
            if ask.account_id not in self._under_way:
                self._push(ask)

    def _take_answer(self, ask: Ask, future: "Future[Outcome]") -> None:
        """Called in the executor's thread."""
        with self._changed:
            self._answered.append((ask, future))
            self._changed.notify()

    def _deal_with_answers(self) -> None:
        while True:
            with self._changed:
                if not self._answered:
                    break
                ask, future = self._answered.popleft()
            under_way = self._under_way.pop(ask.account_id)
            again = self._asked_again.pop(ask.account_id, None)
            error = future.exception()
            if error is None:
                self._deal_with_outcome(ask, future.result())
            else:
                self._deal_with_error(ask, error, again, seq=under_way.facts.seq)
        if self._is_held_up and not self._under_way:
            self._is_held_up = False
            self._paused_until = time.monotonic() + PAUSE_S

    def _deal_with_outcome(self, ask: Ask, outcome: Outcome) -> None:
        """What else is wrong with the account is seen by the monitor when it reads the event."""
        self.counted["done"] += 1
        self._booked[ask.account_id] = _Rest(time.monotonic() + REST_S, outcome.seq)
        if outcome.payload.get("left"):
            self._rest(ask, seq=outcome.seq)

    def _deal_with_error(self, ask: Ask, error: BaseException, again: Ask | None, *, seq: int) -> None:
        account_id = ask.account_id
        if isinstance(error, StopOutVoid):
            self.counted["void"] += 1
            self._notes.void.add(account_id)
            if again is not None:  # asked after it was decided, perhaps on a newer price
                self._push(again)
        elif isinstance(error, StopOutStuck):
            self.counted["stuck"] += 1
            self._notes.stuck(account_id, error)
            self._rest(ask, seq=seq)
        elif isinstance(error, Unavailable):  # it may even be booked: then its `seq` has moved on
            self.last_error = repr(error)
            self.counted["retried"] += 1
            self._is_held_up = True
            self._push(ask)
        elif isinstance(error, NotLeading):
            self._step_down(ask)
        elif isinstance(error, NotFound):
            log.error("liquidation_of_no_account", account_id=account_id)
        else:
            self.last_error = repr(error)
            self.counted["failed"] += 1
            log.error("liquidation_failed", account_id=account_id, exc_info=error)
            self._notes.fail(account_id, error)
            self._rest(ask, seq=seq)

    def _rest(self, ask: Ask, *, seq: int) -> None:
        """Leave an account to the queue for a while, as long as it stays as it is after its event `seq`."""
        self._rests[ask.account_id] = _Rest(time.monotonic() + REST_S, seq)

    def _prune(self) -> None:
        """Forget, now and then, what rested or was booked long ago."""
        now = time.monotonic()
        if now >= self._pruned_at + REST_S:
            self._pruned_at = now
            self._rests = {key: rest for key, rest in self._rests.items() if rest.until > now}
            self._booked = {key: rest for key, rest in self._booked.items() if rest.until > now}

    def _step_down(self, ask: Ask) -> None:
        """Another one leads the shard: what this leadership asked for is not ours to do."""
        self.counted["deposed"] += 1
        self._deposed[ask.shard] = max(ask.fence, self._deposed.get(ask.shard, 0))
        for one in [*self._pending.values()]:
            if one.fence and one.shard == ask.shard and one.fence <= ask.fence:
                del self._pending[one.account_id]


def _by_effect(asks: list[Ask]) -> list[list[Ask]]:
    """Part asks by shard: the commands of one leadership carry one effect."""
    parts: dict[str, list[Ask]] = {}
    for ask in asks:
        parts.setdefault(ask.shard, []).append(ask)
    return list(parts.values())
