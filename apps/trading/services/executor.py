"""
The executor: the one writer path of every account. One thread per process, started with the first command.

Commands that wait at the same moment share a transaction (natural group commit, no timer). A command's future
resolves after its commit, never before. Nothing here decides about orders or money: that is the account book.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

import psycopg
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from apps.trading.domain.commands import Command, Outcome
from apps.trading.services.batch import BatchRunner, Effect, Submission
from apps.trading.services.publisher import publisher
from rtx.kernel.actor import ActorKind
from rtx.kernel.errors import RtxError, Unavailable, refused_by_database

log = logging.getLogger(__name__)

RETRY_PAUSE_S = 0.1
SYSTEM_BATCHES = 2
DEADLOCKS_MAX = 3
LOST_CONNECTION = (  # Django's for its own statements, the driver's for those of the raw cursor
    OperationalError,
    InterfaceError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
)
ENDED_BY_SERVER = (  # the connection is gone and nothing was committed; the driver calls them internal errors
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.TransactionTimeout,
)


class Busy(Unavailable):
    """The executor's queue is full; nothing was accepted."""

    code = "busy"
    title = "Too many requests are waiting"


class OutcomeUnknown(Unavailable):
    """The answer did not arrive in time; repeat with the same id to learn it."""

    code = "outcome_unknown"
    title = "Outcome unknown: repeat with the same id"


