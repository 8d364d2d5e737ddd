"""Access as staff live it, with each provider's own adapter: connect, test, refresh, lose, leave."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from apps.crm.adapters.provider import AccessRevoked
from apps.crm.models import Connection, OAuthToken
from apps.crm.services import calling, connections, oauth
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from tests.fakes.hubspot import HubSpotFake
from tests.fakes.salesforce import SalesforceFake
from tests.fakes.server import serving
from tests.fakes.zoho import ZohoFake

pytestmark = pytest.mark.django_db
BACK = "https://rtx.example/api/admin/crm/oauth/callback"
FAKES = {"hubspot": HubSpotFake, "salesforce": SalesforceFake, "zoho": ZohoFake}
VALUES = {
    "client_id": "app-1",
    "client_secret": "secret-1",
    "webhook_secret": "hook-secret-0123456789",
    "region": "eu",
}


@dataclass(frozen=True)
class Side:
    """One provider's stand-in and RTX's connection to it."""

    fake: Any
    row: Connection

    def agreed(self, actor: Actor) -> Connection:
        """Walk through an authorization."""
        begun = oauth.start(connection_id=self.row.pk, actor=actor, redirect_uri=BACK)
        asked = {name: value for name, (value,) in parse_qs(urlsplit(begun.url).query).items()}
        answer = parse_qs(urlsplit(self.fake.grants.agree(asked)).query)
        return oauth.finish(actor=actor, state=answer["state"][0], code=answer["code"][0], error="")

    def asked(self) -> str:
        """Make one real call."""
        with calling.opened(self.row) as provider:
            return provider.health().external_id


@pytest.fixture(params=sorted(FAKES))
def side(request, settings, actor) -> Iterator[Side]:
    fake = FAKES[request.param]()
    fake.grants.clients = {"app-1": "secret-1"}
    with serving(fake) as url:
        settings.OUTGOING_ALLOWS_LOOPBACK = True
        settings.PUBLIC_URL = "https://rtx.example"
        for name in (f"CRM_{request.param.upper()}_URL", f"CRM_{request.param.upper()}_OAUTH_URL"):
            setattr(settings, name, url)
        yield Side(fake, connections.create(values={**VALUES, "provider": request.param}, actor=actor))


def test_agreeing_connects_and_says_whose_account_it_is(side, actor):
    row = side.agreed(actor)

    assert row.status == "active"
    assert row.external_id == side.asked() != ""
    assert OAuthToken.objects.get().expires_at > clock.now() + timedelta(minutes=20)


def test_a_connected_account_can_be_tested(side, actor):
    side.agreed(actor)

    diagnosis = connections.test(connection_id=side.row.pk, actor=actor)

    outcomes = {one.step: one.outcome for one in diagnosis.findings}
    assert outcomes["access"] == outcomes["account"] == outcomes["object"] == "ok"


def test_a_token_that_ended_is_replaced_without_a_word(side, actor):
    side.agreed(actor)
    before = OAuthToken.objects.get().access_token
    OAuthToken.objects.update(expires_at=clock.now())

    assert side.asked()

    after = OAuthToken.objects.get()
    assert after.access_token != before
    assert after.generation == 2
    assert after.refresh_token in side.fake.grants.refresh_tokens


def test_a_token_that_the_provider_ended_early_is_replaced(side, actor):
    side.agreed(actor)
    side.fake.grants.expire()

    assert side.asked()
    assert side.fake.grants.refreshed == 1


def test_access_that_was_taken_back_is_shown(side, actor):
    side.agreed(actor)
    side.fake.grants.revoke_all()

    with pytest.raises(AccessRevoked):
        side.asked()

    assert Connection.objects.get().status == "revoked"


def test_disconnecting_ends_the_grant_there(side, actor):
    side.agreed(actor)

    connections.disconnect(connection_id=side.row.pk, actor=actor)

    assert side.fake.grants.refresh_tokens == {}
    with pytest.raises(calling.NotConnected):
        side.asked()
