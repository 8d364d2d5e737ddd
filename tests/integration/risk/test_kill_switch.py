"""Kill switches: engaging and releasing, the engine's work from the row, the command, another process."""

import os
import subprocess
import sys
import time
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.groups.models import TradingGroup
from apps.market.models import TradingSession
from apps.risk.models import ControlsVersion, KillSwitch, RiskAlarm
from apps.risk.services import alarms, kill_switch, kill_switch_work
from apps.risk.services.kill_switch import AlreadyEngaged, NotEngaged, Target, TargetInvalid
from apps.trading.domain.orders import OrderType, Side
from apps.trading.models import Deal, Order, Position
from apps.trading.services import executor
from rtx.kernel import clock
from rtx.kernel.actor import Actor, ActorKind
from tests.factories import rows
from tests.factories.booked import verified
from tests.factories.rows import Holder, market_order
from tests.factories.triggering import pending

D = Decimal
STAFF = Actor(kind=ActorKind.STAFF, name="user:7", request_id="r-1")
PLATFORM = Target(scope="platform")


def anything(right: str) -> bool:
    return True


def engage(target: Target = PLATFORM, **work: bool) -> KillSwitch:
    return kill_switch.engage(target=target, reason="test", actor=STAFF, **work)


def worker() -> kill_switch_work.Worker:
    return kill_switch_work.Worker(may_act=lambda: True)


def settled(switch: KillSwitch) -> KillSwitch:
    """Age a switch so that its work may end, and return it as it is."""
    KillSwitch.objects.filter(pk=switch.pk).update(engaged_at=clock.now() - kill_switch_work.settles())
    switch.refresh_from_db()
    return switch


@pytest.fixture
def busy(holder: Holder, group) -> list[Holder]:
    """Two accounts, each with two positions and two working orders on EURUSD and GBPUSD."""
    holders = [holder, rows.make_holder(group=group)]
    for one in holders:
        for symbol, price in (("EURUSD", "1.09000"), ("GBPUSD", "1.24000")):
            executor.run(market_order(one, symbol=symbol))
            executor.run(pending(one, Side.BUY, OrderType.LIMIT, price, symbol=symbol))
    return holders


def run(*args: str, **options: Any) -> str:
    out = StringIO()
    call_command("kill_switch", *args, stdout=out, **options)
    return out.getvalue()


# --- the row ---------------------------------------------------------------------------------------------


def test_a_switch_tells_who_when_and_why_and_raises_an_alarm(holder):
    version = ControlsVersion.objects.get().version

    switch = engage(Target(scope="account", account_id=holder.id))

    assert (switch.engaged_by, switch.reason, switch.request_id) == ("staff:user:7", "test", "r-1")
    assert ControlsVersion.objects.get().version == version + 1
    alarm = RiskAlarm.objects.get()
    assert (alarm.kind, alarm.severity, alarm.account_id) == ("kill_switch", "critical", holder.id)
    kill_switch.release(switch_id=switch.pk, reason="over", actor=STAFF, may=anything)
    alarm.refresh_from_db()
    assert alarm.cleared_at is not None
    switch.refresh_from_db()
    assert (switch.released_by, switch.release_reason, switch.is_on) == ("staff:user:7", "over", False)


def test_a_switch_and_its_alarm_come_together_so_that_no_release_comes_between(owner, monkeypatch):
    raised = alarms.raise_alarm
    seen_by_others: list[int] = []

    def look_and_raise(**told: Any) -> bool:
        seen_by_others.append(owner.execute("SELECT count(*) FROM risk_killswitch").fetchone()[0])
        return raised(**told)

    monkeypatch.setattr(alarms, "raise_alarm", look_and_raise)

    engage()

    assert (seen_by_others, KillSwitch.objects.count(), RiskAlarm.objects.count()) == ([0], 1, 1)


