"""Waking the workers after a delivery: seldom, and never in the way of the answer."""

import threading

import pytest
from kombu.exceptions import OperationalError

from apps.crm.api import webhooks


@pytest.fixture
def sent(monkeypatch) -> list[dict]:
    calls: list[dict] = []
    monkeypatch.setattr(webhooks.tasks.process_webhooks, "apply_async", lambda **given: calls.append(given))
    return calls


def finish() -> None:
    for thread in threading.enumerate():
        if thread.name == "crm-webhooks-wake":
            thread.join(5)


def test_many_deliveries_wake_the_workers_once(sent, monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(webhooks.time, "sleep", lambda _s: released.wait(5))
    waker = webhooks.Waker()

    for _ in range(50):
        waker.wake()
    released.set()
    finish()

    assert sent == [{"retry": False, "expires": 60}]


def test_the_next_delivery_after_that_wakes_them_again(sent, monkeypatch):
    monkeypatch.setattr(webhooks.time, "sleep", lambda _s: None)
    waker = webhooks.Waker()

    for _ in range(2):
        waker.wake()
        finish()

    assert len(sent) == 2


def test_a_broker_that_is_down_is_no_failure(monkeypatch):
    def down(**_given: object) -> None:
        raise OperationalError("no redis")

    monkeypatch.setattr(webhooks.time, "sleep", lambda _s: None)
    monkeypatch.setattr(webhooks.tasks.process_webhooks, "apply_async", down)
    waker = webhooks.Waker()

    waker.wake()
    finish()

    assert waker._is_due is False
