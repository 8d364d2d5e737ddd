"""Guards in the executor: kill switches, hours, breakers, limits; over REST, in triggers and changes."""

import json
from datetime import time, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import time_machine

from apps.accounts.selectors import tokens
from apps.market.models import FeedStatus
from apps.risk import guards
from apps.risk.models import (
    Breaker,
    BreakerState,
    ControlsVersion,
    Correlation,
    TradingHours,
)
from apps.risk.selectors.controls import ControlsMissing
from apps.risk.services import kill_switch
from apps.risk.services.kill_switch import Target
from apps.trading.domain.commands import ModifyOrder
from apps.trading.domain.orders import OrderType, Side
from apps.trading.domain.triggers import TriggerHeld
from apps.trading.models import Order, Position
from apps.trading.services import executor
from rtx.kernel import clock
from rtx.kernel.rest import UserThrottle
from tests.factories import rows
from tests.factories.books import NOON
from tests.factories.rows import Holder, Trader, market_order
from tests.factories.triggering import pending
from tests.integration.risk.guarded import STAFF, answer, buy, limit, trigger_of

D = Decimal
PLATFORM = Target(scope="platform")


@pytest.fixture(autouse=True)
def _fresh_process_memory(db: None) -> None:
    tokens.forget()
    UserThrottle._bucket._levels.clear()


@pytest.fixture
def other(group) -> Holder:
    """Another account of the group."""
    return rows.make_holder(group=group)


def stop(target: Target = PLATFORM) -> Any:
    return kill_switch.engage(target=target, reason="test", actor=STAFF)


def modify(holder: Holder, order_id: int, **changes: Any) -> ModifyOrder:
    return ModifyOrder(
        account_id=holder.id, command_id=uuid4(), actor=holder.actor, order_id=order_id, **changes
    )


# --- kill switch -----------------------------------------------------------------------------------------


def test_a_stopped_order_is_created_and_rejected_over_rest(holder):
    stop()
    body = {
        "account": holder.login,
        "symbol": "EURUSD",
        "side": "buy",
        "volume": "0.10",
        "client_order_id": "k-1",
    }

    answered = Trader(holder.token).call("POST", "/api/orders/market", json.dumps(body))

    assert answered.status_code == 201
    assert answered.json()["status"] == "rejected"
    assert answered.json()["reject_reason"] == "kill_switch"
    assert not Position.objects.exists()


@pytest.mark.parametrize("scope", ["group", "symbol", "account"])
def test_a_switch_stops_its_scope_and_nothing_else(holder, other, group, symbols, scope):
    stranger = rows.make_holder(group=rows.make_group("elsewhere"))
    target = {
        "group": Target(scope="group", group_id=group.pk),
        "symbol": Target(scope="symbol", symbol_id=symbols["EURUSD"].pk),
        "account": Target(scope="account", account_id=holder.id),
    }[scope]
    stop(target)

    assert buy(holder) == "kill_switch"
    assert buy(other) == ("order_filled" if scope == "account" else "kill_switch")
    assert buy(holder, symbol="GBPUSD") == ("order_filled" if scope == "symbol" else "kill_switch")
    assert buy(stranger) == ("kill_switch" if scope == "symbol" else "order_filled")


def test_what_reduces_risk_passes_a_kill_switch(holder):
    position = executor.run(market_order(holder)).order.position_id
    stop()

    assert answer(rows.close_order(holder, position, lots="0.05")) == "order_filled"
    assert answer(rows.close_order(holder, position)) == "order_filled"


def test_a_released_switch_lets_the_next_order_pass(holder):
    switch = stop()
    assert buy(holder) == "kill_switch"

    kill_switch.release(switch_id=switch.pk, reason="over", actor=STAFF, may=lambda right: True)

    assert buy(holder) == "order_filled"


def test_a_working_order_that_is_reached_under_a_switch_is_rejected(holder):
    order = executor.run(pending(holder, Side.BUY, OrderType.LIMIT, "1.09000")).order
    stop()

    assert answer(trigger_of(holder, order.id)) == "kill_switch"
    kept = Order.objects.get(pk=order.id)
    assert (kept.status, kept.reject_reason) == ("rejected", "kill_switch")


