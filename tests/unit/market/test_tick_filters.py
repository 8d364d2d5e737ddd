"""What the tick filters refuse, count and let through."""

from decimal import Decimal

import pytest

from apps.market.domain.quotes import Refusal, TickFilter


def price(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def judge(ticks: TickFilter, bid: str | None, ask: str | None, time_ms: int = 1000) -> Refusal | None:
    return ticks.refusal(bid=price(bid), ask=price(ask), time_ms=time_ms)


@pytest.fixture
def ticks() -> TickFilter:
    made = TickFilter(spike_max_pct=Decimal(2))
    assert judge(made, "100.00", "100.02") is None
    return made


@pytest.mark.parametrize(
    ("bid", "ask", "time_ms", "reason"),
    [
        (None, "100", 1000, Refusal.EMPTY),
        ("100", None, 1000, Refusal.EMPTY),
        ("NaN", "100", 1000, Refusal.EMPTY),
        ("100", "Infinity", 1000, Refusal.EMPTY),
        ("0", "100", 1000, Refusal.NON_POSITIVE),
        ("-1", "100", 1000, Refusal.NON_POSITIVE),
        ("100.03", "100.02", 1000, Refusal.CROSSED),
        ("100.02", "100.02", 1000, None),  # no spread is a fair price
        ("100", "100.02", 999, Refusal.OUT_OF_ORDER),
        ("100", "100.02", 1000, None),
        ("102", "102.02", 1001, None),
        ("102.01", "102.03", 1001, Refusal.SPIKE),
        ("98", "98.02", 1001, None),
        ("97.99", "98.02", 1001, Refusal.SPIKE),
    ],
)
def test_one_tick_is_judged(ticks, bid, ask, time_ms, reason):
    assert judge(ticks, bid, ask, time_ms) is reason
    assert ticks.accepted == 1 + (reason is None)
    assert dict(ticks.refused) == ({} if reason is None else {reason: 1})


def test_refused_tick_does_not_move_the_clock_or_the_level(ticks):
    judge(ticks, "200", "201", 5000)
    judge(ticks, "100.05", "100.00", 5000)

    assert judge(ticks, "100.01", "100.03", 1500) is None


def test_gap_is_accepted_once_five_ticks_in_a_row_confirmed_it(ticks):
    answers = [judge(ticks, f"110.0{n}", "110.50", 2000 + n) for n in range(6)]

    assert answers == [Refusal.SPIKE] * 5 + [None]
    assert judge(ticks, "110.10", "110.50", 3000) is None
    assert judge(ticks, "100.00", "100.02", 3001) is Refusal.SPIKE


def test_wild_prints_at_different_levels_never_get_through(ticks):
    answers = [judge(ticks, str(200 + 50 * n), "9999", 2000 + n) for n in range(20)]

    assert answers == [Refusal.SPIKE] * 20


def test_tick_at_the_old_level_ends_a_confirmation(ticks):
    for n in range(4):
        judge(ticks, "110", "110.1", 2000 + n)
    judge(ticks, "100", "100.02", 2010)

    assert [judge(ticks, "110", "110.1", 2020 + n) for n in range(5)] == [Refusal.SPIKE] * 5


def test_session_break_lets_any_level_in_but_not_the_past(ticks):
    ticks.break_session()

    assert judge(ticks, "150", "150.1", 999) is Refusal.OUT_OF_ORDER
    assert judge(ticks, "150", "150.1", 1001) is None


def test_restored_quote_is_a_level_and_not_a_tick():
    ticks = TickFilter(spike_max_pct=Decimal(2))
    ticks.start_from(bid=Decimal(100), time_ms=1000)

    assert judge(ticks, "150", "150.1", 1001) is Refusal.SPIKE
    assert ticks.accepted == 0


def test_zero_limit_turns_the_spike_filter_off():
    ticks = TickFilter(spike_max_pct=Decimal(0))

    assert [judge(ticks, bid, "1000") for bid in ("100", "900", "1")] == [None] * 3


@pytest.mark.parametrize(("now_ms", "reason"), [(-4_001, None), (-4_000, Refusal.OUT_OF_ORDER)])
def test_a_tick_of_a_clock_that_was_ahead_holds_up_none_after_it(ticks, now_ms, reason):
    found = ticks.refusal(bid=Decimal(100), ask=Decimal("100.02"), time_ms=999, now_ms=now_ms)

    assert found is reason  # the last tick's time is 1000: more than five seconds ahead, or just five
