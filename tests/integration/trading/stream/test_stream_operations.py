"""Pending orders and positions over `/ws`: the reply is the outcome, as over REST; and the limit per user."""

from typing import Any

from apps.trading.models import Order, Position
from tests.factories.stream_server import (
    Broker,
    Client,
    StreamServer,
    Trader,
    in_thread,
    opened,
    order,
    ticked,
)


def pending(trader: Trader, number: int = 1, **changes: Any) -> dict[str, Any]:
    return order(trader, number, **{"type": "limit", "price": "1.09000", **changes})


async def position(client: Client, trader: Trader, number: int, **changes: Any) -> int:
    reply = await client.ask("order.market", data=order(trader, number, **changes))
    return int(reply["data"]["position_id"])


async def test_an_order_is_left_changed_and_taken_back(
    server: StreamServer, broker: Broker, trader: Trader
) -> None:
    async with await opened(server, trader) as client:
        await ticked(client, broker)

        placed = await client.ask("order.pending", data=pending(trader))
        order_id = placed["data"]["id"]
        changed = await client.ask("order.modify", data={"order_id": order_id, "price": "1.09100"})
        refused = await client.ask("order.modify", data={"order_id": order_id, "stop_loss": "1.2"})
        canceled = await client.ask("order.cancel", data={"order_id": order_id})
        again = await client.ask("order.cancel", data={"order_id": order_id})
        late = await client.ask("order.modify", data={"order_id": order_id, "price": "1.09200"})

    assert (placed["data"]["status"], placed["data"]["price"]) == ("working", "1.09000")
    assert changed["data"] == {**placed["data"], "price": "1.09100"}
    assert refused["error"]["code"] == "invalid_stops"
    assert canceled["data"] == {**changed["data"], "status": "canceled"} == again["data"]
    assert late["error"]["code"] == "order_not_working"


async def test_a_position_is_changed_and_closed_by_its_opposite(
    server: StreamServer, broker: Broker, trader: Trader
) -> None:
    async with await opened(server, trader) as client:
        await ticked(client, broker)
        long, short = await position(client, trader, 1), await position(client, trader, 2, side="sell")

        changed = await client.ask("position.modify", data={"position_id": long, "trailing_points": 500})
        by = {"position_id": long, "opposite_id": short, "client_order_id": "by-1"}
        closed = await client.ask("position.close_by", data=by)
        again = await client.ask("position.close_by", data=by)

    assert (changed["data"]["trailing_points"], changed["data"]["stop_loss"]) == (500, "1.09498")
    assert [deal["entry"] for deal in closed["data"]["deals"]] == ["out_by", "out_by"]
    assert again["data"] == closed["data"]
    assert not await in_thread(Position.objects.exists)


async def test_everything_is_closed(server: StreamServer, broker: Broker, trader: Trader) -> None:
    async with await opened(server, trader) as client:
        await ticked(client, broker)
        held = [await position(client, trader, number) for number in (1, 2)]

        told = await client.ask(
            "position.close_all", data={"account": trader.login, "client_order_id": "all-1"}
        )

    assert [closed["position_id"] for closed in told["data"]["orders"]] == held
    assert told["data"]["failed"] == []


async def test_what_happens_reaches_the_account_stream_without_the_houses_part(
    server: StreamServer, broker: Broker, trader: Trader
) -> None:
    async with await opened(server, trader) as client:
        await client.ask("subscribe", channel="account", account=trader.login)
        await ticked(client, broker)
        placed = await client.ask("order.pending", data=pending(trader))
        await client.ask("order.modify", data={"order_id": placed["data"]["id"], "price": "1.09100"})
        await client.ask("order.cancel", data={"order_id": placed["data"]["id"]})
        long, short = await position(client, trader, 2), await position(client, trader, 3, side="sell")
        await client.ask("position.modify", data={"position_id": long, "stop_loss": "1.09000"})
        by = {"position_id": long, "opposite_id": short, "client_order_id": "by-1"}
        await client.ask("position.close_by", data=by)
        await client.ask("position.close_all", data={"account": trader.login, "client_order_id": "all-1"})
        events = [await client.next_push("account") for _ in range(8)]

    assert [event["type"] for event in events] == [
        "order_placed",
        "order_modified",
        "order_canceled",
        "order_filled",
        "order_filled",
        "position_modified",
        "positions_closed_by",
        "positions_closed",
    ]
    assert [event["seq"] for event in events] == list(range(events[0]["seq"], events[0]["seq"] + 8))
    for secret in ("house", "raw_bid", "markup", "terms", "rule", "'book'"):
        assert secret not in str(events)


async def test_another_traders_orders_and_positions_do_not_exist(
    server: StreamServer, broker: Broker, standard: Any, trader: Trader
) -> None:
    async with await opened(server, trader) as client:
        await ticked(client, broker)
        placed = await client.ask("order.pending", data=pending(trader))
        held = await position(client, trader, 2)
    stranger = await in_thread(broker.trader, standard)

    async with await opened(server, stranger) as client:
        codes = [
            (await client.ask(op, data=data))["error"]["code"]
            for op, data in (
                ("order.modify", {"order_id": placed["data"]["id"], "price": "1.09100"}),
                ("order.cancel", {"order_id": placed["data"]["id"]}),
                ("position.modify", {"position_id": held, "stop_loss": "1.09000"}),
                ("position.close", {"position_id": held, "client_order_id": "c-1"}),
                ("position.close_by", {"position_id": held, "opposite_id": 1, "client_order_id": "c-2"}),
                ("position.close_all", {"account": trader.login, "client_order_id": "c-3"}),
                ("order.pending", pending(trader)),
            )
        ]

    assert codes == [
        *["order_not_found"] * 2,
        *["position_not_found"] * 3,
        *["account_not_found"] * 2,
    ]
    assert await in_thread(Order.objects.filter(status="working").count) == 1


async def test_all_sockets_of_a_user_share_one_limit(trader: Trader, settings: Any) -> None:
    settings.STREAM_USER_REQUESTS_PER_S = 2
    with StreamServer() as server:
        async with await opened(server, trader) as first, await opened(server, trader) as second:
            replies = [await client.ask("ping") for client in (first, second) * 3]

    assert [reply["ok"] for reply in replies] == [True] * 4 + [False] * 2
    assert {(reply["error"]["code"], reply["error"]["retry_after_s"]) for reply in replies[4:]} == {
        ("rate_limit", 1)
    }
