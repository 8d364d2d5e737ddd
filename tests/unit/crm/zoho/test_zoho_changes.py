"""Reading what changed in Zoho: nothing is missed whatever changes meanwhile, and every pass ends."""

import random
from typing import Any

import pytest

from apps.crm.adapters.provider import Cursor, Forbidden, Record, Unavailable
from apps.crm.adapters.zoho_changes import LAG_S
from tests.fakes.fake import Fault
from tests.unit.crm.zoho.conftest import START, Organization

NAMES = ["Email", "First_Name"]


@pytest.fixture(autouse=True)
def stopped(organization: Organization) -> None:
    organization.fake.clock.stop(START)


def add(organization: Organization, count: int, *, seconds: int = 1) -> list[str]:
    ids = []
    for place in range(count):
        ids.append(organization.fake.add("Contacts", Email=f"p{place}@x.example"))
        organization.fake.clock.advance(seconds)
    return ids


def passed(
    organization: Organization, cursor: Cursor, *, meanwhile: Any = None
) -> tuple[list[Record], Cursor]:
    """Read pages until the last; `meanwhile` is called after each."""
    found: list[Record] = []
    for place in range(300):
        page = organization.zoho.changes("Contacts", cursor, NAMES)
        found += page.records
        cursor = page.cursor
        if page.is_last:
            return found, cursor
        if meanwhile is not None:
            meanwhile(place)
    raise AssertionError("it does not end")


def test_the_first_pass_reads_all_then_what_was_deleted(organization: Organization) -> None:
    ids = add(organization, 450)
    organization.fake.remove("Contacts", ids[3])
    organization.fake.remove("Contacts", ids[4], is_permanent=True)
    organization.fake.clock.advance(3600)

    found, cursor = passed(organization, {})

    assert {one.crm_id for one in found if not one.is_deleted} == {*ids} - {ids[3], ids[4]}
    assert {one.crm_id for one in found if one.is_deleted} == {ids[3], ids[4]}
    assert organization.fake.batches("list_records") == [200, 200, 50]
    assert cursor == {"since": START + 450, "gone": START + 450 + 3600 - LAG_S}


def test_records_are_read_with_their_instant_and_rtx_id(organization: Organization) -> None:
    crm_id = organization.fake.add("Contacts", Email="a@x.example", RTX_Client_Id="u-1")

    one = passed(organization, {})[0][0]

    assert (one.crm_id, one.external_id) == (crm_id, "u-1")
    assert one.fields == {"Email": "a@x.example", "First_Name": None}
    assert one.changed_at is not None
    assert one.changed_at.timestamp() == START


def test_later_passes_bring_only_what_changed_and_was_deleted(organization: Organization) -> None:
    ids = add(organization, 150)
    organization.fake.clock.advance(3600)
    _, cursor = passed(organization, {})
    organization.fake.clock.advance(10)
    organization.fake.edit("Contacts", ids[7], First_Name="New")
    organization.fake.remove("Contacts", ids[8])
    organization.fake.clock.advance(600)

    found, cursor = passed(organization, cursor)
    again, last = passed(organization, cursor)

    assert [(one.crm_id, one.fields.get("First_Name"), one.is_deleted) for one in found] == [
        (ids[7], "New", False),
        (ids[8], None, True),
    ]
    assert again == []
    assert last == cursor
    assert organization.fake.calls[-2].status == 304


def test_more_records_than_page_numbers_reach_are_read(organization: Organization) -> None:
    ids = add(organization, 2450)

    found, _ = passed(organization, {})

    assert {one.crm_id for one in found} == set(ids)
    assert organization.fake.count("list_records", status=400) == 0


def test_more_changes_in_one_second_than_page_numbers_reach_are_read(organization: Organization) -> None:
    before = add(organization, 150)
    tied = add(organization, 2300, seconds=0)
    organization.fake.clock.advance(1)
    after = add(organization, 30)
    organization.fake.clock.advance(3600)

    found, cursor = passed(organization, {})

    assert {one.crm_id for one in found} == {*before, *tied, *after}
    assert organization.fake.count("list_records", status=400) == 0
    assert cursor["since"] == START + 150 + 1 + 30


def test_a_tie_of_exactly_one_page_ends(organization: Organization) -> None:
    tied = add(organization, 200, seconds=0)

    assert {one.crm_id for one in passed(organization, {})[0]} == set(tied)


