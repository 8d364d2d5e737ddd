"""
Switching and running periodic tasks. What seals the logs, watches the margins and charges the accounts is
guarded: only a super administrator may stop it, or change when and how it runs.
"""

import json
from typing import Any

from celery import current_app
from django.db import transaction
from django_celery_beat.models import PeriodicTask, PeriodicTasks

from apps.accounts.models import User
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Conflict, Forbidden

GUARDED_NAMES = ("audit-", "risk-", "trading-")
GUARDED_TASKS = ("apps.audit.", "apps.risk.", "apps.trading.")


def is_guarded(task: PeriodicTask) -> bool:
    """Tell whether the broker's proofs or its clients' money depend on a task."""
    return task.name.startswith(GUARDED_NAMES) or task.task.startswith(GUARDED_TASKS)


def is_guarded_schedule(schedule: Any) -> bool:
    """Tell whether a guarded task runs by a schedule."""
    return any(is_guarded(task) for task in schedule.periodictask_set.all())


def enable(*, task: PeriodicTask) -> None:
    """Let a task run by its schedule; call inside a transaction."""
    PeriodicTask.objects.filter(pk=task.pk).update(enabled=True)
    PeriodicTasks.update_changed()


def disable(*, task: PeriodicTask, actor: Actor) -> None:
    """
    Stop a task; call inside a transaction.

    :raises Forbidden: the task is guarded, and this is no super administrator.
    """
    if is_guarded(task) and not User.objects.filter(pk=actor.user_id or 0, is_superuser=True).exists():
        raise Forbidden("Only a super administrator may stop this task.", code="task_guarded")
    PeriodicTask.objects.filter(pk=task.pk).update(enabled=False, last_run_at=None)
    PeriodicTasks.update_changed()


def run_now(*, task: PeriodicTask) -> None:
    """
    Give a task to the workers once, as soon as the transaction is committed.

    :raises Conflict: the workers know no such task.
    """
    current_app.loader.import_default_modules()
    known = current_app.tasks.get(task.task)
    if known is None:
        raise Conflict(f"There is no task {task.task}.", code="task_unknown")
    args, kwargs = json.loads(task.args), json.loads(task.kwargs)
    place = {"queue": task.queue} if task.queue else {}
    transaction.on_commit(lambda: known.apply_async(args=args, kwargs=kwargs, **place))
