"""What tests of calls and webhooks do with the toy provider."""

import json
from datetime import timedelta

from django.test import Client as Browser

from apps.crm.models import Connection, Link, OAuthToken
from apps.crm.services import calling
from rtx.kernel import clock
from tests.fakes.toy import ToyFake, proof

PATH = "/api/webhooks/crm/hubspot"
CLIENT_ID = "app-1"
CLIENT_SECRET = "client-secret-0123456789"


def give_access(row: Connection, toy: ToyFake, *, expires_in_s: float = 3600) -> OAuthToken:
    """Let the toy grant access to a connection, as if somebody had agreed."""
    access, refresh = toy.grants.give(client_id=CLIENT_ID)
    now = clock.now()
    held = OAuthToken.objects.create(
        connection=row, expires_at=now + timedelta(seconds=expires_in_s), granted_at=now, refreshed_at=now
    )
    held.access_token, held.refresh_token = access, refresh
    held.save()
    return held


def call(connection, run=None, **options):
    """Make one real call."""
    with calling.opened(connection, run, **options) as provider:
        return provider.health()


def event(key: str = "e1", crm_id: str = "501", **more: object) -> dict[str, object]:
    """Return an event of the toy."""
    return {"key": key, "id": crm_id, **more}


def send(
    rows: object = None,
    *,
    body: bytes | None = None,
    path: str = PATH,
    stamp_ms: int | None = None,
    secret: str = CLIENT_SECRET,
    content_type: str = "application/json",
    **headers: str,
):
    """Post a delivery as the toy signs it."""
    body = json.dumps([event()] if rows is None else rows).encode() if body is None else body
    stamp = str(clock.now_ms() if stamp_ms is None else stamp_ms)
    sent = {
        "HTTP_X_STAMP": stamp,
        "HTTP_X_PROOF": proof(secret=secret, uri=f"https://rtx.example{path}", body=body, stamp=stamp),
        **headers,
    }
    return Browser().post(path, body, content_type=content_type, **sent)


def link(connection, client, crm_id="501", **values) -> Link:
    """Say which client a record is."""
    now = clock.now()
    return Link.objects.create(
        connection=connection,
        provider=connection.provider,
        client=client,
        crm_id=crm_id,
        wanted_at=now,
        changed_at=now,
        due_at=now,
        **values,
    )
