"""The limiter and the circuit breaker of a connection, shared by all workers."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections as databases

from apps.crm.adapters.provider import CallRefused, LimitReached, Unavailable
from apps.crm.models import Connection
from apps.crm.services import calling
from rtx.kernel import clock
from tests.fakes.server import Fault, Limit
from tests.integration.crm.toys import call

pytestmark = pytest.mark.django_db


def test_the_window_holds_calls_back_before_the_provider_does(connected, toy, monkeypatch):
    class Slept(Exception):
        """The limiter would sleep now."""

    def sleep(seconds):
        raise Slept(seconds)

    Connection.objects.update(calls_max=2, window_s=10)
    call(connected)
    call(connected)
    monkeypatch.setattr(calling, "pause", sleep)

    with pytest.raises(Slept) as slept:
        call(connected)

    assert 8 < slept.value.args[0] <= 10
    assert toy.count("names") == 2


def test_a_wait_that_is_too_long_gives_the_worker_back(connected, toy):
    Connection.objects.update(calls_max=1, window_s=60)
    call(connected)

    with pytest.raises(calling.Held) as held:
        call(connected)

    assert 55 < held.value.retry_after_s <= 60
    assert toy.count("names") == 1


def test_retry_after_is_kept_for_all_workers(connected, toy):
    toy.fail(Fault(status=429, headers={"Retry-After": "30"}), path="/names", times=1)

    with pytest.raises(LimitReached):
        call(connected)
    with pytest.raises(calling.Held) as held:
        call(connected)

    assert 25 < held.value.retry_after_s <= 30
    assert toy.count("names") == 1


def test_calls_of_others_that_the_provider_tells_of_count(connected, toy):
    """The provider allows 10 in all and 8 are gone; the connection is set to 100."""
    toy.limit = Limit(calls_max=2, window_s=60)
    Connection.objects.update(calls_max=100, window_s=60)
    call(connected)
    call(connected)

    with pytest.raises(calling.Held):
        call(connected)

    assert toy.count("names", status=429) == 0


def test_parallel_workers_share_one_window(connected, toy):
    toy.limit = Limit(calls_max=5, window_s=60)
    Connection.objects.update(calls_max=5, window_s=60)

    def work(_place):
        try:
            call(connected)
        except calling.Held:
            return 0
        finally:
            databases.close_all()
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(24))) == 5

    assert toy.count("names") == 5
    assert toy.count("names", status=429) == 0


def test_five_failures_open_the_breaker_and_nobody_calls(connected, toy):
    toy.fail(Fault(status=500), path="/names", times=99)
    for _ in range(2):
        with pytest.raises(Unavailable):
            call(connected)
    made = toy.count("names")

    with pytest.raises(calling.BreakerOpen) as held:
        call(connected)

    assert made == 5  # four tries, then one; the next try found it open
    assert toy.count("names") == 5
    assert 25 < held.value.retry_after_s <= 30
    row = Connection.objects.get()
    assert (row.failures, row.last_error_code) == (5, "provider_unavailable")


def test_the_probe_of_an_open_breaker_closes_it_when_it_succeeds(connected, toy):
    Connection.objects.update(failures=5, open_until=clock.now() - timedelta(seconds=1))

    call(connected)

    row = Connection.objects.get()
    assert (row.failures, row.open_until) == (0, None)


def test_a_probe_that_fails_doubles_the_pause(connected, toy):
    Connection.objects.update(failures=5, open_until=clock.now() - timedelta(seconds=1))
    toy.fail(Fault(status=500), path="/names", times=1)

    with pytest.raises(Unavailable):
        call(connected)

    row = Connection.objects.get()
    assert row.failures == 6
    assert timedelta(seconds=55) < row.open_until - clock.now() <= timedelta(seconds=60)
    assert toy.count("names") == 1


def test_a_test_passes_an_open_breaker(connected, toy):
    Connection.objects.update(failures=5, open_until=clock.now() + timedelta(minutes=5))

    assert call(connected, is_test=True).account_name == "Acme"
    assert Connection.objects.get().open_until is None


def test_a_refusal_closes_the_breaker_because_the_provider_is_there(connected, toy):
    Connection.objects.update(failures=4)
    toy.fail(Fault(status=400), path="/names", times=1)

    with pytest.raises(CallRefused):
        call(connected)

    assert Connection.objects.get().failures == 0
