"""Records through the Salesforce adapter, against the fake over real HTTP."""

from dataclasses import replace

import pytest

from apps.crm.adapters.provider import CallRefused, Forbidden, Unavailable, Upsert
from apps.crm.adapters.salesforce import Salesforce
from tests.fakes.fake import Fault
from tests.fakes.salesforce import SalesforceFake
from tests.fakes.session import BareSession
from tests.unit.crm.salesforce.conftest import adapter, customer

FIELDS = ["FirstName", "LastName", "Email"]


def test_an_upsert_by_the_external_id_creates_once_and_updates_after(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    first = salesforce.upsert("Contact", [customer("id-1", "a@b.example", FirstName="Ann")])
    again = salesforce.upsert("Contact", [customer("id-1", "a@b.example", FirstName="Anna")])

    assert [one.is_created for one in (*first, *again)] == [True, False]
    assert first[0].crm_id == again[0].crm_id
    (row,) = fake.alive("Contact")
    assert (row["RTX_Client_Id__c"], row["FirstName"], row["Email"]) == ("id-1", "Anna", "a@b.example")


def test_two_hundred_new_records_are_one_write(salesforce: Salesforce, fake: SalesforceFake) -> None:
    wanted = [customer(f"id-{number}", f"p{number}@b.example") for number in range(200)]

    written = salesforce.upsert("Contact", wanted)

    assert [one.external_id for one in written] == [one.external_id for one in wanted]
    assert all(one.is_created and one.error is None for one in written)
    assert fake.batches("collection_upsert") == [200]
    assert [call.name for call in fake.calls] == ["composite", "collection_upsert"]
    with pytest.raises(ValueError, match="more records"):
        salesforce.upsert("Contact", [*wanted, customer("id-200")])


def test_known_and_new_records_of_one_call_keep_their_order(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    known = fake.add("Contact", LastName="Old", RTX_Client_Id__c="id-1")

    written = salesforce.upsert(
        "Contact", [customer("id-2"), customer("id-1", crm_id=known.id, LastName="New"), customer("id-3")]
    )

    assert [(one.external_id, one.is_created) for one in written] == [
        ("id-2", True),
        ("id-1", False),
        ("id-3", True),
    ]
    assert written[1].crm_id == known.id
    assert known.values["LastName"] == "New"


def test_a_contact_with_the_same_email_is_named_and_left_as_it_is(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    there = fake.add("Contact", LastName="Doe", Email="Ann@B.example")

    (joined,) = salesforce.upsert("Contact", [customer("id-1", "ann@b.example", FirstName="Ann")])

    assert (joined.crm_id, joined.is_adopted, joined.is_created) == (there.id, True, False)
    assert (there.values.get("FirstName"), there.values.get("RTX_Client_Id__c")) == (None, None)

    known = customer("id-1", "ann@b.example", crm_id=there.id, FirstName="Ann")
    (written,) = salesforce.upsert("Contact", [known])

    assert (written.crm_id, written.is_adopted) == (there.id, False)
    assert [row["RTX_Client_Id__c"] for row in fake.alive("Contact")] == ["id-1"]


def test_of_several_with_one_email_the_oldest_is_joined_and_no_one_elses(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    fake.clock.stop()
    fake.add("Contact", LastName="Taken", Email="ann@b.example", RTX_Client_Id__c="id-9")
    fake.clock.advance(5)
    older = fake.add("Contact", LastName="Older", Email="ann@b.example")
    fake.clock.advance(5)
    fake.add("Contact", LastName="Newer", Email="ann@b.example")

    (joined,) = salesforce.upsert("Contact", [customer("id-1", "ann@b.example")])

    assert (joined.crm_id, joined.is_adopted) == (older.id, True)
    assert len(fake.alive("Contact")) == 3


def test_who_is_there_is_asked_without_an_address_in_the_url(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    fake.page_max = 200
    for _ in range(450):
        fake.add("Contact", LastName="Doe", Email="shared@b.example")
    targets: list[str] = []
    fake.on_request = lambda request: targets.append(request.target)

    (joined,) = salesforce.upsert("Contact", [customer("id-1", "shared@b.example")])

    assert joined.is_adopted
    assert fake.count("query_more") == 2
    assert "shared" not in " ".join(targets)


def test_queries_of_long_addresses_are_shared_out_over_calls(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    long = "\u00fc" * 60  # six characters each in an address
    wanted = [customer(f"id-{number}", f"{long}{number:03d}@b.example") for number in range(200)]
    there = fake.add("Contact", LastName="Doe", Email=wanted[199].fields["Email"])

    written = salesforce.upsert("Contact", wanted)

    assert fake.count("composite", status=200) == 2  # of five queries at most
    assert (written[199].crm_id, written[199].is_adopted) == (there.id, True)
    assert (fake.count("collection_upsert"), fake.count("collection_update")) == (1, 0)


def test_a_query_that_is_refused_inside_a_call_is_an_error(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    fake.organization.lacks("Contact", "RTX_Client_Id__c")

    with pytest.raises(Forbidden) as refused:
        salesforce.upsert("Contact", [customer("id-1", "a@b.example")])

    assert (refused.value.code, refused.value.during) == ("field_missing", "upsert Contact")
    assert "RTX_Client_Id__c" in str(refused.value)
    assert fake.count("composite") == 1
    assert fake.alive("Contact") == []


def test_a_converted_lead_is_not_joined(fake: SalesforceFake, session: BareSession) -> None:
    salesforce = adapter(session, customer_object="Lead")
    converted = fake.add("Lead", LastName="Doe", Company="X", Email="ann@b.example")
    converted.values["IsConverted"] = True

    (made,) = salesforce.upsert("Lead", [customer("id-1", "ann@b.example", Company="Private client")])
    (refused,) = salesforce.upsert("Lead", [customer("id-2", crm_id=converted.id, Company="Y")])

    assert made.is_created
    assert refused.error is not None
    assert refused.error.code == "lead_converted"


def test_one_refused_record_leaves_the_others_and_its_value_is_not_told(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    secret = "not an address of ann"
    written = salesforce.upsert(
        "Contact", [customer("id-1"), customer("id-2", Email=secret), customer("id-3", FirstName="x" * 41)]
    )

    assert written[0].is_created
    errors = [one.error for one in written[1:] if one.error is not None]
    assert [(type(one), one.code) for one in errors] == [(CallRefused, "value_refused")] * 2
    assert str(errors[0]) == "Salesforce does not take the e-mail address. Field: Email."
    assert secret not in repr(errors)
    assert len(fake.alive("Contact")) == 1


def test_a_value_that_the_parser_refuses_fails_its_own_record_alone(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    written = salesforce.upsert(
        "Contact",
        [
            customer("id-1", Balance__c="1100.17", Verified__c="true", Birthdate="1980-02-29"),
            customer("id-2", Balance__c="a lot"),
            customer("id-3", Verified__c="yes"),
            customer("id-4", Last_Deal__c="2026-01-31T10:15:00.250Z"),
        ],
    )

    assert [one.error is None for one in written] == [True, False, False, True]
    assert str(written[1].error) == "The value does not fit the field's type. Field: Balance__c."
    kept = fake.alive("Contact")
    assert [row["RTX_Client_Id__c"] for row in kept] == ["id-1", "id-4"]
    assert (kept[0]["Balance__c"], kept[0]["Verified__c"]) == (1100.17, True)


def test_an_unknown_field_is_named_for_the_whole_call(salesforce: Salesforce, fake: SalesforceFake) -> None:
    with pytest.raises(Forbidden) as refused:
        salesforce.upsert("Contact", [customer("id-1", Unknown__c="x"), customer("id-2")])

    assert refused.value.code == "field_missing"
    assert "Field: Unknown__c." in str(refused.value)
    assert fake.alive("Contact") == []


def test_a_deleted_record_is_told_as_gone(salesforce: Salesforce, fake: SalesforceFake) -> None:
    kept = fake.add("Contact", LastName="Doe", RTX_Client_Id__c="id-1")
    fake.remove("Contact", kept.id)

    (gone, made) = salesforce.upsert("Contact", [customer("id-1", crm_id=kept.id), customer("id-2")])

    assert gone.error is not None
    assert (gone.error.code, gone.error.is_retryable, made.is_created) == ("record_gone", False, True)
    assert salesforce.get("Contact", kept.id, FIELDS) is None
    with pytest.raises(CallRefused, match="was deleted"):
        salesforce.update("Contact", kept.id, {"LastName": "New"})


def test_a_locked_record_may_be_tried_again(salesforce: Salesforce, fake: SalesforceFake) -> None:
    locked = {"statusCode": "UNABLE_TO_LOCK_ROW", "message": "unable to obtain lock", "fields": []}
    fake.fail(
        Fault(status=200, body=[{"success": False, "errors": [locked]}]), path="composite/sobjects", times=1
    )

    (written,) = salesforce.upsert("Contact", [customer("id-1")])

    assert isinstance(written.error, Unavailable)
    assert written.error.code == "record_busy"


def test_what_was_written_before_a_call_failed_is_told(salesforce: Salesforce, fake: SalesforceFake) -> None:
    known = fake.add("Contact", LastName="Old", RTX_Client_Id__c="id-1")
    fake.fail(Fault(status=503), path="RTX_Client_Id__c$")

    written = salesforce.upsert("Contact", [customer("id-2"), customer("id-1", crm_id=known.id)])

    assert isinstance(written[0].error, Unavailable)
    assert (written[1].crm_id, written[1].error) == (known.id, None)


def test_several_records_with_one_external_id_change_nothing(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    store = fake.organization.store("Contact")
    store.fields["RTX_Client_Id__c"] = replace(store.fields["RTX_Client_Id__c"], is_unique=False)
    for name in ("One", "Two"):
        fake.add("Contact", LastName=name, RTX_Client_Id__c="id-1")

    with pytest.raises(CallRefused) as refused:
        salesforce.create("Contact", {"LastName": "New"}, external_id="id-1")

    assert refused.value.code == "several_records"
    assert fake.count("upsert", status=300) == 1
    assert [row["LastName"] for row in fake.alive("Contact")] == ["One", "Two"]


def test_create_makes_once_and_answers_the_same_when_repeated(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    made = salesforce.create("Contact", {"LastName": "Doe"}, external_id="a/b c?")
    again = salesforce.create("Contact", {"LastName": "Doe"}, external_id="a/b c?")

    assert (made.is_created, again.is_created, made.crm_id == again.crm_id) == (True, False, True)
    assert fake.count("upsert", status=201) == fake.count("upsert", status=200) == 1
    assert fake.alive("Contact")[0]["RTX_Client_Id__c"] == "a/b c?"


def test_values_come_back_as_text_that_compares(salesforce: Salesforce, fake: SalesforceFake) -> None:
    kept = fake.add(
        "Contact",
        LastName="Doe",
        RTX_Client_Id__c="id-1",
        Balance__c="1100.50",
        Verified__c=True,
        Last_Deal__c="2026-01-31T12:15:00+02:00",
    )

    record = salesforce.get(
        "Contact", kept.id[:15], ["LastName", "Balance__c", "Verified__c", "Last_Deal__c", "Phone"]
    )

    assert record is not None
    assert (record.crm_id, record.external_id, record.is_deleted) == (kept.id, "id-1", False)
    assert record.fields == {
        "LastName": "Doe",
        "Balance__c": "1100.5",
        "Verified__c": "true",
        "Last_Deal__c": "2026-01-31T10:15:00Z",
        "Phone": None,
    }


def test_many_records_are_one_call_with_those_that_are_gone(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    kept = [fake.add("Contact", LastName=f"P{number}") for number in range(3)]
    fake.remove("Contact", kept[1].id)

    records = salesforce.get_many("Contact", [one.id for one in kept], FIELDS)

    assert [(record.crm_id, record.is_deleted) for record in records] == [
        (kept[0].id, False),
        (kept[1].id, True),
        (kept[2].id, False),
    ]
    assert fake.count("collection_get") == 1
    assert salesforce.get_many("Contact", [], FIELDS) == []


def test_an_answer_that_does_not_fit_deletes_nobody(salesforce: Salesforce, fake: SalesforceFake) -> None:
    kept = [fake.add("Contact", LastName=f"P{number}") for number in range(2)]
    for body in ([None], {}):
        fake.fail(Fault(status=200, body=body), path="composite/sobjects")

        with pytest.raises(Unavailable) as unread:
            salesforce.get_many("Contact", [one.id for one in kept], FIELDS)
        assert unread.value.code == "provider_malformed"


def test_an_account_hangs_on_its_customer(salesforce: Salesforce, fake: SalesforceFake) -> None:
    contact = fake.add("Contact", LastName="Doe", RTX_Client_Id__c="id-1")
    account = Upsert(external_id="100001", fields={"Balance__c": "5"}, parent_crm_id=contact.id)

    (written,) = salesforce.upsert("Trading_Account__c", [account])

    assert written.is_created
    (row,) = fake.alive("Trading_Account__c")
    assert (row["RTX_Login__c"], row["RTX_Client__c"]) == ("100001", contact.id)


def test_an_opportunity_learns_its_contact_once(fake: SalesforceFake, session: BareSession) -> None:
    salesforce = adapter(session, account_object="Opportunity")
    contact = fake.add("Contact", LastName="Doe", RTX_Client_Id__c="id-1")
    fields = {"Name": "100001", "StageName": "Closed Won", "CloseDate": "2026-11-21"}
    account = Upsert(external_id="100001", fields=fields, parent_crm_id=contact.id)

    (made,) = salesforce.upsert("Opportunity", [account])
    (found,) = salesforce.upsert("Opportunity", [account])  # its link was lost: found by the login
    (known,) = salesforce.upsert("Opportunity", [replace(account, crm_id=made.crm_id)])

    assert [one.error for one in (made, found, known)] == [None, None, None]
    assert [one.is_created for one in (made, found, known)] == [True, False, False]
    assert [row["ContactId"] for row in fake.alive("Opportunity")] == [contact.id]


def test_an_erased_record_leaves_nothing_personal_in_the_recycle_bin(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    kept = fake.add(
        "Contact",
        LastName="Doe",
        FirstName="Ann",
        Email="a@b.example",
        RTX_Client_Id__c="id-1",
        Balance__c="5",
        Verified__c=True,
    )

    salesforce.delete("Contact", kept.id)
    salesforce.delete("Contact", kept.id)

    assert kept.deleted_at is not None
    left = {name: value for name, value in kept.values.items() if value is not None}
    assert left == {"LastName": "Erased", "Verified__c": True}


def test_a_record_is_found_by_rtx_id_and_nothing_is_written(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    known = fake.add("Contact", LastName="Known", RTX_Client_Id__c="id-1")

    assert salesforce.find("Contact", "id-1") == known.id
    assert salesforce.find("Contact", "id-2") == ""
    assert [call.name for call in fake.calls] == ["composite", "composite"]


def test_rtx_s_id_is_not_written_to_a_record_that_bears_it(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    kept = fake.add("Contact", LastName="Doe", RTX_Client_Id__c="id-9")

    (written,) = salesforce.upsert("Contact", [Upsert("id-1", {"LastName": "New"}, kept.id, bears_id=True)])

    (row,) = fake.alive("Contact")
    assert (written.crm_id, row["LastName"], row["RTX_Client_Id__c"]) == (kept.id, "New", "id-9")
