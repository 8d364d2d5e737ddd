"""
Margin calls: brings crossings of the margin-call level to the executor, and keeps the row of each call.

A call (or its end) is a command with an id made of the account's `seq`, decided by the account book in
Decimal; its row is written in the same transaction. One thread per shard. Stop-outs go before calls: while
liquidations wait, calls do, and an account that is about to be stopped out is called only if that left it
low. Finds nothing itself: that is the portfolio.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

import structlog
from django.db import connection

from apps.risk.models import MarginCall
from apps.risk.services import liquidation
from apps.trading.domain.commands import CallMargin, Command, Outcome
from apps.trading.domain.margin_calls import MarginCallVoid
from apps.trading.services import executor
from apps.trading.services.batch import Effect
from apps.trading.services.executor import Busy
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Conflict, Unavailable

ACTOR = Actor.system("margin")
UNDER_WAY_MAX = 64
HELD_UP_MAX_S = 5.0  # so long calls wait for liquidations at most
LOOK_S = 0.05
REST_S = 0.25  # after an answer, until the journal has told of it or the level has really changed
PAUSE_S = 0.2
STOP_WAIT_S = 5.0

InCall = Callable[[Sequence[int]], set[int]]
Submit = Callable[[Sequence[Command], tuple[Effect, ...]], list["Future[Outcome]"]]

log = structlog.get_logger(__name__)


def command_id_of(account_id: int, *, seq: int, ends: bool) -> UUID:
    """Return the one command id of calling an account (or ending its call) as it stands after `seq`."""
    return uuid5(NAMESPACE_OID, f"rtx:margin_call:{account_id}:{seq}:{'ends' if ends else 'begins'}")


def keep(answered: list[tuple[Command, Outcome]]) -> None:
    """
    Write the rows of calls that begin and end: the effect of their commands, inside their transaction.

    :raises MarginCallVoid: the account is in a call already, or not in one; nothing is journaled then.
    """
    now = clock.now()
    ids = [command.account_id for command, _ in answered]
    rows = MarginCall.objects.filter(account_id__in=ids, cleared_at__isnull=True)
    open_calls = {call.account_id: call for call in rows}
    begun, ended = [], []
    for command, outcome in answered:
        told, call = outcome.payload, open_calls.get(command.account_id)
        if outcome.type == "margin_called":
            if call is not None:
                raise MarginCallVoid(f"Account {command.account_id} is in a margin call already.")
            begun.append(
                MarginCall(
                    account_id=command.account_id,
                    called_at=now,
                    level_pct=told["margin_level"],
                    equity=told["equity"],
                    margin=told["margin"],
                    called_seq=outcome.seq,
                )
            )
        else:
            if call is None:
                raise MarginCallVoid(f"Account {command.account_id} is in no margin call.")
            call.cleared_at, call.cleared_seq = now, outcome.seq
            call.cleared_level_pct = told["margin_level"]
            ended.append(call)
    MarginCall.objects.bulk_create(begun)
    MarginCall.objects.bulk_update(ended, ["cleared_at", "cleared_seq", "cleared_level_pct"])


def in_call(account_ids: Sequence[int]) -> set[int]:
    """Return those of the accounts whose margin call is open."""
    rows = MarginCall.objects.filter(account_id__in=account_ids, cleared_at__isnull=True)
    return set(rows.values_list("account_id", flat=True))


def _submitted(commands: Sequence[Command], effects: tuple[Effect, ...]) -> list["Future[Outcome]"]:
    return executor.submit_all(commands, effects=effects)


class Caller:
    """Takes crossings from any thread; see the module."""

    def __init__(
        self,
        *,
        submit: Submit = _submitted,
        backlog: Callable[[], int] = liquidation.backlog,
        is_closed_first: Callable[[int, int], bool] = liquidation.has,
        in_call: InCall = in_call,
    ) -> None:
        self._submit, self._backlog, self._in_call = submit, backlog, in_call
        self._is_closed_first = is_closed_first
        self._changed = threading.Condition()
        self._pending: dict[int, tuple[int, bool]] = {}  # account id -> seq, ends
        self._under_way: dict[int, float] = {}  # account id -> since when
        self._rests: dict[int, float] = {}
        self._answered: deque[tuple[CallMargin, Future[Outcome]]] = deque()
        self._held_up_since: float | None = None
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.counted = {"called": 0, "ended": 0, "void": 0, "failed": 0}
        self.last_error = ""

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._work, name="margin-calls", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Submit nothing more and end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(STOP_WAIT_S)

    def drop(self) -> None:
        """Forget what was not submitted: another one leads."""
        with self._changed:
            self._pending.clear()
            self._rests.clear()

    def offer(self, calls: Mapping[int, int], ends: Mapping[int, int]) -> None:
        """Queue accounts (id -> their last known event) whose call begins or ends. Quick."""
        if not calls and not ends:
            return
        now = time.monotonic()
        with self._changed:
            for found, is_end in ((calls, False), (ends, True)):
                for account_id, seq in found.items():
                    if account_id not in self._under_way and self._rests.get(account_id, 0.0) <= now:
                        self._pending[account_id] = (seq, is_end)
            self._changed.notify()

    def health(self) -> dict[str, Any]:
        """Return what is queued, under way and done."""
        return {"queued": len(self._pending), "in_flight": len(self._under_way), **self.counted}

    @property
    def oldest_s(self) -> float:
        """For how long the oldest call that is under way has waited for its answer."""
        with self._changed:
            return time.monotonic() - min(self._under_way.values()) if self._under_way else 0.0

    # -- the thread

    def _work(self) -> None:
        try:
            while self._wait():
                try:
                    self._deal_with_answers()
                    self._submit_what_may()
                except Exception as error:
                    self.last_error = repr(error)
                    log.exception("margin_calls_could_not_be_dispatched")
                    connection.close()
                    time.sleep(PAUSE_S)
        finally:
            connection.close()

    def _wait(self) -> bool:
        with self._changed:
            while not self._answered and not (self._pending and self._has_room()):
                if self._stopping:
                    return bool(self._under_way) and self._changed.wait(STOP_WAIT_S)
                self._changed.wait()
            if self._stopping:
                return bool(self._answered)
        return True

    def _has_room(self) -> bool:
        return len(self._under_way) < UNDER_WAY_MAX

    def _is_held_up(self) -> bool:
        """Tell whether liquidations go first; not for ever."""
        if not self._backlog():
            self._held_up_since = None
            return False
        if self._held_up_since is None:
            self._held_up_since = time.monotonic()
        return time.monotonic() - self._held_up_since < HELD_UP_MAX_S

    def _submit_what_may(self) -> None:
        if self._stopping or not self._pending:
            return
        if self._is_held_up():
            time.sleep(LOOK_S)
            return
        taken: dict[int, tuple[int, bool]] = {}
        with self._changed:
            while self._pending and len(self._under_way) + len(taken) < UNDER_WAY_MAX:
                account_id, crossing = self._pending.popitem()
                if not self._is_closed_first(account_id, crossing[0]):
                    taken[account_id] = crossing
            now = time.monotonic()
            self._under_way.update(dict.fromkeys(taken, now))
        try:
            commands = self._commands(taken)
            futures = self._submit(commands, (keep,)) if commands else []
        except BaseException as error:  # nothing is under way; the next look finds the accounts again
            with self._changed:
                for account_id in taken:
                    self._under_way.pop(account_id, None)
            if not isinstance(error, Busy):
                raise
            time.sleep(LOOK_S)
            return
        for command, future in zip(commands, futures, strict=True):
            future.add_done_callback(partial(self._take_answer, command))

    def _commands(self, taken: Mapping[int, tuple[int, bool]]) -> list[CallMargin]:
        """
        Make the commands of what is not so already.

        One that is would fail the transaction of its batch: that is left to races between engines.
        """
        called = self._in_call(list(taken)) if taken else set()
        connection.close()  # to the pool: there may be nothing to do for long
        until, commands = time.monotonic() + REST_S, []
        with self._changed:
            for account_id, (seq, ends) in taken.items():
                if (account_id in called) is ends:
                    command_id = command_id_of(account_id, seq=seq, ends=ends)
                    commands.append(
                        CallMargin(account_id=account_id, command_id=command_id, actor=ACTOR, ends=ends)
                    )
                else:
                    self.counted["void"] += 1
                    self._under_way.pop(account_id, None)
                    self._rests[account_id] = until
        return commands

    def _take_answer(self, command: CallMargin, future: "Future[Outcome]") -> None:
        """Called in the executor's thread."""
        with self._changed:
            self._answered.append((command, future))
            self._changed.notify()

    def _deal_with_answers(self) -> None:
        until = time.monotonic() + REST_S
        while True:
            with self._changed:
                if not self._answered:
                    return
                command, future = self._answered.popleft()
                self._under_way.pop(command.account_id, None)
                self._rests[command.account_id] = until
                if len(self._rests) > 10_000:
                    self._rests = {key: at for key, at in self._rests.items() if at > until - REST_S}
            error = future.exception()
            if error is None:
                self.counted["ended" if command.ends else "called"] += 1
            elif isinstance(error, Conflict):
                self.counted["void"] += 1
            else:
                self.counted["failed"] += 1
                self.last_error = repr(error)
                if not isinstance(error, Unavailable):
                    log.error("margin_call_failed", account_id=command.account_id, exc_info=error)
