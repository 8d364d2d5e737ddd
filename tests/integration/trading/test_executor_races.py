"""Threads and processes race on one account, and connections break: money and ids stay exact."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from multiprocessing.connection import Connection

import psycopg
import pytest
from django.db import OperationalError, connection
from psycopg.errors import IdleInTransactionSessionTimeout

from apps.accounts.models import AccountEvent, AccountState
from apps.trading.domain.commands import Command, Outcome
from apps.trading.domain.orders import Side
from apps.trading.models import Deal, Order, Position
from apps.trading.selectors import verification
from apps.trading.services import executor
from apps.trading.services.batch import BatchRunner
from apps.trading.services.executor import Executor
from rtx.kernel.errors import Unavailable
from tests.factories import rows
from tests.factories.rows import Holder, close_order, market_order
from tests.factories.second_process import SecondProcess

D = Decimal
THREADS = 50


def _race(work, *, threads: int = THREADS):
    """Let threads begin at the same moment; return what each returned or raised."""
    gate = threading.Barrier(threads)

    def run(number: int):
        gate.wait(30)
        try:
            return work(number)
        except Exception as error:  # noqa: BLE001 - it is the result that the test looks at
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads)))


def _verified() -> int:
    """Derive all books again; return the number of events."""
    with verification.snapshot() as cursor:
        return verification.verify(cursor, verification.account_ids(cursor))


def _seqs(holder: Holder) -> list[int]:
    found = AccountEvent.objects.filter(account_id=holder.id).order_by("seq")
    return list(found.values_list("seq", flat=True))


def test_fifty_threads_never_overdraw_an_account(group):
    # A buy of 0.10 needs 110.02 of margin (110.017) and costs 1.70 of spread: after n of them free margin is
    # 1,000 - 1.70 n - 110.017 n, so exactly 8 fit.
    holder = rows.make_holder(group=group, balance="1000")

    outcomes = _race(lambda _: executor.run(market_order(holder, lots="0.10")))

    assert Counter(o.order.status if o.order else str(o) for o in outcomes) == {"filled": 8, "rejected": 42}
    assert {o.refusal for o in outcomes} == {None, "no_money"}
    state = AccountState.objects.get(account_id=holder.id)
    assert (state.balance, state.margin) == (D("1000"), D("880.14"))
    assert state.balance - 8 * D("1.70") - state.margin >= 0
    assert Position.objects.count() == 8
    assert _seqs(holder) == list(range(1, 53))
    _verified()


def test_fifty_threads_through_two_executors_never_overdraw_an_account(group):
    holder = rows.make_holder(group=group, balance="1000")
    both = (executor._executor, Executor())

    outcomes = _race(lambda n: both[n % 2].run(market_order(holder, lots="0.10")))

    assert Counter(o.order.status for o in outcomes) == {"filled": 8, "rejected": 42}
    assert _seqs(holder) == list(range(1, 53))
    _verified()


def test_fifty_threads_with_one_id_place_one_order(holder):
    outcomes = _race(lambda _: executor.run(market_order(holder, client_order_id="same")))

    assert Counter(o.repeated for o in outcomes) == {False: 1, True: 49}
    assert len({o.payload["order"]["id"] for o in outcomes}) == 1
    assert (Order.objects.count(), Deal.objects.count(), Position.objects.count()) == (1, 1, 1)
    assert _seqs(holder) == [1, 2, 3]


def test_fifty_threads_close_one_position_once(holder):
    position_id = executor.run(market_order(holder)).order.position_id

    outcomes = _race(lambda _: executor.run(close_order(holder, position_id)))

    kinds = Counter(getattr(o, "code", None) or o.order.status for o in outcomes)
    assert kinds == {"filled": 1, "position_not_found": 49}
    assert AccountState.objects.get(account_id=holder.id).balance == D("9998.30")
    _verified()


def test_fifty_threads_on_many_accounts_book_each_once(group):
    holders = [rows.make_holder(group=group) for _ in range(5)]

    outcomes = _race(lambda n: executor.run(market_order(holders[n % 5], client_order_id=f"r-{n // 5}")))

    assert all(o.order.status == "filled" for o in outcomes)
    assert [_seqs(holder)[-1] for holder in holders] == [12] * 5
    assert Order.objects.count() == 50
    _verified()


def test_a_book_that_another_executor_changed_is_read_again(holder):
    mine, theirs = executor._executor, Executor()
    first = mine.run(market_order(holder, lots="0.10"))
    second = theirs.run(market_order(holder, lots="0.20"))

    closed = mine.run(close_order(holder, second.order.position_id))
    gone = theirs.run(close_order(holder, first.order.position_id))

    assert (closed.order.status, closed.seq, gone.order.status, gone.seq) == ("filled", 5, "filled", 6)
    assert AccountState.objects.get(account_id=holder.id).balance == D("9994.90")  # 0.3 lots x 17 points
    _verified()


# --- two processes ---------------------------------------------------------------------------------------


def _work(pipe: Connection) -> None:
    """Run in a second process: place what the parent says, answer how it went."""
    for holder, name, lots in iter(pipe.recv, None):
        outcome = executor.run(market_order(holder, lots=lots, client_order_id=name))
        pipe.send((outcome.order.status if outcome.order else "repeated", outcome.repeated, outcome.seq))


@pytest.fixture
def other_process(holder: Holder):
    """A second process with its own executor on the same account; told (holder, id, lots)."""
    process = SecondProcess(f"{__name__}:_work")
    yield process
    process.close()


def test_two_processes_share_one_account(holder, other_process):
    for number in range(3):
        assert (
            executor.run(market_order(holder, lots="0.10", client_order_id=f"a{number}")).seq
            == 3 + number * 2
        )
        other_process.send((holder, f"b{number}", "0.20"))
        assert other_process.receive() == ("filled", False, 4 + number * 2)

    other_process.send((holder, "a0", "0.10"))
    assert other_process.receive() == ("repeated", True, 3)
    assert AccountState.objects.get(account_id=holder.id).margin == D("990.15")  # 0.9 lots x 1,100.17
    _verified()


def test_two_processes_race(holder, other_process):
    def theirs() -> list[tuple[str, bool, int]]:
        for number in range(20):
            other_process.send((holder, f"race-{number}", "0.01"))
        return [other_process.receive() for _ in range(20)]

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(theirs)
        mine = [
            executor.run(market_order(holder, lots="0.01", client_order_id=f"race-{number}"))
            for number in reversed(range(20))
        ]
        answered = running.result(60)

    first = [o.seq for o in mine if not o.repeated] + [seq for _, repeated, seq in answered if not repeated]
    assert sorted(first) == list(range(3, 23))  # each of the 20 ids was booked once, by whoever came first
    assert Order.objects.count() == 20
    assert _seqs(holder) == list(range(1, 23))
    _verified()


# --- lost connections ------------------------------------------------------------------------------------


def _end_other_backends(testbed) -> None:
    """Break every connection to the test's database but this one, as a restart of the server does."""
    database = connection.settings_dict["NAME"]
    with psycopg.connect(testbed.superuser_url, autocommit=True) as opened:
        opened.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [database]
        )


