"""What workers do for crm, each by one service. Safe to run twice and beside itself."""

from celery import shared_task

from apps.crm.services import oauth, webhooks


@shared_task(acks_late=True, ignore_result=True)
def process_webhooks() -> None:
    """Look at what providers sent and was stored."""
    webhooks.process_due()


@shared_task(acks_late=True, ignore_result=True)
def renew_watches() -> None:
    """Renew the channels of notifications before they end, and drop authorizations that were not finished."""
    oauth.purge_states()
    webhooks.renew_watches()
