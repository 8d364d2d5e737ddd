"""Many deliveries at once hold nothing else up: one worker looks at a connection's, a moment at a time."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections as databases

from apps.crm import tasks
from apps.crm.models import Connection, WebhookDelivery
from apps.crm.services import pulling, pushing, webhooks
from tests.factories.crm import MemoryCrm, make_client
from tests.integration.crm.toys import event, send

pytestmark = pytest.mark.django_db


@pytest.fixture
def flood(connected: Connection, crm: MemoryCrm, monkeypatch) -> list[str]:
    """Let 30 deliveries wait that one batch takes ten of; return whose records were read, by the names."""
    monkeypatch.setattr(webhooks, "TOGETHER", 10)
    monkeypatch.setattr(webhooks, "PASS_S", 0.0)
    for place in range(30):
        assert send([event(f"e{place}", str(place))]).status_code == 204
    return crm.calls


def test_a_push_goes_out_before_the_flood_is_through(flood, crm: MemoryCrm, monkeypatch) -> None:
    queue: list[tuple[object, tuple[object, ...]]] = [(tasks.process_webhooks, ()), (tasks.dispatch, ())]
    for task in (tasks.process_webhooks, tasks.push):
        monkeypatch.setattr(
            task, "apply_async", lambda args=(), task=task, **_more: queue.append((task, tuple(args)))
        )
    make_client()
    waiting = None

    while queue:  # one thread of the worker
        task, args = queue.pop(0)
        task(*args)
        if waiting is None and crm.all():
            waiting = WebhookDelivery.objects.filter(status="received").count()

    assert waiting == 10  # two of three passes were made by then
    assert WebhookDelivery.objects.filter(status="done").count() == 30


def test_one_worker_at_a_time_looks_at_a_connection_s_deliveries(
    flood, connected: Connection, crm: MemoryCrm, monkeypatch
) -> None:
    reading, released = threading.Event(), threading.Event()

    def pull_named(*_args, **_more):
        reading.set()
        assert released.wait(30)

    monkeypatch.setattr(pulling, "pull_named", pull_named)

    def work() -> int:
        try:
            return webhooks.process_due()
        finally:
            databases.close_all()

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(work)
        assert reading.wait(30)
        try:
            assert webhooks.process_due() == 0  # at once, though 20 wait
            make_client()
            tasks.outbox.dispatch()
            assert pushing.push_all(connection_id=connected.pk, for_s=5) == 1
        finally:
            released.set()
        assert first.result(30) == 30

    assert len(crm.all()) == 1


def test_a_pause_counts_before_the_next_batch(flood, connected: Connection, monkeypatch) -> None:
    def pull_named(*_args, **_more):
        Connection.objects.update(status="paused")

    monkeypatch.setattr(pulling, "pull_named", pull_named)

    assert webhooks.process_due(for_s=60) == 10
    assert WebhookDelivery.objects.filter(status="received").count() == 20


def test_a_body_that_ends_its_reader_holds_no_other(
    connected: Connection, crm: MemoryCrm, monkeypatch
) -> None:
    for place in range(20):
        send([event(f"e{place}", str(place))])
    bad = WebhookDelivery.objects.order_by("pk")[7]
    WebhookDelivery.objects.filter(pk=bad.pk).update(body_sealed=b"1:damaged")

    assert webhooks.process_due() == 19

    bad.refresh_from_db()
    assert (bad.status, bad.error_code) == ("failed", "webhook_unreadable")


def test_a_record_that_fails_here_holds_no_other(connected: Connection, crm: MemoryCrm, monkeypatch) -> None:
    real = pulling.pull_named

    def pull_named(*args, crm_ids, **more):
        if "13" in crm_ids:
            raise ZeroDivisionError
        return real(*args, crm_ids=crm_ids, **more)

    monkeypatch.setattr(pulling, "pull_named", pull_named)
    for place in range(20):
        send([event(f"e{place}", str(place))])

    assert webhooks.process_due() == 19

    held = WebhookDelivery.objects.get(status="received")
    assert (held.attempts, held.error_code) == (1, "internal")
    assert b'"13"' in held.body()
    assert not any(bytes(row.body_sealed) for row in WebhookDelivery.objects.filter(status="done"))