def test_the_alarm_of_a_group_that_was_renamed_meanwhile_ends_with_the_release(group):
    switch = engage(Target(scope="group", group_id=group.pk))
    assert RiskAlarm.objects.get().message == f"Trading was stopped (group {group.name}): test"
    TradingGroup.objects.filter(pk=group.pk).update(name="renamed")

    kill_switch.release(switch_id=switch.pk, reason="over", actor=STAFF, may=anything)

    assert RiskAlarm.objects.get().cleared_at is not None


def test_a_scope_is_stopped_once(holder):
    switch = engage()
    with pytest.raises(AlreadyEngaged):
        engage()
    kill_switch.release(switch_id=switch.pk, reason="over", actor=STAFF, may=anything)
    with pytest.raises(NotEngaged):
        kill_switch.release(switch_id=switch.pk, reason="over", actor=STAFF, may=anything)
    engage()


@pytest.mark.parametrize(
    "target",
    [
        Target(scope="platform", group_id=1),
        Target(scope="group"),
        Target(scope="symbol", symbol_id=1, account_id=1),
        Target(scope="planet"),
        Target(scope="account", account_id=999_999),
    ],
)
def test_a_target_must_fit_its_scope(db, target):
    with pytest.raises(TargetInvalid):
        engage(target)


# --- the engine's work -----------------------------------------------------------------------------------


def test_the_engine_cancels_and_closes_what_the_row_asks_for(busy):
    switch = engage(cancels_orders=True, closes_positions=True)
    working = worker()

    working.run()
    assert (Order.objects.filter(status="working").count(), Position.objects.count()) == (0, 0)
    settled(switch)
    assert working.run() == 1  # sees that nothing is left
    assert working.run() == 0

    switch.refresh_from_db()
    assert (switch.orders_canceled, switch.positions_closed, switch.failures) == (4, 4, 0)
    assert switch.work_done_at is not None
    assert verified() > 0


@pytest.mark.parametrize(
    ("scope", "orders_left", "positions_left"), [("account", 2, 2), ("symbol", 2, 2), ("group", 0, 0)]
)
def test_the_work_stays_within_its_scope(busy, group, symbols, scope, orders_left, positions_left):
    target = {
        "account": Target(scope="account", account_id=busy[0].id),
        "symbol": Target(scope="symbol", symbol_id=symbols["EURUSD"].pk),
        "group": Target(scope="group", group_id=group.pk),
    }[scope]
    engage(target, cancels_orders=True, closes_positions=True)

    worker().run()

    assert Order.objects.filter(status="working").count() == orders_left
    assert Position.objects.count() == positions_left


def test_without_being_asked_nothing_is_canceled_or_closed(busy):
    engage()

    assert worker().run() == 0
    assert (Order.objects.filter(status="working").count(), Position.objects.count()) == (4, 4)


def test_work_may_be_asked_for_later(busy):
    switch = engage(cancels_orders=True)
    worker().run()
    assert Position.objects.count() == 4

    kill_switch.add_work(
        switch_id=switch.pk, cancels_orders=False, closes_positions=True, actor=STAFF, may=anything
    )
    worker().run()

    assert Position.objects.count() == 0


def test_a_closed_market_is_told_and_tried_again(busy, symbols):
    closed = TradingSession.objects.create(name="Closed", timezone="UTC")
    symbol = symbols["GBPUSD"]
    symbol.session = closed
    symbol.save()
    switch = engage(closes_positions=True)
    working = worker()

    working.run()
    switch.refresh_from_db()
    assert (switch.positions_closed, switch.failures) == (2, 2)
    assert switch.last_failure == "2 market_closed"
    assert "2 positions cannot be closed yet: 2 market_closed" in RiskAlarm.objects.get().message
    settled(switch)
    assert working.run() == 1
    assert KillSwitch.objects.get().work_done_at is None

    symbol.session = TradingSession.objects.get(name="Always")
    symbol.save()
    again = worker()  # the first one rests, because nothing could be done
    again.run()
    again.run()
    switch.refresh_from_db()
    assert (switch.positions_closed, switch.failures) == (4, 0)
    assert switch.work_done_at is not None


