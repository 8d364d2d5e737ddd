"""`/ws` over a real server, a real client, PostgreSQL and Redis."""

import asyncio
import itertools
import random
import socket as sockets
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import orjson
import pytest
from prometheus_client import generate_latest

from apps.accounts.services import tokens, users
from apps.groups import selectors as group_selectors
from apps.groups.models import TradingGroup
from apps.trading.consumers import access, session
from apps.trading.models import Order
from apps.trading.services import publisher
from tests.factories.stream_server import Broker, Client, StreamServer, Trader, eventually

EURUSD = ("EURUSD", "1.10000", "1.10010")
GBPUSD = ("GBPUSD", "1.30000", "1.30010")


@pytest.fixture
def broker(db: None, settings: Any) -> Iterator[Broker]:
    settings.SESSIONS_ALWAYS_OPEN = True
    group_selectors._current = None
    access._owned.clear()
    with closing(Broker()) as made:
        yield made


@pytest.fixture
def standard(broker: Broker) -> TradingGroup:
    return broker.group("standard")


@pytest.fixture
def trader(broker: Broker, standard: TradingGroup) -> Trader:
    return broker.trader(standard)


@pytest.fixture
def server(broker: Broker) -> Iterator[StreamServer]:
    with StreamServer() as running:
        yield running


async def in_thread(function: Any, *arguments: Any, **options: Any) -> Any:
    """Call what uses the database away from the event loop."""
    return await asyncio.to_thread(function, *arguments, **options)


async def opened(server: StreamServer, trader: Trader, **options: Any) -> Client:
    token = await in_thread(lambda: trader.token)
    return await Client.open(server.url, token, **options)


def order(trader: Trader, number: int = 1, **changes: Any) -> dict[str, Any]:
    data = {
        "account": trader.login,
        "symbol": "EURUSD",
        "side": "buy",
        "volume": "0.10",
        "client_order_id": f"order-{number}",
    }
    return {**data, **changes}


# Who may connect


async def test_a_ticket_opens_a_socket_once(server: StreamServer, trader: Trader) -> None:
    ticket = await in_thread(trader.ticket)

    async with await Client.open(f"{server.url}?ticket={ticket}") as first:
        assert (await first.ask("ping"))["ok"]
        async with await Client.open(f"{server.url}?ticket={ticket}") as second:
            assert await second.closed_with() == 4401


async def test_a_token_opens_a_socket(server: StreamServer, trader: Trader) -> None:
    async with await opened(server, trader) as client:
        reply = await client.ask("ping")

    assert reply["ok"]
    assert isinstance(reply["data"]["t"], int)


FIRST_FRAMES = [
    '{"op":"auth","token":"nonsense"}',
    '{"op":"auth","token":"' + "x" * 5_000 + '"}',
    '{"op":"auth"}',
    '{"op":"subscribe","channel":"quotes","symbols":["EURUSD"]}',
    "nonsense",
    b"\xff\xfe",
]


async def test_anything_but_a_valid_token_first_is_refused(server: StreamServer) -> None:
    codes = []
    for first_frame in FIRST_FRAMES:
        async with await Client.open(server.url) as client:
            await client.send(first_frame)
            codes.append(await client.closed_with())

    assert codes == [4401] * len(FIRST_FRAMES)


async def test_a_silent_client_is_closed(server: StreamServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "AUTH_TIMEOUT_S", 0.1)

    async with await Client.open(server.url) as client:
        assert await client.closed_with() == 4408


async def test_a_foreign_page_may_not_connect(server: StreamServer) -> None:
    for origin in ("https://evil.example", "null"):
        async with await Client.open(server.url, origin=origin) as client:
            assert await client.closed_with() == 4403


async def test_a_page_of_the_same_host_may_connect(server: StreamServer, trader: Trader) -> None:
    async with await opened(server, trader, origin="http://127.0.0.1:8000") as client:
        assert (await client.ask("ping"))["ok"]


async def test_another_path_is_refused(server: StreamServer) -> None:
    async with await Client.open(f"{server.url}/other") as client:
        assert await client.closed_with() == 4403


@pytest.mark.parametrize("end", ["disable", "new password", "logout"])
async def test_a_socket_ends_with_the_login_behind_it(server: StreamServer, trader: Trader, end: str) -> None:
    token = await in_thread(lambda: trader.token)
    async with await Client.open(server.url, token) as client, await opened(server, trader) as other:
        if end == "disable":
            await in_thread(users.disable, user_id=trader.user_id)
        elif end == "new password":
            await in_thread(users.set_password, user_id=trader.user_id, password="another good phrase")
        else:
            family = (await in_thread(access.tokens.read_access, token)).family
            await in_thread(tokens.end_family, user_id=trader.user_id, family=family)

        async with asyncio.timeout(5):
            assert await client.closed_with() == 4410
        if end == "logout":
            assert (await other.ask("ping"))["ok"]


# Quotes


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


# Orders


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


async def ticked(client: Client, broker: Broker) -> None:
    """See that the process has a price."""
    await client.ask("subscribe", channel="quotes", symbols=["EURUSD"])
    await in_thread(broker.tick, EURUSD)
    await client.next_push("quotes")


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


# Bad input


