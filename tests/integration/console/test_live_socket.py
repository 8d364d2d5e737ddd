"""The dashboard's socket: in by a ticket of one's own session, out with it, no more than one may see."""

import asyncio
import json
from typing import Any

import pytest
from django.urls import reverse

from apps.accounts.services import staff_sessions
from apps.console import consumers
from apps.console.services import live
from tests.factories.house import House, make_house, staff
from tests.factories.staff import signed_in
from tests.factories.stream_server import Client, StreamServer, in_thread

pytestmark = pytest.mark.django_db


@pytest.fixture
def house(db: None) -> House:
    return make_house()


@pytest.fixture
def server(house: House, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(consumers, "EVERY_S", 0.05)
    monkeypatch.setattr(consumers, "CHECK_EVERY_S", 0.1)
    with StreamServer() as running:
        yield running


def dealer(house: House, **more: Any) -> Any:
    return signed_in(staff("dealer@example.com", groups=(house.usd,), **more))


def ticket_of(http: Any) -> str:
    return str(http.post(reverse("admin:live_ticket")).json()["ticket"])


def address(server: StreamServer, ticket: str) -> str:
    return f"{server.url}/staff?ticket={ticket}"


async def figures(server: StreamServer, ticket: str, **options: Any) -> Any:
    async with await Client.open(address(server, ticket), **options) as client:
        return json.loads(await asyncio.wait_for(client.socket.recv(), 10))


async def test_figures_arrive_within_reach(server: StreamServer, house: House) -> None:
    ticket = await in_thread(lambda: ticket_of(dealer(house)))

    shown = await figures(server, ticket)

    assert shown["accounts"] == {"total": 1, "active": 1}  # of the USD group alone
    assert shown["waiting"]["approvals"] == 0


async def test_a_part_without_its_right_is_empty(server: StreamServer, house: House) -> None:
    http = await in_thread(
        lambda: signed_in(staff("support@example.com", role="support", groups=(house.usd,)))
    )

    shown = await figures(server, await in_thread(ticket_of, http))

    assert (shown["near"], shown["movers"]) == (None, None)


async def test_a_ticket_opens_one_socket(server: StreamServer, house: House) -> None:
    ticket = await in_thread(lambda: ticket_of(dealer(house)))
    await figures(server, ticket)

    for used in (ticket, "", "nonsense", "x" * 500):
        async with await Client.open(address(server, used)) as client:
            assert await client.closed_with() == 4401


async def test_a_socket_ends_with_the_session(server: StreamServer, house: House) -> None:
    http = await in_thread(dealer, house)
    ticket = await in_thread(ticket_of, http)

    async with await Client.open(address(server, ticket)) as client:
        await asyncio.wait_for(client.socket.recv(), 10)
        key = await in_thread(lambda: http.session.session_key)
        await in_thread(lambda: staff_sessions.end_by_key(session_key=key, reason="revoked"))
        assert await client.closed_with() == 4410


async def test_a_foreign_page_may_not_look(server: StreamServer, house: House) -> None:
    ticket = await in_thread(lambda: ticket_of(dealer(house)))

    for origin in ("https://evil.example", "null"):
        async with await Client.open(address(server, ticket), origin=origin) as client:
            assert await client.closed_with() == 4403


def test_those_who_share_reach_and_rights_share_the_figures(house: House) -> None:
    first, second = (staff(f"dealer{n}@example.com", groups=(house.usd,)) for n in (1, 2))
    other = staff("other@example.com", groups=(house.eur,))

    assert live.view_of(first) == live.view_of(second) != live.view_of(other)
