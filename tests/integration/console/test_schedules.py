"""Who may stop what the workers do regularly, and that whoever watches sees when it stands still."""

from typing import Any

import pytest
from django.contrib import admin
from django.test import Client, RequestFactory
from django.urls import reverse
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from prometheus_client import REGISTRY

from apps.accounts.models import User
from apps.audit import tasks as audit_tasks
from apps.audit.models import IntegrityCheck, StaffAction
from apps.audit.selectors import integrity
from apps.audit.services import actions
from apps.console.admin.schedules import PeriodicTaskAdmin
from rtx.kernel import clock
from rtx.kernel.actor import Actor, ActorKind
from tests.factories.house import House, staff
from tests.factories.staff import signed_in

LIST = "/admin/django_celery_beat/periodictask/"
CONFIRMED = {"index": "0", "operator_confirmed": "1", "reason": "maintenance", "request_key": "1" * 32}


@pytest.fixture
def every() -> IntervalSchedule:
    return IntervalSchedule.objects.create(every=3, period="seconds")


@pytest.fixture
def sealing(every: IntervalSchedule) -> PeriodicTask:
    return PeriodicTask.objects.create(name="audit-seal", task="apps.audit.tasks.seal", interval=every)


@pytest.fixture
def candles() -> PeriodicTask:
    often = IntervalSchedule.objects.create(every=30, period="seconds")
    return PeriodicTask.objects.create(
        name="market-build-candles", task="apps.market.tasks.build_candles", interval=often
    )


@pytest.fixture
def manager(house: House) -> Client:
    return signed_in(staff("manager@example.com", role=User.Role.ADMIN, groups=(house.usd,)))


def act(http: Client, action: str, task: PeriodicTask) -> Any:
    return http.post(LIST, {**CONFIRMED, "action": action, "_selected_action": task.pk}, follow=True)


@pytest.mark.parametrize("action", ["disable_tasks", "enable_tasks", "toggle_tasks", "run_tasks"])
def test_a_reader_switches_nothing(house: House, candles: PeriodicTask, action: str) -> None:
    act(signed_in(staff("auditor@example.com", role=User.Role.AUDITOR, groups=(house.usd,))), action, candles)

    candles.refresh_from_db()
    assert candles.enabled
    assert not StaffAction.objects.filter(operation__contains="tasks").exists()


def test_an_administrator_stops_a_common_task_and_it_is_logged(
    manager: Client, candles: PeriodicTask
) -> None:
    act(manager, "disable_tasks", candles)

    candles.refresh_from_db()
    logged = StaffAction.objects.get(operation="django_celery_beat.disable_tasks")
    assert not candles.enabled
    assert (logged.target_id, logged.reason, logged.outcome) == (str(candles.pk), "maintenance", "done")


def test_what_seals_the_logs_is_stopped_by_no_administrator(manager: Client, sealing: PeriodicTask) -> None:
    act(manager, "disable_tasks", sealing)
    manager.post(reverse("admin:django_celery_beat_periodictask_change", args=[sealing.pk]), {"name": "x"})
    manager.post(
        LIST,
        {
            "action": "delete_selected",
            "_selected_action": sealing.pk,
            "post": "yes",
            "change_reason": "not needed any more",
        },
    )
    interval = reverse("admin:django_celery_beat_intervalschedule_change", args=[sealing.interval_id])
    manager.post(interval, {"every": "9000", "period": "days"})
    manager.post(
        interval.replace("change", "delete"), {"post": "yes", "change_reason": "not needed any more"}
    )

    sealing.refresh_from_db()
    assert (sealing.enabled, sealing.name, sealing.interval.every) == (True, "audit-seal", 3)
    refused = StaffAction.objects.get(operation="django_celery_beat.disable_tasks")
    assert (refused.outcome, refused.detail) == ("refused", "Only a super administrator may stop this task.")


def test_a_super_administrator_stops_and_starts_it(admin_client: Client, sealing: PeriodicTask) -> None:
    act(admin_client, "disable_tasks", sealing)
    sealing.refresh_from_db()
    assert not sealing.enabled

    act(admin_client, "enable_tasks", sealing)
    sealing.refresh_from_db()
    assert sealing.enabled


def test_running_a_task_now_gives_it_to_the_workers_once(
    manager: Client,
    sealing: PeriodicTask,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    given: list[dict[str, Any]] = []
    monkeypatch.setattr(audit_tasks.seal, "apply_async", lambda **call: given.append(call))

    with django_capture_on_commit_callbacks(execute=True):
        act(manager, "run_tasks", sealing)

    assert given == [{"args": [], "kwargs": {}}]


def test_an_action_that_declares_no_right_is_nobodys(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def undeclared(page: Any, request: Any, rows: Any) -> None: ...

    request = RequestFactory().get(LIST)
    request.user = operator
    page = admin.site._registry[PeriodicTask]
    monkeypatch.setattr(PeriodicTaskAdmin, "actions", [undeclared, "run_tasks"])

    assert set(page.get_actions(request)) == {"run_tasks", "delete_selected"}


@pytest.mark.django_db
def test_metrics_and_dashboard_tell_that_sealing_stands_still() -> None:
    from django.db import transaction

    with transaction.atomic():
        actions.record(actor=Actor(kind=ActorKind.STAFF, name="user:7"), operation="test.waits")
    now = clock.now()
    IntegrityCheck.objects.create(started_at=now, finished_at=now, status="tampered", asked_by="schedule")

    assert REGISTRY.get_sample_value("rtx_seal_waiting_entries", {"log": "staff_log"}) == 1
    assert REGISTRY.get_sample_value("rtx_seal_waiting_entries", {"log": "journal"}) == 0
    assert REGISTRY.get_sample_value("rtx_integrity_check_result", {"status": "tampered"}) == 1
    assert REGISTRY.get_sample_value("rtx_integrity_check_result", {"status": "intact"}) == 0
    shown = integrity.health()
    assert (shown["waiting"], shown["is_slow"], shown["check"]) == (1, False, "tampered")
