"""
Faults of a whole connection: a wrong client secret, a missing right or scope, an object, a mapped field or an
address that is not there. Nobody's record is given up for them: staff are told, and what waits goes on once a
call succeeds again. A fault of token, address or account holds every call; a call that is refused holds the
work that needs it: sending clients, or accounts, for a while (`HOLDS`; a run passes that by), or a run's
reading by the run's own pause. Calls nobody.
"""

from datetime import datetime
from typing import Any

from django.db import transaction

from apps.audit.services import actions
from apps.crm.adapters.provider import CallRefused, Forbidden, ProviderError, place
from apps.crm.domain.advice import advice
from apps.crm.domain.breaker import FIRST_PAUSE, pause_after
from apps.crm.models import Connection, FieldMapping, SyncRun
from apps.crm.services import breakers
from apps.crm.services.exchanges import Asked
from apps.risk.services import alarms
from rtx.kernel import clock
from rtx.kernel.actor import Actor

ALARM = "crm_fault"
DURING_MAX = 120
SYSTEM = Actor.system("crm")
HOLDS = {  # what is sent -> columns: how often in a row it was refused, and until when it waits
    str(FieldMapping.Kind.CLIENT): ("push_refusals", "push_not_before"),
    str(FieldMapping.Kind.ACCOUNT): ("account_push_refusals", "account_push_not_before"),
}
NO_HOLD: dict[str, dict[str, Any]] = {kind: {times: 0, at: None} for kind, (times, at) in HOLDS.items()}
NOT_BEFORE: dict[str, Any] = {at: None for _, at in HOLDS.values()}
NONE: dict[str, Any] = {
    "fault_code": "",
    "fault": "",
    "fault_during": "",
    "fault_at": None,
    **{name: value for hold in NO_HOLD.values() for name, value in hold.items()},
}


def note(*, connection_id: int, error: ProviderError, sending: str = "") -> None:
    """
    Leave the connection, or what the refused call belongs to, alone for a while, each time longer, and tell
    staff what is wrong; nothing happens when it is not in use any more. `sending`: the kind of links that the
    call was made for, if any. The error tells how long to wait.
    """
    with transaction.atomic():
        row = Connection.objects.select_for_update(no_key=True).get(pk=connection_id)
        if not row.is_usable:
            return
        now, code = clock.now(), error.code[:40]
        is_new = row.fault_code != code
        Connection.objects.filter(pk=row.pk).update(
            **_pause(row, error, now, sending),
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


def _pause(row: Connection, error: ProviderError, now: datetime, sending: str) -> dict[str, Any]:
    if not isinstance(error, CallRefused | Forbidden):
        breaker = breakers.of(row).tripped(now)
        return {"failures": breaker.failures, "open_until": breaker.open_until}
    if not sending:  # a run and a delivery keep their own pauses
        error.retry_after_s = max(error.retry_after_s or 0.0, FIRST_PAUSE.total_seconds())
        return {}
    refusals, not_before = HOLDS[sending]
    times = getattr(row, refusals) + 1
    return {refusals: times, not_before: now + pause_after(times)}


def is_held(connection: Connection, kind: str) -> bool:
    """Tell whether sending one kind of links waits for a call of its own that was refused."""
    not_before: datetime | None = getattr(connection, HOLDS[kind][1])
    return not_before is not None and not_before > clock.now()


def refused(connection: Connection) -> list[str]:
    """Return the kinds of links whose sending was refused and has not gone through since."""
    return [kind for kind, (refusals, _) in HOLDS.items() if getattr(connection, refusals)]


def sends(*, connection_id: int, kind: str) -> None:
    """Forget that sending one kind of links was refused: a batch went through."""
    refusals, _ = HOLDS[kind]
    Connection.objects.filter(pk=connection_id, **{f"{refusals}__gt": 0}).update(**NO_HOLD[kind])


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
        Connection.objects.filter(pk=row.pk).update(open_until=clock.now(), **NOT_BEFORE)
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
