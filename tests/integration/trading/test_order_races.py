"""
Two commands about one order or position at the same moment, from threads and from processes: one of them
wins, the other is told so, and the journal tells which.
"""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from multiprocessing.connection import Connection
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from apps.trading.domain.commands import Command
from apps.trading.domain.orders import TimeInForce
from apps.trading.models import Deal, Order
from apps.trading.services import executor
from apps.trading.services.executor import Executor
from rtx.kernel import clock
from rtx.kernel.errors import RtxError
from tests.factories.booked import of, quoted, run, verified
from tests.factories.books import buy, buy_stop, cancel, close, expire, modify, trigger, trigger_stop
from tests.factories.rows import Holder, events_of
from tests.factories.second_process import SecondProcess

ROUNDS = 12  # the first two of each pair are no race: each side goes first once
WAIT_S = 20
GONE = {"order_not_working", "trigger_void", "position_not_found"}
STATUS = {
    "order_canceled": "canceled",
    "order_modified": "working",
    "order_filled": "filled",
    "order_expired": "expired",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """What one side was told: the event's type or the error's code."""

    said: str
    seq: int = 0
    repeated: bool = False


def ask(runner: Executor, command: Command) -> Reply:
    """Run a command and tell what came of it."""
    try:
        outcome = runner.run(command)
    except RtxError as error:
        return Reply(error.code)
    return Reply(outcome.type, outcome.seq, outcome.repeated)


# --- the pairs -------------------------------------------------------------------------------------------

Sides = tuple[int, Command, Command]


def reached() -> Any:
    return quoted("1.10500", "1.10517")


def placed(holder: Holder, **more: Any) -> tuple[int, Command]:
    """Place a buy stop; return its number and the command that sets it off."""
    number = run(holder, buy_stop("1.10500", lots="0.01", **more)).order.id
    return number, of(holder, trigger(number, "1.10500", reached()))


def cancel_and_trigger(holder: Holder) -> Sides:
    number, sets_off = placed(holder)
    return number, of(holder, cancel(number)), sets_off


def modify_and_fill(holder: Holder) -> Sides:
    number, sets_off = placed(holder)
    return number, of(holder, modify(number, price="1.20000")), sets_off


def expire_and_trigger(holder: Holder) -> Sides:
    """The clock jumps to and fro over the order's end while they race (see `_jumping_clock`)."""
    ends_at = clock.now() + timedelta(hours=1)
    number, sets_off = placed(holder, time_in_force=TimeInForce.GTD, expires_at=ends_at)
    return number, of(holder, expire(number)), sets_off


def two_triggers(holder: Holder) -> Sides:
    """As of two engines that both believe to lead, each with an id of its own."""
    number, sets_off = placed(holder)
    return number, sets_off, replace(sets_off, command_id=uuid4(), raw=quoted("1.10600", "1.10617"))


def one_trigger_twice(holder: Holder) -> Sides:
    """As of an engine and its successor: the same id, by another quote."""
    number, sets_off = placed(holder)
    return number, sets_off, replace(sets_off, raw=quoted("1.10600", "1.10617"))


PAIRS = (cancel_and_trigger, modify_and_fill, expire_and_trigger, two_triggers, one_trigger_twice)


def judge(holder: Holder, number: int, replies: tuple[Reply, Reply]) -> None:
    """One side won; its event is the order's only one since it was placed, and the row says the same."""
    winners = [reply for reply in replies if reply.said not in GONE and not reply.repeated]
    assert len(winners) == 1, replies
    (winner,) = winners
    for reply in replies:
        assert reply is winner or reply.said in GONE or (reply.repeated and reply.seq == winner.seq), replies
    told = [event for event in events_of(holder) if event.payload.get("order", {}).get("id") == number]
    assert [(event.type, event.seq) for event in told[1:]] == [(winner.said, winner.seq)]
    order = Order.objects.get(pk=number)
    assert order.status == STATUS[winner.said]
    assert Deal.objects.filter(order_id=number).count() == (winner.said == "order_filled")


# --- who races -------------------------------------------------------------------------------------------

_jumping = threading.Event()
_real_now = clock.now


def _now() -> datetime:
    """The present, or while the clock jumps perhaps two hours later."""
    late = _jumping.is_set() and random.random() < 0.5
    return _real_now() + timedelta(hours=2 if late else 0)


@contextmanager
def _jumping_clock(is_on: bool) -> Iterator[None]:
    if is_on:
        _jumping.set()
    yield
    _jumping.clear()


Side = Callable[[Command, bool], Reply]


def race(mine: Side, theirs: Side, pair: Sides, *, number: int, jumps: bool = False) -> tuple[Reply, Reply]:
    """Let both sides run their command at one moment; in rounds 0 and 1 one after the other."""
    _, first, second = pair
    gate = threading.Barrier(2)

    def go(side: Side, command: Command) -> Reply:
        gate.wait(WAIT_S)
        try:
            return side(command, jumps)
        finally:
            connection.close()

    with _jumping_clock(jumps):
        if number == 0:
            early = mine(first, jumps)
            return early, theirs(second, jumps)
        if number == 1:
            late = theirs(second, jumps)
            return mine(first, jumps), late
        with ThreadPoolExecutor(2) as pool:
            told = pool.submit(go, mine, first), pool.submit(go, theirs, second)
            return told[0].result(WAIT_S), told[1].result(WAIT_S)


def here(command: Command, jumps: bool = False) -> Reply:
    return ask(executor._executor, command)


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", _now)


@pytest.fixture
def elsewhere() -> Side:
    """A second executor in this process: only the database stands between the two."""
    second = Executor()
    return lambda command, jumps: ask(second, command)


def _work(pipe: Connection) -> None:
    """Run in a second process: what the parent sends, until it sends nothing."""
    clock.now = _now
    for command, jumps in iter(pipe.recv, None):
        with _jumping_clock(jumps):
            pipe.send(ask(executor._executor, command))


@pytest.fixture
def other_process(holder: Holder) -> Iterator[Side]:
    """A second process with its own executor, books and clock."""
    process = SecondProcess(f"{__name__}:_work")

    def there(command: Command, jumps: bool) -> Reply:
        process.send((command, jumps))
        reply = process.receive()
        assert isinstance(reply, Reply)
        return reply

    yield there
    process.close()


def every_race(holder: Holder, theirs: Side) -> None:
    for pair in PAIRS:
        for number in range(ROUNDS):
            sides = pair(holder)
            told = race(here, theirs, sides, number=number, jumps=pair is expire_and_trigger)
            judge(holder, sides[0], told)
    verified()


def test_two_threads_of_one_process_have_one_winner(holder):
    every_race(holder, here)


def test_two_executors_have_one_winner(holder, elsewhere):
    every_race(holder, elsewhere)


def test_two_processes_have_one_winner(holder, other_process):
    every_race(holder, other_process)


# --- positions -------------------------------------------------------------------------------------------


def every_close(holder: Holder, theirs: Side) -> None:
    for number in range(ROUNDS):
        opened = run(holder, buy("EURUSD", lots="0.01", stop_loss=Decimal("1.09000"))).order.position_id
        stop = of(holder, trigger_stop(opened, "1.09000", quoted("1.08900", "1.08917")))

        told = race(here, theirs, (opened, of(holder, close(opened)), stop), number=number)

        assert sorted(reply.said in GONE for reply in told) == [False, True], told
        by_client = told[0].said == "order_filled"
        deal = Deal.objects.get(position_id=opened, entry="out")
        assert (deal.order.reason, deal.price) == (
            ("client", Decimal("1.10000")) if by_client else ("stop_loss", Decimal("1.08900"))
        )
        if number < 2:
            assert by_client is (number == 0)
    verified()


def test_a_close_and_a_stop_loss_in_two_executors_close_once(holder, elsewhere):
    every_close(holder, elsewhere)


def test_a_close_and_a_stop_loss_in_two_processes_close_once(holder, other_process):
    every_close(holder, other_process)


def test_many_triggers_of_one_order_fill_it_once(holder):
    threads = 16
    number, sets_off = placed(holder)
    runners = [executor._executor, Executor()]
    gate = threading.Barrier(threads)

    def go(turn: int) -> Reply:
        gate.wait(WAIT_S)
        try:
            return ask(runners[turn % 2], replace(sets_off, command_id=uuid4()))
        finally:
            connection.close()

    with ThreadPoolExecutor(threads) as pool:
        told = list(pool.map(go, range(threads)))

    assert sorted(reply.said for reply in told) == ["order_filled", *["trigger_void"] * (threads - 1)]
    assert Deal.objects.filter(order_id=number).count() == 1
    verified()
