"""HubSpot's adapter against a stand-in of HubSpot: writing batches, joining, errors, reading, access."""

import uuid
from dataclasses import replace

import pytest

from apps.crm.adapters.hubspot_errors import NO_OBJECT
from apps.crm.adapters.provider import (
    CallRefused,
    ConnectionFault,
    Forbidden,
    LimitReached,
    ProviderError,
    Unavailable,
    Upsert,
)
from tests.fakes.fake import Fault, Limit
from tests.unit.crm.hubspot.conftest import Portal

NAMES = ["email", "firstname", "lastname"]


def client(place: int, **fields: str | None) -> Upsert:
    known = {"email": f"c{place}@rtx.example", "firstname": f"First{place}"}
    return Upsert(str(uuid.UUID(int=place)), {**known, **fields})


# Writing


def test_a_full_batch_of_new_clients_is_one_call(portal: Portal) -> None:
    wanted = [client(place) for place in range(100)]

    written = portal.hubspot.upsert("contacts", wanted)

    assert portal.session.calls == [("upsert", 100)]
    assert [one.external_id for one in written] == [one.external_id for one in wanted]
    assert all(one.is_created and one.error is None for one in written)
    assert portal.contact(written[7].crm_id) == {
        "rtx_client_id": str(uuid.UUID(int=7)),
        "email": "c7@rtx.example",
        "firstname": "First7",
    }


@pytest.mark.parametrize("keeps_id", [False, True])
def test_writing_again_changes_the_same_record(portal: Portal, keeps_id: bool) -> None:
    first = portal.hubspot.upsert("contacts", [client(1)])[0]
    crm_id = first.crm_id if keeps_id else ""

    again = portal.hubspot.upsert(
        "contacts", [Upsert(first.external_id, {"firstname": "New", "email": None}, crm_id=crm_id)]
    )[0]

    assert (again.crm_id, again.is_created, again.error) == (first.crm_id, False, None)
    assert len(portal.fake.contacts.records) == 1
    assert portal.contact(first.crm_id) == {"rtx_client_id": first.external_id, "firstname": "New"}


def test_known_and_new_records_go_in_two_calls_and_are_answered_in_order(portal: Portal) -> None:
    known = portal.hubspot.upsert("contacts", [client(2)])[0]
    portal.session.calls.clear()

    written = portal.hubspot.upsert(
        "contacts", [client(1), Upsert(known.external_id, {"firstname": "X"}, crm_id=known.crm_id), client(3)]
    )

    assert portal.session.calls == [("upsert", 1), ("upsert", 2)]
    assert [one.external_id for one in written] == [str(uuid.UUID(int=place)) for place in (1, 2, 3)]
    assert [one.is_created for one in written] == [True, False, True]


@pytest.mark.parametrize("multi_status", [True, False])
def test_a_bad_record_fails_alone(portal: Portal, multi_status: bool) -> None:
    portal.fake.multi_status = multi_status
    wanted = [client(place) for place in range(20)]
    wanted[13] = client(13, email="no address")

    written = portal.hubspot.upsert("contacts", wanted)

    failed = [place for place, one in enumerate(written) if one.error is not None]
    assert failed == [13]
    error = written[13].error
    assert isinstance(error, CallRefused)
    assert (error.code, str(error)) == ("value_refused", "HubSpot does not take a value. Property: email.")
    assert len(portal.fake.contacts.records) == 19


def test_two_bad_records_among_a_hundred_cost_few_calls(portal: Portal) -> None:
    portal.fake.multi_status = False
    wanted = [client(place) for place in range(100)]
    wanted[0], wanted[99] = client(0, email="bad"), client(99, lastname="ok", email="bad too")

    written = portal.hubspot.upsert("contacts", wanted)

    assert [place for place, one in enumerate(written) if one.error is not None] == [0, 99]
    assert len(portal.session.calls) <= 24


