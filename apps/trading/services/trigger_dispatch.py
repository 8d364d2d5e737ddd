"""
Turns hits into commands for the executor, in the order in which prices were reached, and deals with outcomes.

One thread. So many commands are under way at most, and after a failure of the database nothing new is
submitted until all of them are answered: what failed goes first again, so that the order stays. Decides
nothing about prices; what a command does is the account book's.
"""

import heapq
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connection

from apps.trading.domain.commands import (
    Command,
    ExpireOrder,
    Outcome,
    TrailStop,
    TriggerOrder,
    TriggerStop,
    trigger_command_id,
)
from apps.trading.domain.orders import OrderReason
from apps.trading.domain.triggers import Key, TriggerHeld, Waiting
from apps.trading.services import executor
from apps.trading.services.executor import Busy
from apps.trading.services.trigger_watch import Hit, Watch
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Conflict, NotFound, RtxError, Unavailable

log = logging.getLogger(__name__)

ACTOR = Actor.system("triggers")
UNDER_WAY_MAX = 2048
TOGETHER_MAX = 256
RETRY_FIRST_S = 1.0
RETRY_LAST_S = 8.0
PAUSE_S = 0.2  # after a failure of the database
STOP_WAIT_S = 5.0

Submit = Callable[[list[Command]], list["Future[Outcome]"]]
Ask = Callable[[int], None]


def command_of(hit: Hit) -> Command:
    """
    Return the command that a hit asks for.

    Its id is that of the one thing that can happen: an order is filled once, activated once and expires once,
    a position's stop closes it once. So neither a restart nor a second engine can do it again.
    """
    entry, quote = hit.entry, hit.quote
    number, account_id = entry.key.id, entry.account_id
    if quote is None:
        return ExpireOrder(
            account_id=account_id,
            command_id=trigger_command_id(account_id=account_id, what=f"order:{number}:expire"),
            actor=ACTOR,
            order_id=number,
        )
    if entry.key.waiting is Waiting.ORDER:
        step = "activate" if entry.activates else "fill"
        return TriggerOrder(
            account_id=account_id,
            command_id=trigger_command_id(account_id=account_id, what=f"order:{number}:{step}"),
            actor=ACTOR,
            order_id=number,
            armed_price=entry.price,
            raw=quote,
            unwatched_ms=hit.unwatched_ms,
        )
    if entry.key.waiting is Waiting.TRAILING:
        what = f"position:{number}:trail:{entry.price}:{quote.time_ms}:{quote.bid}:{quote.ask}"
        return TrailStop(
            account_id=account_id,
            command_id=trigger_command_id(account_id=account_id, what=what),
            actor=ACTOR,
            position_id=number,
            raw=quote,
        )
    return TriggerStop(
        account_id=account_id,
        command_id=trigger_command_id(account_id=account_id, what=f"position:{number}:stop"),
        actor=ACTOR,
        position_id=number,
        kind=OrderReason(entry.key.waiting.value),
        armed_price=entry.price,
        raw=quote,
        unwatched_ms=hit.unwatched_ms,
    )


