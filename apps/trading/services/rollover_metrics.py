"""What Prometheus is told about rollovers, read from the database when it asks. Counts nothing itself."""

from collections.abc import Iterable

import structlog
from django.db import Error
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from apps.trading.selectors import rollovers

log = structlog.get_logger(__name__)


class RolloverCollector(Collector):
    """Shows how many accounts wait for a price to be charged at, and how many days are not finished."""

    def describe(self) -> Iterable[Metric]:
        """Name the figures without asking the database: that happens while a process starts."""
        return [_pending(), _open_days()]

    def collect(self) -> Iterable[Metric]:
        """Return the present figures; none while the database is away."""
        pending, days = _pending(), _open_days()
        try:
            for group, waiting in rollovers.pending_by_group().items():
                pending.add_metric([group], waiting)
            for group, count in rollovers.open_days_by_group().items():
                days.add_metric([group], count)
        except Error as error:
            log.warning("rollover_metrics_unavailable", error=str(error))
            return []
        return [pending, days]


def _pending() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "rtx_rollover_pending_accounts", "Accounts whose swap waits for a price or a rate.", labels=["group"]
    )


def _open_days() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "rtx_rollover_open_days", "Trading days that ended and are not charged in full.", labels=["group"]
    )


def register() -> None:
    """Show the figures on this process's metrics page."""
    REGISTRY.register(RolloverCollector())