def test_a_batch_of_bad_records_is_given_up_after_a_few_calls(portal: Portal) -> None:
    portal.fake.multi_status = False

    written = portal.hubspot.upsert("contacts", [client(place, email="bad") for place in range(100)])

    assert len(portal.session.calls) == 24
    assert {one.error.code for one in written if one.error} == {"value_refused", "batch_refused"}
    assert all(one.error.is_retryable == (one.error.code == "batch_refused") for one in written if one.error)


def test_an_unknown_property_fails_those_who_have_it_at_once(portal: Portal) -> None:
    wanted = [client(place) for place in range(10)]
    wanted[4] = client(4, no_such="1")

    written = portal.hubspot.upsert("contacts", wanted)

    assert [one.error.code if one.error else "" for one in written] == [""] * 4 + ["field_unknown"] + [""] * 5
    assert len(portal.session.calls) == 2


def test_a_record_that_was_deleted_there_is_not_made_anew(portal: Portal) -> None:
    first, second = portal.hubspot.upsert("contacts", [client(1), client(2)])
    portal.fake.remove("contacts", first.crm_id)

    for multi_status in (True, False):
        portal.fake.multi_status = multi_status
        written = portal.hubspot.upsert(
            "contacts",
            [Upsert(one.external_id, {"firstname": "X"}, crm_id=one.crm_id) for one in (first, second)],
        )

        assert written[0].error is not None
        assert (written[0].error.code, written[1].error) == ("record_gone", None)


def test_a_missing_id_property_is_made_on_the_first_write(portal: Portal) -> None:
    del portal.fake.contacts.properties["rtx_client_id"]

    written = portal.hubspot.upsert("contacts", [client(1)])

    assert written[0].is_created
    made = portal.fake.contacts.properties["rtx_client_id"]
    assert (made.is_unique, made.type, made.field_type) == (True, "string", "text")


def test_answers_that_tell_of_no_record_are_asked_again_one_by_one(portal: Portal) -> None:
    lost = {"status": "COMPLETE", "results": [], "startedAt": "", "completedAt": ""}
    portal.fake.fail(Fault(status=200, body=lost, is_done=True), path="batch/upsert")

    written = portal.hubspot.upsert("contacts", [client(1), client(2)])

    assert [one.error for one in written] == [None, None]
    assert len(portal.fake.contacts.records) == 2


# Joining


@pytest.mark.parametrize("multi_status", [True, False])
def test_a_contact_with_the_same_email_is_named_and_left_as_it_is(portal: Portal, multi_status: bool) -> None:
    portal.fake.multi_status = multi_status
    there = portal.fake.add("contacts", email="C1@rtx.example", phone="+1")

    written = portal.hubspot.upsert("contacts", [client(0), client(1), client(2)])

    assert [(one.is_adopted, one.is_created) for one in written] == [
        (False, True),
        (True, False),
        (False, True),
    ]
    assert written[1].crm_id == there
    assert portal.contact(there) == {"email": "c1@rtx.example", "phone": "+1"}
    assert len(portal.fake.contacts.records) == 3

    (joined,) = portal.hubspot.upsert("contacts", [replace(client(1), crm_id=there)])

    assert (joined.crm_id, joined.is_adopted, joined.error) == (there, False, None)
    assert portal.contact(there)["rtx_client_id"] == str(uuid.UUID(int=1))
    assert portal.contact(there)["phone"] == "+1"


@pytest.mark.parametrize("multi_status", [True, False])
def test_the_contact_of_another_client_is_not_taken(portal: Portal, multi_status: bool) -> None:
    portal.fake.multi_status = multi_status
    other = portal.hubspot.upsert("contacts", [client(9, email="c1@rtx.example")])[0]

    written = portal.hubspot.upsert("contacts", [client(1), client(2)])

    assert written[0].error is not None
    assert (written[0].error.code, written[1].error) == ("duplicate_email", None)
    assert portal.contact(other.crm_id)["rtx_client_id"] == other.external_id


def test_a_contact_with_two_addresses_is_named_for_one_client_alone(portal: Portal) -> None:
    there = portal.fake.add("contacts", email="c1@rtx.example")
    portal.fake.contacts.also[("email", "c2@rtx.example")] = there

    written = portal.hubspot.upsert("contacts", [client(1), client(2)])

    assert (written[0].crm_id, written[0].is_adopted, written[0].error) == (there, True, None)
    assert written[1].error is not None
    assert written[1].error.code == "duplicate_email"


