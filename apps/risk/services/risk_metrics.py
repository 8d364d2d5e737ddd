"""What Prometheus is told about risk, read from the database when it asks. Counts nothing itself."""

from collections.abc import Callable, Iterable
from typing import Any

import orjson
import structlog
from django.db import Error
from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from apps.risk.selectors import metrics

log = structlog.get_logger(__name__)

Families = dict[str, Any]
GAUGES = {
    "margin_level_accounts": ("Accounts with margin, by upper bound of their margin level.", ["up_to_pct"]),
    "margin_accounts": ("Accounts watched by the margin monitor.", ["shard"]),
    "margin_positions": ("Open positions watched by the margin monitor.", ["shard"]),
    "margin_monitor_lag_seconds": ("From a tick's arrival until everything was revalued.", ["shard"]),
    "margin_monitor_lag_max_seconds": ("The longest such lag of the last minute.", ["shard"]),
    "margin_monitor_follow_lag_seconds": ("Since the monitor read the journal last.", ["shard"]),
    "margin_monitor_age_seconds": ("Since the monitor last reported.", ["shard"]),
    "margin_below_stop_out_accounts": ("Accounts at or below their stop-out level.", ["shard"]),
    "margin_without_price_accounts": ("Accounts that cannot be valued.", ["shard"]),
    "house_floating_usd": ("What the house would make if all closed now.", ["shard"]),
    "margin_calls_open": ("Accounts in margin call.", []),
    "liquidations_queued": ("Accounts whose liquidation waits.", []),
    "breaker_subjects": ("Subjects of circuit breakers by state.", ["breaker", "state"]),
    "kill_switches_on": ("Kill switches that are on.", ["scope"]),
    "risk_alarms_open": ("Alarms that are not cleared.", ["kind", "severity"]),
    "sweep_age_seconds": ("Since the last sweep.", []),
    "sweep_took_seconds": ("Time that the last sweep took.", []),
    "sweep_found_accounts": ("Accounts below stop-out that the last sweep found.", []),
    "sweep_missed_accounts": ("Of these, what the monitor had missed.", []),
    "sweeps_missed_accounts": ("What all sweeps that are kept found to be missed.", []),
}
COUNTERS = {
    "liquidations": ("Liquidations by rule and cause.", ["rule", "cause"]),
    "margin_calls": ("Margin calls.", []),
}


class RiskCollector(Collector):
    """Shows how margins, liquidations, breakers, sweeps and alarms stand."""

    def describe(self) -> Iterable[Metric]:
        """Name the figures without asking the database: that happens while a process starts."""
        return list(_families().values())

    def collect(self) -> Iterable[Metric]:
        """Return the present figures; none while the database is away."""
        found = _families()
        try:
            for add in ADDS:
                add(found)
        except Error as error:
            log.warning("risk_metrics_unavailable", error=str(error))
            return []
        return list(found.values())


def _families() -> Families:
    made: Families = {
        name: GaugeMetricFamily(f"rtx_{name}", text, labels=labels) for name, (text, labels) in GAUGES.items()
    }
    for name, (text, labels) in COUNTERS.items():
        made[f"{name}_total"] = CounterMetricFamily(f"rtx_{name}", text, labels=labels)
    return made


def _monitor(found: Families) -> None:
    levels: dict[str, int] = {}
    for row in metrics.monitor_shards():
        labels = [row["shard"]]
        of_shard = row["levels"]
        for bound, count in (orjson.loads(of_shard) if isinstance(of_shard, str) else of_shard).items():
            levels[bound] = levels.get(bound, 0) + count
        for name, value in (
            ("margin_accounts", row["accounts"]),
            ("margin_positions", row["positions"]),
            ("margin_monitor_lag_seconds", row["lag_ms"] / 1000),
            ("margin_monitor_lag_max_seconds", row["lag_max_ms"] / 1000),
            ("margin_monitor_follow_lag_seconds", row["follow_lag_ms"] / 1000),
            ("margin_monitor_age_seconds", row["age_s"]),
            ("margin_below_stop_out_accounts", row["below"]),
            ("margin_without_price_accounts", row["without_price"]),
        ):
            found[name].add_metric(labels, value)
        if row["house_floating"] is not None:
            found["house_floating_usd"].add_metric(labels, float(row["house_floating"]))
    for bound, count in levels.items():
        found["margin_level_accounts"].add_metric([bound], count)


def _liquidations(found: Families) -> None:
    for row in metrics.liquidations():
        found["liquidations_total"].add_metric([row["rule"], row["cause"]], row["count"])
    found["liquidations_queued"].add_metric([], metrics.queued_liquidations())
    total, still_open = metrics.margin_calls()
    found["margin_calls_total"].add_metric([], total)
    found["margin_calls_open"].add_metric([], still_open)


def _controls(found: Families) -> None:
    for row in metrics.breakers():
        found["breaker_subjects"].add_metric([row["name"], row["state"]], row["count"])
    for row in metrics.kill_switches():
        found["kill_switches_on"].add_metric([row["scope"]], row["count"])
    for row in metrics.alarms():
        found["risk_alarms_open"].add_metric([row["kind"], row["severity"]], row["count"])


def _sweeps(found: Families) -> None:
    latest, missed = metrics.sweeps()
    for row in latest:
        found["sweep_age_seconds"].add_metric([], row["age_s"])
        found["sweep_took_seconds"].add_metric([], row["took_ms"] / 1000)
        found["sweep_found_accounts"].add_metric([], row["found"])
        found["sweep_missed_accounts"].add_metric([], row["missed"])
    found["sweeps_missed_accounts"].add_metric([], missed)


ADDS: tuple[Callable[[Families], None], ...] = (_monitor, _liquidations, _controls, _sweeps)


def register() -> None:
    """Show the figures on this process's metrics page."""
    REGISTRY.register(RiskCollector())
