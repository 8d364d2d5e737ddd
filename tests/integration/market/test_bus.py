"""The quote bus and the boards behind it: what arrives, what is read again, what an outage costs."""

import asyncio
import threading
from collections.abc import Iterator
from decimal import Decimal

import pytest

from apps.market.adapters.bus import (
    CHANNEL,
    LATEST_KEY,
    AsyncQuoteSubscriber,
    QuoteBatch,
    QuotePublisher,
    QuoteSubscriber,
    decode,
    encode,
)
from apps.market.domain.quotes import Quote
from apps.market.models import LastQuote
from apps.market.services.board import QuoteBoard
from tests.integration.market.conftest import at, eventually


def quote(symbol: str, bid: str, time_ms: int) -> Quote:
    return Quote(symbol, Decimal(bid), Decimal(bid) + Decimal("0.00020"), time_ms)


class Heard:
    """Collects what a subscriber delivers."""

    def __init__(self) -> None:
        self.latest: list[QuoteBatch] = []
        self.batches: list[QuoteBatch] = []

    @property
    def quotes(self) -> list[Quote]:
        return [one for batch in self.batches for one in batch.quotes]


@pytest.fixture
def heard(redis_server) -> Iterator[Heard]:
    """Follow the bus in a thread."""
    made = Heard()
    subscriber = QuoteSubscriber(on_latest=made.latest.append, on_batch=made.batches.append)
    thread = threading.Thread(target=subscriber.run)
    thread.start()
    assert subscriber.attempted.wait(5)
    yield made
    subscriber.stop()
    thread.join(timeout=5)
    assert not thread.is_alive()


@pytest.fixture
def publisher(redis_server) -> Iterator[QuotePublisher]:
    made = QuotePublisher()
    yield made
    made.close()


def test_message_carries_exact_prices_times_and_marks():
    quotes = [quote("EURUSD", "1.10010", 17), quote("BTCUSD", "67500.50", 18)]

    assert decode(encode(quotes, frozenset({"BTCUSD"}))) == (quotes, frozenset({"BTCUSD"}))
    assert b'["EURUSD","1.10010","1.10030",17,false]' in encode(quotes, frozenset({"BTCUSD"}))


def test_batch_reaches_the_subscriber_in_one_message(heard, publisher):
    quotes = [quote("EURUSD", "1.1", 1), quote("GBPUSD", "1.2", 2)]

    assert publisher.publish(quotes, frozenset({"GBPUSD"})) is True

    eventually(lambda: heard.batches)
    assert heard.batches == [QuoteBatch(quotes, frozenset({"GBPUSD"}))]


def test_late_subscriber_reads_the_latest_of_every_symbol(publisher):
    publisher.publish([quote("EURUSD", "1.1", 1)], frozenset())
    publisher.publish([quote("EURUSD", "1.2", 2), quote("GBPUSD", "1.3", 3)], frozenset())
    made = Heard()
    subscriber = QuoteSubscriber(on_latest=made.latest.append, on_batch=made.batches.append)
    thread = threading.Thread(target=subscriber.run)
    thread.start()

    eventually(lambda: made.latest)
    subscriber.stop()
    thread.join()
    assert sorted(made.latest[0].quotes, key=lambda one: one.symbol) == [
        quote("EURUSD", "1.2", 2),
        quote("GBPUSD", "1.3", 3),
    ]


def test_foreign_messages_are_left_out(heard, publisher, redis_server):
    publisher._redis.publish(CHANNEL, b"not ours")
    publisher.publish([quote("EURUSD", "1.1", 1)], frozenset())

    eventually(lambda: heard.batches)
    assert heard.quotes == [quote("EURUSD", "1.1", 1)]


def test_restart_of_redis_costs_a_moment_and_nothing_else(heard, publisher, redis_server):
    if redis_server is None:
        pytest.skip("a Redis given by its address is not ours to restart")
    publisher.publish([quote("EURUSD", "1.1", 1)], frozenset())
    redis_server.stop()
    assert publisher.publish([quote("EURUSD", "1.2", 2)], frozenset()) is False
    redis_server.start()

    def published() -> bool:
        publisher.restore([quote("EURUSD", "1.3", 3)], frozenset())
        publisher.publish([quote("EURUSD", "1.3", 3)], frozenset())
        return quote("EURUSD", "1.3", 3) in heard.quotes

    eventually(published)
    assert publisher.failures == 1


def test_flush_of_redis_is_healed_by_the_next_restore(publisher, redis_server):
    publisher.publish([quote("EURUSD", "1.1", 1)], frozenset())
    publisher._redis.flushall()
    publisher.restore([quote("EURUSD", "1.1", 1), quote("GBPUSD", "1.2", 1)], frozenset())

    assert set(publisher._redis.hkeys(LATEST_KEY)) == {b"EURUSD", b"GBPUSD"}


@pytest.mark.asyncio
async def test_event_loop_follows_the_same_bus(publisher):
    publisher.publish([quote("EURUSD", "1.1", 1)], frozenset({"EURUSD"}))
    made = Heard()
    subscriber = AsyncQuoteSubscriber(on_latest=made.latest.append, on_batch=made.batches.append)
    task = asyncio.create_task(subscriber.run())
    async with asyncio.timeout(10):
        while not made.latest:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(publisher.publish, [quote("EURUSD", "1.2", 2)], frozenset())
        while not made.batches:
            await asyncio.sleep(0.01)
    task.cancel()

    assert made.latest == [QuoteBatch([quote("EURUSD", "1.1", 1)], frozenset({"EURUSD"}))]
    assert made.batches == [QuoteBatch([quote("EURUSD", "1.2", 2)], frozenset())]
    with pytest.raises(asyncio.CancelledError):
        await task


def test_board_follows_the_bus_and_fills_gaps_from_postgresql(symbols, publisher):
    for name, bid in (("EURUSD", "1.0"), ("GBPUSD", "1.3")):
        LastQuote.objects.create(
            symbol=symbols[name],
            bid=Decimal(bid),
            ask=Decimal(2),
            time=at("2026-01-15T10:00:00"),
            simulated=True,
        )
    publisher.publish([quote("EURUSD", "1.1", 2_000_000_000_000)], frozenset())
    made = QuoteBoard()

    made.start()

    eventually(lambda: len(made.latest) == 2)
    assert made.get("EURUSD") == quote("EURUSD", "1.1", 2_000_000_000_000)
    assert made.get("GBPUSD") == Quote("GBPUSD", Decimal("1.3"), Decimal(2), 1_768_471_200_000)
    assert (made.is_simulated("EURUSD"), made.is_simulated("GBPUSD")) == (False, True)
    made.stop()


def test_board_keeps_the_newer_quote_and_its_marks():
    made = QuoteBoard()
    made.apply([quote("EURUSD", "1.2", 20)], simulated=frozenset({"EURUSD"}))
    held = made.latest

    made.apply([quote("EURUSD", "1.1", 10), quote("GBPUSD", "1.3", 10)], simulated=frozenset())

    assert made.get("EURUSD") == quote("EURUSD", "1.2", 20)
    assert made.simulated == {"EURUSD"}
    assert set(held) == {"EURUSD"}  # whoever holds the old state sees no change
    assert made.wait_ready(0) is True
