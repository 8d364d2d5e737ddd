"""HubSpot's own client against the stand-in: a stand-in that it rejects is wrong."""

from typing import Any

import hubspot as official
import pytest
from hubspot.crm.associations.v4 import BatchInputPublicDefaultAssociationMultiPost
from hubspot.crm.contacts import (
    BatchInputSimplePublicObjectBatchInputUpsert,
    BatchReadInputSimplePublicObjectId,
    PublicGdprDeleteInput,
    PublicObjectSearchRequest,
    SimplePublicObjectBatchInputUpsert,
    SimplePublicObjectId,
    SimplePublicObjectInputForCreate,
)
from hubspot.crm.contacts.exceptions import ApiException
from hubspot.crm.properties import PropertyCreate

from tests.fakes.fake import Limit
from tests.unit.crm.hubspot.conftest import Portal


@pytest.fixture
def theirs(portal: Portal) -> Any:
    return official.Client.create(access_token=portal.session.token, host=portal.url)


def upserted(theirs: Any, *rows: tuple[str, dict[str, str]], trace: bool = True) -> Any:
    inputs = [
        SimplePublicObjectBatchInputUpsert(
            id=key,
            id_property="rtx_client_id",
            properties=fields,
            object_write_trace_id=key if trace else None,
        )
        for key, fields in rows
    ]
    batch = BatchInputSimplePublicObjectBatchInputUpsert(inputs=inputs)
    return theirs.crm.contacts.batch_api.upsert(batch)


def test_their_client_upserts_and_reads(theirs: Any) -> None:
    first = upserted(theirs, ("u-1", {"email": "a@b.example"}), ("u-2", {"email": "c@d.example"}))
    again = upserted(theirs, ("u-1", {"firstname": "A"}))

    assert [one.new for one in first.results] == [True, True]
    assert (again.results[0].new, again.results[0].id) == (False, first.results[0].id)
    wanted = BatchReadInputSimplePublicObjectId(
        inputs=[SimplePublicObjectId(id="u-2"), SimplePublicObjectId(id="u-9")],
        id_property="rtx_client_id",
        properties=["email"],
        properties_with_history=[],
    )
    found = theirs.crm.contacts.batch_api.read(wanted)
    assert [one.properties["email"] for one in found.results] == ["c@d.example"]
    assert found.errors[0].context == {"ids": ["u-9"]}


def test_their_client_sees_partial_failures(theirs: Any) -> None:
    answer = upserted(theirs, ("u-1", {"email": "bad"}), ("u-2", {"email": "c@d.example"}))

    assert [one.object_write_trace_id for one in answer.results] == ["u-2"]
    assert answer.num_errors == 1
    assert answer.errors[0].context == {"objectWriteTraceId": ["u-1"]}


def test_their_client_sees_a_conflict(theirs: Any, portal: Portal) -> None:
    there = portal.fake.add("contacts", email="a@b.example")

    with pytest.raises(ApiException) as caught:
        theirs.crm.contacts.basic_api.create(
            SimplePublicObjectInputForCreate(properties={"email": "A@b.example"})
        )

    assert caught.value.status == 409
    assert f"Existing ID: {there}" in caught.value.body


def test_their_client_lists_all(theirs: Any, portal: Portal) -> None:
    ids = [portal.fake.add("contacts", email=f"{place}@x.example") for place in range(230)]

    assert [one.id for one in theirs.crm.contacts.get_all()] == ids


def test_their_client_searches_up_to_ten_thousand(theirs: Any, portal: Portal) -> None:
    portal.fake.add("contacts", email="a@b.example")
    rule = {"propertyName": "email", "operator": "EQ", "value": "a@b.example"}
    search = {"filter_groups": [{"filters": [rule]}], "properties": ["email"], "sorts": []}

    found = theirs.crm.contacts.search_api.do_search(PublicObjectSearchRequest(**search, limit=200))
    assert (found.total, found.results[0].properties["email"]) == (1, "a@b.example")

    with pytest.raises(ApiException) as caught:
        theirs.crm.contacts.search_api.do_search(PublicObjectSearchRequest(**search, limit=200, after="9900"))
    assert caught.value.status == 400


def test_their_client_sorts_and_names_properties(theirs: Any, portal: Portal) -> None:
    ids = [portal.fake.add("contacts", email=f"{place}@x.example", city="Bonn") for place in range(3)]

    found = theirs.crm.contacts.search_api.do_search(PublicObjectSearchRequest(sorts=["-hs_object_id"]))
    one = theirs.crm.contacts.basic_api.get_by_id(ids[0], properties=["email", "city"])

    assert [row.id for row in found.results] == ids[::-1]
    assert (one.properties["email"], one.properties["city"]) == ("0@x.example", "Bonn")


def test_their_client_deletes_for_good(theirs: Any, portal: Portal) -> None:
    there = portal.fake.add("contacts", email="a@b.example")

    theirs.crm.contacts.basic_api.purge(PublicGdprDeleteInput(object_id="a@b.example", id_property="email"))

    assert there not in portal.fake.contacts.records


def test_their_client_makes_properties(theirs: Any) -> None:
    wanted = PropertyCreate(
        name="rtx_kyc",
        label="KYC",
        type="enumeration",
        field_type="select",
        group_name="contactinformation",
        options=[{"label": "Yes", "value": "yes", "hidden": False, "displayOrder": 0}],
    )
    theirs.crm.properties.core_api.create("contacts", wanted)

    known = {one.name: one for one in theirs.crm.properties.core_api.get_all("contacts").results}
    assert [one.value for one in known["rtx_kyc"].options] == ["yes"]
    assert known["rtx_client_id"].has_unique_value


def test_their_client_associates_deals(theirs: Any, portal: Portal) -> None:
    contact, deal = portal.fake.add("contacts", email="a@b.example"), portal.fake.add("deals", dealname="1")

    theirs.crm.associations.v4.batch_api.create_default(
        "deals",
        "contacts",
        BatchInputPublicDefaultAssociationMultiPost(inputs=[{"from": {"id": deal}, "to": {"id": contact}}]),
    )

    found = theirs.crm.associations.v4.basic_api.get_page("deals", deal, "contacts")
    assert [str(one.to_object_id) for one in found.results] == [contact]


def test_their_client_exchanges_and_refreshes_tokens(theirs: Any, portal: Portal) -> None:
    _, refresh = portal.fake.grants.give(client_id="app")

    given = theirs.oauth.tokens_api.create(
        grant_type="refresh_token", client_id="app", client_secret="s", refresh_token=refresh
    )

    assert portal.fake.grants.is_good(given.access_token)
    assert (given.expires_in, given.token_type) == (1800, "bearer")


def test_their_client_sees_the_limit(theirs: Any, portal: Portal) -> None:
    portal.fake.limit = Limit(calls_max=1, window_s=10)
    theirs.crm.contacts.basic_api.get_page()

    with pytest.raises(ApiException) as caught:
        theirs.crm.contacts.basic_api.get_page()

    assert caught.value.status == 429
    assert '"errorType": "RATE_LIMIT"' in caught.value.body


def test_their_client_sees_an_expired_token(theirs: Any, portal: Portal) -> None:
    portal.fake.grants.expire()

    with pytest.raises(ApiException) as caught:
        theirs.crm.contacts.basic_api.get_page()

    assert caught.value.status == 401
