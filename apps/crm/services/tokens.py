"""
Keeps the access of a connection fresh: refreshed once, by whoever comes first, under the lock of the token's
row; what a rotation gave is stored in the same transaction. Notes when access is gone.
"""

import time
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction

from apps.audit.services import actions
from apps.crm.adapters.provider import AccessRevoked, Grant, LimitReached, Provider, ProviderError
from apps.crm.models import Connection, OAuthToken
from apps.crm.services import exchanges, rates
from apps.crm.services.exchanges import Asked, Ended
from apps.risk.services import alarms
from rtx.kernel import clock
from rtx.kernel.actor import Actor

MARGIN = timedelta(seconds=60)  # refreshed so long before the end
ALARM = "crm_access"
SYSTEM = Actor.system("crm")


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """An access token, whose generation it is, and where it is good."""

    token: str
    generation: int
    api_url: str


def access(connection: Connection, provider: Provider, *, stale: int = 0) -> Access:
    """
    Return a token that is good for the next minute; `stale` is a generation that the provider refused.

    Whoever needs a new one waits for the row; who gets it second finds it refreshed already.

    :raises AccessRevoked: there is none, or the provider took it back: the connection is REVOKED then.
    :raises ProviderError: the token endpoint failed; the old tokens stay.
    """
    held = OAuthToken.objects.select_related("connection").filter(connection_id=connection.pk).first()
    if held is None:
        raise AccessRevoked("RTX has no access to this CRM.")
    if _is_good(held, stale):
        return _access(held)
    started = time.monotonic()
    try:
        with transaction.atomic():
            held = (
                OAuthToken.objects.select_for_update(of=("self",))
                .select_related("connection")
                .filter(connection_id=connection.pk)
                .first()
            )
            if held is None:
                raise AccessRevoked("RTX has no access to this CRM.")
            if _is_good(held, stale):
                return _access(held)
            started = time.monotonic()
            grant = provider.refresh(held.refresh_token)
            _keep(held, grant)
    except ProviderError as error:
        _log(connection, started, error)
        if isinstance(error, AccessRevoked) and held is not None:
            lost(connection_id=connection.pk, generation=held.generation)
        if isinstance(error, LimitReached) and error.retry_after_s:  # nobody asks again before
            until = clock.now() + timedelta(seconds=error.retry_after_s)
            Connection.objects.filter(pk=connection.pk).update(not_before=until)
        raise
    _moved(connection.pk, grant)  # not under the token's lock: a connection is locked before its token
    _log(connection, started, None)
    return _access(OAuthToken.objects.select_related("connection").get(connection_id=connection.pk))


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
            status=Connection.Status.REVOKED, **rates.said(error, clock.now())
        )
        actions.record(
            actor=SYSTEM,
            operation="crm.access_revoked",
            target=row,
            before={"status": before},
            after={"status": Connection.Status.REVOKED},
        )
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