def test_a_page_token_that_ended_begins_its_second_anew(organization: Organization) -> None:
    tied = add(organization, 700, seconds=0)

    def wait(place: int) -> None:
        if place == 1:
            organization.fake.clock.advance(90_000)

    found, _ = passed(organization, {}, meanwhile=wait)

    assert {one.crm_id for one in found} == set(tied)
    assert organization.fake.count("list_records", status=400) == 1


@pytest.mark.parametrize("seed", range(5))
def test_records_that_change_or_go_meanwhile_shift_no_other_out_of_sight(
    organization: Organization, seed: int
) -> None:
    chance = random.Random(seed)
    ids = add(organization, 900)
    organization.fake.clock.advance(600)
    newest: dict[str, str] = {}
    gone: set[str] = set()

    def change(place: int) -> None:
        if place < 8:
            for one in chance.sample(sorted(set(ids) - gone), 30):
                organization.fake.clock.advance(chance.choice([0, 1]))
                if chance.random() < 0.2:
                    gone.add(one)
                    organization.fake.remove("Contacts", one)
                else:
                    newest[one] = f"v{place}"
                    organization.fake.edit("Contacts", one, First_Name=newest[one])

    found, cursor = passed(organization, {}, meanwhile=change)
    organization.fake.clock.advance(600)
    found += passed(organization, cursor)[0]

    seen = {one.crm_id: one.fields.get("First_Name") for one in found if not one.is_deleted}
    left = [one for one in ids if one not in gone]
    assert {one: seen[one] for one in left} == {one: newest.get(one) for one in left}
    assert gone <= {one.crm_id for one in found if one.is_deleted}


def test_what_zoho_shows_late_is_read_by_the_next_pass(organization: Organization) -> None:
    add(organization, 5)
    records = organization.fake.modules["Contacts"].records
    late = records.pop(next(iter(records)))
    _, cursor = passed(organization, {})
    records[late.id] = late
    organization.fake.clock.advance(30)

    found, _ = passed(organization, cursor)

    assert late.id in {one.crm_id for one in found}


def test_a_list_that_is_not_in_order_is_read_by_tokens(organization: Organization) -> None:
    ids = add(organization, 900)
    records = organization.fake.modules["Contacts"].records
    for place, one in enumerate(ids):  # ids and times no longer run together; sorting is not done
        records[one].modified_at = START + (place * 7919) % 900

    def unsorted(request: Any) -> None:
        request.query.pop("sort_by", None)

    organization.fake.on_request = unsorted
    organization.fake.clock.advance(3600)

    found, cursor = passed(organization, {})

    assert {one.crm_id for one in found} == set(ids)
    assert cursor["since"] == START + 900


def test_an_empty_organization_has_a_cursor_all_the_same(organization: Organization) -> None:
    found, cursor = passed(organization, {})

    assert (found, cursor) == ([], {"since": START - LAG_S, "gone": START - LAG_S})


def test_many_deletions_are_read_page_by_page_as_far_as_zoho_lets(organization: Organization) -> None:
    organization.fake.discrete_max = 400
    ids = add(organization, 500, seconds=0)
    for one in ids:
        organization.fake.remove("Contacts", one)

    found, cursor = passed(organization, {"since": START, "gone": START - 10})

    assert len({one.crm_id for one in found}) == 400
    assert all(one.is_deleted for one in found)
    assert set(cursor) == {"since", "gone"}


@pytest.mark.parametrize("body", [None, [], {"data": 3}, {"data": [{"id": "1"}]}, {"data": [{"id": "x"}]}])
def test_a_page_that_cannot_be_read_moves_no_cursor(organization: Organization, body: Any) -> None:
    organization.fake.fail(Fault(status=200, body=body))

    with pytest.raises(Unavailable) as caught:
        organization.zoho.changes("Contacts", {"since": 5}, NAMES)

    assert caught.value.code == "provider_malformed"


def test_more_fields_than_a_call_reads_are_told(organization: Organization) -> None:
    with pytest.raises(Forbidden) as caught:
        organization.zoho.changes("Contacts", {}, [f"F{place}" for place in range(49)])

    assert (caught.value.code, organization.fake.calls) == ("too_many_fields", [])
    assert caught.value.during == "changes Contacts"