def test_a_connection_lost_between_batches_is_replaced(holder, testbed, caplog):
    executor.run(market_order(holder))
    _end_other_backends(testbed)
    connection.close()

    outcome = executor.run(market_order(holder))

    assert (outcome.order.status, outcome.seq) == ("filled", 4)
    _verified()


def test_a_connection_lost_before_the_commit_books_once(holder, testbed):
    calls = []

    def break_once(answered: list[tuple[Command, Outcome]]) -> None:
        [(_, outcome)] = answered
        calls.append(outcome.seq)
        if len(calls) == 1:
            _end_other_backends(testbed)

    command = market_order(holder)
    outcome = executor.submit(command, effects=(break_once,)).result(10)

    connection.close()
    assert (outcome.order.status, outcome.repeated, calls) == ("filled", False, [3, 3])
    assert Order.objects.count() == 1
    assert _seqs(holder) == [1, 2, 3]


@pytest.mark.parametrize("asks_on", [False, True], ids=["at the commit", "at the next statement"])
def test_a_transaction_that_the_server_ended_for_idleness_runs_again(holder, owner, asks_on):
    """A process that was frozen, for example: its accounts were let go, so nothing of the batch is booked."""
    calls = []

    def freeze_once(answered: list[tuple[Command, Outcome]]) -> None:
        calls.append([outcome.seq for _, outcome in answered])
        if len(calls) == 1:
            _wait_to_be_ended(owner)
            if asks_on:
                Order.objects.count()

    commands = [market_order(holder), market_order(holder)]
    first, second = (future.result(10) for future in executor.submit_all(commands, effects=(freeze_once,)))

    connection.close()
    assert calls == [[3, 4], [3, 4]]  # together again, not one by one
    assert (first.repeated, second.repeated, Order.objects.count()) == (False, False, 2)
    assert _seqs(holder) == [1, 2, 3, 4]
    _verified()


