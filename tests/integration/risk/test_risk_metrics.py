"""What Prometheus and the alarms say about the margin monitor, from its row in the database."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from prometheus_client import REGISTRY

from apps.risk.models import Breaker, BreakerState, MarginCall, MonitorStatus, RiskAlarm, SweepRun
from apps.risk.services import alarms, monitor_absence, sweep
from apps.trading.services import executor
from tests.factories import rows
from tests.factories.rows import Holder


@pytest.fixture
def status(db: None) -> MonitorStatus:
    """A shard that reported just now."""
    now = timezone.now()
    return MonitorStatus.objects.create(
        shard="0",
        holder="engine:1:a",
        fence=3,
        at=now,
        started_at=now,
        accounts=7,
        positions=9,
        lag_ms=12,
        lag_max_ms=40,
        follow_lag_ms=50,
        levels={"50": 1, "100": 2, "inf": 4},
        called=2,
        below=1,
        without_price=0,
        house_floating=Decimal("-12.50"),
    )


def said(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"rtx_{name}", labels)


def test_the_metrics_page_tells_how_margins_stand(status: MonitorStatus, holder: Holder) -> None:
    now = timezone.now()
    MarginCall.objects.create(account_id=holder.id, called_at=now, equity=1, margin=1, called_seq=1)
    SweepRun.objects.create(at=now, took_ms=250, positions=5, found=2, liquidated=1, missed=1)
    breaker = Breaker.objects.create(name="spikes", scope="platform", kind="house_loss", threshold=1)
    BreakerState.objects.create(breaker=breaker, subject="", state="open", since=now)

    assert said("margin_level_accounts", up_to_pct="100") == 2
    assert said("margin_monitor_lag_max_seconds", shard="0") == 0.04
    assert said("house_floating_usd", shard="0") == -12.5
    assert (said("margin_calls_open"), said("margin_calls_total")) == (1, 1)
    assert (said("sweep_missed_accounts"), said("sweep_took_seconds")) == (1, 0.25)
    assert said("breaker_subjects", breaker="spikes", state="open") == 1
    assert said("liquidations_queued") == 0


def test_a_silent_monitor_is_alarmed_until_it_reports_again(status: MonitorStatus) -> None:
    MonitorStatus.objects.update(at=timezone.now() - timedelta(seconds=30))

    assert monitor_absence.look() == ["0"]

    alarm = RiskAlarm.objects.get(cleared_at=None)
    assert (alarm.kind, alarm.severity, alarm.subject) == ("monitor_late", "critical", "margin:0:silent")
    MonitorStatus.objects.update(at=timezone.now())
    assert monitor_absence.look() == []
    assert not RiskAlarm.objects.filter(cleared_at=None).exists()


def test_shards_that_are_configured_no_more_are_forgotten_with_their_alarms(status: MonitorStatus) -> None:
    status.shard, status.at = "1", timezone.now() - timedelta(hours=1)
    status.save(force_insert=True)
    for kind, subject in (("monitor_late", "margin:1"), ("no_price", "margin:1"), ("no_price", "margin:0")):
        alarms.raise_alarm(kind=kind, severity="critical", subject=subject, message="late")

    assert monitor_absence.look() == []

    assert list(MonitorStatus.objects.values_list("shard", flat=True)) == ["0"]
    still_open = RiskAlarm.objects.filter(cleared_at=None).values_list("kind", "subject")
    assert list(still_open) == [("no_price", "margin:0")]
    assert said("margin_positions", shard="1") is None


def test_one_silent_monitor_is_one_alarm(status: MonitorStatus) -> None:
    MonitorStatus.objects.update(at=timezone.now() - timedelta(seconds=30))

    sweep.run()
    monitor_absence.look()

    assert RiskAlarm.objects.get(kind="monitor_late").subject == "margin:0:silent"


def test_a_monitor_that_never_was_is_missed_once_there_is_something_to_watch(holder: Holder) -> None:
    assert monitor_absence.look() == []

    executor.run(rows.market_order(holder))

    assert monitor_absence.look() == ["0"]
