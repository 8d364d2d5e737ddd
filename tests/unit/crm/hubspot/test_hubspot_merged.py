"""Records that people merged in HubSpot: what reading them tells, and what writing by an old id leaves."""

import uuid

import pytest

from apps.crm.adapters.provider import Upsert
from tests.fakes.fake import Fault
from tests.unit.crm.hubspot.conftest import Portal

FIRST, SECOND = (str(uuid.UUID(int=place)) for place in (1, 2))


@pytest.mark.parametrize("keeps_id", [False, True])
def test_an_update_of_a_record_that_bears_rtx_s_id_leaves_it_to_who_has_it_now(
    portal: Portal, keeps_id: bool
) -> None:
    first, second = portal.hubspot.upsert("contacts", [Upsert(FIRST, {}), Upsert(SECOND, {})])
    made = portal.fake.merge("contacts", first.crm_id, second.crm_id, keeps_id=keeps_id)

    bad, other = portal.hubspot.upsert(
        "contacts",
        [
            Upsert(FIRST, {"email": "no address"}, crm_id=made, bears_id=True),
            Upsert(SECOND, {"firstname": "Other"}, crm_id=second.crm_id, bears_id=True),
        ],
    )

    assert (other.crm_id, other.error) == (made, None)
    assert bad.error is not None  # the other one's success is not taken for its own
    assert portal.contact(made)["rtx_client_id"] == FIRST
    assert portal.hubspot.find("contacts", SECOND) == ""


@pytest.mark.parametrize("keeps_id", [False, True])
def test_a_record_names_those_that_became_a_part_of_it(portal: Portal, keeps_id: bool) -> None:
    first, second, third = (portal.fake.add("contacts", email=f"{place}@x.example") for place in range(3))
    made = portal.fake.merge("contacts", first, second, keeps_id=keeps_id)
    last = portal.fake.merge("contacts", made, third, keeps_id=keeps_id)
    parts = [second, third] if keeps_id else [first, second, made, third]

    found = portal.hubspot.get_many("contacts", [first, third], ["email"])

    assert [(one.crm_id, one.is_deleted) for one in found if not one.is_deleted] == [(last, False)]
    assert {one.crm_id for one in found if one.is_deleted} == {first, third} - {last}
    assert sorted(found[0].merged_ids) == sorted(parts)
    (listed,) = portal.hubspot.changes("contacts", {}, ["email"]).records
    one = portal.hubspot.get("contacts", second, ["email"])
    assert one is not None
    assert listed.merged_ids == one.merged_ids == found[0].merged_ids


def test_a_part_that_an_incomplete_answer_does_not_name_is_deleted(portal: Portal) -> None:
    row = {"id": "9", "properties": {"hs_merged_object_ids": "1;2"}}
    error = {"category": "OBJECT_NOT_FOUND", "message": "no", "context": {"ids": ["3"]}}
    portal.fake.fail(Fault(status=207, body={"results": [row], "errors": [error]}))

    found = portal.hubspot.get_many("contacts", ["1", "3", "4"], ["email"])

    assert {one.crm_id: one.is_deleted for one in found} == {"9": False, "1": True, "3": True}
