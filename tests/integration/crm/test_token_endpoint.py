"""A token endpoint that fails: asked within bounds, by one worker at a time, and left alone while silent."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections as databases

from apps.crm.adapters import oauth
from apps.crm.adapters.provider import AccessRevoked, Unavailable
from apps.crm.models import Connection, Exchange, OAuthToken
from apps.crm.services import calling, tokens
from rtx.kernel import clock
from tests.fakes.server import Fault
from tests.integration.crm.toys import call

pytestmark = pytest.mark.django_db


@pytest.fixture
def stale(connected) -> Connection:
    """A connection whose token ended."""
    OAuthToken.objects.update(expires_at=clock.now())
    return connected


def test_its_failures_count_for_the_breaker(stale, toy):
    toy.fail(Fault(status=503), path="/token", times=99)
    for _ in range(2):
        with pytest.raises(Unavailable):
            call(stale)
    asked = toy.count("token")

    with pytest.raises(calling.BreakerOpen) as held:
        call(stale)

    assert (asked, toy.count("token"), toy.count("names")) == (5, 5, 0)
    assert 25 < held.value.retry_after_s <= 30
    row = Connection.objects.get()
    assert (row.failures, row.last_error_code) == (5, "provider_unavailable")


def test_the_probe_may_be_a_refresh(stale, toy):
    Connection.objects.update(failures=5, open_until=clock.now() - timedelta(seconds=1))

    assert call(stale).account_name == "Acme"
    assert (Connection.objects.get().failures, toy.grants.refreshed) == (0, 1)


def test_a_refresh_that_fails_as_the_probe_doubles_the_pause(stale, toy):
    Connection.objects.update(failures=5, open_until=clock.now() - timedelta(seconds=1))
    toy.fail(Fault(status=503), path="/token", times=1)

    with pytest.raises(Unavailable):
        call(stale)

    row = Connection.objects.get()
    assert (row.failures, toy.count("token")) == (6, 1)
    assert timedelta(seconds=55) < row.open_until - clock.now() <= timedelta(seconds=60)


def test_a_silent_one_is_asked_once_whoever_waits_for_the_token(stale, toy, monkeypatch):
    toy.fail(Fault(kind="drop"), path="/token", times=99)
    together = threading.Barrier(6)

    def work(_place):
        try:
            with calling.opened(stale) as provider:
                together.wait(10)
                with pytest.raises(calling.ProviderError) as failed:
                    provider.health()
                return failed.value.retry_after_s
        finally:
            databases.close_all()

    with ThreadPoolExecutor(6) as pool:
        waits = list(pool.map(work, range(6)))

    assert toy.count("token") == 1
    assert all(25 < wait <= 30 for wait in waits)
    held, row = OAuthToken.objects.get(), Connection.objects.get()
    assert clock.now() + timedelta(seconds=25) < held.not_before <= clock.now() + timedelta(seconds=30)
    assert row.not_before is not None  # the sync makes no attempt till then
    assert (row.failures, row.last_error_code) == (1, "token_endpoint_silent")
    assert set(Exchange.objects.values_list("operation", "error_code")) == {
        ("refresh", "token_endpoint_silent")
    }


def test_a_silent_one_is_asked_again_after_its_pause(stale, toy):
    toy.fail(Fault(kind="drop"), path="/token", times=1)
    with pytest.raises(Unavailable):
        call(stale)
    OAuthToken.objects.update(not_before=clock.now())
    Connection.objects.update(not_before=clock.now())

    assert call(stale).account_name == "Acme"
    assert OAuthToken.objects.get().not_before is None


def test_a_person_who_tests_asks_it_at_once(stale, toy):
    toy.fail(Fault(kind="drop"), path="/token", times=1)
    with pytest.raises(Unavailable):
        call(stale)
    Connection.objects.update(not_before=None)

    assert call(stale, is_test=True).account_name == "Acme"


def test_one_that_drips_is_given_up(stale, toy, monkeypatch):
    monkeypatch.setattr(oauth, "ANSWER_S", -1.0)

    with pytest.raises(Unavailable) as failed:
        call(stale)

    assert failed.value.code == "token_endpoint_silent"


def test_one_that_holds_its_answer_back_is_given_up_soon(stale, toy, monkeypatch):
    monkeypatch.setattr(oauth, "TIMEOUT", 0.2)
    toy.fail(Fault(kind="timeout", hold_s=5.0), path="/token", times=1)
    started = time.monotonic()

    with pytest.raises(Unavailable) as failed:
        call(stale)

    assert failed.value.code == "token_endpoint_silent"
    assert time.monotonic() - started < 4


def test_an_answer_that_is_too_long_is_not_read_to_its_end(stale, toy, monkeypatch):
    monkeypatch.setattr(oauth, "BODY_MAX", 10)

    with pytest.raises(Unavailable) as failed:
        call(stale)

    assert failed.value.code == "provider_malformed"


def test_who_is_disconnected_while_it_answers_has_no_access(stale, toy, monkeypatch):
    monkeypatch.setattr(tokens, "_moved", lambda *_: OAuthToken.objects.all().delete())

    with pytest.raises(AccessRevoked):
        call(stale)

    assert toy.count("names") == 0
