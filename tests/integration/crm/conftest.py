"""A provider of the tests' own, and connections to it; what is repeated is repeated without waiting."""

from collections.abc import Callable, Iterator

import pytest
import stamina

from apps.accounts.models import User
from apps.crm.adapters import registry
from apps.crm.api import webhooks as webhook_views
from apps.crm.models import Connection
from apps.crm.services import calling, pulling, webhooks
from rtx.kernel import clock
from rtx.kernel.actor import Actor, ActorKind
from tests.factories import crm as factory
from tests.factories.house import staff
from tests.fakes.hubspot import HubSpotFake
from tests.fakes.server import serving
from tests.fakes.toy import ToyFake
from tests.integration.crm.toys import CLIENT_ID, CLIENT_SECRET, give_access


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Repeat at once, as often as otherwise."""
    with stamina.set_testing(True, attempts=calling.ATTEMPTS, cap=True):
        yield


@pytest.fixture(autouse=True)
def no_waking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests look at deliveries themselves."""
    monkeypatch.setattr(webhook_views._waker, "wake", lambda: None)


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test changes counts at once."""
    monkeypatch.setattr(webhooks, "KNOWN_S", 0.0)


@pytest.fixture
def toy(settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[ToyFake]:
    """Put the toy in HubSpot's place."""
    fake = ToyFake()
    fake.grants.clients = {CLIENT_ID: CLIENT_SECRET}
    monkeypatch.setitem(registry.ADAPTERS, "hubspot", ("tests.fakes.toy", "Toy"))
    with serving(fake) as url:
        settings.OUTGOING_ALLOWS_LOOPBACK = True
        settings.CRM_HUBSPOT_URL = settings.CRM_HUBSPOT_OAUTH_URL = url
        settings.PUBLIC_URL = "https://rtx.example"
        yield fake


@pytest.fixture
def boss(db: None) -> User:
    """A member of staff who may do everything."""
    return staff("boss@example.com", role=User.Role.SUPERADMIN)


@pytest.fixture
def actor(boss: User) -> Actor:
    """That person, acting."""
    return Actor(kind=ActorKind.STAFF, name=f"user:{boss.pk}", reason="test")


@pytest.fixture
def make_connection(db: None) -> Callable[..., Connection]:
    """Return a factory of connections to HubSpot with a client secret."""

    def make(**values: object) -> Connection:
        row = Connection.objects.create(
            **{
                "provider": "hubspot",
                "name": "HubSpot",
                "client_id": CLIENT_ID,
                "customer_object": "contacts",
                "account_object": "deals",
                "created_at": clock.now(),
                **values,
            }
        )
        row.client_secret = CLIENT_SECRET
        row.save()
        return row

    return make


@pytest.fixture
def connected(toy: ToyFake, make_connection: Callable[..., Connection]) -> Connection:
    """A connection that has access to the toy."""
    row = make_connection(status=Connection.Status.ACTIVE)
    give_access(row, toy)
    return row


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch) -> factory.MemoryCrm:
    """Give every connection a CRM in memory: for what the sync itself decides."""
    made = factory.MemoryCrm()

    def opened(connection: Connection, run: object = None, **_more: object) -> object:
        if not Connection.objects.filter(pk=connection.pk, status="active").exists():
            raise calling.NotConnected("not connected")
        return factory.given_to(made)

    monkeypatch.setattr(calling, "opened", opened)
    return made


@pytest.fixture
def connection(db: None) -> Connection:
    """Return a connection with the usual mappings."""
    return factory.make_connection()


@pytest.fixture
def hubspot(settings) -> Iterator[HubSpotFake]:
    """Serve an empty portal of HubSpot."""
    fake = HubSpotFake()
    fake.grants.clients = {CLIENT_ID: CLIENT_SECRET}
    with serving(fake) as url:
        settings.OUTGOING_ALLOWS_LOOPBACK = True
        settings.CRM_HUBSPOT_URL = settings.CRM_HUBSPOT_OAUTH_URL = url
        yield fake


@pytest.fixture
def joined(hubspot: HubSpotFake, db: None) -> Connection:
    """Return a connection that has access to the portal."""
    row = factory.make_connection(client_id=CLIENT_ID, account_object="deals", calls_max=1000)
    row.client_secret = CLIENT_SECRET
    row.save()
    give_access(row, hubspot)  # type: ignore[arg-type]  # it has grants as the toy has
    return row


@pytest.fixture
def pulled(monkeypatch) -> list[tuple[str, list[str]]]:
    """Note what the sync is asked to read anew."""
    asked: list[tuple[str, list[str]]] = []

    def pull_named(connection, provider, *, object_name, crm_ids, cause):
        assert cause == "webhook"
        provider.get_many(object_name, crm_ids, [])
        asked.append((object_name, list(crm_ids)))
        return len(crm_ids)

    monkeypatch.setattr(pulling, "pull_named", pull_named)
    return asked
