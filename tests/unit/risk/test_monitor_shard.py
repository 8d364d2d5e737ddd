"""What a shard of the margin monitor does with ticks before and while it may act, without threads."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import date

import pytest

from apps.market.domain.quotes import Quote
from apps.market.services.engine import TickBatch
from apps.risk.services import monitor_shard
from apps.risk.services.monitor_records import MonitorHangs
from apps.risk.services.monitor_shard import Shard
from tests.factories.rows import D

FIRST_MS = 1_700_000_000_000


@pytest.fixture
def shard(monkeypatch: pytest.MonkeyPatch) -> Shard:
    """A shard that leads, whose lease has just lapsed."""
    monkeypatch.setattr(monitor_shard, "TICK_S", 0.0)
    made = Shard(0, of=1, fail=lambda name, error: None, is_fed=lambda: True)
    made.is_leading = True
    return made


@pytest.fixture
def hold(shard: Shard) -> Callable[[], None]:
    """Give the lease back."""

    def held() -> None:
        shard.lease._held_until = time.monotonic() + 60

    return held


def tick(shard: Shard, symbol: str, *, age_ms: int) -> None:
    quote = Quote(symbol, D("1.10000"), D("1.10017"), FIRST_MS + age_ms)
    shard.on_ticks(TickBatch([quote], {**shard._latest, symbol: quote}))


def test_ticks_that_come_while_it_may_not_act_are_kept(shard: Shard, hold: Callable[[], None]) -> None:
    tick(shard, "EURUSD", age_ms=0)
    assert shard._next_ticks() is None
    tick(shard, "USDJPY", age_ms=5)
    hold()

    taken = shard._next_ticks()

    assert taken is not None
    assert taken.moved == {"EURUSD", "USDJPY"}
    assert shard._next_ticks() is None


def test_a_stop_out_is_timed_from_the_first_tick_that_waited(shard: Shard, hold: Callable[[], None]) -> None:
    hold()
    for age_ms in (0, 160, 320):
        tick(shard, "EURUSD", age_ms=age_ms)

    taken = shard._next_ticks()
    tick(shard, "EURUSD", age_ms=480)
    later = shard._next_ticks()

    assert taken is not None
    assert later is not None
    assert (taken.first_ms, taken.latest["EURUSD"].time_ms) == (FIRST_MS, FIRST_MS + 320)
    assert later.first_ms == FIRST_MS + 480


@pytest.mark.parametrize(
    ("thread", "told"),
    [
        ("value", "ticks have not been dealt with for 31 s"),
        ("follow", "the journal has not been read for 31 s"),
        ("record", "records have not been kept for 31 s"),
        ("", ""),
    ],
)
def test_each_thread_is_watched_by_itself(
    shard: Shard, hold: Callable[[], None], thread: str, told: str
) -> None:
    hold()
    recorder, now = shard._recorder, time.monotonic()
    recorder.begin(date(2026, 11, 18))
    hung = now - 31
    shard.valuing_since = hung if thread == "value" else now
    shard.lags.followed_at = hung if thread == "follow" else now
    recorder._recorded_at = hung if thread == "record" else now

    with pytest.raises(MonitorHangs, match=told) if told else nullcontext():
        recorder.watch()
