"""What ticks set off: each kind of order and stop, at the price of the tick, whatever process placed it."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError

from apps.accounts.models import AccountEvent
from apps.market.models import TradingSession
from apps.trading.domain.commands import CancelOrder, ModifyOrder
from apps.trading.domain.orders import OrderType, Side, TimeInForce
from apps.trading.models import Order, Position
from apps.trading.selectors.triggers import waiting_of
from apps.trading.services import executor, triggering
from apps.trading.services.triggering import TriggerService
from rtx.kernel import clock
from tests.factories import rows
from tests.factories.rows import Holder
from tests.factories.triggering import Feed, eventually, feeding, pending, stops

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
LIMIT, STOP, STOP_LIMIT = OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT


@pytest.fixture
def feed(holder: Holder) -> Iterator[Feed]:
    """An engine without services yet."""
    with feeding() as opened:
        yield opened


@pytest.fixture
def service(feed: Feed) -> TriggerService:
    """A trigger service that leads and has seen a first tick, so that it watches without a gap."""
    made = feed.leads(feed.start(), armed=0)
    feed.tick("1.10000", "1.10017")
    return made


def opened(holder: Holder, side: Side = BUY, **levels: str) -> int:
    """Open a position of 0.10 lots and return its id."""
    given = {name: D(value) for name, value in levels.items()}
    outcome = executor.run(rows.market_order(holder, side, **given))
    return int(outcome.payload["position"]["id"])


def last_event(holder: Holder) -> AccountEvent:
    return rows.events_of(holder)[-1]


def told(holder: Holder, type_: str, **of_order: Any) -> dict[str, Any]:
    """Wait for the account's last event to be of a type, about such an order; return its payload."""

    def found() -> dict[str, Any] | None:
        event = last_event(holder)
        if event.type != type_ or any(event.payload["order"][k] != v for k, v in of_order.items()):
            return None
        return event.payload

    return eventually(found)


@pytest.mark.parametrize(
    ("side", "kind", "price", "tick", "fill", "slippage"),
    [
        (BUY, LIMIT, "1.09900", ("1.09880", "1.09890"), "1.09890", -10),
        (SELL, LIMIT, "1.10100", ("1.10120", "1.10140"), "1.10120", -20),
        (BUY, STOP, "1.10100", ("1.10110", "1.10130"), "1.10130", 30),
        (SELL, STOP, "1.09900", ("1.09870", "1.09890"), "1.09870", 30),
    ],
)
def test_pending_order_fills_at_the_price_of_the_tick_that_reached_it(
    feed, service, holder, side, kind, price, tick, fill, slippage
):
    placed = executor.run(pending(holder, side, kind, price))
    feed.leads(service, armed=1)

    quote = feed.tick(*tick)

    order = told(holder, "order_filled")["order"]
    assert (order["id"], order["status"], order["average_price"]) == (placed.order.id, "filled", fill)
    assert order["trigger"] == {
        "kind": kind.value,
        "price": price,
        "bid": tick[0],
        "ask": tick[1],
        "quote_time": quote.time_ms,
        "slippage_points": slippage,
        "unwatched_ms": 0,
    }
    assert last_event(holder).actor == "system:triggers"


@pytest.mark.parametrize(
    ("side", "level", "tick", "reason", "price"),
    [
        (BUY, {"stop_loss": "1.09500"}, ("1.09400", "1.09420"), "stop_loss", "1.09400"),
        (BUY, {"take_profit": "1.10500"}, ("1.10510", "1.10530"), "take_profit", "1.10510"),
        (SELL, {"stop_loss": "1.10500"}, ("1.10590", "1.10610"), "stop_loss", "1.10610"),
        (SELL, {"take_profit": "1.09500"}, ("1.09470", "1.09490"), "take_profit", "1.09490"),
    ],
)
def test_stop_of_a_position_closes_it_at_the_price_of_the_tick(
    feed, service, holder, side, level, tick, reason, price
):
    position_id = opened(holder, side, **level)
    feed.leads(service, armed=1)

    feed.tick(*tick)

    order = told(holder, "order_filled", reason=reason)["order"]
    assert (order["average_price"], order["position_id"]) == (price, position_id)
    assert not Position.objects.exists()
    feed.leads(service, armed=0)


def test_filled_order_hands_its_stops_to_the_position(feed, service, holder):
    executor.run(pending(holder, SELL, STOP, "1.09900", stop_loss="1.10200", take_profit="1.09000"))
    feed.leads(service, armed=1)
    feed.tick("1.09880", "1.09890")
    feed.leads(service, armed=2)

    feed.tick("1.08990", "1.09000")

    assert told(holder, "order_filled", reason="take_profit")["position"] is None
    feed.leads(service, armed=0)


