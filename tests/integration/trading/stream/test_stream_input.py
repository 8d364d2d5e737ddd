"""What clients should not send over `/ws`, and how it is answered."""

import socket as sockets
from typing import Any

import orjson

from tests.factories.stream_server import (
    StreamServer,
    Trader,
    opened,
    order,
)

BAD_FRAMES = [
    ("{", "malformed"),
    (b"\x00\xff", "malformed"),
    ('{"op":"order.market","id":1,"data":{"volume":NaN}}', "malformed"),
    ('{"op":"ping","id":1,"x":1e99999999999999999999}', "malformed"),
    ('{"op":"order.market","id":1,"data":{"volume":1e99999999999999999999}}', "malformed"),
    ('{"op":"fly","id":1}', "unknown_op"),
    ('{"op":"auth","id":1,"token":"x"}', "invalid"),
    ('{"op":"order.cancel","id":1,"data":{}}', "invalid"),
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
    settings.STREAM_REQUESTS_PER_S = settings.STREAM_USER_REQUESTS_PER_S = 10_000_000
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
