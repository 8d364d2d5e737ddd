"""
Gives RTX access to a CRM and takes it away: authorization code with PKCE and state, giving the grant back.
Keeping access fresh is `tokens`. Secrets leave sealed rows only towards the provider.
"""

import hashlib
import secrets
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction

from apps.audit.services import actions
from apps.crm.adapters import oauth
from apps.crm.adapters.provider import AccessRevoked, Grant, ProviderError
from apps.crm.domain.advice import advice
from apps.crm.models import Connection, Link, OAuthState, OAuthToken
from apps.crm.services import calling, exchanges, faults, tokens
from apps.crm.services.exchanges import Asked, Ended
from apps.risk.services import alarms
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Conflict, Invalid, NotFound

LIFETIME = timedelta(minutes=10)
ALARM = tokens.ALARM


class OAuthFailed(Invalid):
    """Access was not given; the detail tells a person why and what to do."""

    code = "oauth_failed"
    title = "The connection was not made"


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the person is sent now; the address carries the state."""

    url: str
    expires_in_s: int


def start(*, connection_id: int, actor: Actor, redirect_uri: str) -> Begun:
    """
    Begin an authorization for the staff member who asks. `redirect_uri`: address of the callback page.

    :raises NotFound: `connection_not_found`.
    :raises Conflict: `connection_incomplete`: client id or secret is missing.
    """
    if actor.user_id is None:
        raise Invalid("A person gives access, no part of RTX.")
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(64)
    with transaction.atomic():
        row = _present(connection_id)
        if not row.client_id or not row.client_secret_sealed:
            raise Conflict(advice("connection_incomplete"), code="connection_incomplete")
        begun = OAuthState(
            state_hash=_hash(state),
            connection=row,
            user_id=actor.user_id,
            redirect_uri=redirect_uri,
            expires_at=clock.now() + LIFETIME,
        )
        begun.save()
        begun.verifier = verifier
        begun.save(update_fields=["verifier_sealed"])
        actions.record(actor=actor, operation="crm.begin_connect", target=row, outcome="requested")
    url = calling.quiet(row).authorize_url(
        state=state, challenge=oauth.challenge(verifier), redirect_uri=redirect_uri
    )
    return Begun(url=url, expires_in_s=int(LIFETIME.total_seconds()))


def finish(*, actor: Actor, state: str, code: str, error: str) -> Connection:
    """
    End an authorization with what the provider appended to the callback's address: it is ACTIVE then. Nothing
    is kept before the provider has said, to the new token, whose account it is; till then a connection and
    its former access stay as they were.

    :raises OAuthFailed: with a `code` and a detail for the person: unknown, used or expired state, somebody
        else's, refused by the person (`oauth_access_denied`), refused code, wrong client secret, another
        account than the linked one, a provider that does not answer, ...
    """
    begun = _consumed(state, actor)
    row = begun.connection
    if error or not code:
        word = error.lower() if error.replace("_", "").isalnum() and error.isascii() else "code"
        raise _failed(row, actor, f"oauth_{word}"[:40])
    grant = _granted(begun, code, actor)
    external_id = _checked(row, actor, grant)
    is_kept = OAuthToken.objects.filter(connection=row).exists() and row.external_id in ("", external_id)
    if not grant.refresh_token and not is_kept:
        raise _failed(row, actor, "oauth_no_refresh_token")
    connected = _activated(row.pk, actor, grant, external_id)
    if connected is None:
        _turned_down(row, grant)
        raise _failed(row, actor, "oauth_other_account")
    return connected


def give_back(*, connection: Connection) -> None:
    """
    Forget the tokens and, once that is committed, tell the provider so. Without its answer they are forgotten
    all the same; how the call ended is in the log of calls.
    """
    with transaction.atomic():
        rows = OAuthToken.objects.filter(connection=connection)
        held = rows.select_for_update(of=("self",)).first()  # a refresh may be changing it
        if held is None:
            return
        refresh_token = held.refresh_token or held.access_token
        held.delete()
        transaction.on_commit(lambda: _revoke(connection, refresh_token))


def _revoke(connection: Connection, refresh_token: str) -> None:
    started = time.monotonic()
    failure: ProviderError | None = None
    try:
        calling.quiet(connection).revoke(refresh_token)
    except ProviderError as error:
        failure = None if isinstance(error, AccessRevoked) else error  # then it is gone already
    _log(connection, "revoke", started, failure)


def purge_states() -> int:
    """Delete authorizations that ended or expired; return how many."""
    old = clock.now() - timedelta(days=1)
    return OAuthState.objects.filter(expires_at__lt=old).delete()[0]


def _hash(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()


def _present(connection_id: int) -> Connection:
    row = (
        Connection.objects.select_for_update(no_key=True)
        .filter(pk=connection_id)
        .exclude(status=Connection.Status.REMOVED)
        .first()
    )
    if row is None:
        raise NotFound("There is no such connection.", code="connection_not_found")
    return row


def _consumed(state: str, actor: Actor) -> OAuthState:
    """Use an authorization up, whatever comes of it; only its own person can, once, in time."""
    with transaction.atomic():
        begun = (
            OAuthState.objects.select_for_update(of=("self",))
            .select_related("connection")
            .filter(state_hash=_hash(state))
            .first()
        )
        now = clock.now()
        if (
            begun is None
            or begun.used_at is not None
            or begun.expires_at <= now
            or begun.user_id != actor.user_id
            or begun.connection.status == Connection.Status.REMOVED
        ):
            raise OAuthFailed(advice("oauth_state"), code="oauth_state")
        begun.used_at = now
        begun.save(update_fields=["used_at"])
    return begun


def _granted(begun: OAuthState, code: str, actor: Actor) -> Grant:
    started, row = time.monotonic(), begun.connection
    try:
        grant = calling.quiet(row).authenticate(
            code=code, verifier=begun.verifier, redirect_uri=begun.redirect_uri
        )
    except ProviderError as error:
        _log(row, "authenticate", started, error)
        named = "oauth_code" if isinstance(error, AccessRevoked) else error.code
        raise _failed(row, actor, named) from error
    _log(row, "authenticate", started, None)
    return grant


def _is_other(row: Connection, external_id: str) -> bool:
    """Tell whether the account differs from the one that customers were linked with."""
    differs = bool(row.external_id) and row.external_id != external_id
    return differs and Link.objects.filter(connection=row).exclude(crm_id="").exists()


def _checked(row: Connection, actor: Actor, grant: Grant) -> str:
    """Ask with the new token whose account it is, and return that; one that will not do is given back."""
    try:
        with calling.opened(row, is_test=True, grant=grant) as provider:
            external_id = provider.health().external_id or grant.external_id
    except ProviderError as error:
        _turned_down(row, grant)
        raise _failed(row, actor, error.code) from error
    if _is_other(row, external_id):
        _turned_down(row, grant)
        raise _failed(row, actor, "oauth_other_account")
    return external_id


def _turned_down(row: Connection, grant: Grant) -> None:
    """Give a grant back that was never kept, unless it is the one in use, told once more."""
    held = OAuthToken.objects.filter(connection=row).first()
    if grant.refresh_token and (held is None or held.refresh_token != grant.refresh_token):
        _revoke(row, grant.refresh_token)


def _activated(connection_id: int, actor: Actor, grant: Grant, external_id: str) -> Connection | None:
    """Keep what was given, and let the sync begin, or go on; None: another account is linked meanwhile."""
    with transaction.atomic():
        row = _present(connection_id)
        if _is_other(row, external_id):
            return None
        before = row.status
        tokens.store(row, grant, granted_by_id=actor.user_id)
        is_new = row.external_id not in ("", external_id)
        anew: dict[str, Any] = {"pull_cursor": {}, "pulled_at": None} if is_new else {}
        Connection.objects.filter(pk=row.pk).update(
            status=Connection.Status.ACTIVE,
            failures=0,
            open_until=None,
            last_error_code="",
            last_error="",
            external_id=external_id[:64],
            **anew,
        )
        faults.mended(connection_id=row.pk)
        row.refresh_from_db()
        actions.record(
            actor=actor,
            operation="crm.connect",
            target=row,
            before={"status": before},
            after={"status": row.status, "account": row.external_id},
        )
    alarms.clear(kind=ALARM, subject=row.provider)
    return row


def _failed(row: Connection, actor: Actor, code: str) -> OAuthFailed:
    actions.record_refusal(actor=actor, operation="crm.connect", detail=code, target=row)
    return OAuthFailed(advice(code), code=code)


def _log(row: Connection, operation: str, started: float, error: ProviderError | None) -> None:
    exchanges.record(
        connection_id=row.pk,
        run_id=None,
        asked=Asked(operation),
        ended=Ended(
            took_ms=int((time.monotonic() - started) * 1000),
            status=200 if error is None else None,
            error_code=error.code if error is not None else "",
        ),
    )
