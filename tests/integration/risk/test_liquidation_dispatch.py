"""The dispatcher: worst first, nobody twice, nothing dropped, and nothing for a deposed leader."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from apps.groups.models import TradingGroup
from apps.market.models import Symbol, TradingSession
from apps.market.services.leases import Lease
from apps.risk.services import liquidation, liquidation_dispatch, liquidation_queue
from apps.risk.services.liquidation_asks import WORST, Facts, Rank
from apps.risk.services.liquidation_dispatch import Dispatcher
from apps.risk.services.liquidation_queue import LiquidationQueueService, Openings, due
from apps.trading.domain.commands import Command, Outcome
from apps.trading.domain.stop_out import StopOutVoid
from apps.trading.selectors.markets import markets
from apps.trading.services.batch import Effect
from apps.trading.services.executor import Busy
from rtx.kernel import clock
from rtx.kernel.errors import Unavailable
from tests.factories import booked, rows
from tests.factories.rows import Holder
from tests.factories.stop_outs import crash, exposed, liquidations, open_alarms, queued
from tests.factories.triggering import eventually, feeding


class Executor:
    """Takes commands and answers when the test says so."""

    def __init__(self) -> None:
        self.taken: list[tuple[Command, Future[Outcome]]] = []
        self.refuses = 0

    def __call__(self, commands: Sequence[Command], effects: tuple[Effect, ...]) -> list[Future[Outcome]]:
        if self.refuses:
            self.refuses -= 1
            raise Busy
        made = [(command, Future[Outcome]()) for command in commands]
        self.taken += made
        return [future for _, future in made]

    @property
    def accounts(self) -> list[int]:
        return [command.account_id for command, _ in self.taken]


@pytest.fixture
def taking() -> Executor:
    return Executor()


@pytest.fixture
def dispatcher(taking: Executor, holders: list[Holder]) -> Iterator[Dispatcher]:
    made = Dispatcher(submit=taking)
    yield made
    for _, future in taking.taken:
        if not future.done():
            future.set_result(Outcome(seq=1, type="stopped_out", payload={}))
    made.stop()


@pytest.fixture
def holders(group: TradingGroup) -> list[Holder]:
    return [rows.make_holder(group=group, balance="0") for _ in range(3)]


@pytest.fixture
def real() -> Iterator[Dispatcher]:
    made = Dispatcher()
    yield made
    made.stop()


def offer(dispatcher: Dispatcher, *holders: Holder, **more: Any) -> None:
    ranks = {holder.id: Rank(float(number)) for number, holder in enumerate(holders)}
    dispatcher.offer(ranks, cause="monitor", **more)


def test_accounts_are_submitted_worst_first_and_none_twice(
    dispatcher: Dispatcher, taking: Executor, holders: list[Holder]
) -> None:
    one, two, three = holders

    offer(dispatcher, three, one)
    eventually(lambda: len(taking.taken) == 2)
    offer(dispatcher, three, one, two)
    eventually(lambda: len(taking.taken) == 3)

    assert taking.accounts == [three.id, one.id, two.id]
    assert dispatcher.health()["in_flight"] == 3


def test_a_later_list_of_a_few_changes_places_by_level_alone(
    dispatcher: Dispatcher, taking: Executor, holders: list[Holder]
) -> None:
    one, two, three = (holder.id for holder in holders)
    taking.refuses = 1_000_000
    dispatcher.offer({one: Rank(10.0), two: Rank(20.0), three: Rank(30.0)}, cause="monitor")
    dispatcher.offer({two: Rank(15.0)}, cause="monitor")
    dispatcher.offer({three: Rank(5.0, 7.0)}, cause="monitor")
    dispatcher.offer({one: Rank(5.0, 8.0)}, cause="monitor")
    eventually(lambda: dispatcher.health()["asked"] == 6)

    taking.refuses = 0

    eventually(lambda: len(taking.taken) == 3)
    assert taking.accounts == [three, one, two]


def test_a_void_answer_to_an_older_ask_is_asked_again(
    dispatcher: Dispatcher, taking: Executor, holders: list[Holder]
) -> None:
    offer(dispatcher, holders[0])
    eventually(lambda: len(taking.taken) == 1)
    offer(dispatcher, holders[0])  # on a newer price, while the first is being decided
    eventually(lambda: dispatcher.health()["asked"] == 2)

    taking.taken[0][1].set_exception(StopOutVoid())

    eventually(lambda: len(taking.taken) == 2)


def test_who_knows_no_more_than_before_the_stop_out_is_not_heard(
    dispatcher: Dispatcher, taking: Executor, holders: list[Holder]
) -> None:
    holder = holders[0]
    offer(dispatcher, holder, seqs={holder.id: 6})
    eventually(lambda: len(taking.taken) == 1)
    taking.taken[0][1].set_result(Outcome(seq=7, type="stopped_out", payload={}))
    eventually(lambda: dispatcher.health()["done"] == 1)
    assert (dispatcher.has(holder.id, seq=6), dispatcher.has(holder.id, seq=7)) == (True, False)

    offer(dispatcher, holder, seqs={holder.id: 6})
    eventually(lambda: dispatcher.health()["late"] == 1)
    assert len(taking.taken) == 1

    offer(dispatcher, holder, seqs={holder.id: 7})
    eventually(lambda: len(taking.taken) == 2)


@pytest.mark.parametrize("refusal", ["busy", "unavailable"])
def test_what_was_not_done_is_tried_again_under_the_same_id(
    dispatcher: Dispatcher, taking: Executor, holders: list[Holder], refusal: str
) -> None:
    if refusal == "busy":
        taking.refuses = 3
        offer(dispatcher, holders[0])
        eventually(lambda: len(taking.taken) == 1)
    else:
        offer(dispatcher, holders[0])
        eventually(lambda: len(taking.taken) == 1)
        taking.taken[0][1].set_exception(Unavailable())
        eventually(lambda: len(taking.taken) == 2)
        assert taking.taken[0][0].command_id == taking.taken[1][0].command_id


def test_an_account_that_waits_is_left_to_the_queue_until_it_is_urgent(
    real: Dispatcher, group: TradingGroup
) -> None:
    holder = exposed(group=group)
    crash()
    never = TradingSession.objects.create(name="Never", timezone="UTC")
    Symbol.objects.update(session=never)

    offer(real, holder)
    eventually(lambda: queued(holder))
    offer(real, holder)
    eventually(lambda: real.health()["asked"] == 2)
    assert real.health()["stuck"] == 1
    real.offer({holder.id: WORST}, cause="queue", is_urgent=True)

    eventually(lambda: real.health()["stuck"] == 2)
    assert open_alarms(holder) == ["liquidation_waits"]


def test_an_account_that_changes_while_it_waits_is_asked_for_again(
    real: Dispatcher, group: TradingGroup
) -> None:
    holder = exposed(group=group)
    crash()
    Symbol.objects.update(session=TradingSession.objects.create(name="Never", timezone="UTC"))
    seq = rows.state_of(holder)[3]
    offer(real, holder, seqs={holder.id: seq})
    eventually(lambda: queued(holder))

    offer(real, holder, seqs={holder.id: seq})
    eventually(lambda: real.health()["asked"] == 2)
    assert real.health()["stuck"] == 1

    offer(real, holder, seqs={holder.id: seq + 1})
    eventually(lambda: real.health()["stuck"] == 2)


def test_a_retry_of_a_queue_that_another_one_leads_closes_nothing(group: TradingGroup) -> None:
    holder = exposed(group=group)
    first, second = Lease("liquidation_queue"), Lease("liquidation_queue")
    assert first.renew()
    first.release()
    assert second.renew()
    crash()

    liquidation.retry({holder.id: WORST}, fence=first.fence)
    eventually(lambda: liquidation.health()["deposed"] == 1)
    assert liquidations(holder) == []

    liquidation.retry({holder.id: WORST}, fence=second.fence)
    eventually(lambda: len(liquidations(holder)) == 1)


def test_a_deposed_leader_closes_nothing_and_its_successor_once(
    real: Dispatcher, group: TradingGroup
) -> None:
    holder, other = exposed(group=group), exposed(group=group)
    first, second = Lease("margin:0"), Lease("margin:0")
    assert first.renew()
    crash()
    first.release()
    assert second.renew()

    offer(real, holder, other, fence=first.fence, shard="0")
    eventually(lambda: real.health()["deposed"] >= 1 and real.backlog == 0)
    assert (liquidations(holder), liquidations(other)) == ([], [])

    offer(real, holder, other, fence=second.fence, shard="0")
    eventually(lambda: real.health()["done"] == 2)
    assert [row.fence for row in [*liquidations(holder), *liquidations(other)]] == [second.fence] * 2
    assert booked.verified() > 0


def test_two_dispatchers_on_the_same_account_close_it_once(real: Dispatcher, group: TradingGroup) -> None:
    other = Dispatcher()
    made = [exposed(group=group) for _ in range(5)]
    crash()
    try:
        for dispatcher in (real, other):
            offer(dispatcher, *made)
        eventually(lambda: real.backlog == 0 and other.backlog == 0)
    finally:
        other.stop()

    assert [len(liquidations(holder)) for holder in made] == [1] * 5
    assert booked.verified() > 0


def test_a_lost_database_is_waited_for(real: Dispatcher, group: TradingGroup, monkeypatch: Any) -> None:
    holder = exposed(group=group)
    crash()
    failures = iter([True, True])
    read = liquidation_dispatch.facts_of

    def breaks(account_ids: Sequence[int]) -> dict[int, Facts]:
        if next(failures, False):
            raise connection.Database.OperationalError("gone")
        return read(account_ids)

    monkeypatch.setattr(liquidation_dispatch, "facts_of", breaks)
    offer(real, holder)

    eventually(lambda: len(liquidations(holder)) == 1)


# The queue


def test_the_queue_closes_when_the_market_opens(group: TradingGroup, monkeypatch: Any) -> None:
    monkeypatch.setattr(liquidation_queue, "LOOK_S", 0.05)
    holder = exposed(group=group)
    always = TradingSession.objects.get(name="Always")
    Symbol.objects.update(session=TradingSession.objects.create(name="Never", timezone="UTC"))
    crash()
    liquidation.ask({holder.id: WORST}, quote_time_ms=None, fence=0, shard=0)
    eventually(lambda: queued(holder))

    with feeding() as feed:
        service = LiquidationQueueService()
        feed.engine.services.append(service)
        service.start(feed.engine)
        eventually(lambda: service.health()["leading"])
        Symbol.objects.update(session=always)
        eventually(lambda: queued(holder) is None)

    [row] = liquidations(holder)
    assert row.cause == "queue"


def test_a_fresh_price_wakes_up_what_waits_for_one(group: TradingGroup) -> None:
    holder = exposed(group=group)
    rows.show({"EURUSD": ("1.00000", "1.00017")}, age_ms=3_600_000)
    liquidation.ask({holder.id: WORST}, quote_time_ms=None, fence=0, shard=0)
    row = eventually(lambda: queued(holder))
    openings, now = Openings(), row.tried_at
    assert due(now=now, views=markets(now=clock.now()), openings=openings) == {}

    crash()
    assert due(now=now, views=markets(now=clock.now()), openings=openings).keys() == {holder.id}
    assert due(now=now, views=markets(now=clock.now()), openings=openings) == {}  # once


def test_a_clock_that_was_set_back_delays_nothing(group: TradingGroup) -> None:
    holder = exposed(group=group)
    rows.show({"EURUSD": ("1.00000", "1.00017")}, age_ms=3_600_000)
    liquidation.ask({holder.id: WORST}, quote_time_ms=None, fence=0, shard=0)
    row = eventually(lambda: queued(holder))
    stepped = row.tried_at - 2 * liquidation_queue.PAUSE_BELIEVED

    assert due(now=stepped, views=markets(now=clock.now()), openings=Openings()).keys() == {holder.id}


def test_prices_from_another_time_close_nothing_until_the_clock_is_right(
    real: Dispatcher, group: TradingGroup, monkeypatch: Any
) -> None:
    holder = exposed(group=group)
    crash()
    right = clock.now
    with monkeypatch.context() as stepped:
        stepped.setattr(clock, "now", lambda: right() + liquidation_queue.PAUSE_BELIEVED * 10)
        offer(real, holder)
        row = eventually(lambda: queued(holder))
        assert row.reason == "off_quotes"

    real.offer({holder.id: WORST}, cause="queue", is_urgent=True)
    eventually(lambda: queued(holder) is None)
    assert len(liquidations(holder)) == 1
    assert rows.state_of(holder)[0] == Decimal(0)