def test_a_second_engine_does_nothing_twice(busy):
    switch = engage(cancels_orders=True, closes_positions=True)
    first, second = worker(), worker()
    stop_after = iter([True, True, False])
    first._may_act = lambda: next(stop_after, False)  # deposed in the middle: orders are done, positions not

    first.run()
    second.run()
    first._may_act = lambda: True
    first.run()

    switch.refresh_from_db()
    assert (switch.orders_canceled, switch.positions_closed) == (4, 4)
    assert Deal.objects.filter(entry="out").count() == 4
    assert verified() > 0


# --- the command -----------------------------------------------------------------------------------------


def test_the_command_stops_shows_and_releases(busy):
    assert "would stop platform (2 accounts): refuse new exposure, cancel 4 working orders, close 4 pos" in (
        run("on", "--cancel-orders", "--close-positions", "--dry-run")
    )
    assert not KillSwitch.objects.exists()

    assert "engaged #" in run("on", "--symbol", "EURUSD", "--reason", "practice")
    assert "symbol EURUSD: on; since" in run("status")
    assert executor.run(market_order(busy[0])).refusal == "kill_switch"
    assert "would release" in run("off", "--symbol", "EURUSD", "--dry-run")
    assert "released #" in run("off", "--symbol", "EURUSD", "--reason", "practice")
    assert run("status").strip() == "no kill switch is on"
    assert KillSwitch.objects.get().engaged_by.startswith("system:manage:")


def test_the_command_wants_a_reason_and_one_known_target(holder):
    for args in (
        ("on",),
        ("on", "--group", "nobody", "--reason", "x"),
        ("on", "--group", "standard", "--symbol", "EURUSD", "--reason", "x"),
        ("off", "--reason", "x"),
        ("drill", "--reason", "x"),
    ):
        with pytest.raises(CommandError):
            run(*args)


def test_a_drill_sees_an_order_refused_and_leaves_nothing_behind(busy):
    told = run("drill", "--account", str(busy[0].login), "--reason", "quarterly")

    assert "was answered kill_switch after" in told
    assert "drill passed" in told
    assert not KillSwitch.objects.filter(released_at__isnull=True).exists()
    assert Position.objects.count() == 4


# --- another process -------------------------------------------------------------------------------------

PROCESS = """
import os, sys, django
from django.conf import settings
django.setup()
database = settings.DATABASES["default"]
database.update(NAME=os.environ["T_NAME"], USER=os.environ["T_USER"], PASSWORD=os.environ["T_PASSWORD"],
                HOST=os.environ["T_HOST"], PORT=os.environ["T_PORT"])
from uuid import uuid4
from apps.trading.domain.orders import Side
from apps.trading.services import orders
from apps.trading.services.orders import MarketOrder
from decimal import Decimal
from rtx.kernel.actor import Actor
from tests.factories import rows
rows.show()
for line in sys.stdin:
    order = MarketOrder(symbol="EURUSD", side=Side.BUY, volume=Decimal("0.01"), client_order_id=uuid4().hex)
    outcome = orders.place_market(account_id=int(line), order=order, actor=Actor.system("test"))
    print(outcome.refusal.value if outcome.refusal else outcome.type, flush=True)
"""


def test_another_process_refuses_within_a_second_while_redis_is_gone(holder):
    known = connection.settings_dict
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "rtx.settings.test",
        "REDIS_URL": "redis://127.0.0.1:1/0",  # nobody answers there
        **{f"T_{key}": str(known[key]) for key in ("NAME", "USER", "PASSWORD", "HOST", "PORT")},
    }
    with subprocess.Popen(
        [sys.executable, "-c", PROCESS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=env,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def order() -> str:
            process.stdin.write(f"{holder.id}\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        try:
            assert order() == "order_filled"
            started = time.monotonic()
            engage()
            assert order() == "kill_switch"
            assert time.monotonic() - started < 1.0
        finally:
            process.stdin.close()
            process.wait(20)
