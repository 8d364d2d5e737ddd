"""Quotes, candles and metrics over a real server, a real client, PostgreSQL and Redis."""

import asyncio

from prometheus_client import generate_latest

from apps.accounts.services import users
from apps.groups.models import TradingGroup
from apps.trading.consumers.process import stream_process
from tests.factories.stream_server import (
    EURUSD,
    GBPUSD,
    Broker,
    StreamServer,
    Trader,
    eventually,
    in_thread,
    opened,
    order,
    ticked,
)


async def test_quotes_come_at_the_price_of_the_group(
    server: StreamServer, broker: Broker, trader: Trader
) -> None:
    async with await opened(server, trader) as client:
        reply = await client.ask("subscribe", channel="quotes", symbols=["EURUSD"])
        await in_thread(broker.tick, EURUSD)
        push = await client.next_push("quotes")

    assert reply["data"] == {"channel": "quotes", "symbols": ["EURUSD"], "simulated": []}
    assert [(q["s"], q["b"], q["a"]) for q in push["q"]] == [("EURUSD", "1.09998", "1.10013")]


async def test_simulated_prices_are_named(server: StreamServer, broker: Broker, trader: Trader) -> None:
    async with await opened(server, trader) as client:
        await client.ask("subscribe", channel="quotes", symbols=["EURUSD"])
        await in_thread(broker.tick, EURUSD, GBPUSD, simulated={"GBPUSD"})
        await client.next_push("quotes")

        reply = await client.ask("subscribe", channel="quotes", symbols=["EURUSD", "GBPUSD"])

    assert reply["data"]["simulated"] == ["GBPUSD"]


async def test_a_server_without_the_fast_wire_does_the_same(broker: Broker, trader: Trader) -> None:
    with StreamServer(ws="websockets-sansio") as plain:
        async with await opened(plain, trader) as client:
            await ticked(client, broker)
            reply = await client.ask("order.market", data=order(trader))
            await in_thread(users.disable, user_id=trader.user_id)
            code = await client.closed_with()

    assert (reply["data"]["status"], code) == ("filled", 4410)


async def test_a_subscription_begins_with_what_is_known(
    server: StreamServer, broker: Broker, trader: Trader
) -> None:
    async with await opened(server, trader) as client:
        await client.ask("subscribe", channel="quotes", symbols=["EURUSD"])
        await in_thread(broker.tick, EURUSD, GBPUSD)
        await client.next_push("quotes")

        await client.ask("subscribe", channel="quotes", symbols=["GBPUSD"])
        push = await client.next_push("quotes")

    assert [(q["s"], q["b"], q["a"]) for q in push["q"]] == [("GBPUSD", "1.29998", "1.30013")]


async def test_changed_terms_reach_open_sockets(
    server: StreamServer, broker: Broker, standard: TradingGroup, trader: Trader
) -> None:
    async with await opened(server, trader) as client:
        await client.ask("subscribe", channel="quotes", symbols=["EURUSD"])
        await in_thread(broker.tick, EURUSD)
        await client.next_push("quotes")

        standard.markup_bid_points = 100
        await in_thread(standard.save)
        push = await client.next_push("quotes")

    assert push["q"][0]["b"] == "1.09900"


async def test_unsubscribing_leaves_the_rest(server: StreamServer, broker: Broker, trader: Trader) -> None:
    async with await opened(server, trader) as client:
        await client.ask("subscribe", channel="quotes", symbols=["EURUSD", "GBPUSD"])

        reply = await client.ask("unsubscribe", channel="quotes", symbols=["EURUSD"])
        await in_thread(broker.tick, EURUSD, GBPUSD)
        push = await client.next_push("quotes")

    assert reply["data"]["symbols"] == ["GBPUSD"]
    assert [q["s"] for q in push["q"]] == ["GBPUSD"]


async def test_candles_follow_the_bids(server: StreamServer, broker: Broker, trader: Trader) -> None:
    async with await opened(server, trader) as client:
        reply = await client.ask("subscribe", channel="candles", symbol="EURUSD", interval="1d")
        await in_thread(broker.tick, EURUSD)
        await in_thread(broker.tick, ("EURUSD", "1.20000", "1.20010"))
        push = await client.next_push("candles")
        while push["ticks"] < 2:
            push = await client.next_push("candles")

    assert reply["data"] == {"channel": "candles", "symbol": "EURUSD", "interval": "1d"}
    assert [push[name] for name in ("open", "high", "low", "close")] == [
        "1.10000",
        "1.20000",
        "1.10000",
        "1.20000",
    ]


async def test_metrics_tell_what_the_process_does(
    server: StreamServer, broker: Broker, trader: Trader
) -> None:
    async with await opened(server, trader) as client:
        await ticked(client, broker)
        await client.send("x" * 70_000)
        await client.closed_with()
        async with await opened(server, trader):
            shown = (await asyncio.to_thread(generate_latest)).decode()

    assert "rtx_stream_sockets 1.0" in shown
    assert "rtx_stream_ticks_total 1.0" in shown
    assert "rtx_stream_frames_total 1.0" in shown


def test_everything_of_a_closed_socket_is_let_go(
    server: StreamServer, broker: Broker, trader: Trader
) -> None:
    async def visit() -> None:
        async with await opened(server, trader) as client:
            await client.ask("subscribe", channel="quotes", symbols=["EURUSD"])
            await client.ask("subscribe", channel="account", account=trader.login)
            await client.ask("subscribe", channel="candles", symbol="EURUSD", interval="1m")

    asyncio.run(visit())

    process = stream_process()
    eventually(lambda: not process.sessions, "the socket to be forgotten")
    assert (process.hub._audiences, process.accounts._accounts, process.candles._members) == ({}, {}, {})
