"""Orders over `/ws`, answered as over REST."""

from apps.groups.models import TradingGroup
from apps.trading.models import Order
from tests.factories.stream_server import (
    Broker,
    StreamServer,
    Trader,
    in_thread,
    opened,
    order,
    ticked,
)


async def test_an_order_is_filled_and_answered_as_over_rest(
    server: StreamServer, broker: Broker, trader: Trader
) -> None:
    async with await opened(server, trader) as client:
        await ticked(client, broker)

        reply = await client.ask("order.market", data=order(trader))

    found = reply["data"]
    assert (found["status"], found["average_price"], found["volume"]) == ("filled", "1.10013", "0.1")
    assert (found["account"], found["client_order_id"]) == (trader.login, "order-1")
    assert await in_thread(Order.objects.filter(account_id=trader.account_id, status="filled").count) == 1


async def test_a_repeated_order_gets_the_first_answer(
    server: StreamServer, broker: Broker, trader: Trader
) -> None:
    async with await opened(server, trader) as client:
        await ticked(client, broker)

        first = await client.ask("order.market", data=order(trader))
        again = await client.ask("order.market", data=order(trader))
        other = await client.ask("order.market", data=order(trader, volume="0.20"))

    assert first["data"] == again["data"]
    assert other["error"]["code"] == "client_order_id_reused"


async def test_many_orders_may_be_under_way(server: StreamServer, broker: Broker, trader: Trader) -> None:
    async with await opened(server, trader) as client:
        await ticked(client, broker)

        for number in range(100):
            data = order(trader, number, volume="0.01")
            await client.send({"op": "order.market", "id": f"n{number}", "data": data})
        replies = [await client.receive() for _ in range(100)]

    assert sorted(reply["id"] for reply in replies) == sorted(f"n{number}" for number in range(100))
    assert {reply["data"]["status"] for reply in replies} == {"filled"}


async def test_a_position_is_closed(server: StreamServer, broker: Broker, trader: Trader) -> None:
    async with await opened(server, trader) as client:
        await ticked(client, broker)
        placed = await client.ask("order.market", data=order(trader))
        position_id = placed["data"]["position_id"]
        close = {"position_id": position_id, "client_order_id": "close-1"}

        closed = await client.ask("position.close", data=close)
        again = await client.ask("position.close", data=close)
        late = await client.ask("position.close", data={**close, "client_order_id": "close-2"})

    assert (closed["data"]["side"], closed["data"]["status"]) == ("sell", "filled")
    assert again["data"] == closed["data"]
    assert late["error"]["code"] == "position_not_found"


async def test_a_refused_order_is_an_answer(server: StreamServer, trader: Trader) -> None:
    async with await opened(server, trader) as client:
        reply = await client.ask("order.market", data=order(trader))

    assert reply["ok"]
    assert (reply["data"]["status"], reply["data"]["reject_reason"]) == ("rejected", "off_quotes")


async def test_another_traders_account_does_not_exist(
    server: StreamServer, broker: Broker, standard: TradingGroup, trader: Trader
) -> None:
    stranger = await in_thread(broker.trader, standard)

    async with await opened(server, stranger) as client:
        replies = [
            await client.ask("order.market", data=order(trader)),
            await client.ask("subscribe", channel="account", account=trader.login),
            await client.ask("subscribe", channel="quotes", symbols=["EURUSD"], account=trader.login),
            await client.ask("unsubscribe", channel="account", account=trader.login),
        ]

    assert [reply["error"]["code"] for reply in replies] == ["account_not_found"] * 4