def test_an_older_order_that_is_filled_is_a_probe(holder, symbols):
    order = executor.run(pending(holder, Side.BUY, OrderType.LIMIT, "1.09000")).order
    breaker = Breaker.objects.create(
        name="spread", scope="symbol", kind="spread", threshold=D(50), probe_orders=2
    )
    BreakerState.objects.create(
        breaker=breaker, subject="EURUSD", symbol=symbols["EURUSD"], state="half_open", since=clock.now()
    )

    assert answer(trigger_of(holder, order.id)) == "order_filled"
    assert [buy(holder), buy(holder)] == ["order_filled", "circuit_breaker"]


def test_a_symbol_that_moves_to_another_provider_leaves_the_breaker_of_the_first(holder, symbols):
    with time_machine.travel(NOON, tick=False) as traveler:
        rows.show()
        FeedStatus.objects.create(
            symbol=symbols["EURUSD"], provider="alpha", started_at=clock.now(), updated_at=clock.now()
        )
        breaker = Breaker.objects.create(name="lp", scope="lp", kind="spread", threshold=D(50))
        BreakerState.objects.create(breaker=breaker, subject="alpha", state="open", since=clock.now())
        assert buy(holder) == "circuit_breaker"
        FeedStatus.objects.update(provider="beta")
        traveler.shift(timedelta(seconds=1))

        assert buy(holder) == "order_filled"


def test_an_order_outlives_the_breaker_that_stops_it(holder, symbols):
    order = executor.run(pending(holder, Side.BUY, OrderType.LIMIT, "1.09000")).order
    breaker = Breaker.objects.create(name="spread", scope="symbol", kind="spread", threshold=D(50))
    state = BreakerState.objects.create(
        breaker=breaker, subject="EURUSD", symbol=symbols["EURUSD"], state="open", since=clock.now()
    )
    with pytest.raises(TriggerHeld, match="circuit_breaker"):
        executor.run(trigger_of(holder, order.id))
    assert Order.objects.get(pk=order.id).status == "working"

    BreakerState.objects.filter(pk=state.pk).update(state="closed")

    assert answer(trigger_of(holder, order.id)) == "order_filled"


def test_an_order_outlives_the_hours_in_which_it_is_reached(holder):
    order = executor.run(pending(holder, Side.BUY, OrderType.LIMIT, "1.09000")).order
    weekday = (clock.now() + timedelta(days=3)).weekday()
    hours = TradingHours.objects.create(
        scope="platform", weekday=weekday, opens_at=time(0), closes_at=time(0), timezone="UTC"
    )
    with pytest.raises(TriggerHeld, match="market_closed"):
        executor.run(trigger_of(holder, order.id))
    assert Order.objects.get(pk=order.id).status == "working"

    hours.delete()

    assert answer(trigger_of(holder, order.id)) == "order_filled"


def test_a_working_order_may_shrink_and_not_grow_under_a_switch(holder):
    order = executor.run(pending(holder, Side.BUY, OrderType.LIMIT, "1.09000", lots="0.50")).order
    stop()

    assert answer(modify(holder, order.id, volume=D("0.60"))) == "kill_switch"
    assert answer(modify(holder, order.id, volume=D("0.40"))) == "order_modified"
    assert Order.objects.get(pk=order.id).volume == D("0.40")


def test_without_the_row_that_counts_changes_nothing_passes(holder):
    assert buy(holder) == "order_filled"
    ControlsVersion.objects.all().delete()

    with pytest.raises(ControlsMissing):
        buy(holder)

    stop(Target(scope="account", account_id=holder.id))
    assert buy(holder) == "kill_switch"
    assert ControlsVersion.objects.get().version > 1_000_000_000_000  # no process remembers it


def test_a_switch_before_the_first_order_of_a_process_stops_it(holder):
    stop()
    ControlsVersion.objects.update(version=0)

    assert buy(holder) == "kill_switch"


