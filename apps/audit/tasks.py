"""Tasks of audit. Each may run twice and at the same time as itself."""

from functools import partial

from celery import shared_task
from django.db import transaction

from apps.audit.models import IntegrityCheck
from apps.audit.services import actions, approvals, checking, requests, standing
from rtx.kernel.actor import Actor


@shared_task(acks_late=True, ignore_result=True)
def expire_approvals() -> None:
    """Close what nobody decided in time."""
    approvals.expire_due()


@shared_task(acks_late=True, ignore_result=True)
def purge_requests() -> None:
    """Forget the keys of old requests."""
    requests.purge()


@shared_task(acks_late=True, ignore_result=True)
def seal() -> None:
    """Seal what settled in every log, then take new checkpoints out of the house."""
    standing.carry_out()


@shared_task(acks_late=True, ignore_result=True)
def verify(check_id: int | None = None) -> None:
    """Carry out a check that was asked for; without one, make the daily one."""
    if check_id is None:
        check, is_new = checking.ask(asked_by="schedule")
        if not is_new:
            return
        check_id = check.pk
    if IntegrityCheck.objects.filter(pk=check_id, status=IntegrityCheck.Status.RUNNING).exists():
        checking.run(check_id)


def start_check(*, actor: Actor) -> tuple[IntegrityCheck, bool]:
    """Have a worker verify the logs, unless one does; return the check and whether it is new."""
    with transaction.atomic():
        check, is_new = checking.ask(asked_by=actor.as_text())
        if is_new:
            actions.record(actor=actor, operation="audit.verify", target=check)
            transaction.on_commit(partial(verify.delay, check.pk))
    return check, is_new
