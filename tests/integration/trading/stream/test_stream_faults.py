"""`/ws` when processes and servers come and go."""

import asyncio
import signal

import psycopg
import pytest

from rtx.local.redis import Redis
from tests.factories.stream_server import EURUSD, Broker, Client, StreamProcessServer, StreamServer, Trader


async def test_a_restart_answers_what_is_under_way_then_says_so(
    broker: Broker, trader: Trader, owner: psycopg.Connection
) -> None:
    token = await asyncio.to_thread(lambda: trader.token)
    lock = "SELECT 1 FROM accounts_accountstate WHERE account_id = %s FOR UPDATE"
    data = {"account": trader.login, "symbol": "EURUSD", "side": "buy", "volume": "0.01"}
    with StreamProcessServer() as process:
        await asyncio.to_thread(process.wait_ready)
        async with await Client.open(process.url, token) as client:
            await client.ask("subscribe", channel="quotes", symbols=["EURUSD"])
            await asyncio.to_thread(broker.tick, EURUSD)
            await client.next_push("quotes")
            with owner.transaction():
                owner.execute(lock, [trader.account_id])
                await client.send(
                    {"op": "order.market", "id": "slow", "data": {**data, "client_order_id": "1"}}
                )
                process.terminate()
                while (refused := await client.ask("ping"))["ok"]:
                    await asyncio.sleep(0.02)
                ready = await asyncio.to_thread(process.status, "/ready")
                alive = await asyncio.to_thread(process.status, "/health")
            answered = await client.receive()
            code = await client.closed_with()
        exit_code = await asyncio.to_thread(process.exit_code)

    assert refused["error"]["code"] == "unavailable"
    assert (ready, alive) == (503, 200)
    assert (answered["id"], answered["data"]["status"]) == ("slow", "filled")
    assert code == 1012
    assert exit_code in (0, -signal.SIGTERM)


async def test_the_development_server_serves_the_socket(broker: Broker, trader: Trader) -> None:
    token = await asyncio.to_thread(lambda: trader.token)
    with StreamProcessServer(development=True) as process:
        await asyncio.to_thread(process.wait_ready)
        async with await Client.open(process.url, token) as client:
            await client.ask("subscribe", channel="quotes", symbols=["EURUSD"])
            await asyncio.to_thread(broker.tick, EURUSD)
            push = await client.next_push("quotes")
            page = await asyncio.to_thread(process.status, "/admin/login/")
        async with await Client.open(process.url) as stranger:
            await stranger.send("{}")
            code = await stranger.closed_with()

    assert push["q"][0]["b"] == "1.09998"
    assert (page, code) == (200, 4401)


async def test_a_ticket_that_cannot_be_checked_asks_to_come_back(
    broker: Broker, trader: Trader, redis_server: Redis | None
) -> None:
    if redis_server is None:
        pytest.skip("TEST_REDIS_URL names a server that is not ours to stop")
    ticket = await asyncio.to_thread(trader.ticket)
    with StreamServer() as server:
        await asyncio.to_thread(redis_server.kill)
        try:
            async with await Client.open(f"{server.url}?ticket={ticket}") as client:
                code = await client.closed_with()
        finally:
            await asyncio.to_thread(redis_server.start)

    assert code == 1012


async def test_prices_and_events_come_back_with_redis(
    broker: Broker, trader: Trader, redis_server: Redis | None
) -> None:
    if redis_server is None:
        pytest.skip("TEST_REDIS_URL names a server that is not ours to restart")
    token = await asyncio.to_thread(lambda: trader.token)
    with StreamServer() as server:
        async with await Client.open(server.url, token) as client:
            await client.ask("subscribe", channel="quotes", symbols=["EURUSD"])
            await client.ask("subscribe", channel="account", account=trader.login)
            await asyncio.to_thread(redis_server.kill)
            await asyncio.to_thread(lambda: broker.deposit(trader, reference="without Redis"))
            missed = await client.next_push("account")
            await asyncio.to_thread(redis_server.start)
            await asyncio.to_thread(lambda: broker.deposit(trader, reference="with Redis"))
            following = await client.next_push("account")
            quotes = asyncio.create_task(client.next_push("quotes"))
            async with asyncio.timeout(15):
                while not quotes.done():
                    await asyncio.to_thread(broker.try_tick, EURUSD)
                    await asyncio.wait([quotes], timeout=0.2)

    assert (missed["seq"], following["seq"]) == (3, 4)
    assert quotes.result()["q"][0]["s"] == "EURUSD"
