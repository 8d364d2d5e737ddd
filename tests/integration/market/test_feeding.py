"""The feed service inside a process: leading, standing by, keeping what it saw."""

import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError, connection

from apps.market.adapters.feed import NEVER_MS, RawTick
from apps.market.domain.quotes import Quote
from apps.market.models import Candle, FeedStatus, LastQuote, Symbol, TradingSession
from apps.market.services import feeding, recorder
from apps.market.services.board import board
from apps.market.services.engine import Engine, TickBatch
from apps.market.services.feeding import FeedService
from apps.market.services.leases import Lease
from rtx.kernel import clock
from tests.integration.market.conftest import eventually


class ScriptedFeed:
    """Hands out what the test puts in."""

    provider = "scripted"
    is_simulated = True

    def __init__(self) -> None:
        self.ticks: list[RawTick] = []

    def put(self, bid: str | None, ask: str | None, **values: Any) -> None:
        prices = (None if price is None else Decimal(price) for price in (bid, ask))
        self.ticks.append(RawTick(values.pop("time_ms", clock.now_ms()), *prices, **values))

    def next_due_ms(self) -> int:
        return self.ticks[0].time_ms if self.ticks else NEVER_MS

    def take(self, now_ms: int) -> list[RawTick]:
        due, self.ticks = self.ticks, []
        return due


class Running:
    """One engine with the feed service in a thread of the test."""

    def __init__(self, feeds: dict[str, ScriptedFeed]) -> None:
        self.feeds = feeds
        self.batches: list[TickBatch] = []
        self.engine = Engine([])
        self.engine.on_ticks(self.batches.append)
        self.service = FeedService()
        self.service._factory.make = self._make
        self.service.start(self.engine)

    def _make(self, spec: Any, **_values: Any) -> ScriptedFeed:
        return self.feeds.setdefault(spec.name, ScriptedFeed())

    def leads(self) -> bool:
        return self.service.health()["leading"]

    def quotes(self) -> list[Quote]:
        return [quote for batch in self.batches for quote in batch.quotes]


@pytest.fixture
def run(symbols, redis_server, monkeypatch) -> Iterator[Callable[[], Running]]:
    """Return a function that starts an engine; all are stopped at the end."""
    monkeypatch.setattr(feeding, "RECORD_S", 0.05)
    monkeypatch.setattr(feeding, "LEASE_S", 0.1)
    monkeypatch.setattr(feeding, "RELOAD_S", 0.1)
    TradingSession.objects.update(always_open=True)
    made: list[Running] = []

    def start() -> Running:
        running = Running({})
        made.append(running)
        return running

    yield start
    for running in made:
        running.service.stop()


@pytest.fixture
def engine(run) -> Running:
    """Start an engine that leads."""
    running = run()
    eventually(running.leads)
    return running


def ticks_stored() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM market_tick")
        return cursor.fetchone()[0]


def test_tick_reaches_board_listeners_and_postgresql(engine, eurusd):
    engine.feeds["EURUSD"].put("1.10001", "1.10003")

    eventually(lambda: ticks_stored() == 1 and FeedStatus.objects.filter(accepted=1).exists())

    shown = board().get("EURUSD")
    assert (shown.bid, shown.ask) == (Decimal("1.10001"), Decimal("1.10003"))
    assert engine.quotes() == [shown]
    assert engine.batches[0].latest["EURUSD"] == shown
    kept = LastQuote.objects.get(symbol=eurusd)
    assert (kept.bid, kept.source, kept.simulated) == (Decimal("1.10001"), "scripted", True)
    assert set(Candle.objects.values_list("interval", "ticks")) == {
        (interval, 1) for interval in ("1m", "5m", "15m", "1h", "4h", "1d")
    }


def test_refused_ticks_are_counted_and_go_nowhere(engine, eurusd):
    feed = engine.feeds["EURUSD"]
    feed.put("1.10", "1.11")
    feed.put("1.12", "1.11")
    feed.put(None, "1.11")
    feed.put("0", "1.11")
    feed.put("1.20", "1.21")
    feed.put("1.10", "1.11", time_ms=1)

    eventually(lambda: FeedStatus.objects.filter(symbol=eurusd, refused_out_of_order=1).exists())

    status = FeedStatus.objects.get(symbol=eurusd)
    assert (status.accepted, status.refused_crossed, status.refused_empty) == (1, 1, 1)
    assert (status.refused_non_positive, status.refused_spike, status.refused) == (1, 1, 5)
    assert len(engine.quotes()) == 1


