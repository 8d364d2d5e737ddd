"""The circuit breaker's rule."""

from datetime import UTC, datetime, timedelta

import pytest

from apps.crm.domain.breaker import Breaker

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def after_failures(count: int) -> Breaker:
    breaker = Breaker()
    for _ in range(count):
        breaker = breaker.failed(NOON)
    return breaker


def test_four_failures_in_a_row_keep_it_closed():
    assert after_failures(4).state(NOON) == "closed"


def test_the_fifth_failure_opens_it_for_thirty_seconds():
    breaker = after_failures(5)

    assert breaker.state(NOON) == "open"
    assert breaker.wait(NOON) == timedelta(seconds=30)


def test_a_success_between_failures_begins_the_count_anew():
    assert after_failures(4).succeeded().failed(NOON).failures == 1


def test_a_fault_opens_it_at_once_and_twice_as_long_each_time():
    first = Breaker().tripped(NOON)
    second = first.tripped(NOON + timedelta(seconds=30))

    assert (first.failures, first.wait(NOON)) == (5, timedelta(seconds=30))
    assert (second.failures, second.wait(NOON + timedelta(seconds=30))) == (6, timedelta(seconds=60))


def test_calls_that_were_on_their_way_when_it_opened_do_not_lengthen_the_pause():
    breaker = after_failures(5)

    assert breaker.failed(NOON) == breaker


def test_after_the_pause_one_call_tries_and_the_others_stay_out():
    later = NOON + timedelta(seconds=30)
    breaker = after_failures(5)
    assert breaker.state(later) == "half-open"

    probing = breaker.entered(later)

    assert probing.state(later) == "open"
    assert probing.wait(later) == timedelta(seconds=45)  # the next one goes when this one never came back


@pytest.mark.parametrize(
    ("failed_probes", "pause_s"), [(1, 60), (2, 120), (3, 240), (4, 480), (5, 600), (30, 600)]
)
def test_each_failed_probe_doubles_the_pause_up_to_ten_minutes(failed_probes, pause_s):
    breaker, now = after_failures(5), NOON
    for _ in range(failed_probes):
        now += timedelta(hours=1)
        breaker = breaker.entered(now).failed(now, is_probe=True)

    assert breaker.wait(now) == timedelta(seconds=pause_s)


def test_a_probe_that_succeeds_closes_it():
    later = NOON + timedelta(minutes=1)

    assert after_failures(5).entered(later).succeeded() == Breaker()
