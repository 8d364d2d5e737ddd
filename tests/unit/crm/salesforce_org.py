"""What the tests of Salesforce share: an adapter that calls the fake over plain HTTP, without a database."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx

from apps.crm.adapters.provider import Answer, Settings, Upsert
from apps.crm.adapters.salesforce import Salesforce
from tests.fakes.salesforce import SalesforceFake

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


class PlainSession:
    """A session that sends and does nothing else: no limits, no repeats."""

    provider: Salesforce

    def __init__(self, fake: SalesforceFake, url: str, client: httpx.Client) -> None:
        self.fake, self.url, self.client = fake, url, client
        self.token, _ = fake.grants.give()
        self.headers: list[Mapping[str, str]] = []

    def call(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        object_name: str = "",
        records: int = 0,
        is_write: bool = False,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        expected: Sequence[int] = (),
    ) -> Answer:
        """Send one request."""
        sent = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        response = self.client.request(method, f"{self.url}{path}", params=params, json=json, headers=sent)
        try:
            body = response.json() if response.content else None
        except ValueError:
            body = None
        answer = Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, body)
        self.headers.append(answer.headers)
        if response.is_success or response.status_code in expected:
            return answer
        raise self.provider.failure(answer)


def adapter(fake: SalesforceFake, url: str, client: httpx.Client, **changed: Any) -> Salesforce:
    """Return the adapter of a fake; `changed`: settings that differ."""
    session = PlainSession(fake, url, client)
    session.provider = Salesforce(settings=replace(SETTINGS, api_url=url, **changed), session=session)
    return session.provider


def customer(external_id: str, email: str = "", crm_id: str = "", **fields: str | None) -> Upsert:
    """Return what a customer is to become."""
    given = {"LastName": "Doe", **({"Email": email} if email else {}), **fields}
    return Upsert(external_id=external_id, fields=given, crm_id=crm_id)
