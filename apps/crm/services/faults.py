"""
Faults of a whole connection: a wrong client secret, a missing right or scope, an object, a mapped field or an
address that is not there. Nobody's record is given up for them: staff are told, and what waits goes on once a
call succeeds again. A fault of token, address or account holds every call; a call that is refused holds the
work that needs it: sending for a while (`push_not_before`), a run by its own pause. Calls nobody.
"""

from datetime import datetime
from typing import Any

from django.db import transaction

from apps.audit.services import actions
from apps.crm.adapters.provider import CallRefused, Forbidden, ProviderError, place
from apps.crm.domain.advice import advice
from apps.crm.domain.breaker import FIRST_PAUSE, pause_after
from apps.crm.models import Connection, SyncRun
from apps.crm.services import breakers
from apps.crm.services.exchanges import Asked
from apps.risk.services import alarms
from rtx.kernel import clock
from rtx.kernel.actor import Actor

ALARM = "crm_fault"
DURING_MAX = 120
SYSTEM = Actor.system("crm")
SENDS: dict[str, Any] = {"push_refusals": 0, "push_not_before": None}
NONE: dict[str, Any] = {"fault_code": "", "fault": "", "fault_during": "", "fault_at": None, **SENDS}


def note(*, connection_id: int, error: ProviderError, was_sending: bool = False) -> None:
    """
    Leave the connection, or what the refused call belongs to, alone for a while, each time longer, and tell
    staff what is wrong; nothing happens when it is not in use any more. The error tells how long to wait.
    """
    with transaction.atomic():
        row = Connection.objects.select_for_update(no_key=True).get(pk=connection_id)
        if not row.is_usable:
            return
        now, code = clock.now(), error.code[:40]
        is_new = row.fault_code != code
        Connection.objects.filter(pk=row.pk).update(
            **_pause(row, error, now, was_sending=was_sending),
            fault_code=code,
            fault=str(error)[:300],
            fault_during=error.during[:DURING_MAX],
            fault_at=now if is_new else row.fault_at,
        )
        if is_new:
            actions.record(actor=SYSTEM, operation="crm.fault", target=row, detail=code)
    alarms.raise_alarm(
        kind=ALARM,
        severity="critical",
        subject=row.provider,
        message=f"{row.get_provider_display()} ({code}): {error} {advice(code)}",
    )


def _pause(row: Connection, error: ProviderError, now: datetime, *, was_sending: bool) -> dict[str, Any]:
    if not isinstance(error, CallRefused | Forbidden):
        breaker = breakers.of(row).tripped(now)
        return {"failures": breaker.failures, "open_until": breaker.open_until}
    if not was_sending:  # a run and a delivery keep their own pauses
        error.retry_after_s = max(error.retry_after_s or 0.0, FIRST_PAUSE.total_seconds())
        return {}
    times = row.push_refusals + 1
    return {"push_refusals": times, "push_not_before": now + pause_after(times)}


def sends(connection: Connection) -> None:
    """Forget that sending was refused: a batch went through."""
    if connection.push_refusals:
        Connection.objects.filter(pk=connection.pk).update(**SENDS)


def mended_by(row: Connection, asked: Asked) -> dict[str, Any]:
    """Return the columns of a locked connection that a call which succeeded changes; empty: none."""
    during = place(asked.operation, asked.object_name)[:DURING_MAX]
    if not row.fault_code or row.fault_during not in ("", during):
        return {}
    alarms.clear(kind=ALARM, subject=row.provider)
    return dict(NONE)


def look_again(*, connection_id: int) -> None:
    """Let one call try at once, in the caller's transaction: staff changed what may have been at fault."""
    row = Connection.objects.select_for_update(no_key=True).get(pk=connection_id)
    if row.fault_code:
        Connection.objects.filter(pk=row.pk).update(open_until=clock.now(), push_not_before=None)
        _let_runs_go(row)


def mended(*, connection_id: int) -> None:
    """Forget the fault of a connection that works as far as can be seen, and let calls through at once."""
    with transaction.atomic():
        row = Connection.objects.select_for_update(no_key=True).get(pk=connection_id)
        if row.fault_code:
            Connection.objects.filter(pk=row.pk).update(failures=0, open_until=None, **NONE)
            _let_runs_go(row)
            alarms.clear(kind=ALARM, subject=row.provider)


def _let_runs_go(row: Connection) -> None:
    SyncRun.objects.filter(connection=row, status__in=SyncRun.LIVE).update(waits_until=None)
