"""Writing to Zoho: batches, joining by e-mail, types of values, deletions, errors of single records."""

import uuid
from dataclasses import replace
from typing import Any

import pytest

from apps.crm.adapters.provider import (
    CallRefused,
    Forbidden,
    LimitReached,
    ProviderError,
    Unavailable,
    Upsert,
)
from tests.fakes.fake import Fault
from tests.fakes.zoho_store import Field
from tests.unit.crm.zoho.conftest import Organization, adapter, client

NAMES = ["First_Name", "Last_Name", "Email"]


def test_a_full_batch_is_one_upsert_of_a_hundred_by_rtx_id(organization: Organization) -> None:
    wanted = [client(place) for place in range(100)]

    first = organization.zoho.upsert("Contacts", wanted)
    again = organization.zoho.upsert("Contacts", wanted)  # as after a crash: nobody knows they are there

    assert all(one.is_created and not one.error for one in first)
    assert [one.crm_id for one in first] == [one.crm_id for one in again]
    assert not any(one.is_created or one.is_adopted for one in again)
    assert organization.contacts == 100
    assert organization.fake.batches("upsert") == [100]
    assert organization.fake.batches("update_batch") == [100]  # found by RTX's id


def test_more_than_a_hundred_are_never_sent_at_once(organization: Organization) -> None:
    with pytest.raises(ValueError):
        organization.zoho.upsert("Contacts", [client(place) for place in range(101)])

    assert organization.fake.calls == []


def test_known_records_are_written_in_one_call_and_new_ones_in_another(organization: Organization) -> None:
    known = organization.zoho.upsert("Contacts", [client(1)])[0]
    organization.session.calls.clear()

    written = organization.zoho.upsert(
        "Contacts", [client(2), Upsert(known.external_id, {"First_Name": "Änne"}, crm_id=known.crm_id)]
    )

    assert [one.is_created for one in written] == [True, False]
    assert written[1].crm_id == known.crm_id
    assert organization.contact(known.crm_id)["First_Name"] == "Änne"
    assert organization.session.calls == [("find", 1), ("upsert", 1), ("upsert", 1)]


@pytest.mark.parametrize("multi_status", [True, False])
def test_one_bad_record_fails_alone(organization: Organization, multi_status: bool) -> None:
    organization.fake.multi_status = multi_status
    wanted = [client(0), client(1, Email="no address"), client(2, Last_Name=None), client(3)]

    written = organization.zoho.upsert("Contacts", wanted)

    codes = [one.error.code if one.error else "" for one in written]
    assert codes == ["", "value_refused", "field_missing", ""]
    assert str(written[1].error) == "Zoho does not take a value. Field: Email."
    assert organization.contacts == 2


def test_a_batch_of_bad_records_is_told_record_by_record(organization: Organization) -> None:
    written = organization.zoho.upsert("Contacts", [client(one, Email="bad") for one in range(3)])

    assert [one.error.code for one in written if one.error] == ["value_refused"] * 3


def test_a_contact_with_the_same_email_is_named_and_left_as_it_is(organization: Organization) -> None:
    there = organization.fake.add("Contacts", Email="C1@rtx.example", Phone="+1")

    written = organization.zoho.upsert("Contacts", [client(0), client(1), client(2)])

    assert [(one.is_adopted, one.is_created) for one in written] == [
        (False, True),
        (True, False),
        (False, True),
    ]
    assert written[1].crm_id == there
    assert organization.contact(there).get("RTX_Client_Id") is None
    assert organization.contacts == 3

    (joined,) = organization.zoho.upsert("Contacts", [replace(client(1), crm_id=there)])

    assert (joined.crm_id, joined.is_adopted, joined.error) == (there, False, None)
    assert organization.contact(there)["RTX_Client_Id"] == str(uuid.UUID(int=1))
    assert organization.contact(there)["Phone"] == "+1"


def test_the_oldest_of_several_with_one_email_is_joined(organization: Organization) -> None:
    organization.fake.clock.stop(1_790_000_000)
    oldest = organization.fake.add("Contacts", Email="c1@rtx.example")
    organization.fake.clock.advance(60)
    for _ in range(250):
        organization.fake.add("Contacts", Email="c1@rtx.example")

    assert organization.zoho.upsert("Contacts", [client(1)])[0].crm_id == oldest
    assert organization.session.calls == [("find", 1), ("find", 1)]