def test_a_changed_email_that_another_contact_has_is_refused(portal: Portal) -> None:
    portal.fake.add("contacts", email="taken@rtx.example")
    mine = portal.hubspot.upsert("contacts", [client(1)])[0]

    written = portal.hubspot.upsert(
        "contacts", [Upsert(mine.external_id, {"email": "taken@rtx.example"}, crm_id=mine.crm_id)]
    )[0]

    assert written.error is not None
    assert (written.error.code, written.is_adopted) == ("duplicate_value", False)
    assert "taken" not in str(written.error)


def test_many_contacts_are_found_in_three_calls(portal: Portal) -> None:
    portal.fake.multi_status = False
    for place in range(100):
        portal.fake.add("contacts", email=f"c{place}@rtx.example")

    written = portal.hubspot.upsert("contacts", [client(place) for place in range(100)])

    assert all(one.is_adopted for one in written)
    assert portal.session.calls == [("upsert", 100), *[("find_email", 100)] * 2]


# Accounts


def test_accounts_become_deals_of_their_customer_once(portal: Portal) -> None:
    customer = portal.hubspot.upsert("contacts", [client(1)])[0].crm_id
    wanted = [
        Upsert(str(login), {"dealname": str(login), "amount": "10.5"}, parent_crm_id=customer)
        for login in (1001, 1002)
    ]

    first = portal.hubspot.upsert("deals", wanted)
    again = portal.hubspot.upsert("deals", wanted)  # as after a crash: nobody knows that they are there

    assert [one.crm_id for one in first] == [one.crm_id for one in again]
    assert portal.fake.contacts.records[customer].associated == {("deals", one.crm_id) for one in first}
    deal = portal.fake.deals.records[first[0].crm_id]
    assert deal.properties == {"rtx_login": "1001", "dealname": "1001", "amount": "10.5"}
    assert portal.session.calls[-2:] == [("upsert", 2), ("associate", 2)]


# One record


def test_one_record_is_created_changed_read_and_deleted_for_good(portal: Portal) -> None:
    made = portal.hubspot.create("contacts", {"email": "a@b.example"}, external_id="u-1")
    portal.hubspot.update("contacts", made.crm_id, {"firstname": "Änne", "email": None})

    found = portal.hubspot.get("contacts", made.crm_id, NAMES)
    assert found is not None
    assert (found.external_id, found.fields["firstname"], found.fields["email"]) == ("u-1", "Änne", None)
    assert found.changed_at is not None
    portal.hubspot.delete("contacts", made.crm_id)
    portal.hubspot.delete("contacts", made.crm_id)

    assert portal.fake.contacts.records == {}
    assert portal.hubspot.get("contacts", made.crm_id, NAMES) is None
    with pytest.raises(CallRefused) as caught:
        portal.hubspot.update("contacts", made.crm_id, {"firstname": "X"})
    assert caught.value.code == "record_gone"


def test_deals_are_deleted_into_the_bin(portal: Portal) -> None:
    deal = portal.fake.add("deals", dealname="1001")

    portal.hubspot.delete("deals", deal)

    assert portal.fake.deals.records[deal].is_archived


# What goes wrong


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        (Fault(status=500), Unavailable, "provider_unavailable"),
        (Fault(status=423), Unavailable, "provider_unavailable"),
        (Fault(status=403, body={"category": "MISSING_SCOPES"}), Forbidden, "missing_scopes"),
        (Fault(status=403, body={"message": "no"}), Forbidden, "missing_rights"),
        (Fault(status=404), Forbidden, "object_missing"),
        (
            Fault(status=400, body={"message": f"{NO_OBJECT} from: x"}),
            Forbidden,
            "object_missing",
        ),
        (Fault(kind="malformed"), Unavailable, "provider_unavailable"),
        (Fault(kind="drop"), Unavailable, "provider_unavailable"),
        (Fault(status=429, body={"policyName": "DAILY"}), LimitReached, "daily_limit"),
    ],
)
def test_what_hubspot_answers_becomes_rtx_errors(
    portal: Portal, fault: Fault, kind: type[ProviderError], code: str
) -> None:
    portal.fake.fail(fault)

    with pytest.raises(kind) as caught:
        portal.hubspot.upsert("contacts", [client(1)])

    assert type(caught.value) is kind
    assert caught.value.code == code


