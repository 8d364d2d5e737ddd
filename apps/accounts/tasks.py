"""Background work of accounts. Each task is safe to run twice."""

from celery import shared_task

from apps.accounts.services import tokens


@shared_task(acks_late=True, ignore_result=True)
def purge_expired_tokens() -> None:
    """Delete refresh tokens that are long expired."""
    tokens.purge_expired()