class Dispatcher:
    """Takes hits from any thread; see the module. `ask` wants an account's rows read again."""

    def __init__(self, watch: Watch, *, ask: Ask, submit: Submit = executor.submit_all) -> None:
        self._watch = watch
        self._ask = ask
        self._submit = submit
        self._changed = threading.Condition()
        self._pending: list[tuple[int, Hit]] = []
        self._answered: deque[tuple[Hit, Future[Outcome]]] = deque()
        self._later: list[tuple[float, int, Hit, bool]] = []  # True: trading was stopped
        self._tries: dict[Key, int] = {}
        self._under_way = 0
        self._is_held_up = False
        self._paused_until = 0.0
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.counted = {"done": 0, "void": 0, "retried": 0}
        self.last_error = ""

    # -- for other threads

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._work, name="triggers-dispatch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Submit nothing more and end; what is under way is waited for a few seconds."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(STOP_WAIT_S)

    def offer(self, hits: list[Hit]) -> None:
        """Queue hits. Quick: the feed's thread calls it."""
        if not hits:
            return
        with self._changed:
            for hit in hits:
                heapq.heappush(self._pending, (hit.number, hit))
            self._changed.notify()

    def drop(self) -> None:
        """Forget what was not submitted: another one leads."""
        with self._changed:
            self._pending.clear()
            self._later.clear()
            self._tries.clear()

    @property
    def backlog(self) -> int:
        """How many hits are queued or under way."""
        return len(self._pending) + self._under_way

    def health(self) -> dict[str, Any]:
        """Return what is queued and what became of what was submitted."""
        return {
            "queued": len(self._pending),
            "in_flight": self._under_way,
            "waiting_to_retry": len(self._later),
            **self.counted,
            "last_error": self.last_error,
        }

    # -- the thread

    def _work(self) -> None:
        try:
            while self._wait():
                try:
                    self._deal_with_answers()
                    self._take_up_again()
                    self._submit_what_may()
                except Exception as error:
                    self.last_error = repr(error)
                    log.exception("triggers could not be dispatched")
                    time.sleep(PAUSE_S)
        finally:
            connection.close()

    def _wait(self) -> bool:
        """Wait until there is something to do; False: stop."""
        with self._changed:
            while not self._answered:
                if self._stopping:
                    return self._under_way > 0 and self._changed.wait(STOP_WAIT_S)
                now = time.monotonic()
                wait_s = 1.0
                if self._later:
                    wait_s = min(wait_s, self._later[0][0] - now)
                if self._pending and self._under_way < UNDER_WAY_MAX and not self._is_held_up:
                    wait_s = min(wait_s, self._paused_until - now)
                if wait_s <= 0:
                    break
                self._changed.wait(wait_s)
        return True

    def _submit_what_may(self) -> None:
        if self._stopping or self._is_held_up or time.monotonic() < self._paused_until:
            return
        while hits := self._next():
            try:
                futures = self._submit([command_of(hit) for hit in hits])
            except Busy:
                self.offer(hits)
                self._paused_until = time.monotonic() + PAUSE_S / 10
                return
            except Exception:
                self.offer(hits)  # nothing was taken; what went wrong is told by the thread's loop
                raise
            with self._changed:
                self._under_way += len(hits)
            for hit, future in zip(hits, futures, strict=True):
                future.add_done_callback(partial(self._take_answer, hit))

    def _next(self) -> list[Hit]:
        """Take the next hits of the present leadership, as many as may be submitted together."""
        hits: list[Hit] = []
        with self._changed:
            room = min(TOGETHER_MAX, settings.EXECUTOR_QUEUE_MAX, UNDER_WAY_MAX - self._under_way)
            while self._pending and len(hits) < room:
                _, hit = heapq.heappop(self._pending)
                if hit.term == self._watch.term:
                    hits.append(hit)
        return hits

    def _take_answer(self, hit: Hit, future: "Future[Outcome]") -> None:
        """Called in the executor's thread."""
        with self._changed:
            self._answered.append((hit, future))
            self._changed.notify()

    def _deal_with_answers(self) -> None:
        while True:
            with self._changed:
                if not self._answered:
                    break
                hit, future = self._answered.popleft()
                self._under_way -= 1
            self._deal_with(hit, future.exception())
        if self._is_held_up and not self._under_way:
            self._is_held_up = False
            self._paused_until = time.monotonic() + PAUSE_S

    def _deal_with(self, hit: Hit, error: BaseException | None) -> None:
        if error is None:
            self.counted["done"] += 1
            self._tries.pop(hit.entry.key, None)
            self.offer(self._watch.settle(hit, is_done=True)[1])
        elif isinstance(error, Unavailable):  # the same command again: it may even be booked already
            self.last_error = repr(error)
            self.counted["retried"] += 1
            self._is_held_up = True
            self.offer([hit])
        else:
            self._try_later(hit, error)

    def _try_later(self, hit: Hit, error: BaseException) -> None:
        """The account's rows say whether there is still something to do; until then it rests."""
        self.counted["void"] += 1
        if not isinstance(error, Conflict | NotFound):
            self.last_error = repr(error)
            if not isinstance(error, RtxError):
                log.error("trigger failed: %s", hit.entry.key, exc_info=error)
        self._ask(hit.entry.account_id)
        is_held = isinstance(error, TriggerHeld)
        same, hits = self._watch.settle(hit, is_done=False, is_held=is_held)
        if not same:
            self._tries.pop(hit.entry.key, None)
            self.offer(hits)
            return
        with self._changed:
            tries = self._tries[hit.entry.key] = self._tries.get(hit.entry.key, 0) + 1
            pause_s = min(RETRY_LAST_S, RETRY_FIRST_S * 2 ** min(tries - 1, 3))
            heapq.heappush(self._later, (time.monotonic() + pause_s, hit.number, hit, is_held))

    def _take_up_again(self) -> None:
        now = time.monotonic()
        while True:
            with self._changed:
                if not self._later or self._later[0][0] > now:
                    return
                _, _, hit, is_held = heapq.heappop(self._later)
            self.offer(self._watch.rearm(hit, is_held=is_held))
