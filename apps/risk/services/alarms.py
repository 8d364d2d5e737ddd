"""
Raises and clears alarms: things that a person must look at. One open alarm per kind and subject; more of the
same are counted.

May be called from any thread, inside and outside a transaction: inside, it belongs to that transaction and
never breaks it. What cannot be stored is in the log all the same. Decides nothing about what is alarming.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog
from django.db import Error, connection, transaction

from apps.risk.models import RiskAlarm
from rtx.kernel import clock
from rtx.kernel.actor import Actor

MESSAGE_MAX = 300
SUBJECT_MAX = 80

RAISE = """
    INSERT INTO risk_riskalarm
        (kind, severity, subject, account_id, group_id, message, detail, raised_at, last_at, count,
         acknowledged_by)
    SELECT r.kind, r.severity, r.subject, r.account_id, r.group_id, r.message, r.detail, %(now)s, %(now)s, 1,
           ''
    FROM jsonb_to_recordset(%(rows)s) AS r
        (kind text, severity text, subject text, account_id bigint, group_id bigint, message text,
         detail jsonb)
    ORDER BY r.kind, r.subject
    ON CONFLICT (kind, subject) WHERE cleared_at IS NULL DO UPDATE SET
        count = risk_riskalarm.count + 1,
        last_at = excluded.last_at,
        message = excluded.message,
        detail = excluded.detail,
        severity = CASE WHEN risk_riskalarm.severity = 'critical' THEN 'critical' ELSE excluded.severity END
    RETURNING kind, subject, xmax = 0
"""
CLEAR = """
    UPDATE risk_riskalarm SET cleared_at = %(now)s WHERE id IN (
        SELECT id FROM risk_riskalarm
        WHERE kind = %(kind)s AND subject = ANY(%(subjects)s) AND cleared_at IS NULL
        ORDER BY kind, subject FOR UPDATE
    )
    RETURNING kind, subject, true
"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """What is alarming. `subject` tells it from others of its kind: an account number, a symbol, a shard."""

    kind: str
    severity: str
    subject: str
    message: str
    account_id: int | None = None
    group_id: int | None = None
    detail: dict[str, Any] = field(default_factory=dict)


def raise_alarm(
    *,
    kind: str,
    severity: str,
    subject: str,
    message: str,
    account_id: int | None = None,
    group_id: int | None = None,
    detail: dict[str, Any] | None = None,
) -> bool:
    """Raise one alarm, or count it once more while it is open; False: only the log has it."""
    return raise_alarms(
        [
            Alarm(
                kind=kind,
                severity=severity,
                subject=subject,
                message=message,
                account_id=account_id,
                group_id=group_id,
                detail=detail or {},
            )
        ]
    )


def raise_alarms(alarms: Sequence[Alarm]) -> bool:
    """
    Raise alarms together (see `raise_alarm`); of the same kind and subject the last one counts.

    The log tells each when it is new, all of them when they cannot be stored; what goes on is counted.
    """
    distinct = {(alarm.kind, alarm.subject[:SUBJECT_MAX]): alarm for alarm in alarms}
    if not distinct:
        return True
    rows = [_row(alarm) for alarm in distinct.values()]
    stored = _written(RAISE, {"rows": orjson.dumps(rows, default=str).decode()})
    new = distinct if stored is None else {(kind, subject) for kind, subject, is_new in stored if is_new}
    for key in new:
        alarm = distinct[key]
        log.error(
            "alarm",
            kind=alarm.kind,
            severity=alarm.severity,
            subject=alarm.subject,
            message=alarm.message,
            account_id=alarm.account_id,
        )
    return stored is not None


def clear(*, kind: str, subject: str) -> int:
    """End the open alarm of a kind and subject, because its cause is gone; returns how many there were."""
    return clear_all(kind=kind, subjects=[subject])


def clear_all(*, kind: str, subjects: Sequence[str]) -> int:
    """End the open alarms of several subjects; returns how many there were."""
    if not subjects:
        return 0
    found = _written(CLEAR, {"kind": kind, "subjects": [subject[:SUBJECT_MAX] for subject in subjects]})
    if found:
        log.info("alarm_cleared", kind=kind, count=len(found), subjects=list(subjects)[:10])
    return len(found or ())


def acknowledge(alarm_id: int, *, actor: Actor) -> bool:
    """Note who looks after an alarm; False: somebody did before."""
    found = RiskAlarm.objects.filter(pk=alarm_id, acknowledged_at__isnull=True)
    return bool(found.update(acknowledged_at=clock.now(), acknowledged_by=actor.as_text()[:80]))


def _row(alarm: Alarm) -> dict[str, Any]:
    return {
        "kind": alarm.kind,
        "severity": alarm.severity,
        "subject": alarm.subject[:SUBJECT_MAX],
        "account_id": alarm.account_id,
        "group_id": alarm.group_id,
        "message": alarm.message[:MESSAGE_MAX],
        "detail": alarm.detail,
    }


def _written(statement: str, given: dict[str, Any]) -> list[tuple[str, str, bool]] | None:
    """
    Run a statement in a transaction of its own, or a savepoint of the present one; None: it failed.

    Returns kind and subject of each row, and whether it is new.
    """
    outermost = not connection.in_atomic_block
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, {**given, "now": clock.now()})
            return list(cursor.fetchall())
    except Error:
        log.exception("alarm_not_stored")
        if outermost:
            connection.close()  # a broken connection must not wait for the thread's next use
        return None
