"""Background work of accounts. Each task is safe to run twice."""

from celery import shared_task

from apps.accounts.services import reach, staff_sessions, tokens


@shared_task(acks_late=True, ignore_result=True)
def purge_expired_tokens() -> None:
    """Delete refresh tokens that are long expired."""
    tokens.purge_expired()


@shared_task(acks_late=True, ignore_result=True)
def tidy_staff_access() -> None:
    """Drop reach that has run out (it gave nothing any more) and the record of old sessions."""
    reach.withdraw_expired()
    staff_sessions.purge()
