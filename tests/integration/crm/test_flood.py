"""Many deliveries at once hold nothing else up: one worker looks at a connection's, a moment at a time."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections as databases

from apps.crm import tasks
from apps.crm.models import Connection, WebhookDelivery
from apps.crm.services import passes, pulling, pushing, runs, webhooks
from rtx.local.programs import SYNC_THREADS
from tests.factories.crm import STAFF, MemoryCrm, make_client, make_connection
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


def test_a_push_finds_a_thread_while_every_connection_has_a_run_and_webhooks(
    crm: MemoryCrm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each piece of long work stands still here; what comes twice for a connection ends by itself."""
    every = [make_connection(provider=provider) for provider in Connection.Provider.values]
    for connection in every:
        assert webhooks._stored(connection.pk, "1", b"{}", "application/json")
    started = [runs.start(connection_id=row.pk, kind="full", actor=STAFF).pk for row in every]
    released, pushed, busy = threading.Event(), threading.Event(), threading.Semaphore(0)

    def stand_still(*_args: object, **_more: object) -> int:
        busy.release()
        assert released.wait(30)
        return 0

    def step(*_args: object) -> None:
        stand_still()
        raise passes.ClaimLost

    def push_all(*, connection_id: int, for_s: float) -> int:
        if connection_id != every[-1].pk:
            return stand_still()
        pushed.set()
        return 1

    monkeypatch.setattr(webhooks, "_pass", stand_still)
    monkeypatch.setattr(passes.Pass, "step", step)
    monkeypatch.setattr(pushing, "push_all", push_all)

    def work(task: Callable[..., None], *given: int) -> None:
        try:
            task(*given)
        finally:
            databases.close_all()

    with ThreadPoolExecutor(SYNC_THREADS) as worker:
        tried = [worker.submit(work, tasks.process_webhooks) for _ in range(6)]
        tried += [worker.submit(work, tasks.carry_on_run, key) for key in started * 2]
        tried += [worker.submit(work, tasks.push, row.pk) for row in every[:2]]
        try:
            for _ in range(8):  # three runs, three webhooks, two pushes: all at once
                assert busy.acquire(timeout=10)
            tried.append(worker.submit(work, tasks.push, every[-1].pk))
            assert pushed.wait(10)
        finally:
            released.set()
        for one in tried:
            one.result(30)


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
