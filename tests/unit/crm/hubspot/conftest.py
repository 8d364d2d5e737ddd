"""A portal of the stand-in and HubSpot's adapter that speaks to it over HTTP."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from apps.crm.adapters.hubspot import HubSpot
from apps.crm.adapters.provider import Settings
from tests.fakes.hubspot import HubSpotFake
from tests.fakes.server import serving
from tests.fakes.session import BareSession


@dataclass
class Portal:
    fake: HubSpotFake
    hubspot: HubSpot
    session: BareSession
    url: str

    def contact(self, crm_id: str) -> dict[str, str]:
        return self.fake.contacts.records[crm_id].properties


def adapter(session: BareSession, **changes: Any) -> HubSpot:
    known = {
        "client_id": "app",
        "client_secret": "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy",
        "api_url": "",
        "region": "",
        "customer_object": "contacts",
        "account_object": "deals",
        "external_id": "62515",
    }
    made = HubSpot(settings=Settings(**{**known, **changes}), session=session)
    session.provider = made
    return made


@pytest.fixture
def portal(settings: Any) -> Iterator[Portal]:
    fake = HubSpotFake().with_rtx_properties()
    access, _ = fake.grants.give()
    with serving(fake) as url, httpx.Client(base_url=url, timeout=5, trust_env=False) as http:
        settings.CRM_HUBSPOT_URL = settings.CRM_HUBSPOT_OAUTH_URL = url
        settings.OUTGOING_ALLOWS_LOOPBACK = True
        session = BareSession(http, access)
        yield Portal(fake, adapter(session), session, url)
