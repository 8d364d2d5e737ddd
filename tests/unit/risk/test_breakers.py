"""The transition table of circuit breakers, and their windows at exact times."""

from decimal import Decimal

import pytest

from apps.risk.domain.breakers import (
    TRANSITIONS,
    PriceWindow,
    RateWindow,
    Signal,
    State,
    next_state,
    signal_of,
    silence_s,
)

D = Decimal
CLOSED, OPEN, HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN
EXPECTED = {
    CLOSED: (OPEN, None, None, None),
    OPEN: (None, HALF_OPEN, None, CLOSED),
    HALF_OPEN: (OPEN, None, CLOSED, CLOSED),
}


@pytest.mark.parametrize("state", State)
def test_every_state_answers_every_signal(state):
    signals = (Signal.TRIPPED, Signal.COOLED, Signal.PROBED, Signal.RESET)

    assert tuple(next_state(state, signal) for signal in signals) == EXPECTED[state]
    assert len(TRANSITIONS) == 6


@pytest.mark.parametrize(
    ("state", "value", "cooled", "auto", "left", "signal"),
    [
        (CLOSED, "0.99", True, True, 0, None),
        (CLOSED, "1.00", True, True, 0, Signal.TRIPPED),
        (OPEN, "1.00", True, True, 0, None),  # not while it still measures too much
        (OPEN, "0.99", False, True, 0, None),
        (OPEN, "0.99", True, True, 0, Signal.COOLED),
        (OPEN, None, True, True, 0, Signal.COOLED),
        (OPEN, "0.99", True, False, 0, None),  # staff alone
        (HALF_OPEN, "1.00", True, True, 0, Signal.TRIPPED),
        (HALF_OPEN, "0.99", True, True, 1, None),
        (HALF_OPEN, "0.99", True, True, 0, Signal.PROBED),
    ],
)
def test_what_a_measure_says(state, value, cooled, auto, left, signal):
    assert signal is signal_of(
        state,
        value=None if value is None else D(value),
        threshold=D(1),
        has_cooled=cooled,
        resets_itself=auto,
        probes_left=left,
    )


def test_a_move_is_measured_from_the_lowest_and_the_highest_of_the_window():
    window = PriceWindow(window_ms=60_000)
    assert window.move_pct(0) is None
    for at_ms, bid in ((0, "100"), (10_000, "99"), (20_000, "101")):
        window.add(D(bid), at_ms=at_ms)

    assert window.move_pct(20_000) == D(2) / 99 * 100
    window.add(D("98"), at_ms=30_000)
    assert window.move_pct(30_000) == D(3) / 101 * 100


def test_a_move_is_over_once_the_window_has_passed_it():
    window = PriceWindow(window_ms=60_000)
    window.add(D(100), at_ms=0)
    window.add(D(105), at_ms=60_000)

    assert window.move_pct(60_000) == D(5)  # the price that stood when the window began
    assert window.move_pct(119_999) == D(5)
    assert window.move_pct(120_000) == D(0)


def test_a_jump_after_a_silence_counts_from_the_price_that_stood():
    window = PriceWindow(window_ms=1_000)
    window.add(D(100), at_ms=0)
    window.add(D(103), at_ms=50_000)

    assert window.move_pct(50_000) == D(3)


def test_a_cleared_window_begins_at_the_next_tick():
    window = PriceWindow(window_ms=1_000)
    window.add(D(100), at_ms=0)
    window.clear()

    assert window.move_pct(1) is None
    window.add(D(120), at_ms=2)
    assert window.move_pct(2) == D(0)


def test_refused_orders_need_enough_observations():
    window = RateWindow(window_ms=10_000)
    for at_ms in range(4):
        window.add(at_ms=at_ms, is_refused=at_ms % 2 == 0)

    assert window.refused_pct(4, observations_min=5) is None
    assert window.refused_pct(4, observations_min=4) == D(50)
    assert window.refused_pct(10_000, observations_min=1) == D(100) / 3  # the first has left
    assert window.refused_pct(10_003, observations_min=0) is None


def test_silence_is_told_to_the_millisecond():
    assert silence_s(now_ms=61_500, last_ms=1_000) == D("60.5")
    assert silence_s(now_ms=0, last_ms=1_000) == D(0)