def _wait_to_be_ended(owner: psycopg.Connection) -> None:
    """Do nothing within this thread's transaction until the server ends it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_backend_pid(), set_config('idle_in_transaction_session_timeout', '1ms', true)"
        )
        pid = cursor.fetchone()[0]
    deadline = time.monotonic() + 10
    while owner.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone() != (0,):
        assert time.monotonic() < deadline
        threading.Event().wait(0.002)


def test_a_connection_lost_after_the_commit_answers_what_was_booked(monkeypatch, holder, testbed):
    run = BatchRunner.run
    lost = []

    def commit_then_lose(self: BatchRunner, submissions):
        written = run(self, submissions)
        if not lost:
            lost.append(True)
            self.committing = True  # the answer to COMMIT never came
            raise OperationalError("server closed the connection unexpectedly")
        return written

    monkeypatch.setattr(BatchRunner, "run", commit_then_lose)

    outcome = executor.run(market_order(holder))

    assert lost
    assert (outcome.repeated, outcome.seq, outcome.payload["order"]["status"]) == (True, 3, "filled")
    assert Order.objects.count() == 1
    _verified()


def test_a_commit_whose_answer_is_lost_and_a_database_that_stays_away_is_an_unknown_outcome(
    settings, monkeypatch, holder
):
    settings.EXECUTOR_RESULT_TIMEOUT_S = 1
    run = BatchRunner.run
    tries = []

    def commit_then_stay_away(self: BatchRunner, submissions):
        tries.append(True)
        if len(tries) == 1:
            run(self, submissions)
        self.committing = len(tries) == 1
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(BatchRunner, "run", commit_then_stay_away)
    command = market_order(holder)
    with pytest.raises(executor.OutcomeUnknown):
        executor.run(command)
    monkeypatch.undo()

    assert executor.run(command).repeated
    assert Order.objects.count() == 1


@pytest.mark.parametrize(
    ("error", "committing"),
    [(OperationalError("connection refused"), False), (IdleInTransactionSessionTimeout("idle"), True)],
    ids=["refused", "ended for idleness"],
)
def test_a_database_that_stays_away_before_any_commit_is_unavailable(
    settings, monkeypatch, holder, error, committing
):
    settings.EXECUTOR_RESULT_TIMEOUT_S = 1

    def away(self: BatchRunner, submissions):
        self.committing = committing
        raise error

    monkeypatch.setattr(BatchRunner, "run", away)
    with pytest.raises(Unavailable) as refused:
        executor.run(market_order(holder))
    monkeypatch.undo()

    assert (int(refused.value.status), refused.value.code) == (503, "unavailable")
    assert not Order.objects.exists()


def test_a_batch_that_breaks_and_then_loses_its_connection_still_books_each_once(
    monkeypatch, caplog, holder, testbed
):
    """After a rollback the batch runs one by one; a connection lost then costs no order its answer."""
    broken = []

    def explode(answered: list[tuple[Command, Outcome]]) -> None:
        raise ZeroDivisionError

    def break_once(answered: list[tuple[Command, Outcome]]) -> None:
        [(_, outcome)] = answered
        if len(broken) < 2:  # in the batch, and again when it runs alone
            broken.append(outcome.seq)
            _end_other_backends(testbed)

    with executor._executor._condition:
        good = executor.submit(market_order(holder), effects=(break_once,))
        bad = executor.submit(market_order(holder), effects=(explode,))
        last = executor.submit(market_order(holder, Side.SELL))

    assert good.result(10).order.status == "filled"
    with pytest.raises(ZeroDivisionError):
        bad.result(10)
    assert last.result(10).order.status == "filled"
    connection.close()
    assert Order.objects.count() == 2
    assert _seqs(holder) == [1, 2, 3, 4]