def test_repeat_makes_a_quote_fresh_and_is_no_tick(engine):
    feed = engine.feeds["EURUSD"]
    now_ms = clock.now_ms()
    feed.put("1.10", "1.11", time_ms=now_ms)
    eventually(lambda: ticks_stored() == 1)
    feed.put(None, None, time_ms=now_ms + 5, is_repeat=True)

    eventually(lambda: board().get("EURUSD").time_ms == now_ms + 5)

    assert board().get("EURUSD").bid == Decimal("1.10")
    eventually(lambda: LastQuote.objects.get().time == clock.from_ms(now_ms + 5))
    assert ticks_stored() == 1


def test_closed_session_has_no_prices(engine):
    TradingSession.objects.update(always_open=False, timezone="UTC")
    for session in TradingSession.objects.all():
        session.hours.all().delete()
    eventually(lambda: not engine.service._lines["EURUSD"].fed.spec.calendar.is_open(clock.now()))
    engine.feeds["EURUSD"].put("1.10", "1.11")

    eventually(lambda: not engine.feeds["EURUSD"].ticks)
    engine.service.stop()

    assert engine.quotes() == []


def test_standby_takes_over_and_goes_on_from_what_was_stored(run, symbols):
    first = run()
    eventually(first.leads)
    second = run()
    first.feeds["EURUSD"].put("1.10", "1.11")
    eventually(lambda: ticks_stored() == 1)
    assert second.leads() is False

    first.service.stop()
    eventually(second.leads)
    second.feeds["EURUSD"].put("1.12", "1.13")
    eventually(lambda: Candle.objects.filter(interval="1d", ticks=2).exists())

    assert second.service.health()["fence"] == 2
    day = Candle.objects.get(interval="1d")
    assert (day.open, day.close) == (Decimal("1.10"), Decimal("1.12"))


def test_deposed_leader_stops_publishing(engine, monkeypatch):
    monkeypatch.setattr(engine.service._lease, "renew", lambda: False)
    engine.service._lease._held_until = 0.0
    thief = Lease("feed")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE market_enginelease SET expires_at = now() - interval '1 minute'")
    assert thief.renew() is True

    eventually(lambda: not engine.leads())
    engine.feeds["EURUSD"].put("1.10", "1.11")

    assert not threading.Event().wait(0.3)
    assert engine.quotes() == []
    assert ticks_stored() == 0


def test_what_cannot_be_stored_waits_for_postgresql(engine, monkeypatch):
    write = recorder.Recorder._write
    away = threading.Event()
    away.set()

    def fails(self: recorder.Recorder, *args: Any) -> None:
        if away.is_set():
            raise OperationalError("the server is away")
        write(self, *args)

    monkeypatch.setattr(recorder.Recorder, "_write", fails)
    for n in range(5):
        engine.feeds["EURUSD"].put(f"1.1000{n}", "1.2")
    eventually(lambda: len(engine.quotes()) == 5)
    assert ticks_stored() == 0

    away.clear()

    eventually(lambda: ticks_stored() == 5)
    assert engine.service.health()["ticks_lost"] == 0


def test_new_symbol_gets_a_feed_and_a_removed_one_loses_it(engine, eurusd):
    Symbol.objects.filter(pk=eurusd.pk).update(is_active=False)
    Symbol.objects.create(
        name="EURCHF", asset_class="forex", base_currency="EUR", profit_currency="CHF", margin_currency="EUR",
        session=TradingSession.objects.first(),
    )  # fmt: skip

    eventually(lambda: "EURCHF" in engine.service._lines and "EURUSD" not in engine.service._lines)

    engine.feeds["EURCHF"].put("0.95", "0.96")
    eventually(lambda: board().get("EURCHF") is not None)


def test_fault_of_a_listener_does_not_stop_the_prices(engine):
    def breaks(batch: TickBatch) -> None:
        raise RuntimeError("monitor broke")

    engine.engine.on_ticks(breaks)
    engine.feeds["EURUSD"].put("1.10", "1.11")
    eventually(lambda: ticks_stored() == 1)
    engine.feeds["EURUSD"].put("1.11", "1.12")

    eventually(lambda: ticks_stored() == 2)
    assert engine.engine.failure == ""
