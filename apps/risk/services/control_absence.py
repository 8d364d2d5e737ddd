"""
Says so when nobody watches breakers and works off kill switches: run by Celery, because an engine that is
gone cannot tell. The lease of the control service is its heartbeat. Watches no breaker itself.
"""

from django.db import connection

from apps.risk.models import RiskAlarm
from apps.risk.services import alarms

SILENT_S = 10.0
SUBJECT = "controls:silent"

AGE = """
    SELECT extract(epoch FROM clock_timestamp() - expires_at)::float8
    FROM market_enginelease WHERE name = 'controls'
"""
ANYTHING = """
    SELECT EXISTS (SELECT FROM risk_breaker WHERE is_active)
        OR EXISTS (SELECT FROM risk_killswitch WHERE released_at IS NULL AND work_done_at IS NULL
                   AND (cancels_orders OR closes_positions))
"""


def look() -> bool:
    """Alarm when nobody has led the control service for a while and there is work; return whether so."""
    with connection.cursor() as cursor:
        cursor.execute(AGE)
        row = cursor.fetchone()
        cursor.execute(ANYTHING)
        has_work = bool(cursor.fetchone()[0])
    is_silent = has_work and (row is None or row[0] > SILENT_S)
    if is_silent:
        since = "yet" if row is None else f"for {row[0]:.0f} s"
        alarms.raise_alarm(
            kind=RiskAlarm.Kind.MONITOR_LATE,
            severity=RiskAlarm.Severity.CRITICAL,
            subject=SUBJECT,
            message=f"No engine has watched circuit breakers and worked off kill switches {since}.",
        )
    else:
        alarms.clear(kind=RiskAlarm.Kind.MONITOR_LATE, subject=SUBJECT)
    return is_silent
