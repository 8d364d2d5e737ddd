"""What tests of calls and webhooks do with the toy provider."""

from datetime import timedelta

from apps.crm.models import Connection, OAuthToken
from rtx.kernel import clock
from tests.fakes.toy import ToyFake

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
