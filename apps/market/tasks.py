"""Celery tasks of the market: the safety net behind the engine. Each may run twice."""

import structlog
from celery import shared_task

from apps.market.services import candles, holidays, ticks
from rtx.kernel import clock

log = structlog.get_logger(__name__)


@shared_task(acks_late=True, ignore_result=True)
def build_candles() -> None:
    """Build the candles of the last minutes from stored ticks where the engine left them incomplete."""
    repaired = candles.repair(now=clock.now())
    if repaired:
        log.warning("candles_repaired", minutes=repaired)


@shared_task(acks_late=True, ignore_result=True)
def maintain_tick_partitions() -> None:
    """Create the tick partitions of the next days and drop those that are too old."""
    dropped = ticks.maintain_days()
    if dropped:
        log.info("tick_days_dropped", days=[day.isoformat() for day in dropped])


@shared_task(acks_late=True, ignore_result=True)
def sync_holidays() -> None:
    """Import the holidays of the exchanges that sessions name, and say which calendars run out."""
    for done in holidays.sync_all(today=clock.now().date()):
        log.info(
            "holidays_synced",
            session=done.session,
            exchange=done.exchange,
            added=done.added,
            changed=done.changed,
            removed=done.removed,
        )
        if done.runs_out:
            log.warning("exchange_calendar_runs_out", exchange=done.exchange, on=done.known_until.isoformat())
