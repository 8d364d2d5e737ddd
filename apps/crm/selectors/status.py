"""How connections and runs stand: the one answer that the admin's pages and the REST interface show."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, F, Min, Q, QuerySet

from apps.crm.domain.advice import advice
from apps.crm.domain.limits import Window
from apps.crm.models import Conflict, Connection, DeadLetter, FieldMapping, Link, OAuthToken, SyncRun

CONFLICTS_HOURS = 24
Told = dict[str, Any]


def said(at: datetime | None) -> str | None:
    """Write an instant as the interfaces do."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def run_view(run: SyncRun) -> Told:
    """Return a run as it is shown; `done` of `total` in its present phase."""
    return {
        "id": run.pk,
        "config": run.connection_id,
        "kind": run.kind,
        "status": run.status,
        "phase": run.phase,
        "total": run.total,
        "done": run.done,
        "created": run.created,
        "updated": run.updated,
        "unchanged": run.unchanged,
        "pulled": run.pulled,
        "conflicts": run.conflicts,
        "failed": run.failed,
        "calls": run.calls,
        "cancel_asked": run.is_cancel_asked,
        "asked_by": run.asked_by,
        "reason": run.reason,
        "created_at": said(run.created_at),
        "started_at": said(run.started_at),
        "heartbeat_at": said(run.heartbeat_at),
        "finished_at": said(run.finished_at),
        "waits_until": said(run.waits_until),
        "error_code": run.error_code,
        "error": run.error,
    }


def live_run(connection: Connection) -> SyncRun | None:
    """Return the run that is under way or queued."""
    return SyncRun.objects.filter(connection=connection, status__in=SyncRun.LIVE).first()


def customers(connection: Connection) -> Told:
    """Count the connection's links by how they stand."""
    active = Q(status=Link.Status.ACTIVE)
    counted: Told = Link.objects.filter(connection=connection).aggregate(
        clients=Count("pk", filter=Q(kind=FieldMapping.Kind.CLIENT)),
        accounts=Count("pk", filter=Q(kind=FieldMapping.Kind.ACCOUNT)),
        in_step=Count("pk", filter=active & Q(sent__gte=F("wanted"))),
        waiting=Count("pk", filter=Q(is_waiting=True)),
        given_up=Count("pk", filter=Q(status=Link.Status.DEAD)),
        gone=Count("pk", filter=Q(status=Link.Status.GONE)),
        oldest=Min("wanted_at", filter=Q(is_waiting=True)),
    )
    counted["waiting_since"] = said(counted.pop("oldest"))
    return counted


def breaker_state(connection: Connection, *, now: datetime) -> str:
    """Say whether the circuit breaker lets calls through: closed, open or half_open."""
    if connection.open_until is None:
        return "closed"
    return "open" if connection.open_until > now else "half_open"


def window_calls(connection: Connection, *, now: datetime) -> int:
    """Count the calls of the present window."""
    now_ms, window = int(now.timestamp() * 1000), Window.read(connection.calls)
    return len(window.current(now_ms=now_ms, window_ms=connection.window_s * 1000).calls)


def connections_in_trouble(*, now: datetime) -> "QuerySet[Connection]":
    """
    Return the connections that somebody must look at: access was taken away, the connection is at fault, or
    the breaker holds.
    """
    active = Q(status=Connection.Status.ACTIVE)
    is_held = Q(open_until__gt=now) | ~Q(fault_code="")
    return Connection.objects.filter(Q(status=Connection.Status.REVOKED) | (active & is_held))


def status_view(connection: Connection, *, now: datetime) -> Told:
    """Return how a connection stands."""
    run = live_run(connection)
    token = OAuthToken.objects.filter(connection=connection).first()
    since = now - timedelta(hours=CONFLICTS_HOURS)
    return {
        "config": connection.pk,
        "provider": connection.provider,
        "name": connection.name,
        "status": connection.status,
        "api_url": connection.api_url,
        "account": connection.external_id,
        "customers": customers(connection),
        "dead_letters": DeadLetter.objects.filter(connection=connection, status="open").count(),
        "conflicts_24h": Conflict.objects.filter(link__connection=connection, at__gte=since).count(),
        "limits": {
            "calls": window_calls(connection, now=now),
            "calls_max": connection.calls_max,
            "window_s": connection.window_s,
            "not_before": said(connection.not_before),
            "daily_max": connection.daily_max,
            "daily_left": connection.daily_left,
        },
        "breaker": {
            "state": breaker_state(connection, now=now),
            "failures": connection.failures,
            "open_until": said(connection.open_until),
        },
        "access": {
            "is_given": token is not None,
            "expires_at": said(token.expires_at) if token else None,
            "refreshed_at": said(token.refreshed_at) if token else None,
        },
        "last_ok_at": said(connection.last_ok_at),
        "pulled_at": said(connection.pulled_at),
        "last_error": {
            "code": connection.last_error_code,
            "detail": connection.last_error,
            "at": said(connection.last_error_at),
        },
        "fault": fault_view(connection),
        "run": None if run is None else run_view(run),
    }


def fault_view(connection: Connection) -> Told | None:
    """Return what keeps the whole connection from working, and what a person does about it; None: nothing."""
    if not connection.fault_code:
        return None
    return {
        "code": connection.fault_code,
        "detail": connection.fault,
        "advice": advice(connection.fault_code),
        "at": said(connection.fault_at),
    }


def config_view(connection: Connection) -> Told:
    """Return how a connection is set up. Of secrets only whether they are there."""
    return {
        "id": connection.pk,
        "provider": connection.provider,
        "name": connection.name,
        "status": connection.status,
        "client_id": connection.client_id,
        "has_client_secret": bool(connection.client_secret_sealed),
        "has_webhook_secret": bool(connection.webhook_secret_sealed),
        "region": connection.region,
        "customer_object": connection.customer_object,
        "account_object": connection.account_object,
        "creates_clients": connection.creates_clients,
        "erases_there": connection.erases_there,
        "calls_max": connection.calls_max,
        "window_s": connection.window_s,
        "pull_every_s": connection.pull_every_s,
        "keep_days": connection.keep_days,
        "created_at": said(connection.created_at),
    }