def test_a_write_whose_answer_was_lost_is_repeated_without_a_double(portal: Portal) -> None:
    portal.fake.fail(Fault(kind="drop", is_done=True), path="batch/upsert")
    with pytest.raises(Unavailable):
        portal.hubspot.upsert("contacts", [client(1)])

    again = portal.hubspot.upsert("contacts", [client(1)])[0]

    assert (again.is_created, again.error, len(portal.fake.contacts.records)) == (False, None, 1)


def test_a_call_too_many_says_how_long_to_wait(portal: Portal) -> None:
    portal.fake.limit = Limit(calls_max=1, window_s=10)
    portal.hubspot.describe("contacts")

    with pytest.raises(LimitReached) as caught:
        portal.hubspot.describe("contacts")

    assert (caught.value.code, caught.value.retry_after_s) == ("rate_limited", 10.0)
    portal.fake.limit = None
    portal.fake.fail(Fault(status=429, headers={"Retry-After": "3"}, body={"policyName": "SECONDLY"}))
    with pytest.raises(LimitReached) as caught:
        portal.hubspot.describe("contacts")
    assert caught.value.retry_after_s == 3.0


def test_searches_have_a_limit_of_their_own(portal: Portal) -> None:
    portal.fake.search_limit = Limit(calls_max=5, window_s=1)
    portal.fake.clock.stop()
    for _ in range(5):
        portal.hubspot.changes("contacts", {"since": 0}, NAMES)

    with pytest.raises(LimitReached) as caught:
        portal.hubspot.changes("contacts", {"since": 0}, NAMES)

    assert (caught.value.code, caught.value.retry_after_s) == ("rate_limited", 1.0)
    portal.hubspot.describe("contacts")


def test_headers_tell_the_limits(portal: Portal) -> None:
    limits = portal.hubspot.limits(
        {
            "x-hubspot-ratelimit-max": "110",
            "x-hubspot-ratelimit-remaining": "109",
            "x-hubspot-ratelimit-interval-milliseconds": "10000",
            "x-hubspot-ratelimit-daily": "250000",
            "x-hubspot-ratelimit-daily-remaining": "nonsense",
        }
    )

    assert (limits.window_max, limits.window_left, limits.window_ms) == (110, 109, 10_000)
    assert (limits.daily_max, limits.daily_left) == (250_000, None)


def test_errors_hold_no_value_of_a_record(portal: Portal) -> None:
    older = {
        "category": "VALIDATION_ERROR",
        "message": 'Property values were not valid: [{"isValid":false,"message":"Email address secret@x '
        'is invalid","error":"INVALID_EMAIL","name":"email"}]',
    }
    portal.fake.fail(Fault(status=400, body=older))

    error = portal.hubspot.upsert("contacts", [client(1)])[0].error

    assert str(error) == "HubSpot does not take a value. Property: email."


def test_an_expired_token_is_not_authorized(portal: Portal) -> None:
    portal.fake.grants.expire()

    with pytest.raises(ConnectionFault) as caught:
        portal.hubspot.describe("contacts")

    assert caught.value.code == "not_authorized"


@pytest.mark.parametrize("object_name", ["contacts", "deals"])
def test_a_record_is_found_by_rtx_id_and_nothing_is_written(portal: Portal, object_name: str) -> None:
    (written,) = portal.hubspot.upsert(object_name, [Upsert("100001", {})])
    portal.session.calls.clear()

    assert portal.hubspot.find(object_name, "100001") == written.crm_id
    assert portal.hubspot.find(object_name, "100002") == ""
    assert portal.session.calls == [("find_email", 1)] * 2
