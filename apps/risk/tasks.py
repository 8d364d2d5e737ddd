"""Celery tasks of risk. Each may run twice, late, or beside itself."""

import structlog
from celery import shared_task

from apps.risk.services import correlations, value_at_risk
from rtx.kernel import clock

log = structlog.get_logger(__name__)


@shared_task(acks_late=True, ignore_result=True)
def estimate_correlations() -> None:
    """Estimate how symbols move together from stored candles; name what has no history."""
    done = correlations.estimate_all(now=clock.now())
    log.info(
        "correlations_estimated",
        pairs=done.pairs,
        too_short=done.too_short,
        without_history=done.without_history,
    )


@shared_task(acks_late=True, ignore_result=True)
def estimate_value_at_risk() -> None:
    """Estimate what the house may lose on its book; name the symbols that were left out."""
    for row in value_at_risk.run_daily(now=clock.now()):
        left_out = row.detail["left_out"]
        if left_out:
            log.warning("value_at_risk_leaves_out", method=row.method, symbols=left_out)
