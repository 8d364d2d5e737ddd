"""The candles channel: running bars from raw bids, the latest state of each bar for slow clients."""

from decimal import Decimal
from typing import Any

import pytest

from apps.market.domain.candles import Bar
from apps.market.domain.quotes import Quote
from apps.trading.consumers.candle_feed import CandleFeed
from apps.trading.consumers.connection import Connection
from apps.trading.consumers.frames import quotes_frame
from tests.factories.stream import FakeWire

MINUTE_MS = 60_000
START_MS = 1_700_006_400_000  # 2023-11-15 00:00 UTC, the opening of every interval


def tick(bid: str, after_ms: int, symbol: str = "EURUSD") -> Quote:
    return Quote(symbol=symbol, bid=Decimal(bid), ask=Decimal(bid), time_ms=START_MS + after_ms)


def bars(wire: FakeWire) -> list[tuple[Any, ...]]:
    return [
        (
            m["interval"],
            (m["t"] - START_MS) // MINUTE_MS,
            m["open"],
            m["high"],
            m["low"],
            m["close"],
            m["ticks"],
        )
        for m in wire.messages()
    ]


@pytest.fixture
def feed() -> CandleFeed:
    made = CandleFeed()
    made.resume({})
    return made


def join(feed: CandleFeed, interval: str) -> tuple[Connection, FakeWire]:
    wire = FakeWire()
    connection = Connection(wire=wire, buffer_max_bytes=1 << 20, compose=quotes_frame)
    feed.subscribe(connection, symbol="EURUSD", interval=interval)
    return connection, wire


def test_the_running_bar_is_sent_when_it_changed(feed):
    _, wire = join(feed, "1m")

    feed.publish([tick("1.1", 0), tick("1.3", 10), tick("1.0", 20), tick("1.2", 30)])
    feed.flush()
    feed.flush()

    assert bars(wire) == [("1m", 0, "1.1", "1.3", "1.0", "1.2", 4)]


def test_a_new_bar_follows_the_finished_one(feed):
    _, wire = join(feed, "1m")

    feed.publish([tick("1.1", 0), tick("1.2", MINUTE_MS)])
    feed.flush()

    assert bars(wire) == [("1m", 0, "1.1", "1.1", "1.1", "1.1", 1), ("1m", 1, "1.2", "1.2", "1.2", "1.2", 1)]


def test_a_subscriber_gets_the_running_bar_at_once(feed):
    feed.publish([tick("1.1", 0), tick("1.4", MINUTE_MS)])

    _, wire = join(feed, "5m")

    assert bars(wire) == [("5m", 0, "1.1", "1.4", "1.1", "1.4", 2)]


def test_stored_minutes_are_continued():
    feed = CandleFeed()
    minute = Bar(*map(Decimal, ("1.1", "1.9", "0.5", "1.2")), ticks=7)
    feed.publish([tick("1.3", 31_000)])

    feed.resume({"EURUSD": [(START_MS - MINUTE_MS, Bar.at(Decimal(9))), (START_MS, minute)]})
    _, minutes = join(feed, "1m")
    _, hours = join(feed, "1h")

    assert bars(minutes) == [("1m", 0, "1.1", "1.9", "0.5", "1.3", 8)]
    assert bars(hours) == [("1h", 0, "1.1", "1.9", "0.5", "1.3", 8)]


def test_a_slow_client_gets_each_bar_once_in_its_latest_state(feed):
    _, wire = join(feed, "1m")
    wire.full = True
    for step, bid in enumerate(("1.1", "1.2", "1.3")):
        feed.publish([tick(bid, step)])
        feed.flush()
    feed.publish([tick("1.5", MINUTE_MS)])
    feed.flush()

    wire.read_again()

    assert bars(wire) == [("1m", 0, "1.1", "1.3", "1.1", "1.3", 3), ("1m", 1, "1.5", "1.5", "1.5", "1.5", 1)]


def test_unsubscribing_drops_what_waits(feed):
    connection, wire = join(feed, "1m")
    wire.full = True
    feed.publish([tick("1.1", 0)])
    feed.flush()

    feed.unsubscribe(connection, symbol="EURUSD")
    wire.read_again()
    feed.publish([tick("1.2", 1)])
    feed.flush()

    assert bars(wire) == []


def test_other_symbols_and_intervals_are_not_sent(feed):
    _, wire = join(feed, "1m")

    feed.publish([tick("1.1", 0, symbol="GBPUSD")])
    feed.flush()

    assert bars(wire) == []