def test_stop_limit_becomes_a_limit_and_fills_as_one(feed, service, holder):
    executor.run(pending(holder, BUY, STOP_LIMIT, "1.10100", stop_limit_price="1.10050"))
    feed.leads(service, armed=1)
    feed.tick("1.10090", "1.10105")
    told(holder, "order_activated")
    feed.leads(service, armed=1)

    feed.tick("1.10030", "1.10045")

    order = told(holder, "order_filled")["order"]
    assert (order["average_price"], order["trigger"]["kind"]) == ("1.10045", "limit")


def test_trailing_stop_follows_the_price_and_never_goes_back(feed, service, holder):
    position_id = opened(holder)
    executor.run(stops(holder, position_id, trailing_points=100))
    feed.leads(service, armed=2)  # the first stop, and the price that pulls it
    feed.tick("1.10250", "1.10260")
    eventually(lambda: Position.objects.get().stop_loss == D("1.10150"))
    feed.leads(service, armed=2)
    feed.tick("1.10200", "1.10210")

    feed.tick("1.10140", "1.10150")

    order = told(holder, "order_filled", reason="stop_loss")["order"]
    assert order["trigger"]["price"] == "1.10150"
    pulls = [e.payload for e in rows.events_of(holder) if e.type == "position_modified"]
    assert [p["cause"] for p in pulls] == ["client", "trailing"]


def test_an_order_placed_just_before_the_database_fails_a_moment_is_armed_all_the_same(
    feed, service, holder, monkeypatch
):
    broken = iter([OperationalError("connection reset")])

    def reading(*given: Any, **more: Any) -> Any:
        for error in broken:
            raise error
        return waiting_of(*given, **more)

    monkeypatch.setattr(triggering, "waiting_of", reading)
    executor.run(pending(holder, SELL, STOP, "1.09900"))
    eventually(lambda: service.health()["armed"] == 1)
    feed.tick("1.09870", "1.09890")

    assert told(holder, "order_filled")["order"]["average_price"] == "1.09870"
    assert list(broken) == []


def test_canceled_order_is_left_alone(feed, service, holder):
    placed = executor.run(pending(holder, SELL, STOP, "1.09900"))
    feed.leads(service, armed=1)
    taken_back = CancelOrder(
        account_id=holder.id, command_id=uuid4(), actor=holder.actor, order_id=placed.order.id
    )
    executor.run(taken_back)
    feed.leads(service, armed=0)

    feed.tick("1.09000", "1.09010")

    assert service.health()["queued"] + service.health()["in_flight"] == 0
    assert last_event(holder).type == "order_canceled"


def test_modified_order_waits_for_its_new_price_only(feed, service, holder):
    placed = executor.run(pending(holder, SELL, STOP, "1.09900"))
    feed.leads(service, armed=1)
    changed = ModifyOrder(
        account_id=holder.id,
        command_id=uuid4(),
        actor=holder.actor,
        order_id=placed.order.id,
        price=D("1.09500"),
    )
    executor.run(changed)
    eventually(
        lambda: service._watch._ladders["EURUSD"].take is not None and armed_prices(service) == ["1.09500"]
    )
    feed.tick("1.09800", "1.09810")

    feed.tick("1.09490", "1.09500")

    assert told(holder, "order_filled")["order"]["trigger"]["bid"] == "1.09490"


def armed_prices(service: TriggerService) -> list[str]:
    """Return the client prices that wait."""
    return sorted(
        str(entry.price) for entries in service._watch._wanted.values() for entry in entries.values()
    )


def test_spike_before_the_engine_saw_the_order_still_sets_it_off(feed, service, holder):
    with service._asking:  # the follower stands here, with the order unseen
        executor.run(pending(holder, SELL, STOP, "1.09900"))
        spike = feed.tick("1.09800", "1.09810")
        feed.tick("1.10000", "1.10010")

    order = told(holder, "order_filled")["order"]
    assert (order["average_price"], order["trigger"]["quote_time"]) == ("1.09800", spike.time_ms)


def test_spike_before_an_order_was_placed_does_not_count(feed, service, holder):
    feed.tick("1.09800", "1.09810")
    feed.tick("1.10000", "1.10017")
    eventually(lambda: clock.now_ms() > service._watch._ticks["EURUSD"][-1].received_ms)

    executor.run(pending(holder, SELL, STOP, "1.09900"))

    feed.leads(service, armed=1)
    assert service.health()["held"] == 0


def test_orders_of_groups_with_other_markups_wait_for_other_raw_prices(feed, service, holder, group):
    wide = rows.make_group("wide", markup_bid_points=D(20), markup_ask_points=D(20))
    other = rows.make_holder(group=wide)
    for one in (holder, other):
        executor.run(pending(one, SELL, STOP, "1.09900"))
    feed.leads(service, armed=2)

    feed.tick("1.09915", "1.09925")

    assert told(other, "order_filled")["order"]["average_price"] == "1.09895"
    assert last_event(holder).type == "order_placed"


