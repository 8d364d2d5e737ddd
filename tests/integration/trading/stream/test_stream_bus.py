"""The account messages' way through Redis: confirmed listening, silence, and an outage."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import redis
from django.conf import settings

from apps.trading import events
from apps.trading.consumers import buses
from apps.trading.consumers.buses import AccountBus
from rtx.local.redis import Redis

ACCOUNT = 7


class Heard:
    """Collects what the bus hands over."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, bytes]] = []
        self.bus = AccountBus(settings.REDIS_URL, lambda account, text: self.messages.append((account, text)))

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.messages) < count:
                await asyncio.sleep(0.01)


@pytest.fixture
async def heard(redis_server: Redis | None) -> AsyncIterator[Heard]:
    made = Heard()
    running = asyncio.create_task(made.bus.run())
    async with asyncio.timeout(10):
        while made.bus._pubsub is None:
            await asyncio.sleep(0.01)
    yield made
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def publish(account_id: int, text: bytes) -> None:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.publish(events.account_channel(account_id), text)


async def test_an_account_is_heard_once_it_was_added(heard: Heard) -> None:
    await asyncio.to_thread(publish, ACCOUNT, b"too early")
    await heard.bus.add(ACCOUNT)

    await asyncio.to_thread(publish, ACCOUNT, b"heard")
    await asyncio.to_thread(publish, ACCOUNT + 1, b"another account")
    await heard.until(1)

    assert heard.messages == [(ACCOUNT, b"heard")]


async def test_a_removed_account_is_no_longer_heard(heard: Heard) -> None:
    await heard.bus.add(ACCOUNT)
    await heard.bus.add(ACCOUNT + 1)

    heard.bus.remove(ACCOUNT)
    await asyncio.to_thread(publish, ACCOUNT, b"not any more")
    await asyncio.to_thread(publish, ACCOUNT + 1, b"still")
    await heard.until(1)

    assert heard.messages == [(ACCOUNT + 1, b"still")]


async def test_silence_does_not_break_the_connection(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buses, "READ_TIMEOUT_S", 0.02)
    await heard.bus.add(ACCOUNT)
    connection = heard.bus._pubsub
    pongs = 0
    handle = connection.handle_message

    async def count_pongs(response, *arguments, **options):  # type: ignore[no-untyped-def]
        nonlocal pongs
        message = await handle(response, *arguments, **options)
        pongs += bool(message) and message["type"] == "pong"
        return message

    monkeypatch.setattr(connection, "handle_message", count_pongs)
    await asyncio.to_thread(publish, ACCOUNT, b"ends the first read")
    async with asyncio.timeout(10):
        while pongs < 3:
            await asyncio.sleep(0.01)
    await asyncio.to_thread(publish, ACCOUNT, b"after silence")
    await heard.until(2)

    assert heard.bus._pubsub is connection


async def test_adding_waits_only_a_moment_without_redis(redis_server: Redis | None) -> None:
    bus = AccountBus("redis://127.0.0.1:1/0", lambda account, text: None)

    async with asyncio.timeout(5):
        await bus.add(ACCOUNT)