def test_a_record_with_rtx_id_goes_before_one_with_the_email(organization: Organization) -> None:
    mine = organization.zoho.upsert("Contacts", [client(1)])[0]
    organization.fake.edit("Contacts", mine.crm_id, Email="moved@x.example")
    organization.fake.add("Contacts", Email="c1@rtx.example")

    written = organization.zoho.upsert("Contacts", [client(1)])[0]

    assert (written.crm_id, written.is_adopted, written.error) == (mine.crm_id, False, None)


def test_the_contact_of_another_client_is_not_taken(organization: Organization) -> None:
    other = organization.zoho.upsert("Contacts", [client(9, Email="c1@rtx.example")])[0]

    written = organization.zoho.upsert("Contacts", [client(1)])[0]

    assert written.is_created
    assert organization.contact(other.crm_id)["RTX_Client_Id"] == other.external_id


def test_no_email_address_stands_in_an_address_that_is_called(organization: Organization) -> None:
    organization.fake.on_request = lambda request: targets.append(request.target)
    targets: list[str] = []

    organization.zoho.upsert("Contacts", [client(one) for one in range(60)])

    assert targets == ["/crm/v8/coql", "/crm/v8/coql", "/crm/v8/Contacts/upsert"]


def test_an_unusual_address_is_quoted_and_asked_for_alone(organization: Organization) -> None:
    odd = "o'brien\\x@rtx.example') or Last_Name in ('Somebody"
    organization.fake.modules["Contacts"].fields["Email"].data_type = "text"
    there = organization.fake.add("Contacts", Email=odd)
    organization.fake.add("Contacts", Email="other@x.example")

    written = organization.zoho.upsert("Contacts", [client(1, Email=odd), client(2)])

    assert [(one.crm_id == there, one.is_adopted) for one in written] == [(True, True), (False, False)]
    assert organization.session.calls == [("find", 1), ("find", 1), ("upsert", 1)]


def test_an_address_that_no_query_takes_fails_alone(organization: Organization) -> None:
    written = organization.zoho.upsert("Contacts", [client(1, Email="a\n@x.example"), client(2)])

    assert [one.error.code if one.error else "" for one in written] == ["value_refused", ""]


def test_leads_are_written_by_the_same_rules(organization: Organization) -> None:
    zoho = adapter(organization.session, customer_object="Leads", account_object="")
    there = organization.fake.add("Leads", Email="c1@rtx.example", Company="Zylker")

    written = zoho.upsert("Leads", [client(1, Company="Private client"), client(2, Company="Private client")])

    assert [(one.crm_id == there, one.is_adopted, one.is_created) for one in written] == [
        (True, True, False),
        (False, False, True),
    ]


def test_a_lead_without_a_company_is_refused_by_name_of_the_field(organization: Organization) -> None:
    zoho = adapter(organization.session, customer_object="Leads", account_object="")

    error = zoho.upsert("Leads", [client(1)])[0].error

    assert error is not None
    assert (error.code, str(error)) == (
        "field_missing",
        "A field that Zoho requires has no value. Field: Company.",
    )


def test_accounts_become_deals_of_their_contact_once(organization: Organization) -> None:
    customer = organization.zoho.upsert("Contacts", [client(1)])[0].crm_id
    fields = {"Deal_Name": "1001", "Stage": "Closed Won", "Amount": "10.50", "Closing_Date": "2026-11-22"}
    wanted = [Upsert("1001", fields, parent_crm_id=customer)]

    first = organization.zoho.upsert("Deals", wanted)[0]
    again = organization.zoho.upsert("Deals", wanted)[0]

    assert (first.is_created, again.is_created, first.crm_id) == (True, False, again.crm_id)
    deal = organization.fake.modules["Deals"].records[first.crm_id].values
    assert deal["Contact_Name"] == {"id": customer}
    assert (deal["RTX_Login"], deal["Amount"]) == ("1001", 10.5)