def test_changed_markup_moves_what_waits(feed, service, holder, group):
    executor.run(pending(holder, SELL, STOP, "1.09900"))
    feed.leads(service, armed=1)
    before = service.health()["terms_version"]
    group.markup_bid_points = D(20)
    group.save()
    eventually(lambda: service.health()["terms_version"] > before)

    feed.tick("1.09915", "1.09925")

    assert told(holder, "order_filled")["order"]["average_price"] == "1.09895"


def test_nothing_is_set_off_while_the_session_is_closed(feed, service, holder):
    executor.run(pending(holder, SELL, STOP, "1.09900"))
    feed.leads(service, armed=1)
    for always_open in (False, True):
        before = service.health()["terms_version"]
        TradingSession.objects.update(always_open=always_open)
        eventually(lambda: service.health()["terms_version"] > before)  # noqa: B023
        feed.tick("1.09800", "1.09810")
        if not always_open:
            assert service.health()["held"] == 0

    told(holder, "order_filled")


def test_expired_order_ends_on_time_and_is_not_set_off(feed, service, holder):
    ends_at = clock.now() + timedelta(milliseconds=400)
    command = pending(holder, SELL, STOP, "1.09900", time_in_force=TimeInForce.GTD, expires_at=ends_at)
    executor.run(command)

    order = told(holder, "order_expired")["order"]

    assert order["status"] == "expired"
    assert last_event(holder).at >= ends_at
    feed.leads(service, armed=0)


def test_order_that_expired_during_an_outage_ends_at_the_start_and_does_not_fill(feed, holder):
    ends_at = clock.now() + timedelta(seconds=1)
    command = pending(holder, SELL, STOP, "1.09900", time_in_force=TimeInForce.GTD, expires_at=ends_at)
    executor.run(command)
    eventually(lambda: clock.now() > ends_at)
    service = feed.start()
    feed.tick("1.09000", "1.09010")
    feed.leads(service)
    feed.tick("1.09000", "1.09010")

    told(holder, "order_expired")
    assert Order.objects.get().filled_volume == 0


def test_first_quote_after_an_outage_sets_off_and_the_gap_is_told(feed, holder):
    from apps.market.models import LastQuote, Symbol

    executor.run(pending(holder, SELL, STOP, "1.09900"))
    known = clock.now_ms() - 90_000
    LastQuote.objects.create(
        symbol=Symbol.objects.get(name="EURUSD"), bid=D("1.1"), ask=D("1.1"), time=clock.from_ms(known)
    )
    feed.leads(feed.start(), armed=1)

    quote = feed.tick("1.09000", "1.09010")

    order = told(holder, "order_filled")["order"]
    assert order["average_price"] == "1.09000"
    assert order["trigger"]["unwatched_ms"] == quote.time_ms - known
    assert order["trigger"]["slippage_points"] == 900


def test_order_the_account_cannot_pay_is_rejected_for_good(feed, service, group):
    poor = rows.make_holder(group=group, balance="20")
    executor.run(pending(poor, SELL, STOP, "1.09900"))
    feed.leads(service, armed=1)

    feed.tick("1.09890", "1.09900")

    order = told(poor, "order_rejected")["order"]
    assert order["reject_reason"] == "no_money"
    feed.leads(service, armed=0)


def test_stale_quote_sets_nothing_off_and_a_later_one_does(feed, service, holder):
    executor.run(pending(holder, SELL, STOP, "1.09900"))
    feed.leads(service, armed=1)
    feed.tick("1.09800", "1.09810", age_ms=900_000)
    eventually(lambda: service.health()["void"] == 1)
    assert last_event(holder).type == "order_placed"

    feed.tick("1.09700", "1.09710")

    assert told(holder, "order_filled")["order"]["average_price"] == "1.09700"


def test_hits_of_one_tick_are_executed_in_price_time_order(feed, service, group):
    holders = [rows.make_holder(group=group) for _ in range(3)]
    prices = ["1.09700", "1.09900", "1.09800", "1.09900", "1.09600", "1.09800"]
    placed = [
        executor.run(pending(holders[number % 3], SELL, STOP, price)).order.id
        for number, price in enumerate(prices)
    ]
    feed.leads(service, armed=6)

    feed.tick("1.09500", "1.09510")

    eventually(lambda: Order.objects.filter(status="filled").count() == 6)
    by_deal = Order.objects.order_by("deals__id").values_list("id", flat=True)
    assert list(by_deal) == [placed[n] for n in (1, 3, 2, 5, 0, 4)]
