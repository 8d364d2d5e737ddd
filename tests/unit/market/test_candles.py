"""Candles: what a tick changes, what is merged, what a restart keeps."""

from decimal import Decimal

from apps.market.domain.candles import INTERVALS_MS, Bar, Bucket, CandleBuilder, merge

MINUTE = 60_000


def bar(open_: str, high: str, low: str, close: str, ticks: int) -> Bar:
    return Bar(Decimal(open_), Decimal(high), Decimal(low), Decimal(close), ticks)


def fed(*ticks: tuple[int, str]) -> CandleBuilder:
    builder = CandleBuilder()
    for time_ms, bid in ticks:
        builder.add("EURUSD", Decimal(bid), time_ms)
    return builder


def test_minute_takes_open_high_low_close_and_counts():
    changed = fed((0, "5"), (10, "7"), (20, "3"), (59_999, "4")).drain()

    assert changed[Bucket("EURUSD", "1m", 0)] == bar("5", "7", "3", "4", 4)
    assert {bucket.interval for bucket in changed} == set(INTERVALS_MS)


def test_next_minute_starts_a_bar_and_the_hour_holds_both():
    changed = fed((0, "5"), (30_000, "6"), (MINUTE, "2"), (MINUTE + 1, "9")).drain()

    assert changed[Bucket("EURUSD", "1m", 0)] == bar("5", "6", "5", "6", 2)
    assert changed[Bucket("EURUSD", "1m", MINUTE)] == bar("2", "9", "2", "9", 2)
    assert changed[Bucket("EURUSD", "1h", 0)] == bar("5", "9", "2", "9", 4)


def test_drain_returns_only_what_changed_and_the_running_bar_goes_on():
    builder = fed((0, "5"))
    builder.drain()
    assert builder.drain() == {}

    builder.add("EURUSD", Decimal("6"), 10)

    assert builder.drain()[Bucket("EURUSD", "1d", 0)] == bar("5", "6", "5", "6", 2)


def test_finished_bars_are_drained_once_even_when_minutes_are_skipped():
    changed = fed((0, "5"), (10 * MINUTE, "6")).drain()

    assert changed[Bucket("EURUSD", "5m", 0)] == bar("5", "5", "5", "5", 1)
    assert changed[Bucket("EURUSD", "5m", 10 * MINUTE)] == bar("6", "6", "6", "6", 1)
    assert Bucket("EURUSD", "5m", 5 * MINUTE) not in changed
    assert changed[Bucket("EURUSD", "15m", 0)] == bar("5", "6", "5", "6", 2)


def test_drained_bars_are_copies():
    builder = fed((0, "5"))
    before = builder.drain()[Bucket("EURUSD", "1m", 0)]

    builder.add("EURUSD", Decimal("9"), 10)

    assert before.high == Decimal("5")


def test_restart_takes_the_running_bars_over():
    builder = CandleBuilder()
    builder.resume("EURUSD", [(0, bar("1", "9", "1", "4", 90)), (MINUTE, bar("5", "6", "4", "5", 10))])
    builder.add("EURUSD", Decimal("7"), MINUTE + 5)

    changed = builder.drain()

    assert changed[Bucket("EURUSD", "1m", MINUTE)] == bar("5", "7", "4", "7", 11)
    assert changed[Bucket("EURUSD", "1h", 0)] == bar("1", "9", "1", "7", 101)


def test_merge_puts_minutes_into_quarters():
    minutes = [(14 * MINUTE, bar("1", "5", "1", "2", 3)), (15 * MINUTE, bar("2", "3", "2", "3", 4)),
               (29 * MINUTE, bar("3", "4", "0.5", "1", 5))]  # fmt: skip

    assert merge("15m", minutes) == {
        0: bar("1", "5", "1", "2", 3),
        15 * MINUTE: bar("2", "4", "0.5", "1", 9),
    }
