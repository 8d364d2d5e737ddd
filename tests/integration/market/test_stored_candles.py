"""Candles in PostgreSQL: built from ticks, repaired, never mixed from two providers."""

from datetime import date
from decimal import Decimal

import pytest

from apps.market.domain.candles import Bar, Bucket
from apps.market.models import Candle
from apps.market.services import candles, ticks
from apps.market.services.ticks import StoredTick
from tests.integration.market.conftest import at

DAY = date(2026, 1, 15)


@pytest.fixture
def put(eurusd):
    """Return a function that stores ticks: (time of the day, bid), optionally of another source."""
    ticks.ensure_days([DAY])

    def store(*rows: tuple[str, str], source: str = "oanda") -> None:
        ticks.append(
            StoredTick(eurusd.pk, at(f"2026-01-15T{time}"), nth, source, Decimal(bid), Decimal(bid) + 1)
            for nth, (time, bid) in enumerate(rows)
        )

    return store


def rebuild(**values) -> int:
    return candles.rebuild(since=at("2026-01-15T00:00:00"), until=at("2026-01-16T00:00:00"), **values)


def stored(interval: str) -> dict[str, tuple]:
    return {
        f"{row.opened_at:%H:%M}": (str(row.open), str(row.high), str(row.low), str(row.close), row.ticks)
        for row in Candle.objects.filter(interval=interval)
    }


def test_minutes_and_higher_candles_come_from_ticks(put):
    put(("10:00:00", "5"), ("10:00:30", "8"), ("10:00:59.999", "6"), ("10:01:00", "2"), ("10:16:00", "9"))

    assert rebuild() == 3

    assert stored("1m") == {
        "10:00": ("5", "8", "5", "6", 3),
        "10:01": ("2", "2", "2", "2", 1),
        "10:16": ("9", "9", "9", "9", 1),
    }
    assert stored("15m") == {"10:00": ("5", "8", "2", "2", 4), "10:15": ("9", "9", "9", "9", 1)}
    assert stored("4h") == {"08:00": ("5", "9", "2", "9", 5)}
    assert stored("1d") == {"00:00": ("5", "9", "2", "9", 5)}


def test_ticks_of_the_same_instant_keep_their_order(put):
    put(("10:00:00", "5"), ("10:00:00", "7"), ("10:00:00", "6"))

    rebuild()

    assert stored("1m") == {"10:00": ("5", "7", "5", "6", 3)}


def test_building_again_writes_nothing(put):
    put(("10:00:00", "5"), ("10:01:00", "6"))
    rebuild()

    assert rebuild() == 0


def test_minute_comes_from_the_source_with_the_most_ticks(put):
    put(("10:00:00", "5"), ("10:00:30", "6"), source="oanda")
    put(("10:00:01", "50"), ("10:01:01", "60"), source="fxcm")

    rebuild()

    assert stored("1m") == {"10:00": ("5", "6", "5", "6", 2), "10:01": ("60", "60", "60", "60", 1)}


def test_repair_fills_what_is_missing_and_leaves_a_fuller_candle(put, eurusd):
    put(("10:00:00", "5"), ("10:00:30", "6"), ("10:01:00", "7"))
    live = Bar(Decimal(5), Decimal(9), Decimal(5), Decimal(6), 3)
    opened_ms = int(at("2026-01-15T10:00:00").timestamp() * 1000)
    candles.store({Bucket("EURUSD", "1m", opened_ms): live}, ids={"EURUSD": eurusd.pk})

    assert candles.repair(now=at("2026-01-15T10:03:00")) == 1

    assert stored("1m") == {"10:00": ("5", "9", "5", "6", 3), "10:01": ("7", "7", "7", "7", 1)}
    assert stored("5m") == {"10:00": ("5", "9", "5", "7", 4)}


def test_repair_leaves_the_running_minute_to_the_engine(put):
    put(("10:02:00", "5"))

    assert candles.repair(now=at("2026-01-15T10:03:05")) == 0


def test_live_candle_is_replaced_as_it_grows(eurusd):
    bucket = Bucket("EURUSD", "1m", 0)
    for close, count in (("6", 2), ("4", 3)):
        bar = Bar(Decimal(5), Decimal(6), Decimal(4), Decimal(close), count)
        candles.store({bucket: bar}, ids={"EURUSD": eurusd.pk})

    assert stored("1m") == {"00:00": ("5", "6", "4", "4", 3)}
