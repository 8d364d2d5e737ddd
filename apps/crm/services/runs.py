"""
Runs: passes over all customers of a connection, taken in turns by any worker. What a turn did and where the
run stands are written together.
"""

import time
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from apps.audit.services import actions
from apps.crm.adapters.provider import (
    AccessRevoked,
    ConnectionFault,
    LimitReached,
    ProviderError,
    Unavailable,
)
from apps.crm.domain.breaker import pause_after
from apps.crm.models import Connection, SyncRun
from apps.crm.services import calling, faults, passes, pushing
from rtx.kernel import clock
from rtx.kernel.actor import Actor, ActorKind
from rtx.kernel.errors import Conflict, NotFound

Status = SyncRun.Status
FAILURES_MAX = 20  # turns in a row in which the provider did not answer
WAIT_S = 15.0
SOON_S = 2.0
ENDED = ("status", "phase", "finished_at", "claim", "claimed_until", "waits_until", "error_code", "error")
TAKEN_UP = ("status", "started_at", "heartbeat_at", *ENDED[3:])


def start(*, connection_id: int, kind: str, actor: Actor) -> SyncRun:
    """
    Queue a run (`SyncRun.Kind`); workers take it up within two seconds. A staff actor is logged.

    :raises NotFound: `connection_not_found`.
    :raises Conflict: `run_live`: another one is queued or running; `not_connected`.
    """
    with transaction.atomic():
        connection = Connection.objects.select_for_update(no_key=True).filter(pk=connection_id).first()
        if connection is None or connection.status == Connection.Status.REMOVED:
            raise NotFound("There is no such connection.", code="connection_not_found")
        if not connection.is_usable:
            raise Conflict("The connection is not connected, or paused.", code="not_connected")
        if SyncRun.objects.filter(connection=connection, status__in=SyncRun.LIVE).exists():
            raise Conflict("A run is queued or running already.", code="run_live")
        run = SyncRun.objects.create(
            connection=connection,
            kind=SyncRun.Kind(kind),
            asked_by=actor.as_text()[:80],
            reason=actor.reason[:200],
            created_at=clock.now(),
        )
        if actor.kind is ActorKind.STAFF:
            actions.record(actor=actor, operation="crm.start_run", target=run, after={"kind": run.kind})
        return run


def start_due() -> int:
    """Queue an incremental run for each connection whose last one is long enough ago."""
    started = 0
    for connection in Connection.objects.filter(status=Connection.Status.ACTIVE, pulled_at__isnull=False):
        if connection.pulled_at is None:
            continue
        if connection.pulled_at + timedelta(seconds=connection.pull_every_s) > clock.now():
            continue
        try:
            start(
                connection_id=connection.pk, kind=SyncRun.Kind.INCREMENTAL, actor=Actor.system("crm_schedule")
            )
            started += 1
        except Conflict:
            continue
    return started


def cancel(*, run_id: int, actor: Actor) -> SyncRun:
    """
    Ask a run to stop; it stops before its next batch, one that nobody is at stops at once.

    :raises NotFound: `run_not_found`.
    :raises Conflict: `run_ended`.
    """
    with transaction.atomic():
        run = SyncRun.objects.select_for_update().filter(pk=run_id).first()
        if run is None:
            raise NotFound("There is no such run.", code="run_not_found")
        if run.status not in SyncRun.LIVE:
            raise Conflict("The run has ended.", code="run_ended")
        run.is_cancel_asked = True
        if run.claimed_until is None or run.claimed_until < clock.now():
            _end(run, Status.CANCELED)
        run.save(update_fields=["is_cancel_asked", *ENDED])
        if actor.kind is ActorKind.STAFF:
            actions.record(actor=actor, operation="crm.cancel_run", target=run)
        return run


def waiting() -> list[int]:
    """Return the runs that a worker could take up now."""
    now = clock.now()
    free = Q(claimed_until__isnull=True) | Q(claimed_until__lt=now)
    ready = Q(waits_until__isnull=True) | Q(waits_until__lte=now)
    live = SyncRun.objects.filter(free, ready, status__in=SyncRun.LIVE)
    usable = live.exclude(connection__status=Connection.Status.PAUSED)
    return list(usable.order_by("pk").values_list("pk", flat=True))


def carry_on(*, run_id: int, for_s: float | None = None) -> bool:
    """
    Take a run up where it stands, for `for_s` seconds or up to its end; return whether more is to be done
    now. One that another worker holds, or that waits for a limit, is left alone.
    """
    claim = uuid4()
    run = _claimed(run_id, claim)
    if run is None:
        return False
    until = None if for_s is None else time.monotonic() + for_s
    try:
        with calling.opened(run.connection, run=run) as provider:
            turn = passes.Pass(run, run.connection, provider)
            while True:
                is_over = turn.step()
                if not _step_done(run, claim, is_over=is_over):
                    return False
                if until is not None and time.monotonic() >= until:
                    break
    except passes.ClaimLost:
        return False
    except ProviderError as error:
        if isinstance(error, ConnectionFault):
            faults.note(connection_id=run.connection_id, error=error)
        _held_up(run, claim, error)
        return False
    except Exception as error:
        _held_up(run, claim, Unavailable(type(error).__name__, code="internal"))
        raise
    SyncRun.objects.filter(pk=run.pk, claim=claim).update(claim=None, claimed_until=None)
    return True


