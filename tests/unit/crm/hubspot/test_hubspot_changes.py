"""Reading what changed in HubSpot: nothing is missed whatever changes meanwhile, and every pass ends."""

import random
from typing import Any

import pytest

from apps.crm.adapters.hubspot_changes import LAG_MS
from apps.crm.adapters.provider import Cursor, Record, Unavailable
from tests.fakes.fake import Fault
from tests.unit.crm.hubspot.conftest import Portal

START = 1_790_000_000.0
NAMES = ["email", "firstname"]


@pytest.fixture(autouse=True)
def stopped(portal: Portal) -> None:
    portal.fake.clock.stop(START)


def add(portal: Portal, count: int, *, ms: int = 1, prefix: str = "p") -> list[str]:
    ids = []
    for place in range(count):
        ids.append(portal.fake.add("contacts", email=f"{prefix}{place}@x.example"))
        portal.fake.clock.advance(ms / 1000)
    return ids


def passes(portal: Portal, cursor: Cursor, *, meanwhile: Any = None) -> tuple[list[Record], Cursor]:
    """Read pages until the last; `meanwhile` is called after each."""
    found: list[Record] = []
    for place in range(200):
        page = portal.hubspot.changes("contacts", cursor, NAMES)
        found += page.records
        cursor = page.cursor
        if page.is_last:
            return found, cursor
        if meanwhile is not None:
            meanwhile(place)
    raise AssertionError("it does not end")


