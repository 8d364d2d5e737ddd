"""An organization of the stand-in and Zoho's adapter that speaks to it over HTTP."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from apps.crm.adapters.provider import Settings, Upsert
from apps.crm.adapters.zoho import Zoho
from tests.fakes.server import serving
from tests.fakes.session import BareSession
from tests.fakes.zoho import ZohoFake

START = 1_790_000_000
NOW = datetime.fromtimestamp(START, tz=UTC)
URL = "https://broker.example/api/webhooks/crm/zoho"
TOKEN = "channel-token-of-at-most-50-characters"


@dataclass
class Organization:
    fake: ZohoFake
    zoho: Zoho
    session: BareSession
    url: str

    def contact(self, crm_id: str) -> dict[str, Any]:
        return self.fake.modules["Contacts"].records[crm_id].values

    @property
    def contacts(self) -> int:
        return len(self.fake.modules["Contacts"].alive())


def adapter(session: BareSession, **changes: Any) -> Zoho:
    known = {
        "client_id": "app",
        "client_secret": "secret",
        "api_url": "",
        "region": "eu",
        "customer_object": "Contacts",
        "account_object": "Deals",
        "external_id": "",
        "webhook_secret": TOKEN,
    }
    made = Zoho(settings=Settings(**{**known, **changes}), session=session)
    session.provider = made
    return made


def client(number: int, **fields: str | None) -> Upsert:
    values = {"Last_Name": f"Client {number}", "Email": f"c{number}@rtx.example", **fields}
    return Upsert(str(uuid.UUID(int=number)), values)


@pytest.fixture
def organization(settings: Any) -> Iterator[Organization]:
    fake = ZohoFake().with_rtx_fields()
    access, _ = fake.grants.give()
    with serving(fake) as url, httpx.Client(base_url=url, timeout=5, trust_env=False) as http:
        settings.CRM_ZOHO_URL = settings.CRM_ZOHO_OAUTH_URL = url
        settings.OUTGOING_ALLOWS_LOOPBACK = True
        session = BareSession(http, access)
        yield Organization(fake, adapter(session), session, url)
