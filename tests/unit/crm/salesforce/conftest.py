"""An organization of the stand-in and Salesforce's adapter that speaks to it over HTTP."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from apps.crm.adapters.provider import Settings, Upsert
from apps.crm.adapters.salesforce import Salesforce
from tests.fakes.salesforce import SalesforceFake
from tests.fakes.server import serving
from tests.fakes.session import BareSession

SECRET = "a-shared-secret-of-the-webhooks"
SETTINGS = Settings(
    client_id="consumer-key",
    client_secret="consumer-secret",
    api_url="",
    region="",
    customer_object="Contact",
    account_object="Trading_Account__c",
    external_id="00D5g000004TESTEA4",
    webhook_secret=SECRET,
)


@pytest.fixture
def fake() -> SalesforceFake:
    return SalesforceFake()


@pytest.fixture
def session(fake: SalesforceFake) -> Iterator[BareSession]:
    access, _ = fake.grants.give()
    with serving(fake) as url, httpx.Client(base_url=url, timeout=5, trust_env=False) as http:
        yield BareSession(http, access)


@pytest.fixture
def salesforce(session: BareSession) -> Salesforce:
    return adapter(session)


def adapter(session: BareSession, **changed: Any) -> Salesforce:
    """Return an adapter that calls through a session; `changed`: settings that differ."""
    made = Salesforce(settings=replace(SETTINGS, **changed), session=session)
    session.provider = made
    return made


def customer(external_id: str, email: str = "", crm_id: str = "", **fields: str | None) -> Upsert:
    """Return what a customer is to become."""
    given = {"LastName": "Doe", **({"Email": email} if email else {}), **fields}
    return Upsert(external_id=external_id, fields=given, crm_id=crm_id)