def test_the_first_pass_lists_all_then_the_deleted_then_what_changed(portal: Portal) -> None:
    ids = add(portal, 250)
    portal.fake.remove("contacts", ids[3])
    portal.fake.clock.advance(3600)

    found, cursor = passes(portal, {})

    assert [one.crm_id for one in found if not one.is_deleted] == ids[:3] + ids[4:]
    assert [one.crm_id for one in found if one.is_deleted] == [ids[3]]
    assert portal.fake.batches("list_records") == [100, 100, 49, 1]
    assert portal.fake.count("search") == 1
    assert cursor == {"since": int((START + 0.25 + 3600) * 1000) // 1000 * 1000 - LAG_MS}


def test_a_record_that_changes_during_the_listing_comes_again(portal: Portal) -> None:
    ids = add(portal, 150)

    def change(place: int) -> None:
        if place == 0:
            portal.fake.edit("contacts", ids[2], firstname="Changed")

    found, _ = passes(portal, {}, meanwhile=change)

    assert [one.fields["firstname"] for one in found if one.crm_id == ids[2]][-1] == "Changed"


def test_later_passes_bring_only_what_changed(portal: Portal) -> None:
    ids = add(portal, 150)
    portal.fake.clock.advance(3600)
    _, cursor = passes(portal, {})
    portal.fake.clock.advance(10)
    portal.fake.edit("contacts", ids[7], firstname="New")
    portal.fake.clock.advance(600)

    found, cursor = passes(portal, cursor)
    again, last = passes(portal, cursor)

    assert [(one.crm_id, one.fields["firstname"], one.fields["email"]) for one in found] == [
        (ids[7], "New", "p7@x.example")
    ]
    assert again == []
    assert last == cursor


def test_more_changes_than_a_search_pages_through_are_read(portal: Portal) -> None:
    assert portal.fake.search_max == 10_000
    portal.fake.search_max = 600
    ids = add(portal, 1450)
    portal.fake.clock.advance(3600)

    found, _ = passes(portal, {"since": int(START * 1000)})

    assert {one.crm_id for one in found} == set(ids)
    assert len(found) == 1450 + 7  # the last of each page comes again
    assert portal.fake.count("search", status=200) == portal.fake.count() == 8


def test_ties_within_a_millisecond_are_all_read(portal: Portal) -> None:
    before = add(portal, 150, prefix="b")
    tied = add(portal, 650, ms=0, prefix="t")
    portal.fake.clock.advance(0.001)
    after = add(portal, 30, prefix="a")
    portal.fake.clock.advance(3600)

    found, cursor = passes(portal, {"since": int(START * 1000)})

    assert {one.crm_id for one in found} == {*before, *tied, *after}
    assert cursor == {"since": int((START + 0.15 + 0.001 + 0.03) * 1000)}


def test_a_tie_of_exactly_one_page_ends(portal: Portal) -> None:
    tied = add(portal, 200, ms=0)
    portal.fake.clock.advance(3600)

    found, _ = passes(portal, {"since": int(START * 1000)})

    assert {one.crm_id for one in found} == set(tied)


@pytest.mark.parametrize("seed", range(5))
def test_records_that_change_meanwhile_shift_no_other_out_of_sight(portal: Portal, seed: int) -> None:
    chance = random.Random(seed)
    ids = add(portal, 900)
    newest: dict[str, str] = {}

    def change(place: int) -> None:
        if place < 8:
            for one in chance.sample(ids, 40):
                portal.fake.clock.advance(chance.choice([0, 0.001, 0.2]))
                newest[one] = f"v{place}"
                portal.fake.edit("contacts", one, firstname=newest[one])

    found, _ = passes(portal, {"since": int(START * 1000)}, meanwhile=change)

    seen = {one.crm_id: one.fields.get("firstname") for one in found}
    assert seen == {one: newest.get(one) for one in ids}


def test_what_the_index_shows_late_is_read_by_the_next_pass(portal: Portal) -> None:
    add(portal, 5, ms=1000)
    late = portal.fake.contacts.records.pop(next(iter(portal.fake.contacts.records)))
    _, cursor = passes(portal, {"since": int(START * 1000)})
    portal.fake.contacts.records[late.id] = late
    portal.fake.clock.advance(30)

    found, _ = passes(portal, cursor)

    assert late.id in {one.crm_id for one in found}


def test_a_long_pass_does_not_forget_what_was_new_when_it_began(portal: Portal) -> None:
    add(portal, 450, ms=0)
    portal.fake.clock.advance(0.001)
    late_id = portal.fake.add("contacts", email="late@x.example")
    late = portal.fake.contacts.records.pop(late_id)
    portal.fake.clock.advance(0.001)
    more = add(portal, 300, prefix="m")

    def wait(place: int) -> None:
        portal.fake.clock.advance(100)
        portal.fake.edit("contacts", more[place], firstname="X")

    _, cursor = passes(portal, {"since": int(START * 1000)}, meanwhile=wait)
    portal.fake.contacts.records[late_id] = late
    found, _ = passes(portal, cursor)

    assert late_id in {one.crm_id for one in found}


@pytest.mark.parametrize("body", [None, [], {"results": 3}, {"results": [{"id": "1"}]}])
def test_a_page_that_cannot_be_read_moves_no_cursor(portal: Portal, body: Any) -> None:
    portal.fake.fail(Fault(status=200, body=body))

    with pytest.raises(Unavailable) as caught:
        portal.hubspot.changes("contacts", {"since": 5}, NAMES)

    assert caught.value.code == "provider_malformed"


def test_deals_are_searched_by_their_own_property(portal: Portal) -> None:
    deal = portal.fake.add("deals", dealname="1001")
    portal.fake.clock.advance(3600)

    page = portal.hubspot.changes("deals", {"since": int(START * 1000)}, ["dealname"])

    assert [(one.crm_id, one.fields["dealname"]) for one in page.records] == [(deal, "1001")]


def test_a_search_that_is_not_in_order_moves_no_cursor(portal: Portal) -> None:
    rows = [
        {"id": str(place), "properties": {}, "updatedAt": f"2026-01-0{day}T00:00:00Z"}
        for place, day in enumerate((2, 1, 3))
    ]
    portal.fake.fail(Fault(status=200, body={"total": 3, "results": rows}))

    with pytest.raises(Unavailable) as caught:
        portal.hubspot.changes("contacts", {"since": 5}, NAMES)

    assert caught.value.code == "provider_malformed"