@pytest.mark.parametrize(
    ("data_type", "text", "value"),
    [
        ("integer", "12", 12),
        ("double", "-1.25", -1.25),
        ("currency", "100.00", 100.0),
        ("boolean", "true", True),
        ("boolean", "false", False),
        ("datetime", "2026-11-22T00:30:00.123Z", "2026-11-22T00:30:00+00:00"),
        ("text", "2026-11-22T00:30:00.123Z", "2026-11-22T00:30:00.123Z"),
        ("text", "0049", "0049"),
        ("bigint", "12", "12"),
        ("multiselectpicklist", "Gold; Silver", ["Gold", "Silver"]),
        ("text", None, None),
    ],
)
def test_texts_become_what_the_field_holds(
    organization: Organization, data_type: str, text: str | None, value: Any
) -> None:
    organization.fake.modules["Contacts"].fields["Extra"] = Field("Extra", data_type)

    written = organization.zoho.upsert("Contacts", [client(1, Extra=text), client(2)])

    assert [one.error for one in written] == [None, None]
    assert organization.contact(written[0].crm_id)["Extra"] == value
    assert type(organization.contact(written[0].crm_id)["Extra"]) is type(value)


def test_types_are_asked_for_only_where_a_value_may_need_one(organization: Organization) -> None:
    organization.zoho.upsert("Contacts", [client(1, Phone="+353123", Mailing_Country="Ireland")])
    assert organization.fake.count("describe") == 0

    organization.fake.modules["Contacts"].fields["Lots"] = Field("Lots", "double")
    for number in (2, 3):
        organization.zoho.upsert("Contacts", [client(number, Lots="1.5")])

    assert organization.fake.count("describe") == 1


def test_a_number_that_is_none_is_refused_without_its_value(organization: Organization) -> None:
    organization.fake.modules["Contacts"].fields["Lots"] = Field("Lots", "double")

    error = organization.zoho.upsert("Contacts", [client(1, Lots="secret")])[0].error

    assert str(error) == "Zoho does not take a value. Field: Lots."


def test_a_record_that_was_deleted_there_is_not_made_anew(organization: Organization) -> None:
    first, second = organization.zoho.upsert("Contacts", [client(1), client(2)])
    organization.fake.remove("Contacts", first.crm_id)

    written = organization.zoho.upsert(
        "Contacts",
        [Upsert(one.external_id, {"First_Name": "X"}, crm_id=one.crm_id) for one in (first, second)],
    )

    assert [one.error.code if one.error else "" for one in written] == ["record_gone", ""]
    assert organization.contacts == 1


def test_a_second_record_with_the_same_rtx_id_is_told(organization: Organization) -> None:
    first = organization.zoho.upsert("Contacts", [client(1)])[0]
    other = organization.fake.add("Contacts", Email="x@x.example")

    error = organization.zoho.upsert("Contacts", [Upsert(first.external_id, {}, crm_id=other)])[0].error

    assert error is not None
    assert error.code == "several_records"


def test_what_was_written_before_a_failure_is_told(organization: Organization) -> None:
    known = organization.zoho.upsert("Contacts", [client(1)])[0]
    organization.fake.fail(Fault(status=429, headers={"Retry-After": "3"}), path="/upsert$")

    written = organization.zoho.upsert(
        "Contacts", [Upsert(known.external_id, {"First_Name": "X"}, crm_id=known.crm_id), client(2)]
    )

    assert written[0].error is None
    assert isinstance(written[1].error, LimitReached)


def test_a_write_whose_answer_was_lost_is_repeated_without_a_double(organization: Organization) -> None:
    organization.fake.fail(Fault(kind="drop", is_done=True), path="/upsert$")
    with pytest.raises(Unavailable):
        organization.zoho.upsert("Contacts", [client(1)])

    again = organization.zoho.upsert("Contacts", [client(1)])[0]

    assert (again.error, organization.contacts) == (None, 1)


def test_one_record_is_created_changed_read_and_deleted_empty(organization: Organization) -> None:
    made = organization.zoho.create(
        "Contacts", {"Last_Name": "Mu", "Email": "a@b.example"}, external_id="u-1"
    )
    organization.zoho.update("Contacts", made.crm_id, {"First_Name": "Änne", "Email": None})

    found = organization.zoho.get("Contacts", made.crm_id, NAMES)
    assert found is not None
    assert (found.external_id, found.fields) == (
        "u-1",
        {"First_Name": "Änne", "Last_Name": "Mu", "Email": None},
    )
    assert found.changed_at is not None
    organization.zoho.delete("Contacts", made.crm_id)
    organization.zoho.delete("Contacts", made.crm_id)

    assert organization.contacts == 0
    binned = {name: value for name, value in organization.contact(made.crm_id).items() if value}
    assert binned == {"Last_Name": "Erased"}
    assert organization.zoho.get("Contacts", made.crm_id, NAMES) is None
    with pytest.raises(CallRefused) as caught:
        organization.zoho.update("Contacts", made.crm_id, {"First_Name": "X"})
    assert caught.value.code == "record_gone"


