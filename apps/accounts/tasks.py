"""Background work of accounts. Each task is safe to run twice."""

from celery import shared_task

from apps.accounts.models import ImportRun
from apps.accounts.services import imports, kyc, reach, staff_sessions, tokens


@shared_task(acks_late=True, ignore_result=True)
def purge_expired_tokens() -> None:
    """Delete refresh tokens that are long expired."""
    tokens.purge_expired()


@shared_task(acks_late=True, ignore_result=True)
def tidy_staff_access() -> None:
    """Drop reach that has run out (it gave nothing any more) and the record of old sessions."""
    reach.withdraw_expired()
    staff_sessions.purge()


@shared_task(acks_late=True, ignore_result=True)
def expire_kyc() -> None:
    """Let verified clients expire whose day has passed."""
    kyc.expire_due()


@shared_task(acks_late=True, ignore_result=True)
def carry_out_imports() -> None:
    """Take the rows of imports that have begun, also of one whose worker died."""
    begun = ImportRun.objects.filter(status__in=[ImportRun.Status.QUEUED, ImportRun.Status.RUNNING])
    for run_id in begun.order_by("pk").values_list("pk", flat=True):
        imports.carry_out(run_id=run_id)
