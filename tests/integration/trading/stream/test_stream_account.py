"""The account stream: every event once and in order."""

import itertools
import random
import threading

import pytest

from apps.trading.services import publisher
from tests.factories.stream_server import (
    Broker,
    StreamServer,
    Trader,
    in_thread,
    opened,
    order,
    ticked,
)


async def test_missed_events_come_first_then_what_happens(
    server: StreamServer, broker: Broker, trader: Trader
) -> None:
    async with await opened(server, trader) as client:
        reply = await client.ask("subscribe", channel="account", account=trader.login, since=1)
        missed = await client.next_push("account")
        await in_thread(broker.deposit, trader, "7", reference="second")
        live = await client.next_push("account")

    assert reply["data"] == {"channel": "account", "account": trader.login, "seq": 1}
    assert [(push["seq"], push["account"]) for push in (missed, live)] == [
        (2, trader.login),
        (3, trader.login),
    ]
    assert missed["type"] == live["type"]
    assert "house" not in missed


async def test_an_order_shows_up_on_the_account_stream(
    server: StreamServer, broker: Broker, trader: Trader
) -> None:
    async with await opened(server, trader) as client:
        await ticked(client, broker)
        await client.ask("subscribe", channel="account", account=trader.login)
        reply = await client.ask("order.market", data=order(trader))
        push = await client.next_push("account")

    assert (push["seq"], push["type"]) == (3, "order_filled")
    assert push["order"]["id"] == reply["data"]["id"]


async def test_since_beyond_the_journal_is_refused(server: StreamServer, trader: Trader) -> None:
    async with await opened(server, trader) as client:
        reply = await client.ask("subscribe", channel="account", account=trader.login, since=3)

    assert reply["error"]["code"] == "invalid"


async def test_events_arrive_without_redis(
    server: StreamServer, broker: Broker, trader: Trader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher.publisher(), "publish", lambda events: None)
    async with await opened(server, trader) as client:
        await client.ask("subscribe", channel="account", account=trader.login)
        await in_thread(broker.deposit, trader, reference="unheard")

        assert (await client.next_push("account"))["seq"] == 3


async def test_a_client_that_reconnects_misses_and_repeats_nothing(
    server: StreamServer, broker: Broker, trader: Trader
) -> None:
    """Two writers race while the client drops and resumes its socket at random moments."""
    total = 120
    numbers = itertools.count()

    def write() -> None:
        while (number := next(numbers)) < total:
            broker.deposit(trader, reference=f"paid-{number}")

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    chance = random.Random(7)
    seen = [2]
    while seen[-1] < total + 2:
        async with await opened(server, trader) as client:
            reply = await client.ask("subscribe", channel="account", account=trader.login, since=seen[-1])
            assert reply["ok"]
            for _ in range(chance.randint(1, 30)):
                if seen[-1] == total + 2:
                    break
                seen.append((await client.next_push("account"))["seq"])
    for writer in writers:
        writer.join()

    assert seen == list(range(2, total + 3))


async def test_two_sockets_of_one_account_both_see_everything(
    server: StreamServer, broker: Broker, trader: Trader
) -> None:
    async with await opened(server, trader) as one, await opened(server, trader) as two:
        for client in (one, two):
            await client.ask("subscribe", channel="account", account=trader.login, since=0)
        await in_thread(broker.deposit, trader, reference="both")

        for client in (one, two):
            assert [(await client.next_push("account"))["seq"] for _ in range(3)] == [1, 2, 3]
