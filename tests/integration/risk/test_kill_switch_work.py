"""The engine's work for kill switches when something comes in between: a release, a fault, a late request."""

from concurrent.futures import Future
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.market.models import EngineLease, TradingSession
from apps.risk.guards import KillSwitchGuard
from apps.risk.models import KillSwitch, RiskAlarm
from apps.risk.selectors import kill_switches
from apps.risk.services import control_absence, control_work, kill_switch, kill_switch_work
from apps.trading.models import Deal, Order, Position
from apps.trading.services import executor
from rtx.kernel import clock
from rtx.kernel.errors import Forbidden
from tests.factories.booked import verified
from tests.integration.risk.test_kill_switch import STAFF, anything, engage, settled, worker
from tests.integration.risk.test_kill_switch import busy as busy


def held() -> tuple[int, int]:
    return Order.objects.filter(status="working").count(), Position.objects.count()


def release(switch: KillSwitch) -> None:
    kill_switch.release(switch_id=switch.pk, reason="a mistake", actor=STAFF, may=anything)


# --- rights ----------------------------------------------------------------------------------------------


def test_what_is_done_to_a_switch_asks_for_the_right_of_its_scope(busy):
    platform, own = engage(), engage(kill_switch.Target(scope="account", account_id=busy[0].id))

    def dealer(right: str) -> bool:
        return right in {"risk.engage_killswitch", "risk.release_killswitch"}

    with pytest.raises(Forbidden, match="engage_platform_killswitch"):
        kill_switch.add_work(
            switch_id=platform.pk, cancels_orders=True, closes_positions=True, actor=STAFF, may=dealer
        )
    with pytest.raises(Forbidden, match="engage_platform_killswitch"):
        kill_switch.release(switch_id=platform.pk, reason="over", actor=STAFF, may=dealer)
    kill_switch.add_work(
        switch_id=own.pk, cancels_orders=True, closes_positions=False, actor=STAFF, may=dealer
    )
    kill_switch.release(switch_id=own.pk, reason="over", actor=STAFF, may=dealer)

    platform.refresh_from_db()
    assert (platform.is_on, platform.cancels_orders, platform.closes_positions) == (True, False, False)


# --- a release in between --------------------------------------------------------------------------------


def test_a_release_between_two_pages_ends_the_work(busy, monkeypatch):
    switch = engage(cancels_orders=True, closes_positions=True)
    monkeypatch.setattr(kill_switch_work, "TOGETHER", 1)
    looks = iter([True, True, True])  # the pass, the first order, the second order

    def may_act() -> bool:
        if next(looks, None) is None:
            release(switch)
        return True

    kill_switch_work.Worker(may_act=may_act).run()

    switch.refresh_from_db()
    assert (switch.orders_canceled, switch.positions_closed, held()) == (2, 0, (2, 4))
    assert (switch.work_done_at, switch.failures) == (None, 0)
    assert RiskAlarm.objects.filter(cleared_at__isnull=True).count() == 0
    assert verified() > 0


def test_what_waits_in_the_executor_when_it_is_released_is_not_booked(busy, monkeypatch):
    switch = engage(closes_positions=True)
    submit_all = executor.submit_all

    def released_meanwhile(commands: Any, *, effects: Any) -> Any:
        release(switch)
        return submit_all(commands, effects=effects)

    monkeypatch.setattr(executor, "submit_all", released_meanwhile)

    worker().run()

    assert (held(), KillSwitch.objects.get().positions_closed) == ((4, 4), 0)
    assert verified() > 0


def test_a_release_in_between_keeps_its_alarm_cleared(busy, symbols):
    TradingSession.objects.create(name="Closed", timezone="UTC")
    type(symbols["GBPUSD"]).objects.update(session=TradingSession.objects.get(name="Closed"))
    switch = engage(closes_positions=True)
    stale = KillSwitch.objects.get()
    release(switch)

    kill_switch_work._tell(stale, kill_switch_work.Pass(positions=kill_switch_work.Counter(off_quotes=4)))
    kill_switch_work._finish(stale, clock.now())

    switch.refresh_from_db()
    assert (switch.failures, switch.work_done_at) == (0, None)
    assert not RiskAlarm.objects.filter(cleared_at__isnull=True).exists()


# --- faults ----------------------------------------------------------------------------------------------


def test_one_broken_account_holds_nobody_up_and_is_told(busy, monkeypatch):
    switch = engage(cancels_orders=True, closes_positions=True)
    submit_all, tried = executor.submit_all, []

    def broken_for_one(commands: Any, *, effects: Any) -> list[Future[Any]]:
        answers = []
        for command in commands:
            if command.account_id == busy[0].id:
                failed: Future[Any] = Future()
                failed.set_exception(ZeroDivisionError("its rows are damaged"))
                answers.append(failed)
                tried.append(command)
            else:
                answers += submit_all([command], effects=effects)
        return answers

    monkeypatch.setattr(executor, "submit_all", broken_for_one)
    working = worker()

    working.run()
    working.run()

    switch.refresh_from_db()
    assert (switch.orders_canceled, switch.positions_closed, held()) == (2, 2, (2, 2))
    assert (switch.failures, switch.last_failure) == (4, "4 ZeroDivisionError")
    assert len(tried) == 4  # two orders, two symbols: the second pass lets the account be
    told = RiskAlarm.objects.get(subject__startswith="kill_switch:").message
    assert "2 orders cannot be canceled yet: 2 ZeroDivisionError. 2 positions cannot be closed yet" in told


