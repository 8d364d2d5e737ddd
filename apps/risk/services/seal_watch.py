"""
Says so when the audit's logs are not sealed, not given out, or not what was sealed: run by Celery in another
queue than the sealing, because a sealer that is gone cannot tell. Verifies nothing itself.
"""

from apps.audit.selectors import integrity
from apps.risk.models import RiskAlarm
from apps.risk.services import alarms

KIND = RiskAlarm.Kind.LOG_INTEGRITY
WARNING, CRITICAL = RiskAlarm.Severity.WARNING, RiskAlarm.Severity.CRITICAL


def look() -> list[str]:
    """Alarm what is wrong with the logs, end the alarms of what is not; return what is wrong."""
    found = integrity.problems()
    alarms.raise_alarms(
        [
            alarms.Alarm(
                kind=KIND,
                severity=CRITICAL if one.is_critical else WARNING,
                subject=one.subject,
                message=one.message,
            )
            for one in found
        ]
    )
    wrong = [one.subject for one in found]
    alarms.clear_all(kind=KIND, subjects=[one for one in integrity.subjects() if one not in wrong])
    return wrong
