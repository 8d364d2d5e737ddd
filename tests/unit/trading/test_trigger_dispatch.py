"""Hits become commands in order; what fails goes again, first, and what is void rests."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import time_machine

from apps.groups.domain.terms import resolve
from apps.market.domain.quotes import Quote
from apps.trading.domain import triggers
from apps.trading.domain.commands import (
    Command,
    ExpireOrder,
    Outcome,
    TrailStop,
    TriggerOrder,
    TriggerStop,
)
from apps.trading.domain.orders import OrderReason, OrderType, Side
from apps.trading.domain.triggers import (
    Entry,
    GuardedPosition,
    Key,
    TriggerHeld,
    TriggerVoid,
    Waiting,
    WaitingOrder,
)
from apps.trading.services import trigger_dispatch
from apps.trading.services.executor import Busy
from apps.trading.services.trigger_dispatch import Dispatcher, command_of
from apps.trading.services.trigger_watch import Change, Hit, Watch
from rtx.kernel import clock
from rtx.kernel.errors import Unavailable
from tests.factories.books import GROUP, SYMBOLS

D = Decimal
TERMS = resolve(symbol=SYMBOLS["EURUSD"], group=GROUP, override=None, version=1)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
QUOTE = Quote("EURUSD", D("1.09000"), D("1.09010"), 1)


def sell_stop(number: int, price: str = "1.09500", **more: Any) -> Entry:
    order = WaitingOrder(
        id=number,
        account_id=7,
        side=Side.SELL,
        waits_as=OrderType.STOP,
        waits_for=D(price),
        **more,
    )
    return triggers.of_order(order, TERMS)


def hit_of(entry: Entry, *, number: int = 1, term: int = 1, quote: Quote | None = QUOTE) -> Hit:
    return Hit(number, term, entry, quote, 0, 5)


class Exchange:
    """Takes commands in place of the executor; the test answers them."""

    def __init__(self) -> None:
        self.taken: list[tuple[Command, Future[Outcome]]] = []
        self.room = 10_000

    def submit(self, commands: list[Command]) -> "list[Future[Outcome]]":
        if len(self.taken) + len(commands) > self.room:
            raise Busy
        made: list[Future[Outcome]] = [Future() for _ in commands]
        self.taken += zip(commands, made, strict=True)
        return made

    def ids(self) -> list[int]:
        return [command.order_id for command, _ in self.taken]  # type: ignore[attr-defined]


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


@pytest.fixture
def asked() -> list[int]:
    """The accounts whose rows are to be read again."""
    return []


@pytest.fixture
def watch() -> Watch:
    """A watch that leads, with EURUSD always open."""
    made = Watch()
    made.begin(specs={"EURUSD": SYMBOLS["EURUSD"]}, watched={})
    made.open()
    return made


@pytest.fixture
def dispatcher(
    watch: Watch, exchange: Exchange, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Dispatcher]:
    """A running dispatcher with short pauses."""
    monkeypatch.setattr(trigger_dispatch, "PAUSE_S", 0.01)
    monkeypatch.setattr(trigger_dispatch, "RETRY_FIRST_S", 0.05)
    monkeypatch.setattr(trigger_dispatch, "STOP_WAIT_S", 0.2)
    monkeypatch.setattr(trigger_dispatch, "connection", NoConnection())
    made = Dispatcher(watch, ask=asked.append, submit=exchange.submit)
    made.start()
    yield made
    made.stop()


class NoConnection:
    """These tests have no database."""

    def close(self) -> None:
        """Nothing to give back."""


def eventually(check: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not check():
        assert time.monotonic() < deadline
        threading.Event().wait(0.002)


def armed(watch: Watch, *entries: Entry) -> None:
    assert watch.update({7: {entry.key: entry for entry in entries}}) == []


def done() -> Outcome:
    return Outcome(seq=1, type="order_filled", payload={})


HELD = GuardedPosition(id=5, account_id=7, side=Side.BUY, stop_loss=D(1))


@pytest.mark.parametrize(
    ("entry", "kind"),
    [(sell_stop(5), TriggerOrder), (next(triggers.of_position(HELD, TERMS)), TriggerStop)],
)
def test_command_carries_the_armed_price_the_quote_and_the_gap(entry, kind):
    command = command_of(hit_of(entry))

    assert type(command) is kind
    assert (command.armed_price, command.raw, command.unwatched_ms) == (entry.price, QUOTE, 5)
    assert command.actor.as_text() == "system:triggers"


def test_stop_names_what_it_is():
    held = GuardedPosition(id=5, account_id=7, side=Side.BUY, stop_loss=D(1), take_profit=D(2))

    commands = [command_of(hit_of(entry)) for entry in triggers.of_position(held, TERMS)]

    assert [command.kind for command in commands] == [OrderReason.STOP_LOSS, OrderReason.TAKE_PROFIT]
    assert len({command.command_id for command in commands}) == 1  # it closes once, for whichever reason


def test_each_thing_that_can_happen_once_has_one_id():
    fill = sell_stop(5)
    later = replace(QUOTE, time_ms=2)
    trail = triggers.of_position(GuardedPosition(id=5, account_id=7, side=Side.BUY, trailing_points=9), TERMS)
    pulled = next(trail)

    ids = [
        command_of(hit_of(fill)).command_id,
        command_of(hit_of(replace(fill, activates=True))).command_id,
        command_of(hit_of(fill, quote=None)).command_id,
        command_of(hit_of(pulled)).command_id,
        command_of(hit_of(pulled, quote=later)).command_id,
    ]

    assert len(set(ids)) == 5
    assert command_of(hit_of(fill, quote=later)).command_id == ids[0]
    assert type(command_of(hit_of(fill, quote=None))) is ExpireOrder
    assert type(command_of(hit_of(pulled))) is TrailStop


def test_hits_are_submitted_in_the_order_of_their_numbers(dispatcher, watch, exchange):
    armed(watch, *(sell_stop(n, price) for n, price in ((1, "1.094"), (2, "1.096"), (3, "1.095"))))

    dispatcher.offer(watch.on_ticks([QUOTE]))

    eventually(lambda: len(exchange.taken) == 3)
    assert exchange.ids() == [2, 3, 1]


def test_answered_hit_is_gone(dispatcher, watch, exchange):
    armed(watch, sell_stop(1))
    dispatcher.offer(watch.on_ticks([QUOTE]))
    eventually(lambda: exchange.taken)

    exchange.taken[0][1].set_result(done())

    eventually(lambda: dispatcher.health()["done"] == 1)
    assert watch.counts()["held"] == watch.counts()["armed"] == 0
    assert watch.on_ticks([QUOTE]) == []


def test_full_executor_is_waited_for_without_losing_the_order(dispatcher, watch, exchange):
    exchange.room = 0
    armed(watch, *(sell_stop(n) for n in (1, 2, 3)))
    dispatcher.offer(watch.on_ticks([QUOTE]))
    eventually(lambda: dispatcher._paused_until)

    exchange.room = 10

    eventually(lambda: len(exchange.taken) == 3)
    assert exchange.ids() == [1, 2, 3]


def test_what_an_outage_failed_goes_again_first_with_the_same_command(
    dispatcher, watch, exchange, monkeypatch
):
    monkeypatch.setattr(trigger_dispatch, "UNDER_WAY_MAX", 2)
    armed(watch, *(sell_stop(n) for n in (1, 2, 3)))
    dispatcher.offer(watch.on_ticks([QUOTE]))
    eventually(lambda: len(exchange.taken) == 2)
    first, second = exchange.taken

    second[1].set_exception(Unavailable())
    eventually(lambda: dispatcher.health()["retried"] == 1)
    assert len(exchange.taken) == 2  # the third waits for what is under way
    first[1].set_exception(Unavailable())

    eventually(lambda: len(exchange.taken) == 4)
    assert exchange.ids() == [1, 2, 1, 2]
    assert [command for command, _ in exchange.taken[2:]] == [first[0], second[0]]


def test_void_trigger_rests_and_its_account_is_read_again(dispatcher, watch, exchange, asked):
    armed(watch, sell_stop(1))
    dispatcher.offer(watch.on_ticks([QUOTE]))
    eventually(lambda: exchange.taken)
    started = time.monotonic()

    exchange.taken[0][1].set_exception(TriggerVoid())

    eventually(lambda: len(exchange.taken) == 2)  # the price still is where it was
    assert time.monotonic() - started >= 0.05
    assert asked == [7]
    assert dispatcher.health()["void"] == 1


@pytest.mark.parametrize("present", ["1.09900", "1.09400"], ids=["recovered", "still there"])
def test_an_order_held_by_a_breaker_is_tried_at_the_present_price_alone(
    dispatcher, watch, exchange, monkeypatch, present
):
    now_ms = [1_000_000]
    monkeypatch.setattr(clock, "now_ms", lambda: now_ms[0])
    armed(watch, sell_stop(1))
    dispatcher.offer(watch.on_ticks([QUOTE]))
    eventually(lambda: exchange.taken)
    passed, latest = (Quote("EURUSD", D(bid), D(bid), 2) for bid in ("1.09300", present))
    for quote in (passed, latest):
        now_ms[0] += 100
        assert watch.on_ticks([quote]) == []  # it is under way

    exchange.taken[0][1].set_exception(TriggerHeld())

    eventually(lambda: watch.counts()["armed"] or len(exchange.taken) == 2)
    tried = [command.raw for command, _ in exchange.taken]
    assert tried == ([QUOTE] if present == "1.09900" else [QUOTE, latest])


def test_void_trigger_whose_order_changed_meanwhile_waits_for_the_new_price_at_once(
    dispatcher, watch, exchange
):
    armed(watch, sell_stop(1))
    dispatcher.offer(watch.on_ticks([QUOTE]))
    eventually(lambda: exchange.taken)
    armed(watch, sell_stop(1, "1.08000"))
    assert watch.counts()["armed"] == 0  # not before its answer

    exchange.taken[0][1].set_exception(TriggerVoid())

    eventually(lambda: watch.counts()["armed"] == 1)
    assert watch.counts()["held"] == 0


def test_hits_of_an_earlier_leadership_are_dropped(dispatcher, watch, exchange):
    armed(watch, sell_stop(1))
    hits = watch.on_ticks([QUOTE])
    watch.end()

    dispatcher.offer(hits)

    eventually(lambda: dispatcher.health()["queued"] == 0)
    assert exchange.taken == []


def test_order_whose_time_is_over_ends_once_and_is_not_reached(watch):
    entry = sell_stop(1, expires_at=LONG_AGO)
    armed(watch, entry)

    assert watch.on_ticks([QUOTE]) == []
    assert [hit.entry.key for hit in watch.ended(LONG_AGO)] == [Key(Waiting.ORDER, 1)]
    assert watch.ended(LONG_AGO) == []


def test_what_was_tried_in_vain_is_held_against_the_ticks_that_came_while_it_rested(watch):
    def tick(bid: str, time_ms: int) -> list[Hit]:
        return watch.on_ticks([Quote("EURUSD", D(bid), D(bid), time_ms)])

    armed(watch, sell_stop(1))
    with time_machine.travel(LONG_AGO, tick=False) as clock_now:
        (hit,) = tick("1.09400", 1)
        assert watch.settle(hit, is_done=False) == (True, [])  # void: it lacked a rate
        clock_now.shift(0.3)
        assert tick("1.09300", 2) == []
        clock_now.shift(0.3)
        assert tick("1.09900", 3) == []
        clock_now.shift(0.4)

        (again,) = watch.rearm(hit)

    assert again.quote == Quote("EURUSD", D("1.09300"), D("1.09300"), 2)


@pytest.mark.parametrize("price", ["1.09500", "1.09600"], ids=["unchanged", "changed meanwhile"])
def test_prices_that_passed_while_trading_was_stopped_do_not_count_for_what_waited(watch, price):
    def tick(bid: str, time_ms: int) -> list[Hit]:
        return watch.on_ticks([Quote("EURUSD", D(bid), D(bid), time_ms)])

    armed(watch, sell_stop(1))
    with time_machine.travel(LONG_AGO, tick=False) as clock_now:
        (hit,) = tick("1.09400", 1)
        assert watch.settle(hit, is_done=False, is_held=True) == (True, [])
        changed_at = Change(clock.now_ms())
        watch.update({7: {hit.entry.key: sell_stop(1, price)}}, changes={7: lambda entry: changed_at})
        clock_now.shift(0.3)
        assert tick("1.09300", 2) == []
        clock_now.shift(0.3)
        assert tick("1.09900", 3) == []
        clock_now.shift(0.4)

        assert watch.rearm(hit, is_held=True) == []
        assert watch.counts()["armed"] == 1
        (later,) = tick("1.09500", 4)

    assert (later.quote.time_ms, later.entry.price) == (4, D(price))


def test_what_trading_was_stopped_for_is_tried_at_once_when_the_present_price_still_reaches_it(watch):
    armed(watch, sell_stop(1))
    with time_machine.travel(LONG_AGO, tick=False) as clock_now:
        (hit,) = watch.on_ticks([QUOTE])
        watch.settle(hit, is_done=False, is_held=True)
        for time_ms, bid in ((2, "1.09300"), (3, "1.09450")):
            clock_now.shift(0.3)
            assert watch.on_ticks([Quote("EURUSD", D(bid), D(bid), time_ms)]) == []

        (again,) = watch.rearm(hit, is_held=True)

    assert again.quote == Quote("EURUSD", D("1.09450"), D("1.09450"), 3)


def test_an_order_changed_before_the_stop_is_told_waits_for_prices_yet_to_come(watch):
    armed(watch, sell_stop(1))
    with time_machine.travel(LONG_AGO, tick=False) as clock_now:
        (hit,) = watch.on_ticks([QUOTE])
        changed_at = Change(clock.now_ms())
        changed = {hit.entry.key: sell_stop(1, "1.09600")}
        watch.update({7: changed}, changes={7: lambda entry: changed_at})
        for time_ms, bid in ((2, "1.09300"), (3, "1.09900")):
            clock_now.shift(0.3)
            watch.on_ticks([Quote("EURUSD", D(bid), D(bid), time_ms)])

        assert watch.settle(hit, is_done=False, is_held=True) == (False, [])

    assert watch.counts()["armed"] == 1


def test_rows_read_before_an_order_was_filled_do_not_bring_it_back(watch):
    armed(watch, sell_stop(1))
    watch.begin_reading()
    stale = {7: {Key(Waiting.ORDER, 1): sell_stop(1)}}
    hit = watch.on_ticks([QUOTE])[0]
    watch.settle(hit, is_done=True)

    assert watch.update(stale) == []
    assert watch.counts()["armed"] == 0