def test_a_fault_of_a_pass_is_alarmed_and_the_next_pass_goes_on(db, monkeypatch):
    service = control_work.ControlService()
    service._lease.renew()
    monkeypatch.setattr(control_work, "BROKEN_S", 0)
    monkeypatch.setattr(control_work, "WORK_S", 0)
    seen = []

    class Broken:
        def run(self) -> int:
            seen.append(RiskAlarm.objects.filter(cleared_at__isnull=True).count())
            if len(seen) == 1:
                raise ZeroDivisionError
            if len(seen) == 3:
                service._stopping.set()
            return 0

    monkeypatch.setattr(service, "_worker", Broken())

    service._keep_working()

    assert seen == [0, 1, 0]
    assert RiskAlarm.objects.get().message.endswith("cancel and close nothing: ZeroDivisionError()")


# --- work that comes late --------------------------------------------------------------------------------


def test_work_that_was_added_while_a_pass_ran_is_not_lost(busy, monkeypatch):
    switch = engage(cancels_orders=True)
    worker().run()
    settled(switch)
    finish = kill_switch_work._finish

    def added_meanwhile(read: KillSwitch, now: Any) -> None:
        kill_switch.add_work(
            switch_id=switch.pk, cancels_orders=False, closes_positions=True, actor=STAFF, may=anything
        )
        finish(read, now)

    monkeypatch.setattr(kill_switch_work, "_finish", added_meanwhile)
    worker().run()
    monkeypatch.setattr(kill_switch_work, "_finish", finish)

    assert KillSwitch.objects.get().work_done_at is None
    assert worker().run() == 1
    assert held() == (0, 0)


def test_work_is_not_done_before_the_executor_gave_up_what_was_under_way(busy, settings):
    switch = engage(cancels_orders=True)
    worker().run()
    early = clock.now() - timedelta(seconds=settings.EXECUTOR_RESULT_TIMEOUT_S)
    KillSwitch.objects.filter(pk=switch.pk).update(engaged_at=early)

    worker().run()

    assert KillSwitch.objects.get().work_done_at is None


def test_an_engine_that_may_not_act_declares_nothing_done(busy):
    switch = settled(engage(cancels_orders=True))
    looks = iter([True])

    kill_switch_work.Worker(may_act=lambda: next(looks, False)).run()

    switch.refresh_from_db()
    assert (switch.work_done_at, held()) == (None, (4, 4))


# --- closed markets --------------------------------------------------------------------------------------


def test_what_is_closed_is_counted_without_reading_it_and_the_worker_rests(busy, symbols, monkeypatch):
    closed = TradingSession.objects.create(name="Closed", timezone="UTC")
    type(symbols["GBPUSD"]).objects.update(session=closed)
    switch = engage(closes_positions=True)
    reads: list[str] = []
    for name in ("held", "holdings"):
        real = getattr(kill_switches, name)
        monkeypatch.setattr(
            kill_switches,
            name,
            lambda *args, real=real, name=name, **given: reads.append(name) or real(*args, **given),
        )
    working = worker()

    assert [working.run() for _ in range(5)] == [1] * 5

    switch.refresh_from_db()
    assert (switch.failures, switch.last_failure) == (4, "4 market_closed")
    assert reads == ["held"]


# --- nobody works ----------------------------------------------------------------------------------------


def test_nobody_at_work_is_alarmed_until_somebody_leads(busy):
    assert control_absence.look() is False  # nothing to do
    engage(cancels_orders=True)
    assert control_absence.look() is True
    EngineLease.objects.create(name="controls", holder="one", expires_at=clock.now() - timedelta(seconds=11))
    assert control_absence.look() is True
    alarm = RiskAlarm.objects.get(subject="controls:silent")
    assert (alarm.cleared_at, "worked off kill switches for 11 s" in alarm.message) == (None, True)

    EngineLease.objects.update(expires_at=clock.now() + timedelta(seconds=6))

    assert control_absence.look() is False
    alarm.refresh_from_db()
    assert alarm.cleared_at is not None


def test_a_drill_that_fails_closes_what_it_opened(busy, monkeypatch):
    monkeypatch.setattr(KillSwitchGuard, "refusal", lambda *args: None)
    told = StringIO()

    with pytest.raises(CommandError, match="The drill failed"):
        call_command(
            "kill_switch", "drill", "--account", str(busy[0].login), "--reason", "quarterly", stdout=told
        )

    assert "was answered order_filled" in told.getvalue()
    assert "was closed again" in told.getvalue()
    assert (Position.objects.count(), Deal.objects.filter(entry="out").count()) == (4, 1)
    assert verified() > 0
