"""Guards in the executor: kill switches, hours, breakers, limits; over REST, in triggers and changes."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import time, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections

from apps.accounts.selectors import tokens
from apps.risk.models import (
    AccountRisk,
    Breaker,
    BreakerState,
    ControlsVersion,
    Correlation,
    RiskLimit,
    TradingHours,
)
from apps.risk.selectors.controls import ControlsMissing
from apps.risk.services import kill_switch
from apps.risk.services.kill_switch import Target
from apps.trading.domain.commands import ModifyOrder, TriggerOrder
from apps.trading.domain.filling import TriggerVoid
from apps.trading.domain.orders import OrderType, Side
from apps.trading.models import Order, Position
from apps.trading.services import executor
from rtx.kernel import clock
from rtx.kernel.actor import Actor, ActorKind
from rtx.kernel.rest import UserThrottle
from tests.factories import rows
from tests.factories.rows import Holder, Trader, market_order
from tests.factories.triggering import pending

D = Decimal
STAFF = Actor(kind=ActorKind.STAFF, name="user:7")
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


def limit(kind: str, value: str, **more: Any) -> RiskLimit:
    values: dict[str, Any] = {"scope": "platform", **more}
    return RiskLimit.objects.create(kind=kind, value=D(value), **values)


def answer(command: Any) -> str:
    """Run a command and return the word of its refusal, or the event's type."""
    outcome = executor.run(command)
    return outcome.refusal.value if outcome.refusal else outcome.type


def modify(holder: Holder, order_id: int, **changes: Any) -> ModifyOrder:
    return ModifyOrder(
        account_id=holder.id, command_id=uuid4(), actor=holder.actor, order_id=order_id, **changes
    )


def buy(holder: Holder, lots: str = "0.10", **more: Any) -> str:
    return answer(market_order(holder, lots=lots, **more))


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


def trigger_of(holder: Holder, order_id: int) -> TriggerOrder:
    """Return the command that sets off a buy limit at 1.09000, reached."""
    return TriggerOrder(
        account_id=holder.id,
        command_id=uuid4(),
        actor=Actor.system("triggers"),
        order_id=order_id,
        armed_price=D("1.09000"),
        raw=rows.Quote("EURUSD", D("1.08980"), D("1.09000"), clock.now_ms()),
    )


def test_an_order_outlives_the_breaker_that_stops_it(holder, symbols):
    order = executor.run(pending(holder, Side.BUY, OrderType.LIMIT, "1.09000")).order
    breaker = Breaker.objects.create(name="spread", scope="symbol", kind="spread", threshold=D(50))
    state = BreakerState.objects.create(
        breaker=breaker, subject="EURUSD", symbol=symbols["EURUSD"], state="open", since=clock.now()
    )
    with pytest.raises(TriggerVoid, match="circuit_breaker"):
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
    with pytest.raises(TriggerVoid, match="market_closed"):
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


# --- limits ----------------------------------------------------------------------------------------------


def test_every_kind_of_limit_refuses_with_its_word(holder, symbols):
    AccountRisk.objects.create(
        account_id=holder.id,
        seq=10,
        equity=D(10000),
        margin=D(0),
        peak_equity=D(12000),
        peak_at=clock.now(),
        day=clock.now().date(),
        day_start_equity=D(11000),
        day_low_equity=D(10000),
        day_high_equity=D(11000),
        used_credit=D(0),
        used_credit_max=D(0),
        updated_at=clock.now(),
    )
    Correlation.objects.create(first=symbols["EURUSD"], second=symbols["GBPUSD"], override=D("0.8"))
    words = {
        "order_volume": ("0.09", "limit_volume"),
        "open_volume": ("0.09", "limit_volume"),
        "positions": ("0", "limit_positions"),
        "orders_per_minute": ("0", "rate_limit"),
        "symbol_exposure": ("11001.69", "limit_exposure"),
        "currency_exposure": ("11001.69", "limit_exposure"),
        "correlated_exposure": ("11001.69", "limit_exposure"),
        "daily_loss": ("1000", "daily_loss"),
        "drawdown": ("16.6", "drawdown"),
    }
    for kind, (value, word) in words.items():
        for more in (
            {"scope": "account", "account_id": holder.id},
            {"is_per_account": True},
            {"scope": "group", "group_id": holder.row.group_id},
        ):
            made = limit(kind, value, **more)
            assert buy(holder) == word, (kind, more)
            made.delete()
    assert buy(holder) == "order_filled"


