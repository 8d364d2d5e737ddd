"""simple-salesforce, the maintained client, against the fake: a fake that it rejects would be wrong."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce as Client
from simple_salesforce import SFType, format_soql
from simple_salesforce.exceptions import (
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceRefusedRequest,
    SalesforceResourceNotFound,
)

from tests.fakes.demo import Shelf
from tests.fakes.fake import Limit
from tests.fakes.salesforce import SalesforceFake
from tests.fakes.server import serving


class Plain(HTTPAdapter):
    """The client insists on https; the fake speaks http on loopback."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        assert request.url is not None
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, *args, **kwargs)


@pytest.fixture
def fake() -> SalesforceFake:
    return SalesforceFake()


@pytest.fixture
def client(fake: SalesforceFake) -> Iterator[Client]:
    access, _ = fake.grants.give()
    with serving(fake) as url, requests.Session() as session:
        session.trust_env = False
        session.mount("https://", Plain())
        yield Client(instance_url=url, session_id=access, session=session, version="62.0")


@pytest.fixture
def contacts(client: Client) -> SFType:
    return client.Contact


def test_rows_are_made_read_changed_and_deleted(contacts: SFType, fake: SalesforceFake) -> None:
    made = contacts.create(
        {"LastName": "Doe", "Email": "a@b.example", "Verified__c": True, "Balance__c": 5.5}
    )
    contacts.update(made["id"], {"LastName": "New"})
    read = contacts.get(made["id"])

    assert (read["LastName"], read["Verified__c"], read["Balance__c"]) == ("New", True, 5.5)
    assert contacts.delete(made["id"]) == 204
    with pytest.raises(SalesforceResourceNotFound):
        contacts.get(made["id"])
    assert fake.alive("Contact") == []


def test_an_upsert_answers_201_then_200(contacts: SFType) -> None:
    assert contacts.upsert("RTX_Client_Id__c/id-1", {"LastName": "Doe"}) == 201
    assert contacts.upsert("RTX_Client_Id__c/id-1", {"LastName": "New"}) == 200
    assert contacts.get_by_custom_id("RTX_Client_Id__c", "id-1")["LastName"] == "New"


def test_several_matches_are_more_than_one_record(contacts: SFType, fake: SalesforceFake) -> None:
    store = fake.organization.store("Contact")
    for name in ("One", "Two"):
        kept = fake.add("Contact", LastName=name)
        store.by_unique.setdefault(("RTX_Client_Id__c", "id-1"), set()).add(kept.id)

    with pytest.raises(SalesforceMoreThanOneRecord):
        contacts.upsert("RTX_Client_Id__c/id-1", {"LastName": "New"})


def test_queries_page_through_next_records(client: Client, fake: SalesforceFake) -> None:
    fake.page_max = 200
    for number in range(450):
        fake.add("Contact", LastName=f"P{number}", FirstName="O'Neil" if number % 2 else "Ann")

    found = client.query_all(
        format_soql("SELECT Id, LastName FROM Contact WHERE FirstName = {} ORDER BY Id", "O'Neil")
    )
    everyone = list(client.query_all_iter("SELECT Id FROM Contact"))

    assert (found["totalSize"], len(found["records"]), len(everyone)) == (225, 225, 450)
    assert fake.count("query_more") == 3


def test_updated_and_deleted_tell_ids(contacts: SFType, fake: SalesforceFake) -> None:
    now = datetime.now(UTC)
    fake.clock.advance(-3600)
    kept = [fake.add("Contact", LastName=name) for name in ("One", "Two")]
    fake.remove("Contact", kept[1].id)
    fake.clock.advance(3600)

    updated = contacts.updated(now - timedelta(hours=2), now)
    deleted = contacts.deleted(now - timedelta(hours=2), now)

    assert updated["ids"] == [kept[0].id]
    assert [one["id"] for one in deleted["deletedRecords"]] == [kept[1].id]
    assert "latestDateCovered" in updated
    assert "earliestDateAvailable" in deleted


def test_describe_limits_and_the_usage_of_the_day(client: Client, contacts: SFType) -> None:
    fields = {field["name"] for field in contacts.describe()["fields"]}

    assert {"RTX_Client_Id__c", "SystemModstamp"} <= fields
    assert client.limits()["DailyApiRequests"]["Max"] == 100_000
    assert client.api_usage["api-usage"] == (2, 100_000)


def test_refusals_are_the_clients_own_errors(client: Client, contacts: SFType, fake: SalesforceFake) -> None:
    with pytest.raises(SalesforceMalformedRequest):
        contacts.create({"Nothing__c": "x"})
    with pytest.raises(SalesforceMalformedRequest):
        client.query("SELECT Id FROM Contact WHERE LastName = 'open")
    fake.limit = Limit(calls_max=3, window_s=86_400)
    contacts.describe()
    with pytest.raises(SalesforceRefusedRequest) as refused:
        contacts.describe()
    assert refused.value.content[0]["errorCode"] == "REQUEST_LIMIT_EXCEEDED"


def test_an_ended_session_is_told(contacts: SFType, fake: SalesforceFake) -> None:
    fake.grants.expire()

    with pytest.raises(SalesforceExpiredSession) as expired:
        contacts.describe()

    assert expired.value.content[0]["errorCode"] == "INVALID_SESSION_ID"


def test_an_organization_survives_a_restart_of_the_demo(
    client: Client, fake: SalesforceFake, tmp_path: Path
) -> None:
    made = client.Contact.create({"LastName": "Doe", "RTX_Client_Id__c": "id-1"})
    Shelf(tmp_path / "kept", (fake,)).save()
    fresh = SalesforceFake()

    Shelf(tmp_path / "kept", (fresh,)).load()

    assert [(row["Id"], row["LastName"]) for row in fresh.alive("Contact")] == [(made["id"], "Doe")]
    assert fresh.organization.store("Contact").matching("RTX_Client_Id__c", "id-1")
    assert fresh.grants.is_good(client.session_id)
    assert fresh.add("Contact", LastName="Next").id != made["id"]