BAD_FRAMES = [
    ("{", "malformed"),
    (b"\x00\xff", "malformed"),
    ('{"op":"order.market","id":1,"data":{"volume":NaN}}', "malformed"),
    ('{"op":"fly","id":1}', "unknown_op"),
    ('{"op":"auth","id":1,"token":"x"}', "invalid"),
    ('{"op":"order.cancel","id":1,"data":{}}', "not_supported"),
    ('{"op":"subscribe","id":1,"channel":"news"}', "unknown_channel"),
    ('{"op":"subscribe","id":1,"channel":"quotes"}', "invalid"),
    ('{"op":"subscribe","id":1,"channel":"quotes","symbols":[]}', "invalid"),
    ('{"op":"subscribe","id":1,"channel":"quotes","symbols":["NOPE"]}', "symbol_not_found"),
    ('{"op":"subscribe","id":1,"channel":"quotes","symbols":["EURUSD"],"since":1}', "invalid"),
    ('{"op":"subscribe","id":1,"channel":"account"}', "invalid"),
    ('{"op":"subscribe","id":1,"channel":"account","account":99}', "account_not_found"),
    ('{"op":"subscribe","id":1,"channel":"account","account":99999999999999999999}', "account_not_found"),
    ('{"op":"subscribe","id":1,"channel":"candles","symbol":"EURUSD","interval":"2m"}', "invalid"),
    ('{"op":"subscribe","id":1,"channel":"candles","symbol":"NOPE","interval":"1m"}', "symbol_not_found"),
    ('{"op":"order.market","id":1,"data":[]}', "invalid"),
    ('{"op":"order.market","id":1,"data":{}}', "invalid"),
    ('{"op":"position.close","id":1,"data":{"position_id":"1","client_order_id":"x"}}', "invalid"),
    (
        '{"op":"position.close","id":1,"data":{"position_id":1,"client_order_id":"x"}}',
        "position_not_found",
    ),
]


async def test_bad_input_gets_a_stable_code_and_keeps_the_socket(
    server: StreamServer, trader: Trader
) -> None:
    async with await opened(server, trader) as client:
        replies = []
        for frame, _ in BAD_FRAMES:
            await client.send(frame)
            replies.append(await client.receive())
        alive = await client.ask("ping")

    assert [reply["error"]["code"] for reply in replies] == [code for _, code in BAD_FRAMES]
    assert alive["ok"]


BAD_FIELDS: list[dict[str, Any]] = [
    {"volume": "-1"},
    {"volume": "0"},
    {"volume": "NaN"},
    {"volume": "1e400"},
    {"volume": True},
    {"side": "hold"},
    {"account": "100001"},
    {"client_order_id": ""},
    {"client_order_id": "x" * 65},
    {"deviation": 1.5},
    {"price": "Infinity"},
    {"surprise": 1},
]


async def test_a_malformed_order_is_refused_by_name(server: StreamServer, trader: Trader) -> None:
    async with await opened(server, trader) as client:
        replies = [await client.ask("order.market", data=order(trader, **changes)) for changes in BAD_FIELDS]

    found = [(reply["error"]["code"], next(iter(reply["error"]["errors"]))) for reply in replies]
    assert found[:-1] == [("invalid", next(iter(changes))) for changes in BAD_FIELDS[:-1]]
    assert found[-1][0] == "invalid"


async def test_a_frame_that_is_too_big_closes_the_socket(server: StreamServer, trader: Trader) -> None:
    async with await opened(server, trader) as client:
        await client.send(orjson.dumps({"op": "ping", "junk": "x" * 70_000}).decode())

        assert await client.closed_with() == 1009


async def test_a_flood_of_requests_closes_the_socket(
    server: StreamServer, trader: Trader, settings: Any
) -> None:
    settings.STREAM_REQUESTS_PER_S = 5
    async with await opened(server, trader) as client:
        for _ in range(20):
            await client.send('{"op":"ping"}')

        assert await client.closed_with() == 4429


async def test_a_client_that_does_not_read_is_closed(
    server: StreamServer, trader: Trader, settings: Any
) -> None:
    settings.STREAM_REQUESTS_PER_S = 10_000_000
    settings.STREAM_BUFFER_MAX_BYTES = 100_000
    raw = sockets.socket()
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4_096)
    raw.connect(("127.0.0.1", server.port))
    raw.setblocking(False)
    async with await opened(server, trader, sock=raw) as client:
        client.socket.transport.pause_reading()
        small_request_with_a_large_reply = orjson.dumps({"op": "fly", "id": "x" * 64}).decode()
        for _ in range(25_000):
            await client.send(small_request_with_a_large_reply)
        client.socket.transport.resume_reading()

        assert await client.closed_with() == 4409


# The account stream


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


async def test_metrics_tell_what_the_process_does(
    server: StreamServer, broker: Broker, trader: Trader
) -> None:
    async with await opened(server, trader) as client:
        await ticked(client, broker)
        await client.send("x" * 70_000)
        await client.closed_with()
        async with await opened(server, trader):
            shown = generate_latest().decode()

    assert "rtx_stream_sockets 1.0" in shown
    assert "rtx_stream_ticks_total 1.0" in shown
    assert "rtx_stream_frames_total 1.0" in shown


def test_everything_of_a_closed_socket_is_let_go(
    server: StreamServer, broker: Broker, trader: Trader
) -> None:
    from apps.trading.consumers.process import stream_process

    async def visit() -> None:
        async with await opened(server, trader) as client:
            await client.ask("subscribe", channel="quotes", symbols=["EURUSD"])
            await client.ask("subscribe", channel="account", account=trader.login)
            await client.ask("subscribe", channel="candles", symbol="EURUSD", interval="1m")

    asyncio.run(visit())

    process = stream_process()
    eventually(lambda: not process.sessions, "the socket to be forgotten")
    assert (process.hub._audiences, process.accounts._accounts, process.candles._members) == ({}, {}, {})