def test_many_are_read_at_once_and_those_missing_are_deleted(organization: Organization) -> None:
    ids = [organization.fake.add("Contacts", Email=f"{place}@x.example") for place in range(3)]
    organization.fake.remove("Contacts", ids[1])

    found = organization.zoho.get_many("Contacts", [*ids, "999999"], ["Email"])

    assert {one.crm_id: one.fields.get("Email") for one in found if not one.is_deleted} == {
        ids[0]: "0@x.example",
        ids[2]: "2@x.example",
    }
    assert [one.crm_id for one in found if one.is_deleted] == [ids[1], "999999"]
    (alone,) = organization.zoho.get_many("Contacts", [ids[1]], ["Email"])
    assert alone.is_deleted
    assert organization.session.calls == [
        ("get_many", 4),
        *(("get", 1), ("get", 1)),
        ("get_many", 1),
        ("get", 1),
    ]


def test_a_record_that_a_list_leaves_out_is_asked_for_alone(organization: Organization) -> None:
    ids = [organization.fake.add("Contacts", Email=f"{place}@x.example") for place in range(2)]
    organization.fake.fail(Fault(status=204), path=r"Contacts\?ids")

    found = organization.zoho.get_many("Contacts", ids, ["Email"])

    assert [(one.crm_id, one.fields["Email"], one.is_deleted) for one in found] == [
        (ids[0], "0@x.example", False),
        (ids[1], "1@x.example", False),
    ]


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        (Fault(status=500, body={"code": "INTERNAL_ERROR"}), Unavailable, "provider_unavailable"),
        (Fault(status=403, body={"code": "NO_PERMISSION"}), Forbidden, "missing_rights"),
        (Fault(status=401, body={"code": "OAUTH_SCOPE_MISMATCH"}), Forbidden, "missing_scopes"),
        (Fault(status=400, body={"code": "INVALID_MODULE"}), Forbidden, "object_missing"),
        (Fault(kind="malformed"), Unavailable, "provider_unavailable"),
        (Fault(kind="drop"), Unavailable, "provider_unavailable"),
        (Fault(status=200, body={"data": []}), Unavailable, "provider_malformed"),
        (Fault(status=429, body={"code": "TOO_MANY_REQUESTS"}), LimitReached, "rate_limited"),
        (
            Fault(status=429, body={"code": "TOO_MANY_REQUESTS"}, headers={"X-API-CREDITS-REMAINING": "0"}),
            LimitReached,
            "daily_limit",
        ),
    ],
)
def test_what_zoho_answers_becomes_rtx_errors(
    organization: Organization, fault: Fault, kind: type[ProviderError], code: str
) -> None:
    organization.fake.fail(fault, path="/upsert$")

    with pytest.raises(kind) as caught:
        organization.zoho.upsert("Contacts", [client(1)])

    assert type(caught.value) is kind
    assert caught.value.code == code


def test_a_record_that_zoho_does_not_delete_is_no_success(organization: Organization) -> None:
    made = organization.zoho.upsert("Contacts", [client(1)])[0]
    locked = {"data": [{"code": "RECORD_LOCKED", "details": {"id": made.crm_id}, "status": "error"}]}
    organization.fake.fail(Fault(status=400, body=locked), method="DELETE")

    with pytest.raises(Unavailable) as caught:
        organization.zoho.delete("Contacts", made.crm_id)

    assert (caught.value.code, organization.contacts) == ("record_busy", 1)


def test_a_record_is_found_by_rtx_id_and_nothing_is_written(organization: Organization) -> None:
    (written,) = organization.zoho.upsert("Contacts", [client(1)])
    organization.session.calls.clear()

    assert organization.zoho.find("Contacts", written.external_id) == written.crm_id
    assert organization.zoho.find("Contacts", client(2).external_id) == ""
    assert organization.session.calls == [("find", 1), ("find", 1)]


def test_rtx_s_id_is_not_written_to_a_record_that_bears_it(organization: Organization) -> None:
    crm_id = organization.fake.add("Contacts", Last_Name="Doe", RTX_Client_Id="id-9")

    organization.zoho.upsert("Contacts", [Upsert("id-1", {"Last_Name": "New"}, crm_id, bears_id=True)])

    kept = organization.contact(crm_id)
    assert (kept["Last_Name"], kept["RTX_Client_Id"]) == ("New", "id-9")