def test_credit_in_use_is_limited(holder):
    rows.balances.change(
        account_id=holder.id,
        kind=rows.BalanceKind.CREDIT,
        amount=D(1000),
        reference="c-1",
        actor=STAFF,
    )
    limit("credit_use", "100", scope="account", account_id=holder.id)

    assert buy(holder, "9.10") == "order_filled"  # 10,011.55 of margin: 11.55 and the spread of the credit
    assert buy(holder, "0.10") == "credit_limit"


def test_orders_per_minute_count_what_other_commands_leave_in_the_journal(holder):
    limit("orders_per_minute", "3", is_per_account=True)
    first = executor.run(market_order(holder)).order
    assert answer(rows.close_order(holder, first.position_id)) == "order_filled"  # no new order
    assert buy(holder) == "order_filled"
    assert answer(pending(holder, Side.BUY, OrderType.LIMIT, "1.09000")) == "order_placed"

    assert buy(holder) == "rate_limit"
    assert buy(holder) == "rate_limit"
    executor._executor._runner.forget()  # another process counts the same from the journal
    assert buy(holder) == "rate_limit"


def test_a_total_over_accounts_counts_the_batch_itself(holder, other):
    limit("open_volume", "0.25", scope="symbol", symbol_id=_symbol("EURUSD"))
    commands = [market_order(one, lots="0.10") for one in (holder, other, holder, other)]

    answers = [future.result(10) for future in rows.together(commands)]

    assert [outcome.type for outcome in answers].count("order_filled") == 2
    assert sum(Position.objects.values_list("volume", flat=True)) == D("0.20")
    assert buy(other, "0.05") == "order_filled"
    assert buy(other, "0.01") == "limit_volume"


def _symbol(name: str) -> int:
    return rows.Symbol.objects.get(name=name).pk


@pytest.mark.parametrize(
    ("kind", "value", "most"),
    [("open_volume", "1.00", 10), ("positions", "4", 4), ("orders_per_minute", "5", 5)],
)
def test_a_limit_of_one_account_is_exact_under_eight_threads(holder, kind, value, most):
    limit(kind, value, scope="account", account_id=holder.id)
    gate = threading.Barrier(8)

    def trade(_: int) -> list[str]:
        gate.wait(10)
        try:
            return [buy(holder) for _ in range(3)]
        finally:
            connections["default"].close()

    with ThreadPoolExecutor(8) as pool:
        answers = [word for found in pool.map(trade, range(8)) for word in found]

    assert answers.count("order_filled") == most
    assert Position.objects.count() == most


def test_a_deposit_after_the_mark_hides_no_loss(holder):
    """Losing 500 of 10,000 and paying 500 in is still a loss of 500."""
    AccountRisk.objects.create(
        account_id=holder.id,
        seq=holder.row.state.seq,
        equity=D(9500),
        margin=D(0),
        peak_equity=D(10500),
        peak_at=clock.now(),
        day=clock.now().date(),
        day_start_equity=D(10500),
        day_low_equity=D(10000),
        day_high_equity=D(10500),
        used_credit=D(0),
        used_credit_max=D(0),
        updated_at=clock.now(),
    )
    limit("daily_loss", "500", is_per_account=True)
    assert buy(holder) == "daily_loss"

    rows.deposit(holder.id, "500")

    assert buy(holder) == "daily_loss"


def test_an_account_without_marks_is_measured_against_what_was_paid_in(holder):
    limit("daily_loss", "20", is_per_account=True)

    assert buy(holder, "1.00") == "order_filled"  # 17.00 of spread
    assert buy(holder, "0.30") == "order_filled"
    assert buy(holder, "0.01") == "daily_loss"  # 22.10


def test_a_missing_price_leaves_a_reached_order_waiting(holder, symbols):
    order = executor.run(pending(holder, Side.BUY, OrderType.LIMIT, "1.09000")).order
    executor.run(market_order(holder, symbol="USDJPY"))
    limit("correlated_exposure", "100000000", is_per_account=True)
    rows.own_board().latest = {
        name: quote for name, quote in rows.own_board().latest.items() if name != "USDJPY"
    }
    raw = rows.Quote("EURUSD", D("1.08980"), D("1.09000"), clock.now_ms())
    command = TriggerOrder(
        account_id=holder.id,
        command_id=uuid4(),
        actor=Actor.system("triggers"),
        order_id=order.id,
        armed_price=D("1.09000"),
        raw=raw,
    )

    assert buy(holder) == "off_quotes"
    with pytest.raises(Exception, match="conversion rate"):
        executor.run(command)
    assert Order.objects.get(pk=order.id).status == "working"