def _claimed(run_id: int, claim: UUID) -> SyncRun | None:
    now = clock.now()
    with transaction.atomic():
        run = (
            SyncRun.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("connection")
            .filter(pk=run_id, status__in=SyncRun.LIVE)
            .first()
        )
        if run is None or (run.claimed_until is not None and run.claimed_until > now):
            return None
        if run.connection.status == Connection.Status.PAUSED:
            return None
        if run.waits_until is not None and run.waits_until > now and not run.is_cancel_asked:
            return None
        if run.is_cancel_asked:
            _end(run, Status.CANCELED)
            run.save(update_fields=ENDED)
            return None
        run.status, run.started_at, run.waits_until = Status.RUNNING, run.started_at or now, None
        run.claim, run.heartbeat_at, run.claimed_until = claim, now, _until()
        run.error_code, run.error = "", ""
        run.save(update_fields=TAKEN_UP)
        return run


def _until() -> Any:
    return clock.now() + timedelta(seconds=settings.CRM_CLAIM_S)


def _step_done(run: SyncRun, claim: UUID, *, is_over: bool) -> bool:
    """
    Keep the claim alive, give it back while the connection may not be called, or end the run; return whether
    this worker goes on with it.
    """
    with transaction.atomic():
        row = SyncRun.objects.select_for_update().filter(pk=run.pk).first()
        if row is None or row.claim != claim or row.status != Status.RUNNING:
            return False
        if is_over or row.is_cancel_asked:
            code, error = _left_waiting(row) if is_over else ("", "")
            _end(row, Status.DONE if is_over else Status.CANCELED, code=code, error=error)
            row.save(update_fields=ENDED)
            return False
        if not calling.is_active(run.connection):
            row.claim, row.claimed_until = None, None
            row.waits_until = clock.now() + timedelta(seconds=SOON_S)
            row.save(update_fields=["claim", "claimed_until", "waits_until"])
            return False
        row.heartbeat_at, row.claimed_until = clock.now(), _until()
        row.save(update_fields=["heartbeat_at", "claimed_until"])
        return True


def _left_waiting(row: SyncRun) -> tuple[str, str]:
    """Return why some of what a run would send waits still: code and words; empty: nothing is held."""
    connection = Connection.objects.get(pk=row.connection_id)
    kinds = [] if row.kind == SyncRun.Kind.PREVIEW else faults.refused(connection)
    left = [kind for kind in kinds if pushing.count_due(connection, kind, up_to=1)]
    if not left:
        return "", ""
    return connection.fault_code, f"Sending waits ({', '.join(left)}s): {connection.fault}"


def _end(row: SyncRun, status: str, *, code: str = "", error: str = "") -> None:
    row.status, row.finished_at, row.phase = status, clock.now(), ""
    row.claim, row.claimed_until, row.waits_until = None, None, None
    row.error_code, row.error = code[:40], error[:300]


def _held_up(run: SyncRun, claim: UUID, error: ProviderError) -> None:
    """Let a run wait for what passes, and fail for what does not."""
    with transaction.atomic():
        row = SyncRun.objects.select_for_update().filter(pk=run.pk, claim=claim).first()
        if row is None:
            return
        is_silent = isinstance(error, Unavailable) and not isinstance(error, calling.BreakerOpen)
        failures = int(row.cursor.get("failures", 0)) + 1 if is_silent else 0
        is_refused = isinstance(error, ConnectionFault)
        refusals = int(row.cursor.get("refusals", 0)) + is_refused
        passes_by = isinstance(error, LimitReached | Unavailable | ConnectionFault)
        passes_by = passes_by and failures < FAILURES_MAX
        is_paused = isinstance(error, calling.NotConnected) and not isinstance(error, AccessRevoked)
        is_paused = is_paused and Connection.objects.filter(pk=row.connection_id, status="paused").exists()
        if row.is_cancel_asked:
            _end(row, Status.CANCELED)
        elif passes_by or is_paused:
            wait_s = SOON_S if is_paused else (error.retry_after_s or WAIT_S)
            if is_refused:
                wait_s = max(wait_s, pause_after(refusals).total_seconds())
            row.waits_until = clock.now() + timedelta(seconds=wait_s)
            row.claim, row.claimed_until = None, None
            row.error_code, row.error = error.code[:40], str(error)[:300]
            row.cursor = {**row.cursor, "failures": failures, "refusals": refusals}
        else:
            _end(row, Status.FAILED, code=error.code, error=str(error))
        row.save(update_fields=[*ENDED, "cursor"])
