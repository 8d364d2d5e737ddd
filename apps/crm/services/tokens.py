"""
Keeps the access of a connection fresh: refreshed once, by whoever comes first, under the lock of the token's
row; what a rotation gave is stored in the same transaction. Notes when access is gone.
"""

import time
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction

from apps.audit.services import actions
from apps.crm.adapters.oauth import SILENT
from apps.crm.adapters.provider import AccessRevoked, Grant, Provider, ProviderError, Unavailable
from apps.crm.models import Connection, OAuthToken
from apps.crm.services import exchanges, faults, rates
from apps.crm.services.exchanges import Asked, Ended
from apps.risk.services import alarms
from rtx.kernel import clock
from rtx.kernel.actor import Actor

MARGIN = timedelta(seconds=60)  # refreshed so long before the end
SILENCE_S = 30.0  # a token endpoint that gave no answer is not asked again before
ALARM = "crm_access"
NO_ACCESS = "RTX has no access to this CRM."
SYSTEM = Actor.system("crm")


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """An access token, whose generation it is, and where it is good."""

    token: str
    generation: int
    api_url: str


def access(connection: Connection, provider: Provider, *, stale: int = 0, is_test: bool = False) -> Access:
    """
    Return a token that is good for the next minute; `stale` is a generation that the provider refused.

    Whoever needs a new one waits for the row; who gets it second finds it refreshed already, or that the
    token endpoint keeps silent and is not asked again yet. `is_test`: it is asked all the same.

    :raises AccessRevoked: there is none, or the provider took it back: the connection is REVOKED then.
    :raises BreakerOpen: the connection is left alone.
    :raises ProviderError: the token endpoint failed; the old tokens stay.
    """
    held = OAuthToken.objects.select_related("connection").filter(connection_id=connection.pk).first()
    if held is None:
        raise AccessRevoked(NO_ACCESS)
    if _is_good(held, stale):
        return _access(held)
    if not stale and not is_test:  # else the caller was let in already
        rates.may_ask(connection_id=connection.pk)
    return _refreshed(connection, provider, stale=stale, is_test=is_test)


def _refreshed(connection: Connection, provider: Provider, *, stale: int, is_test: bool) -> Access:
    grant, failed = None, None
    with transaction.atomic():
        held = (
            OAuthToken.objects.select_for_update(of=("self",))
            .select_related("connection")
            .filter(connection_id=connection.pk)
            .first()
        )
        if held is None:
            raise AccessRevoked(NO_ACCESS)
        if _is_good(held, stale):
            return _access(held)
        if not is_test:
            _may_ask(held)
        started = time.monotonic()
        try:
            grant = provider.refresh(held.refresh_token)
        except ProviderError as error:
            failed = error
            _put_off(held, error)
        else:
            _keep(held, grant)
    _log(connection, started, failed)
    if failed is not None:
        rates.asked_in_vain(connection_id=connection.pk, error=failed)
        if isinstance(failed, AccessRevoked):
            lost(connection_id=connection.pk, generation=held.generation)
        raise failed
    if grant is not None:
        _moved(connection.pk, grant)  # not under the token's lock: a connection is locked before its token
    held = OAuthToken.objects.select_related("connection").filter(connection_id=connection.pk).first()
    if held is None:  # disconnected meanwhile
        raise AccessRevoked(NO_ACCESS)
    return _access(held)


def _may_ask(held: OAuthToken) -> None:
    now = clock.now()
    if held.not_before is not None and held.not_before > now:
        wait_s = (held.not_before - now).total_seconds()
        raise Unavailable("The token endpoint kept silent.", code=SILENT, retry_after_s=wait_s)


def _put_off(held: OAuthToken, error: ProviderError) -> None:
    """Note in the locked row when the token endpoint is asked next: those who wait for the row see it."""
    if error.code == SILENT:
        error.retry_after_s = SILENCE_S
    if error.retry_after_s:
        held.not_before = clock.now() + timedelta(seconds=error.retry_after_s)
        held.save(update_fields=["not_before"])


def store(connection: Connection, grant: Grant, *, granted_by_id: int | None) -> OAuthToken:
    """Keep what an authorization gave, in the caller's transaction, which holds the connection's row."""
    now = clock.now()
    row = OAuthToken.objects.select_for_update().filter(connection=connection).first()
    if row is None:
        row = OAuthToken(
            connection=connection, generation=0, expires_at=now, refreshed_at=now, granted_at=now
        )
        row.save()
    row.granted_by_id, row.granted_at = granted_by_id, now
    _keep(row, grant)
    _moved(connection.pk, grant)
    return row


def _keep(row: OAuthToken, grant: Grant) -> None:
    """Write a grant into a locked row; an empty refresh token: the old one stays."""
    row.access_token = grant.access_token
    if grant.refresh_token:
        row.refresh_token = grant.refresh_token
    row.refreshed_at = clock.now()
    row.expires_at = row.refreshed_at + timedelta(seconds=grant.expires_in_s)
    row.scope = grant.scope[:500] or row.scope
    row.generation += 1
    row.not_before = None
    row.save()


def _moved(connection_id: int, grant: Grant) -> None:
    """Remember where the API is, if the provider says that it is elsewhere now."""
    if grant.api_url:
        rows = Connection.objects.filter(pk=connection_id).exclude(api_url=grant.api_url)
        rows.update(api_url=grant.api_url[:200])


def lost(*, connection_id: int, generation: int) -> bool:
    """
    Note that the provider took the access of a generation back: no more calls, an alarm, an entry of the
    staff log. Nothing happens when staff have connected again meanwhile; return whether it was noted.
    """
    with transaction.atomic():
        row = Connection.objects.select_for_update(no_key=True).get(pk=connection_id)
        gone = OAuthToken.objects.select_for_update().filter(
            connection_id=connection_id, generation=generation
        )
        if not gone.exists():
            return False
        gone.delete()
        before = row.status
        error = AccessRevoked("The provider took RTX's access back.")
        Connection.objects.filter(pk=connection_id).update(
            status=Connection.Status.REVOKED, **rates.said(error, clock.now()), **faults.NONE
        )
        actions.record(
            actor=SYSTEM,
            operation="crm.access_revoked",
            target=row,
            before={"status": before},
            after={"status": Connection.Status.REVOKED},
        )
    alarms.clear(kind=faults.ALARM, subject=row.provider)
    alarms.raise_alarm(
        kind=ALARM,
        severity="critical",
        subject=row.provider,
        message=f"{row.get_provider_display()} took RTX's access back: connect it again.",
    )
    return True


def _is_good(held: OAuthToken, stale: int) -> bool:
    return held.generation > stale and held.expires_at - MARGIN > clock.now()


def _access(held: OAuthToken) -> Access:
    return Access(held.access_token, held.generation, held.connection.api_url)


def _log(connection: Connection, started: float, error: ProviderError | None) -> None:
    exchanges.record(
        connection_id=connection.pk,
        run_id=None,
        asked=Asked("refresh"),
        ended=Ended(
            took_ms=int((time.monotonic() - started) * 1000),
            status=200 if error is None else None,
            error_code=error.code if error is not None else "",
        ),
    )
