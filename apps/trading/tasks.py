"""Celery tasks of trading. Each may run twice, late, or beside itself."""

from celery import shared_task

from apps.trading.services import rollover
from rtx.kernel import clock


@shared_task(acks_late=True, ignore_result=True)
def roll_over() -> None:
    """Charge the swaps of every trading day that has ended and is not finished, those of a downtime too."""
    rollover.run_open(now=clock.now())
