"""The Python client against a running broker: a trader's day, and a stream that survives restarts."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from rtx_client import Event, OrderStatus, Quote, RtxStream, Side, TimeInForce, errors

from tests.integration.clients.conftest import Trader

pytestmark = pytest.mark.serial


def test_a_traders_day(trader: Trader) -> None:
    broker, login = trader.broker, trader.login
    bid = broker.quotes("EURUSD")[0].bid

    bought = broker.place_market(login, "EURUSD", "buy", "0.10", client_order_id="day-1")
    again = broker.place_market(login, "EURUSD", "buy", "0.10", client_order_id="day-1")
    until = datetime.now(UTC) + timedelta(hours=1)
    waiting = broker.place_pending(
        login,
        "EURUSD",
        Side.BUY,
        Decimal("0.10"),
        type="limit",
        price=bid - Decimal("0.05"),
        time_in_force=TimeInForce.GTD,
        expires_at=until,
    )
    moved = broker.modify_order(waiting.id, price=bid - Decimal("0.06"), volume="0.20")
    canceled = broker.cancel_order(waiting.id)
    position_id = bought.position_id or 0
    stopped = broker.modify_position(position_id, stop_loss=bid - Decimal("0.05"))
    part = broker.close_position(position_id, volume="0.04")
    rest = broker.close_all(login)

    assert (bought.status, again) == (OrderStatus.FILLED, bought)
    assert (waiting.status, waiting.expires_at) == (OrderStatus.WORKING, until)
    assert (moved.price, moved.volume) == (bid - Decimal("0.06"), Decimal("0.20"))
    assert canceled.status is OrderStatus.CANCELED
    assert stopped.stop_loss == bid - Decimal("0.05")
    assert part.filled_volume == Decimal("0.04")
    assert [order.volume for order in rest.orders] == [Decimal("0.06")]
    assert (rest.failed, broker.positions(account=login)) == ([], [])
    deals = list(broker.deals(account=login, position_id=position_id))
    assert [(deal.entry, deal.volume) for deal in deals] == [
        ("out", Decimal("0.06")),
        ("out", Decimal("0.04")),
        ("in", Decimal("0.1")),
    ]
    balance = broker.account(login).balance
    assert balance == 100_000 + sum(deal.profit + deal.commission for deal in deals)


def test_a_refusal_is_an_order_and_a_refused_change_an_error(trader: Trader) -> None:
    broker, login = trader.broker, trader.login
    refused = broker.place_market(login, "EURUSD", "buy", "0.105")
    waiting = broker.place_pending(login, "EURUSD", "buy", "0.10", type="limit", price="0.5")

    assert (refused.status, refused.reject_reason) == (OrderStatus.REJECTED, "invalid_volume")
    with pytest.raises(errors.ChangeRefused) as told:
        broker.modify_order(waiting.id, stop_loss="0.6")
    assert told.value.code == "invalid_stops"
    broker.cancel_order(waiting.id)
    with pytest.raises(errors.OrderNotWorking):
        broker.modify_order(waiting.id, price="0.4")
    with pytest.raises(errors.NotFound):
        broker.order(1)


async def placed(trader: Trader, number: int) -> Any:
    broker, login = trader.broker, trader.login
    return await asyncio.to_thread(
        broker.place_market, login, "EURUSD", "buy", "0.01", client_order_id=f"stream-{number}"
    )


async def next_event(stream: RtxStream) -> Event:
    async with asyncio.timeout(30):
        async for message in stream:
            if isinstance(message, Event):
                return message
    raise AssertionError("the stream ended")


async def test_the_stream_brings_prices_events_and_answers(trader: Trader) -> None:
    async with RtxStream(trader.stream_url, trader.broker.ws_ticket) as stream:
        await stream.subscribe_quotes("EURUSD")
        await stream.subscribe_account(trader.login)
        order = await stream.order(
            "order.market", account=trader.login, symbol="EURUSD", side="buy", volume=Decimal("0.01")
        )
        with pytest.raises(errors.NotFound):
            await stream.trade("order.cancel", order_id=1)
        seen: list[Any] = []
        async with asyncio.timeout(30):
            async for message in stream:
                seen.append(message)
                if {Quote, Event} <= {type(one) for one in seen}:
                    break

    event = next(message for message in seen if isinstance(message, Event))
    assert (event.type, event.order and event.order.id) == ("order_filled", order.id)
    assert order.status is OrderStatus.FILLED


async def test_a_restart_of_the_stream_costs_no_event_and_repeats_none(trader: Trader) -> None:
    last = await asyncio.to_thread(lambda: trader.broker.account(trader.login).seq)
    async with RtxStream(trader.stream_url, trader.broker.ws_ticket, pause_s=0.05) as stream:
        await stream.subscribe_account(trader.login, since=last)
        await placed(trader, 1)
        seqs = [(await next_event(stream)).seq]

        await asyncio.to_thread(trader.stack.kill, "stream")
        await placed(trader, 2)
        await placed(trader, 3)
        await asyncio.to_thread(trader.stack.start, "stream")
        seqs += [(await next_event(stream)).seq for _ in range(2)]
        order = await stream.order(
            "order.market", account=trader.login, symbol="EURUSD", side="sell", volume="0.03"
        )
        seqs.append((await next_event(stream)).seq)

    assert seqs == list(range(last + 1, last + 5))
    assert (order.status, stream.connections) == (OrderStatus.FILLED, 2)


async def test_the_stream_ends_with_its_login(trader: Trader) -> None:
    def refused() -> str:
        raise errors.NotAuthenticated("the login has ended", status=401)

    with pytest.raises(errors.NotAuthenticated):
        async with RtxStream(trader.stream_url, refused):
            pass
