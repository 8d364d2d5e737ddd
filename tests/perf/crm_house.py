"""
What the figures of the sync share: a HubSpot stand-in in this process, at the port where the broker's
processes look for it, a connection that has access to it, and clients by the thousand.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from tests.fakes.fake import Limit
from tests.fakes.hubspot import HubSpotFake
from tests.fakes.server import serving
from tests.perf.broker import Broker, NotMeasured

LATENCY_MS = 20
CLIENT_ID, CLIENT_SECRET = "bench-app", "bench-secret-0123456789"
PORTION = 500


@contextmanager
def crm(broker: Broker, *, limit: Limit | None) -> Iterator[HubSpotFake]:
    """Serve an empty portal with 20 ms latency."""
    fake = HubSpotFake()
    fake.grants.clients = {CLIENT_ID: CLIENT_SECRET}
    fake.limit = limit
    with serving(fake, port=broker.stack.crm_port, latency_ms=LATENCY_MS):
        yield fake


def connect(fake: HubSpotFake, *, calls_max: int, **values: Any) -> Any:
    """Connect to the portal, in place of whatever was connected before."""
    from apps.crm.models import Connection, Link, OAuthToken
    from apps.crm.services import field_mappings
    from rtx.kernel import clock

    Link.objects.all().delete()
    Connection.objects.all().delete()
    now = clock.now()
    given = {"pull_every_s": 3600, "window_s": 10, "account_object": "", **values}
    row = Connection.objects.create(
        provider="hubspot",
        name="HubSpot",
        client_id=CLIENT_ID,
        customer_object="contacts",
        status=Connection.Status.ACTIVE,
        created_at=now,
        calls_max=calls_max,
        external_id=str(fake.portal_id),
        **given,
    )
    row.client_secret = CLIENT_SECRET
    row.save()
    field_mappings.install_defaults(row)
    access, refresh = fake.grants.give(client_id=CLIENT_ID)
    held = OAuthToken.objects.create(
        connection=row, expires_at=now + timedelta(hours=1), granted_at=now, refreshed_at=now
    )
    held.access_token, held.refresh_token = access, refresh
    held.save()
    return row


def make_clients(count: int) -> list[Any]:
    """Register so many clients in bulk, once for all figures; return all of them."""
    from apps.accounts.models import Client, User
    from apps.crm.models import Change, Connection
    from rtx.kernel import clock

    Connection.objects.update(status=Connection.Status.DRAFT)  # nobody is told of them one by one
    there = Client.objects.filter(user__email__endswith="@crm.example").count()
    for start in range(there, count, PORTION):
        numbers = range(start, min(start + PORTION, count))
        users = User.objects.bulk_create(
            [User(email=f"client{number}@crm.example", role=User.Role.TRADER) for number in numbers]
        )
        clients = [Client(user=user, country="DE", created_at=clock.now()) for user in users]
        for number, client in zip(numbers, clients, strict=True):
            client.first_name, client.last_name = "Bench", f"Client{number}"
            client.email, client.phone = client.user.email, f"+4930{1_000_000 + number}"
        Client.objects.bulk_create(clients)
    Change.objects.all().delete()
    return list(Client.objects.filter(data_key__isnull=False).order_by("number"))


def wait(what: str, is_true: Callable[[], bool], *, timeout_s: float, every_s: float = 0.25) -> None:
    """
    Wait until something is so.

    :raises NotMeasured: it takes too long.
    """
    until = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > until:
            raise NotMeasured(f"{what}: not within {timeout_s:.0f} s")
        time.sleep(every_s)
