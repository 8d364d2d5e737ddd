"""Tasks of audit. Each may run twice and at the same time as itself."""

from celery import shared_task

from apps.audit.services import approvals


@shared_task(acks_late=True, ignore_result=True)
def expire_approvals() -> None:
    """Close what nobody decided in time."""
    approvals.expire_due()
