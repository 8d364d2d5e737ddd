"""Circuit breakers in the engine: from a tick to a refused order, probing, resetting, restarting, fencing."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine

from apps.market.domain.quotes import Quote
from apps.market.models import FeedStatus
from apps.market.services.engine import Engine, TickBatch
from apps.market.services.leases import NotLeading
from apps.risk.models import Breaker, BreakerChange, BreakerState, RiskAlarm
from apps.risk.services import breakers
from apps.risk.services.breakers import NotTripped
from apps.risk.services.control_work import ControlService
from apps.trading.services import executor
from rtx.kernel import clock
from rtx.kernel.actor import Actor, ActorKind
from tests.factories import rows
from tests.factories.breaking import START, Scene, ms
from tests.factories.rows import Holder, close_order, market_order
from tests.factories.triggering import eventually

D = Decimal
STAFF = Actor(kind=ActorKind.STAFF, name="user:7")


def breaker(kind: str, threshold: str, **more: Any) -> Breaker:
    values: dict[str, Any] = {"name": kind.replace("_", "-"), "scope": "symbol", "cooldown_s": 30, **more}
    return Breaker.objects.create(kind=kind, threshold=D(threshold), **values)


@pytest.fixture
def scene(symbols) -> Iterator[Callable[[], Scene]]:
    with time_machine.travel(START, tick=False) as traveler:
        rows.show()

        def travel(instant: datetime) -> None:
            traveler.move_to(instant, tick=False)

        yield lambda: Scene(travel)


def stands(subject: str = "EURUSD") -> str:
    row = BreakerState.objects.filter(subject=subject).first()
    return row.state if row else "never"


def changes() -> list[tuple[str, str]]:
    return list(BreakerChange.objects.order_by("pk").values_list("before", "after"))


def buy(holder: Holder, symbol: str = "EURUSD") -> str:
    outcome = executor.run(market_order(holder, symbol=symbol, lots="0.01"))
    return outcome.refusal.value if outcome.refusal else outcome.type


def test_a_price_move_opens_cools_probes_and_closes(scene, holder):
    breaker("price_move", "1", window_s=10, probe_orders=2)
    play = scene()
    play.tick(1, "1.10000", "1.10010")
    play.tick(2, "1.11099", "1.11109")
    assert stands() == "never"  # 0.99909 %

    play.tick(3, "1.11100", "1.11110")
    assert stands() == "open"
    assert buy(holder) == "circuit_breaker"
    assert buy(holder, "GBPUSD") == "order_filled"
    alarm = RiskAlarm.objects.get()
    assert (alarm.kind, alarm.cleared_at) == ("breaker_open", None)
    assert alarm.message == "Circuit breaker price-move EURUSD opened: price_move 1 reached 1"

    play.tick(20, "1.11100", "1.11110")
    play.at(32.9)
    assert stands() == "open"
    play.at(33)
    assert stands() == "half_open"

    assert [buy(holder) for _ in range(3)] == ["order_filled", "order_filled", "circuit_breaker"]
    play.at(34)
    assert stands() == "closed"
    assert buy(holder) == "order_filled"
    alarm.refresh_from_db()
    assert alarm.cleared_at is not None
    assert changes() == [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]
    first = BreakerChange.objects.order_by("pk")[0]
    assert (first.value, first.threshold, first.actor) == (D(1), D(1), "system:breakers")
    assert first.reason == "price_move 1 reached 1"


def test_half_open_opens_again_when_it_is_measured_again(scene):
    breaker("spread", "50", cooldown_s=5)
    play = scene()
    play.tick(1, "1.10000", "1.10050")
    play.tick(3, "1.10000", "1.10010")
    play.at(6)
    assert stands() == "half_open"

    play.tick(7, "1.10000", "1.10051")

    assert stands() == "open"
    assert BreakerState.objects.get().trips == 2
    play.tick(11.9, "1.10000", "1.10010")
    assert stands() == "open"
    play.at(12)
    assert stands() == "half_open"


def test_while_it_is_too_wide_it_stays_open_whatever_the_time(scene):
    breaker("spread", "50", cooldown_s=5)
    play = scene()
    play.tick(1, "1.10000", "1.10050")
    play.at(60)

    assert stands() == "open"


def test_one_that_staff_reset_never_leaves_open_by_itself(scene, holder):
    breaker("spread", "50", cooldown_s=1, reset="manual")
    play = scene()
    play.tick(1, "1.10000", "1.10090")
    play.tick(2, "1.10000", "1.10010")
    play.at(600)
    assert stands() == "open"

    row = breakers.reset(state_id=BreakerState.objects.get().pk, actor=STAFF, reason="checked with the LP")
    assert (row.state, stands()) == ("closed", "closed")
    play.at(601)
    assert stands() == "closed"
    last = BreakerChange.objects.order_by("-pk")[0]
    assert (last.actor, last.reason, last.after) == ("staff:user:7", "checked with the LP", "closed")
    with pytest.raises(NotTripped):
        breakers.reset(state_id=row.pk, actor=STAFF, reason="again")


def test_the_alarm_of_a_breaker_that_was_renamed_while_open_ends_with_its_reset(scene):
    rule = breaker("spread", "50", reset="manual")
    play = scene()
    play.tick(1, "1.10000", "1.10090")
    assert RiskAlarm.objects.get().cleared_at is None
    Breaker.objects.filter(pk=rule.pk).update(name="wide spreads")

    breakers.reset(state_id=BreakerState.objects.get().pk, actor=STAFF, reason="checked with the LP")

    assert RiskAlarm.objects.get().cleared_at is not None


def test_a_reset_price_move_is_measured_from_then_on(scene):
    breaker("price_move", "1", window_s=600)
    play = scene()
    play.tick(1, "1.10000", "1.10010")
    play.tick(2, "1.12000", "1.12010")
    assert stands() == "open"

    breakers.reset(state_id=BreakerState.objects.get().pk, actor=STAFF, reason="news are out")
    play.tick(3, "1.12000", "1.12010")
    assert stands() == "closed"
    play.tick(4, "1.13120", "1.13130")
    assert stands() == "open"


def test_silence_of_a_symbol_in_session(scene):
    breaker("tick_silence", "20", symbol=rows.Symbol.objects.get(name="EURUSD"))
    play = scene()
    play.tick(5, "1.10000", "1.10010")
    play.at(24.999)
    assert stands() == "never"
    play.at(25)

    assert stands() == "open"
    assert BreakerState.objects.count() == 1  # the others are not watched


def test_an_lp_that_falls_silent_stops_its_symbols(scene, holder, symbols):
    for name, lp in (("EURUSD", "alpha"), ("GBPUSD", "beta")):
        FeedStatus.objects.create(
            symbol=symbols[name], provider=lp, started_at=clock.now(), updated_at=clock.now()
        )
    breaker("tick_silence", "20", scope="lp", lp="alpha")
    play = scene()
    play.tick(19, "1.25000", "1.25010", "GBPUSD")
    play.at(20)

    assert stands("alpha") == "open"
    assert buy(holder) == "circuit_breaker"
    assert buy(holder, "GBPUSD") == "order_filled"


@pytest.mark.parametrize("scope", ["account", "symbol", "platform"])
def test_refused_orders_open_a_breaker_for_whom_it_watches(scene, holder, scope):
    subject = {"account": str(holder.login), "symbol": "EURUSD", "platform": ""}[scope]
    breaker("reject_rate", "50", scope=scope, observations_min=4, window_s=60)
    play = scene()
    for price in (None, None, D("1.09"), D("1.09")):  # the last two are requoted
        executor.run(market_order(holder, lots="0.01", price=price))
    play.at(1)
    assert stands(subject) == "open"
    assert buy(holder) == "circuit_breaker"

    play.at(2)  # its own refusals do not keep it open
    play.at(62)
    assert stands(subject) == "half_open"


@pytest.mark.parametrize("scope", ["account", "symbol", "platform"])
def test_one_client_without_money_stops_nobody_else(scene, holder, scope):
    subject = {"account": str(holder.login), "symbol": "EURUSD", "platform": ""}[scope]
    breaker("reject_rate", "50", scope=scope, observations_min=4)
    play = scene()
    assert {str(executor.run(market_order(holder, lots="90")).refusal) for _ in range(6)} == {"no_money"}

    play.at(1)

    assert stands(subject) == ("open" if scope == "account" else "never")


def test_a_restart_counts_the_refusals_of_before(scene, holder):
    breaker("reject_rate", "50", observations_min=4)
    executor.run(market_order(holder, lots="0.01", price=D("1.09")))
    executor.run(market_order(holder, lots="0.01", price=D("1.09")))
    play = scene()
    assert stands() == "never"
    executor.run(market_order(holder, lots="0.01"))
    executor.run(market_order(holder, lots="0.01"))

    play.at(1)

    assert stands() == "open"


@pytest.mark.parametrize(("scope", "subject"), [("platform", ""), ("symbol", "EURUSD")])
def test_what_the_house_lost_within_the_window(scene, holder, scope, subject):
    breaker("house_loss", "50", scope=scope, window_s=60)
    play = scene()
    position = executor.run(market_order(holder, lots="1.00")).order.position_id
    rows.show({"EURUSD": ("1.10066", "1.10076")})
    executor.run(close_order(holder, position, lots="0.99"))  # the client makes 48.51
    play.at(1)
    assert stands(subject) == "never"

    rows.show({"EURUSD": ("1.10166", "1.10176")})
    executor.run(close_order(holder, position))  # 1.49 more
    play.at(2)

    assert stands(subject) == "open"
    assert BreakerChange.objects.get().value == D("50.00")


def test_what_is_hedged_is_no_loss_of_the_house(scene, holder, owner):
    breaker("house_loss", "50", window_s=60)
    play = scene()
    position = executor.run(market_order(holder, lots="1.00")).order.position_id
    rows.show({"EURUSD": ("1.10166", "1.10176")})
    executor.run(close_order(holder, position))
    owner.execute("ALTER TABLE trading_deal DISABLE TRIGGER USER")
    owner.execute("UPDATE trading_deal SET book = 'a'")

    play.at(1)

    assert stands() == "never"


def test_a_reset_is_not_swallowed_by_another_change(scene):
    breaker("price_move", "1", window_s=600)
    play = scene()
    play.tick(1, "1.10000", "1.10010")
    play.tick(2, "1.12000", "1.12010")
    play.tick(2, "1.25000", "1.25010", "GBPUSD")
    assert (stands(), stands("GBPUSD")) == ("open", "never")
    breakers.reset(state_id=BreakerState.objects.get().pk, actor=STAFF, reason="news are out")

    play.watch.offer([Quote("GBPUSD", D("1.27000"), D("1.27010"), ms(3))])
    play.travel(START + timedelta(seconds=3))
    play.watch._read_at = 1e9  # nothing has been read since the reset
    play.watch.run()
    assert (stands(), stands("GBPUSD")) == ("closed", "open")

    play.at(4)
    assert stands() == "closed"
    assert BreakerState.objects.get(subject="EURUSD").trips == 1


def test_a_reset_that_the_engine_has_not_seen_stands(scene):
    breaker("spread", "50", cooldown_s=1)
    play = scene()
    play.tick(1, "1.10000", "1.10090")
    play.tick(2, "1.10000", "1.10010")
    play.at(3)
    assert stands() == "half_open"
    breakers.reset(state_id=BreakerState.objects.get().pk, actor=STAFF, reason="checked")

    play.watch.offer([Quote("EURUSD", D("1.10000"), D("1.10090"), ms(4))])
    play.watch._read_at = 1e9
    play.watch.run()

    assert stands() == "closed"


def test_a_breaker_that_vanishes_while_half_open_ends_no_engine(scene):
    kept = breaker("spread", "50", cooldown_s=1)
    play = scene()
    play.tick(1, "1.10000", "1.10090")
    play.tick(2, "1.10000", "1.10010")
    play.at(3)
    assert stands() == "half_open"
    Breaker.objects.filter(pk=kept.pk).delete()

    play.watch._read_at = 1e9  # it is still known
    play.watch._probes.clear()
    play.watch.run()
    play.at(4)

    assert play.watch.health()["rules"] == 0


def test_switching_a_breaker_off_closes_it(scene):
    kept = breaker("spread", "50")
    play = scene()
    play.tick(1, "1.10000", "1.10090")
    assert stands() == "open"

    Breaker.objects.filter(pk=kept.pk).update(is_active=False)
    play.at(2)

    assert stands() == "closed"
    assert changes() == [("closed", "open"), ("open", "closed")]
    last = BreakerChange.objects.order_by("-pk")[0]
    assert (last.reason, last.actor) == ("the breaker was switched off", "system:breakers")
    assert RiskAlarm.objects.get().cleared_at is not None


def test_a_restart_goes_on_where_the_breaker_stands(scene):
    breaker("spread", "50", cooldown_s=30)
    scene().tick(1, "1.10000", "1.10050")

    again = scene()
    again.at(2)
    assert stands() == "open"
    again.at(31)

    assert stands() == "half_open"


def test_a_deposed_engine_changes_nothing(scene):
    breaker("spread", "50")
    play = scene()

    def deposed() -> None:
        raise NotLeading("controls is led by another engine")

    play.watch._verify = deposed
    with pytest.raises(NotLeading):
        play.tick(1, "1.10000", "1.10050")

    assert (stands(), BreakerChange.objects.count()) == ("never", 0)


def test_history_is_append_only(scene):
    breaker("spread", "50")
    scene().tick(1, "1.10000", "1.10050")

    with pytest.raises(Exception, match=r"append-only|permission denied"):
        BreakerChange.objects.update(reason="never happened")


def test_the_hosted_service_leads_trips_on_a_tick_and_lets_the_next_one_in(holder):
    breaker("spread", "50")
    engine = Engine(paths=[])
    service = ControlService()
    service.start(engine)
    try:
        eventually(lambda: service.health()["leading"] and service.health()["rules"] == 1)
        quote = Quote("EURUSD", D("1.10000"), D("1.10060"), clock.now_ms())
        engine.publish(TickBatch([quote], {"EURUSD": quote}))
        eventually(lambda: stands() == "open")
        assert buy(holder) == "circuit_breaker"
        assert service.health()["open"] == 1
    finally:
        service.stop()
    assert engine.failure == ""
    assert service.health()["last_error"] == ""
