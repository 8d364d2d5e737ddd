"""Reading many of HubSpot's records: what an answer says of each, and what it leaves open."""

from typing import Any

import pytest

from apps.crm.adapters.provider import Forbidden, ProviderError
from tests.fakes.fake import Fault
from tests.unit.crm.hubspot.conftest import Portal


def test_many_are_read_at_once_and_those_missing_are_deleted(portal: Portal) -> None:
    ids = [portal.fake.add("contacts", email=f"{place}@x.example") for place in range(3)]
    portal.fake.remove("contacts", ids[1])

    found = portal.hubspot.get_many("contacts", [*ids, "999999"], ["email"])

    assert [(one.crm_id, one.is_deleted) for one in found] == [
        (ids[0], False),
        (ids[2], False),
        (ids[1], True),
        ("999999", True),
    ]
    assert found[0].fields["email"] == "0@x.example"


def missing(*ids: str, category: str = "OBJECT_NOT_FOUND") -> dict[str, Any]:
    """Return an error of HubSpot about some records."""
    context = {"context": {"ids": list(ids)}} if ids else {}
    return {"status": "error", "category": category, "message": "no", **context}


@pytest.mark.parametrize(
    ("status", "body", "deleted"),
    [
        (200, {"results": []}, ["1", "2", "3"]),
        (207, {"results": [], "errors": [missing("1", "3")]}, ["1", "3"]),
        (207, {"results": [], "errors": [missing("2", category="INTERNAL_ERROR")]}, []),
        (207, {"results": [], "errors": [missing("2", category="RATE_LIMITS"), missing("1")]}, ["1"]),
        (207, {"results": [], "errors": []}, []),
        (404, missing("1", "2", "3"), ["1", "2", "3"]),
    ],
)
def test_only_what_is_said_of_an_id_makes_it_deleted(
    portal: Portal, status: int, body: dict[str, Any], deleted: list[str]
) -> None:
    portal.fake.fail(Fault(status=status, body=body), path="batch/read")

    found = portal.hubspot.get_many("contacts", ["1", "2", "3"], ["email"])

    assert [(one.crm_id, one.is_deleted) for one in found] == [(one, True) for one in deleted]


def test_a_batch_that_is_not_found_as_a_whole_is_asked_again_in_parts(portal: Portal) -> None:
    ids = [portal.fake.add("contacts", email=f"{place}@x.example") for place in range(4)]
    portal.fake.remove("contacts", ids[1])
    portal.fake.fail(Fault(status=404, body=missing()), path="batch/read", times=2)

    found = portal.hubspot.get_many("contacts", ids, ["email"])

    assert {one.crm_id: one.is_deleted for one in found} == {one: one == ids[1] for one in ids}
    assert portal.session.calls == [("get_many", number) for number in (4, 2, 1, 1, 2)]


def test_a_path_that_is_not_found_deletes_nobody(portal: Portal) -> None:
    portal.fake.fail(Fault(status=404, body=b"<html>", headers={}), path="batch/read")

    with pytest.raises(ProviderError):
        portal.hubspot.get_many("contacts", ["1"], ["email"])

    portal.fake.fail(Fault(status=404, body={"message": "nothing here"}), path="batch/read")
    with pytest.raises(Forbidden) as caught:
        portal.hubspot.get_many("contacts", ["1"], ["email"])
    assert caught.value.code == "object_missing"
