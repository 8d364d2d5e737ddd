"""Celery tasks of risk. Each may run twice, late, or beside itself."""

import structlog
from celery import shared_task

from apps.risk.services import (
    control_absence,
    correlations,
    monitor_absence,
    seal_watch,
    sweep,
    value_at_risk,
)
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


@shared_task(acks_late=True, ignore_result=True, name="apps.risk.tasks.sweep")
def sweep_stop_outs() -> None:
    """
    Liquidate every account below its stop-out level. Safe to run twice: the book looks again under its lock.
    """
    sweep.run()


@shared_task(acks_late=True, ignore_result=True)
def prune_sweeps() -> None:
    """Delete old sweep runs."""
    pruned = sweep.prune(now=clock.now())
    if pruned:
        log.info("sweep_runs_pruned", runs=pruned)


@shared_task(acks_late=True, ignore_result=True)
def watch_monitor() -> None:
    """Alarm when the margin monitor is silent, or nobody watches breakers."""
    monitor_absence.look()
    control_absence.look()


@shared_task(acks_late=True, ignore_result=True)
def watch_seals() -> None:
    """Alarm when the audit's logs are not sealed, not given out or not what was sealed."""
    seal_watch.look()