def test_counts_of_a_switch_s_work_leave_the_controls_as_they_are(holder):
    switch = stop()
    before = ControlsVersion.objects.get().version

    type(switch).objects.filter(pk=switch.pk).update(
        orders_canceled=5, failures=1, last_failure="1 off_quotes"
    )
    assert ControlsVersion.objects.get().version == before

    kill_switch.release(switch_id=switch.pk, reason="over", actor=STAFF, may=lambda right: True)
    assert ControlsVersion.objects.get().version == before + 1


def test_an_overridden_correlation_counts_with_the_next_order(holder, symbols):
    made = Correlation.objects.create(first=symbols["EURUSD"], second=symbols["GBPUSD"], override=D(1))
    limit("correlated_exposure", "30000", is_per_account=True)
    assert buy(holder) == "order_filled"  # 11,001.70
    assert buy(holder, symbol="GBPUSD", lots="0.20") == "limit_exposure"

    Correlation.objects.filter(pk=made.pk).update(override=D("-0.5"))

    assert buy(holder, symbol="GBPUSD", lots="0.20") == "order_filled"


# --- hours and breakers ----------------------------------------------------------------------------------


def test_outside_the_hours_nothing_opens_but_orders_may_wait(holder):
    weekday = (clock.now() + timedelta(days=3)).weekday()
    TradingHours.objects.create(
        scope="platform", weekday=weekday, opens_at=time(0), closes_at=time(0), timezone="UTC"
    )

    assert buy(holder) == "market_closed"
    assert answer(pending(holder, Side.BUY, OrderType.LIMIT, "1.09000")) == "order_placed"
    assert answer(pending(holder, Side.BUY, OrderType.LIMIT, "1.11000")) == "market_closed"  # would fill


def test_hours_that_make_no_sense_keep_their_target_closed(holder, owner):
    TradingHours.objects.create(
        scope="account",
        account_id=holder.id,
        weekday=0,
        opens_at=time(9),
        closes_at=time(8),
        timezone="Nowhere/At_All",
    )

    assert buy(holder) == "market_closed"


def test_an_open_breaker_refuses_its_symbol_alone(holder, symbols):
    breaker = Breaker.objects.create(name="spread", scope="symbol", kind="spread", threshold=D(50))
    state = BreakerState.objects.create(
        breaker=breaker, subject="EURUSD", symbol=symbols["EURUSD"], state="open", since=clock.now()
    )

    assert buy(holder) == "circuit_breaker"
    assert buy(holder, symbol="GBPUSD") == "order_filled"
    BreakerState.objects.filter(pk=state.pk).update(state="closed")
    assert buy(holder) == "order_filled"


def test_a_half_open_breaker_lets_its_probes_through_and_no_more(holder, symbols):
    breaker = Breaker.objects.create(
        name="spread", scope="symbol", kind="spread", threshold=D(50), probe_orders=2
    )
    BreakerState.objects.create(
        breaker=breaker, subject="EURUSD", symbol=symbols["EURUSD"], state="half_open", since=clock.now()
    )
    commands = [market_order(holder) for _ in range(3)]

    answers = [future.result(10) for future in rows.together(commands)]

    assert [outcome.type for outcome in answers] == ["order_filled", "order_filled", "order_rejected"]
    assert answers[2].refusal == "circuit_breaker"
    assert buy(holder) == "circuit_breaker"


def test_probes_are_counted_only_for_orders_that_meet_the_breaker(holder, symbols, monkeypatch):
    breaker = Breaker.objects.create(
        name="spread", scope="symbol", kind="spread", threshold=D(50), probe_orders=2
    )
    BreakerState.objects.create(
        breaker=breaker, subject="EURUSD", symbol=symbols["EURUSD"], state="half_open", since=clock.now()
    )
    counted = []
    monkeypatch.setattr(guards.stored, "probed", lambda cursor, one: counted.append(one.probe.symbols) or 0)

    assert buy(holder, symbol="GBPUSD") == "order_filled"
    assert counted == []
    assert buy(holder) == "order_filled"
    assert counted == [frozenset({"EURUSD"})]