class Executor:
    """Takes commands from any thread, runs them in batches, answers through futures."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._clients: deque[Submission] = deque()
        self._system: deque[Submission] = deque()
        self._thread: threading.Thread | None = None
        self._runner = BatchRunner()

    def submit(self, command: Command, *, effects: tuple[Effect, ...] = ()) -> Future[Outcome]:
        """
        Queue one command.

        :raises Busy: the queue is full.
        :raises RuntimeError: the caller holds an open transaction, so it would wait for itself.
        """
        return self._queue([Submission(command=command, effects=effects)])[0]

    def submit_all(
        self, commands: Sequence[Command], *, effects: tuple[Effect, ...] = ()
    ) -> list[Future[Outcome]]:
        """
        Queue commands of one kind of actor behind each other, all or none (see `submit`).

        :raises Busy: there is not room for all of them.
        """
        return self._queue([Submission(command=command, effects=effects) for command in commands])

    def _queue(self, submissions: list[Submission]) -> list[Future[Outcome]]:
        if connection.in_atomic_block:
            raise RuntimeError("a command cannot be submitted inside an open transaction")
        deadline = time.monotonic() + settings.EXECUTOR_RESULT_TIMEOUT_S
        for submission in submissions:
            submission.deadline = deadline
        is_system = submissions[0].command.actor.kind is ActorKind.SYSTEM
        lane = self._system if is_system else self._clients
        with self._condition:
            if len(lane) + len(submissions) > settings.EXECUTOR_QUEUE_MAX:
                raise Busy
            lane.extend(submissions)
            if self._thread is None or not self._thread.is_alive():
                self._start()
            self._condition.notify()
        return [submission.future for submission in submissions]

    def run(self, command: Command, *, effects: tuple[Effect, ...] = ()) -> Outcome:
        """
        Queue one command and wait for its outcome.

        :raises Unavailable: no answer in time, and the command was taken back: nothing is booked.
        :raises OutcomeUnknown: no answer in time; the command may still be booked.
        """
        future = self.submit(command, effects=effects)
        connection.close()  # to the pool: those who wait must not hold what the executor may need
        try:
            return future.result(settings.EXECUTOR_RESULT_TIMEOUT_S)
        except FutureTimeout:
            raise given_up(future) from None

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="rtx-executor", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while True:
            batch = self._take()
            try:
                self._process(batch)
            except Exception as error:
                log.exception("the executor could not process a batch of %s", len(batch))
                for submission in batch:
                    if not submission.future.done():
                        submission.future.set_exception(error)

    def _take(self) -> list[Submission]:
        """
        Wait for commands; take them in arrival order, clients and system in turn so that neither starves.

        While no client waits, a batch may be larger: bursts of triggers need fewer commits then.
        """
        with self._condition:
            while not self._clients and not self._system:
                self._condition.wait()
            batch: list[Submission] = []
            size = settings.EXECUTOR_BATCH_MAX
            if not self._clients:
                size *= SYSTEM_BATCHES
            while len(batch) < size and (self._clients or self._system):
                for lane in (self._clients, self._system):
                    if lane:
                        batch.append(lane.popleft())
            return batch

    def _process(self, batch: list[Submission]) -> None:
        """Run a batch to its end: every future that is still wanted gets its answer."""
        self._run_until_answered([s for s in batch if s.future.set_running_or_notify_cancel()])

    def _run_until_answered(self, waiting: list[Submission]) -> None:
        """Commit, or after a rollback run one by one, or answer that it cannot be done."""
        commit_tried, deadlocks = False, 0
        while waiting:
            try:
                written = self._runner.run(waiting)
            except Exception as error:  # noqa: BLE001 - it becomes the answer of the command at fault
                if _is_deadlock(error) and deadlocks < DEADLOCKS_MAX:
                    deadlocks += 1  # rolled back whole, and the other one has gone on
                    continue
                is_ended = isinstance(error.__cause__ or error, ENDED_BY_SERVER)
                if not is_ended and not isinstance(error, LOST_CONNECTION):
                    connection.close()
                    self._after_rollback(waiting, error)
                    return
                commit_tried = commit_tried or (self._runner.committing and not is_ended)
                waiting = self._after_lost_connection(waiting, error, unknown=commit_tried)
            else:
                for submission, failure in written.failures:
                    submission.future.set_exception(failure)
                for submission, outcome in written.answers:
                    submission.future.set_result(outcome)
                publisher().publish(written.events)
                return

    def _after_lost_connection(
        self, waiting: list[Submission], error: Exception, *, unknown: bool
    ) -> list[Submission]:
        """
        Drop the connection and give up on those whose time is over; the rest run again.

        Running again is safe even if the commit did happen: command ids are looked up under the lock first.
        """
        log.warning(
            "database connection lost, batch of %s runs again: %s", len(waiting), type(error).__name__
        )
        connection.close()
        self._runner.forget()
        now = time.monotonic()
        left = []
        for submission in waiting:
            if submission.deadline - now > settings.EXECUTOR_RESULT_TIMEOUT_S / 2:
                left.append(submission)
            else:
                submission.future.set_exception(
                    OutcomeUnknown() if unknown else Unavailable("The database cannot be reached.")
                )
        if left:
            time.sleep(RETRY_PAUSE_S)
        return left

    def _after_rollback(self, waiting: list[Submission], error: Exception) -> None:
        """A batch that broke runs again one by one, so that only the command at fault fails."""
        if len(waiting) == 1:
            refused = error if isinstance(error, RtxError) else refused_by_database(error)
            if refused is None:
                log.error("command failed: %s", waiting[0].command.command_id, exc_info=error)
            waiting[0].future.set_exception(refused or error)
            return
        for submission in waiting:
            self._run_until_answered([submission])


def _is_deadlock(error: BaseException) -> bool:
    return isinstance(error.__cause__ or error, psycopg.errors.DeadlockDetected)


_executor = Executor()


def _begin_anew_after_fork() -> None:
    """A child has none of its parent's threads, and must not use its books or the numbers it reserved."""
    global _executor
    _executor = Executor()


os.register_at_fork(after_in_child=_begin_anew_after_fork)


def given_up(future: Future[Outcome]) -> Unavailable:
    """Take back a command that waited too long; return what its caller may be told."""
    if future.cancel():
        return Unavailable("The request waited too long and was taken back; nothing was booked.")
    return OutcomeUnknown()


def submit(command: Command, *, effects: tuple[Effect, ...] = ()) -> Future[Outcome]:
    """Queue one command on this process's executor (see `Executor.submit`)."""
    return _executor.submit(command, effects=effects)


def submit_all(commands: Sequence[Command], *, effects: tuple[Effect, ...] = ()) -> list[Future[Outcome]]:
    """Queue commands on this process's executor (see `Executor.submit_all`)."""
    return _executor.submit_all(commands, effects=effects)


def run(command: Command, *, effects: tuple[Effect, ...] = ()) -> Outcome:
    """Run one command on this process's executor and wait for its outcome (see `Executor.run`)."""
    return _executor.run(command, effects=effects)
