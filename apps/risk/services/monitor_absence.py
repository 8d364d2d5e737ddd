"""
Says so when nobody watches margins: run by Celery, because an engine that is gone cannot tell.

A shard whose row is missing or old is alarmed while there is anything to watch; shards that are configured no
more are forgotten with their alarms. Watches no margins itself.
"""

from django.conf import settings
from django.db import connection

from apps.risk.models import MonitorStatus, RiskAlarm
from apps.risk.services import alarms

SILENT_S = 10.0

AGES = "SELECT shard, extract(epoch FROM clock_timestamp() - at)::float8 FROM risk_monitorstatus"
ANYTHING = "SELECT EXISTS (SELECT 1 FROM trading_position)"


def subject_of(shard: str) -> str:
    """Return what the alarm about a silent shard is about."""
    return f"margin:{shard}:silent"


def look() -> list[str]:
    """Alarm every shard that is silent, end the alarms of the others; return the silent ones."""
    shards = [str(number) for number in range(settings.RISK_SHARDS)]
    _forget_all_but(shards)
    with connection.cursor() as cursor:
        cursor.execute(AGES)
        ages = dict(cursor.fetchall())
        cursor.execute(ANYTHING)
        has_positions = bool(cursor.fetchone()[0])
    silent = [
        shard
        for shard in shards
        if (has_positions or shard in ages) and ages.get(shard, SILENT_S) >= SILENT_S
    ]
    for shard in silent:
        since = f"for {ages[shard]:.0f} s" if shard in ages else "yet"
        alarms.raise_alarm(
            kind=RiskAlarm.Kind.MONITOR_LATE,
            severity=RiskAlarm.Severity.CRITICAL,
            subject=subject_of(shard),
            message=f"Shard {shard} of the margin monitor has not reported {since}: only the sweep watches.",
        )
    well = [subject_of(shard) for shard in shards if shard not in silent]
    alarms.clear_all(kind=RiskAlarm.Kind.MONITOR_LATE, subjects=well)
    return silent


def _forget_all_but(shards: list[str]) -> None:
    gone = list(MonitorStatus.objects.exclude(shard__in=shards).values_list("shard", flat=True))
    if not gone:
        return
    MonitorStatus.objects.filter(shard__in=gone).delete()
    subjects = [*(f"margin:{shard}" for shard in gone), *map(subject_of, gone)]
    for kind in (RiskAlarm.Kind.MONITOR_LATE, RiskAlarm.Kind.NO_PRICE):
        alarms.clear_all(kind=kind, subjects=subjects)
