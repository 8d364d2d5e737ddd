"""The limiter's rule: never more than so many calls in any window, whatever the provider's clock says."""

from hypothesis import given
from hypothesis import strategies as st

from apps.crm.domain.limits import CALL_MAX_MS, Call, Window

SECOND = 1_000
WINDOW = 10 * SECOND


def filled(*ends_ms: int) -> Window:
    return Window(tuple(Call(at) for at in ends_ms))


def wait(window: Window, *, now_ms: int, calls_max: int = 2) -> int:
    return window.wait_ms(now_ms=now_ms, calls_max=calls_max, window_ms=WINDOW)


def test_an_empty_window_lets_a_call_through():
    assert wait(Window(), now_ms=5) == 0


def test_the_call_after_the_last_free_one_waits_until_the_first_end_is_a_window_ago():
    assert wait(filled(1_000, 4_000), now_ms=4_500) == 1_000 + WINDOW - 4_500


def test_a_call_counts_from_its_end_not_from_its_begin():
    window = Window().begun("a", now_ms=0).ended("a", now_ms=3_000)

    assert wait(window, now_ms=3_000, calls_max=1) == WINDOW


def test_the_window_frees_its_slot_on_the_millisecond():
    assert wait(filled(0), now_ms=WINDOW - 1, calls_max=1) == 1
    assert wait(filled(0), now_ms=WINDOW, calls_max=1) == 0


def test_a_call_on_its_way_holds_its_slot():
    window = Window().begun("a", now_ms=0)

    assert wait(window, now_ms=20 * SECOND, calls_max=1) == WINDOW


def test_a_call_whose_worker_died_frees_its_slot_in_the_end():
    window = Window().begun("a", now_ms=0)

    assert wait(window, now_ms=CALL_MAX_MS + WINDOW, calls_max=1) == 0


def test_the_provider_s_wish_to_wait_goes_before_free_slots():
    assert wait(Window().paused(until_ms=7_000), now_ms=2_000) == 5_000


def test_a_shorter_wish_does_not_take_a_longer_one_back():
    window = Window().paused(until_ms=7_000).paused(until_ms=3_000)

    assert wait(window, now_ms=2_000) == 5_000


def test_calls_of_other_programs_count_when_the_provider_tells_of_them():
    window = filled(1_000).told(3, calls_max=10, now_ms=1_000, window_ms=WINDOW)

    assert len(window.calls) == 7  # 10 allowed, 3 left
    assert wait(window, now_ms=1_500, calls_max=7) == 9_500


def test_a_provider_that_leaves_more_than_is_counted_here_changes_nothing():
    assert filled(1_000).told(99, calls_max=10, now_ms=1_000, window_ms=WINDOW) == filled(1_000)


def test_no_word_about_what_is_left_changes_nothing():
    assert filled(1_000).told(None, calls_max=10, now_ms=1_000, window_ms=WINDOW) == filled(1_000)


def test_a_window_is_kept_as_json_and_read_back():
    window = Window((Call(1), Call(2, "x")))

    assert Window.read(window.kept()) == window


def test_what_cannot_be_read_does_not_count():
    assert Window.read([["x", 1], [1], 7, None, [3, "a"]]).calls == (Call(3, "a"),)
    assert Window.read({"a": 1}).calls == ()


@given(
    calls_max=st.integers(1, 5),
    gaps_ms=st.lists(st.integers(0, 6_000), min_size=1, max_size=60),
    took_ms=st.lists(st.integers(0, 3_000), min_size=60, max_size=60),
)
def test_the_provider_never_sees_more_than_allowed_in_any_window(calls_max, gaps_ms, took_ms):
    """One worker that calls as soon as it may: arrivals anywhere between begin and end of each call."""
    window, now_ms, seen = Window(), 0, []
    for gap_ms, took in zip(gaps_ms, took_ms, strict=False):
        now_ms += gap_ms
        now_ms += window.wait_ms(now_ms=now_ms, calls_max=calls_max, window_ms=WINDOW)
        window = window.current(now_ms=now_ms, window_ms=WINDOW).begun("a", now_ms=now_ms)
        began, now_ms = now_ms, now_ms + took
        window = window.ended("a", now_ms=now_ms)
        seen.append((began, now_ms))

    for place in range(len(seen) - calls_max):
        latest_arrival, earliest_arrival = seen[place][1], seen[place + calls_max][0]
        assert earliest_arrival - latest_arrival >= WINDOW
