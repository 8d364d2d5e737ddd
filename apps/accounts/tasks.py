"""Background work of accounts. Each task is safe to run twice."""

import time

import structlog
from celery import shared_task

from apps.accounts.models import ImportRun
from apps.accounts.services import import_leftovers, imports, kyc, reach, staff_sessions, tokens

IMPORTS_TURN_S = 20.0  # of one task: a long import leaves its worker to others in between

log = structlog.get_logger(__name__)


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
def purge_imports() -> None:
    """Drop what imports of a week ago still hold of people."""
    import_leftovers.purge()


@shared_task(acks_late=True, ignore_result=True)
def expire_kyc() -> None:
    """Let verified clients expire whose day has passed."""
    kyc.expire_due()


@shared_task(acks_late=True, ignore_result=True)
def carry_out_imports() -> None:
    """
    Take rows of the imports that have begun, for a moment; what is left waits for the next turn of the
    schedule. One that cannot go on stands in the way of no other.
    """
    until = time.monotonic() + IMPORTS_TURN_S
    begun = ImportRun.objects.filter(status__in=[ImportRun.Status.QUEUED, ImportRun.Status.RUNNING])
    waiting = list(begun.order_by("pk").values_list("pk", flat=True))
    for place, run_id in enumerate(waiting):
        share_s = max(0.0, until - time.monotonic()) / (len(waiting) - place)
        try:
            imports.carry_out(run_id=run_id, for_s=share_s, waits=False)
        except Exception as error:  # noqa: BLE001 - its text may name somebody
            log.error("import_failed", run=run_id, error=type(error).__name__)
