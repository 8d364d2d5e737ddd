"""What Prometheus is told about the seals, read from the database when it asks. Counts nothing itself."""

from collections.abc import Iterable

import structlog
from django.db import Error
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from apps.audit.models import IntegrityCheck
from apps.audit.selectors import checkpoints, integrity

log = structlog.get_logger(__name__)

GAUGES = {
    "seal_lag_seconds": ("Age of the oldest entry that waits to be sealed.", ["log"]),
    "seal_waiting_entries": ("Entries that wait to be sealed, counted up to 10,001.", ["log"]),
    "seal_tree_entries": ("Entries that are sealed.", ["log"]),
    "integrity_check_result": ("1 for the result of the newest check that ended.", ["status"]),
    "integrity_check_age_seconds": ("Since the newest check ended.", []),
}


class AuditCollector(Collector):
    """Shows how far the logs are sealed and what the last check found."""

    def describe(self) -> Iterable[Metric]:
        """Name the figures without asking the database: that happens while a process starts."""
        return list(_families().values())

    def collect(self) -> Iterable[Metric]:
        """Return the present figures; none while the database is away."""
        found = _families()
        try:
            _add(found)
        except Error as error:
            log.warning("audit_metrics_unavailable", error=str(error))
            return []
        return list(found.values())


def _families() -> dict[str, GaugeMetricFamily]:
    return {
        name: GaugeMetricFamily(f"rtx_{name}", text, labels=labels) for name, (text, labels) in GAUGES.items()
    }


def _add(found: dict[str, GaugeMetricFamily]) -> None:
    for head in checkpoints.heads():
        found["seal_lag_seconds"].add_metric([head.log], head.lag_s)
        found["seal_waiting_entries"].add_metric([head.log], head.unsealed)
        found["seal_tree_entries"].add_metric([head.log], head.tree_size)
    status, age_s = integrity.last_result()
    if age_s is not None:
        found["integrity_check_age_seconds"].add_metric([], age_s)
    for known in IntegrityCheck.Status.values:
        if known != IntegrityCheck.Status.RUNNING:
            found["integrity_check_result"].add_metric([known], float(known == status))


def register() -> None:
    """Show the figures on this process's metrics page."""
    REGISTRY.register(AuditCollector())
