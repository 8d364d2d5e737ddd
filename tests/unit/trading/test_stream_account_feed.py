"""Account streams: whatever messages get lost, doubled or late, every event arrives once and in order."""

import asyncio
import random
from collections.abc import Iterable
from typing import Any

import orjson
import pytest

from apps.trading.consumers.account_feed import AccountFeed
from apps.trading.consumers.connection import Connection
from apps.trading.consumers.frames import payload_of, quotes_frame
from apps.trading.consumers.requests import RequestError
from tests.factories.stream import FakeWire

ACCOUNT, LOGIN = 7, 100_007


class Journal:
    """A journal in memory, whose readers see what was committed when they asked."""

    def __init__(self, events: int = 0) -> None:
        self.last = events
        self.reads = 0
        self.is_down = False

    def append(self) -> bytes:
        self.last += 1
        return self.message(self.last)

    def message(self, seq: int) -> bytes:
        return orjson.dumps({"ch": "account", "account": LOGIN, "seq": seq})

    async def read_events(self, account_id: int, login: int, seq: int, limit: int) -> list[tuple[int, bytes]]:
        self.reads += 1
        found = [(n, self.message(n)) for n in range(seq + 1, min(self.last, seq + limit) + 1)]
        await asyncio.sleep(0)
        return found

    async def read_seqs(self, account_ids: Iterable[int]) -> dict[int, int]:
        last = self.last
        await asyncio.sleep(0)
        return dict.fromkeys(account_ids, last)


class Wakeups:
    """Remembers who is listened for."""

    def __init__(self) -> None:
        self.accounts: set[int] = set()

    async def add(self, account_id: int) -> None:
        self.accounts.add(account_id)
        await asyncio.sleep(0)

    def remove(self, account_id: int) -> None:
        self.accounts.discard(account_id)


class Client:
    """A feed with one subscribed socket."""

    def __init__(self, journal: Journal) -> None:
        self.wakeups = Wakeups()
        self.feed = AccountFeed(
            wakeups=self.wakeups, read_events=journal.read_events, read_seqs=journal.read_seqs
        )
        self.wire = FakeWire()
        self.connection = Connection(wire=self.wire, buffer_max_bytes=1 << 20, compose=quotes_frame)

    async def subscribe(self, since: int | None) -> None:
        subscription = await self.feed.subscribe(
            self.connection, account_id=ACCOUNT, login=LOGIN, since=since
        )
        self.feed.start(subscription)

    def seqs(self) -> list[int]:
        return [orjson.loads(payload_of(frame))["seq"] for frame in self.wire.frames]


async def settle() -> None:
    """Let every ready task run."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_missed_events_come_first_then_the_live_ones() -> None:
    journal = Journal(events=5)
    client = Client(journal)

    await client.subscribe(since=2)
    await settle()
    client.feed.received(ACCOUNT, journal.append())

    assert client.seqs() == [3, 4, 5, 6]


async def test_without_since_the_stream_starts_now() -> None:
    journal = Journal(events=5)
    client = Client(journal)

    await client.subscribe(since=None)
    client.feed.received(ACCOUNT, journal.append())

    assert client.seqs() == [6]
    assert journal.reads == 0


async def test_since_zero_replays_everything_in_pages() -> None:
    client = Client(Journal(events=1_001))

    await client.subscribe(since=0)
    await settle()

    assert client.seqs() == list(range(1, 1_002))


@pytest.mark.parametrize("since", [6, -1, 2**62])
async def test_a_since_outside_the_journal_is_refused(since: int) -> None:
    client = Client(Journal(events=5))

    with pytest.raises(RequestError, match="between 0 and 5"):
        await client.subscribe(since=since)

    assert client.wakeups.accounts == set()


async def test_a_lost_message_is_read_from_the_journal() -> None:
    journal = Journal(events=5)
    client = Client(journal)
    await client.subscribe(since=5)

    journal.append()
    client.feed.received(ACCOUNT, journal.append())
    await settle()

    assert client.seqs() == [6, 7]


async def test_messages_out_of_order_or_doubled_are_put_in_order() -> None:
    journal = Journal(events=5)
    client = Client(journal)
    await client.subscribe(since=5)
    six, seven, eight = journal.append(), journal.append(), journal.append()

    for message in (seven, six, six, eight, seven, eight):
        client.feed.received(ACCOUNT, message)
    await settle()

    assert client.seqs() == [6, 7, 8]


async def test_the_poll_finds_what_no_message_told() -> None:
    journal = Journal(events=5)
    client = Client(journal)
    await client.subscribe(since=5)

    journal.append()
    await client.feed.poll()
    await settle()

    assert client.seqs() == [6]


async def test_a_message_during_the_subscription_is_not_lost() -> None:
    journal = Journal(events=5)
    client = Client(journal)
    pending = asyncio.create_task(client.subscribe(since=4))
    await asyncio.sleep(0)

    client.feed.received(ACCOUNT, journal.append())
    await pending
    await settle()

    assert client.seqs() == [5, 6]


async def test_a_slow_reader_gets_a_long_history_without_being_closed() -> None:
    journal = Journal(events=2_000)
    client = Client(journal)
    client.connection._buffer_max_bytes = 20_000
    client.wire.full = True

    await client.subscribe(since=0)
    for _ in range(50):
        await settle()
        client.wire.room = 90
        client.wire.read_again()

    assert client.wire.closed is None
    assert client.seqs() == list(range(1, 2_001))


async def test_an_unreadable_message_changes_nothing() -> None:
    journal = Journal(events=5)
    client = Client(journal)
    await client.subscribe(since=5)

    client.feed.received(ACCOUNT, b"{")
    client.feed.received(ACCOUNT, journal.append())

    assert client.seqs() == [6]


async def test_the_last_client_of_an_account_ends_listening() -> None:
    client = Client(Journal(events=5))
    await client.subscribe(since=5)

    client.feed.leave(client.connection)

    assert client.wakeups.accounts == set()
    assert client.feed._accounts == {}


async def test_subscribing_again_moves_the_stream() -> None:
    journal = Journal(events=5)
    client = Client(journal)
    await client.subscribe(since=5)

    await client.subscribe(since=3)
    await settle()
    client.feed.received(ACCOUNT, journal.append())

    assert client.seqs() == [4, 5, 6]


@pytest.mark.parametrize("seed", range(20))
async def test_no_gap_and_no_repeat_whatever_happens(seed: int) -> None:
    chance = random.Random(seed)
    journal = Journal(events=20)
    client = Client(journal)
    late: list[Any] = []
    await client.subscribe(since=chance.randint(0, 20))
    first = client.feed._accounts[ACCOUNT].subscriptions[client.connection].seq

    for _ in range(300):
        message = journal.append()
        fate = chance.random()
        if fate < 0.6:
            client.feed.received(ACCOUNT, message)
        elif fate < 0.8:
            late.append(message)
        if late and chance.random() < 0.3:
            client.feed.received(ACCOUNT, late.pop(chance.randrange(len(late))))
        if chance.random() < 0.05:
            await client.feed.poll()
        if chance.random() < 0.4:
            await asyncio.sleep(0)
    await client.feed.poll()
    for _ in range(20):
        await settle()

    expected = client.seqs()
    assert expected == list(range(expected[0], journal.last + 1))
    assert first <= 20
