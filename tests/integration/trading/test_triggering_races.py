"""Triggers against each other, clients and outages: one winner, and the journal tells which."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError

from apps.market.services.feed_leases import FeedLease
from apps.trading.domain.commands import CancelOrder, Command, ModifyOrder
from apps.trading.domain.orders import OrderType, Side
from apps.trading.models import Deal, Order, Position
from apps.trading.services import executor
from apps.trading.services.triggering import TriggerService
from rtx.kernel.errors import RtxError
from tests.factories import rows
from tests.factories.rows import Holder
from tests.factories.triggering import Feed, eventually, feeding, pending

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
STOP = OrderType.STOP
ROUNDS = 6


@pytest.fixture
def feed(holder: Holder) -> Iterator[Feed]:
    """An engine without services yet."""
    with feeding() as opened:
        yield opened


def leading(feed: Feed, lease: str = "triggers", *, armed: int = 0) -> TriggerService:
    """Start a service that leads whatever else leads."""
    service = TriggerService()
    service._lease = FeedLease(lease)
    feed.engine.services.append(service)
    service.start(feed.engine)
    return feed.leads(service, armed=armed)


def attempt(command: Command) -> str:
    """Run a command; return what came of it: the event's type or the error's code."""
    try:
        return executor.run(command).type
    except RtxError as error:
        return error.code


def test_two_engines_that_both_lead_fill_each_order_once(feed, group):
    holders = [rows.make_holder(group=group) for _ in range(4)]
    for number in range(40):
        executor.run(pending(holders[number % 4], SELL, STOP, str(D("1.09900") - number * D("0.00001"))))
        executor.run(rows.market_order(holders[number % 4], BUY, lots="0.01", stop_loss=D("1.09850")))
    services = [leading(feed, name, armed=80) for name in ("triggers", "triggers-too")]

    feed.tick("1.09500", "1.09510")

    eventually(lambda: Order.objects.filter(trigger__isnull=False).count() == 80)
    for service in services:
        eventually(lambda s=service: (h := s.health())["queued"] + h["in_flight"] + h["held"] == 0)
    assert Deal.objects.count() == 40 + 80  # the positions' own, then each trigger once
    assert Position.objects.count() == 40


def test_only_one_of_two_engines_leads_and_the_other_follows_when_it_stops(feed, holder):
    first = feed.leads(feed.start())
    second = feed.start()
    eventually(lambda: second._standby_ms is not None and not second.health()["leading"])
    executor.run(pending(holder, SELL, STOP, "1.09900"))

    first.stop()
    feed.leads(second, armed=1)
    feed.tick("1.09800", "1.09810")

    eventually(lambda: Order.objects.get().status == "filled")
    assert second.health()["fence"] == first.health()["fence"] + 1


@pytest.mark.parametrize("against", ["cancel", "modify"])
def test_client_against_trigger_has_one_winner(feed, holder, against):
    service = leading(feed)
    feed.tick("1.10000", "1.10017")
    for number in range(ROUNDS):
        placed = executor.run(pending(holder, SELL, STOP, "1.09900")).order
        feed.leads(service, armed=1)
        common: dict[str, Any] = {
            "account_id": holder.id,
            "command_id": uuid4(),
            "actor": holder.actor,
            "order_id": placed.id,
        }
        command = CancelOrder(**common) if against == "cancel" else ModifyOrder(**common, price=D("1.09000"))
        with ThreadPoolExecutor(2) as pool:
            told = pool.submit(attempt, command)
            pool.submit(feed.tick, "1.09850", "1.09860")
        eventually(lambda: service.health()["held"] == 0)
        status = Order.objects.get(pk=placed.id).status
        events = rows.events_of(holder)
        types = [e.type for e in events if e.payload.get("order", {}).get("id") == placed.id]
        won = {"canceled": "order_canceled", "working": "order_modified", "filled": "order_filled"}[status]
        assert types == ["order_placed", won]
        assert told.result() == (won if status != "filled" else "order_not_working"), number
        feed.tick("1.10000", "1.10017")
        if status == "working":
            executor.run(CancelOrder(**common | {"command_id": uuid4()}))
        feed.leads(service, armed=0)


def test_client_closing_against_stop_loss_closes_once(feed, holder):
    service = leading(feed)
    feed.tick("1.10000", "1.10017")
    for _ in range(ROUNDS):
        order = rows.market_order(holder, BUY, lots="0.01", stop_loss=D("1.09900"))
        position_id = executor.run(order).payload["position"]["id"]
        feed.leads(service, armed=1)
        with ThreadPoolExecutor(2) as pool:
            told = pool.submit(attempt, rows.close_order(holder, position_id))
            pool.submit(feed.tick, "1.09850", "1.09860")
        feed.leads(service, armed=0)
        eventually(lambda: service.health()["held"] == 0)
        closing = Deal.objects.get(position_id=position_id, entry="out")
        by_stop = closing.order.reason == "stop_loss"
        assert told.result() == ("position_not_found" if by_stop else "order_filled")
        feed.tick("1.10000", "1.10017")


def test_outage_of_the_database_delays_and_doubles_nothing(feed, holder, monkeypatch):
    service = leading(feed)
    feed.tick("1.10000", "1.10017")
    for number in range(6):
        executor.run(pending(holder, SELL, STOP, str(D("1.09900") - number * D("0.00010"))))
    feed.leads(service, armed=6)
    runner, left = executor._executor._runner, [3]
    run = runner.run

    def broken(submissions: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise OperationalError("the server closed the connection")
        return run(submissions)

    monkeypatch.setattr(runner, "run", broken)
    monkeypatch.setattr("django.conf.settings.EXECUTOR_RESULT_TIMEOUT_S", 0.0)

    feed.tick("1.09500", "1.09510")
    eventually(lambda: service.health()["retried"] > 0)
    monkeypatch.setattr("django.conf.settings.EXECUTOR_RESULT_TIMEOUT_S", 10.0)

    eventually(lambda: Order.objects.filter(status="filled").count() == 6)
    by_deal = list(Order.objects.order_by("deals__id").values_list("price", flat=True))
    assert by_deal == sorted(by_deal, reverse=True)
    assert Deal.objects.count() == 6
