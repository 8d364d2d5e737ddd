"""Who may open a socket of `/ws`, and when it ends."""

import asyncio

import pytest

from apps.accounts.services import tokens, users
from apps.trading.consumers import access, session
from tests.factories.stream_server import (
    Client,
    StreamServer,
    Trader,
    in_thread,
    opened,
)


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
