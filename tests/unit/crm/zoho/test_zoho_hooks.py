"""Zoho's notifications: the channel and its renewal, the token as proof, and what an event names."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from apps.crm.adapters.provider import CallRefused, Forbidden
from tests.fakes.fake import Fault
from tests.unit.crm.zoho.conftest import NOW, START, TOKEN, URL, Organization, adapter


@pytest.fixture(autouse=True)
def stopped(organization: Organization) -> None:
    organization.fake.clock.stop(START)


def watch(organization: Organization, watched: dict[str, Any], *, now: datetime = NOW) -> dict[str, Any]:
    return organization.zoho.watch(notify_url=URL, watched=watched, now=now)


def check(organization: Organization, body: bytes) -> str:
    return organization.zoho.verify(method="POST", url=URL, headers={}, body=body, now_ms=START * 1000)


def test_a_channel_is_opened_for_the_modules_in_use(organization: Organization) -> None:
    kept = watch(organization, {})

    channel = organization.fake.channels[kept["channel_id"]]
    assert (channel["events"], channel["token"]) == (["Contacts.all", "Deals.all"], TOKEN)
    assert channel["notify_url"] == URL
    assert kept["expires_at"] == "2026-09-28T02:13:20Z"
    assert TOKEN not in json.dumps(kept)


def test_a_channel_that_lasts_is_left_alone(organization: Organization) -> None:
    kept = watch(organization, {})

    assert watch(organization, kept, now=NOW + timedelta(days=3)) == kept
    assert organization.fake.count("watch") == 1


def test_a_channel_is_renewed_before_it_ends(organization: Organization) -> None:
    kept = watch(organization, {})
    organization.fake.clock.advance(4 * 86_400)

    renewed = watch(organization, kept, now=NOW + timedelta(days=4))

    assert renewed["channel_id"] == kept["channel_id"]
    assert renewed["expires_at"] > kept["expires_at"]
    assert len(organization.fake.channels) == 1


def test_a_channel_that_ended_is_opened_anew(organization: Organization) -> None:
    kept = watch(organization, {})
    organization.fake.clock.advance(8 * 86_400)

    renewed = watch(organization, kept, now=NOW + timedelta(days=8))

    assert renewed["channel_id"] != kept["channel_id"]


def test_another_token_or_address_is_told_to_zoho_at_once(organization: Organization) -> None:
    kept = watch(organization, {})
    other = adapter(organization.session, webhook_secret="another")

    changed = other.watch(notify_url=URL, watched=kept, now=NOW)

    assert organization.fake.channels[kept["channel_id"]]["token"] == "another"
    assert changed["proof"] != kept["proof"]


def test_a_channel_that_cannot_be_renewed_is_replaced(organization: Organization) -> None:
    kept = watch(organization, {})
    organization.fake.fail(Fault(status=400, body={"code": "NOT_SUBSCRIBED"}), path="actions/watch")
    later = NOW + timedelta(days=4)
    organization.fake.clock.advance(4 * 86_400)

    assert watch(organization, kept, now=later)["channel_id"] != kept["channel_id"]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("AUTHORIZATION_FAILED", "missing_rights"),
        ("NO_PERMISSION", "missing_rights"),
        ("INVALID_MODULE", "object_missing"),
    ],
)
def test_a_channel_that_may_not_be_opened_names_its_call(
    code: str, told: str, organization: Organization
) -> None:
    organization.fake.fail(Fault(status=400, body={"code": code}), path="actions/watch")

    with pytest.raises(Forbidden) as caught:
        watch(organization, {})

    assert (caught.value.code, caught.value.during) == (told, "watch")


def test_the_end_that_zoho_tells_counts(organization: Organization) -> None:
    organization.fake.clock.advance(-2 * 86_400)  # to its clock the end lies more than a week ahead

    assert watch(organization, {})["expires_at"] == "2026-09-19T15:13:20Z"


def test_without_a_token_there_is_no_channel(organization: Organization) -> None:
    assert adapter(organization.session, webhook_secret="").watch(notify_url=URL, watched={}, now=NOW) == {}
    assert organization.fake.calls == []


def test_changes_are_told_to_the_channel_and_believed(organization: Organization) -> None:
    watch(organization, {})
    crm_id = organization.fake.add("Contacts", Email="a@x.example")
    organization.fake.clock.advance(5)
    organization.fake.edit("Contacts", crm_id, First_Name="X")
    organization.fake.remove("Contacts", crm_id)

    found = []
    for event in organization.fake.events:
        body, headers = organization.fake.delivery(event)
        assert len(check(organization, body)) == 64
        found += organization.zoho.events(body, headers["Content-Type"])

    assert [(one.object_name, one.crm_id, one.what) for one in found] == [
        ("Contacts", crm_id, "created"),
        ("Contacts", crm_id, "changed"),
        ("Contacts", crm_id, "deleted"),
    ]
    assert [one.occurred_at for one in found] == [NOW, *[NOW + timedelta(seconds=5)] * 2]
    assert len({one.key for one in found}) == 3
    assert not any(one.changed_by_us for one in found)


def test_one_notification_may_name_many_records(organization: Organization) -> None:
    body = {"module": "Leads", "ids": ["11", "12", "11"], "operation": "update", "server_time": START * 1000}

    events = organization.zoho.events(json.dumps(body).encode(), "application/json")

    assert [one.crm_id for one in events] == ["11", "12"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"token"',
        b'{"ids": ["1"]}',
        b'{"token": null}',
        b'{"token": ""}',
        b'{"token": "wrong"}',
        json.dumps({"token": TOKEN + " "}).encode(),
        json.dumps({"token": [TOKEN]}).encode(),
        json.dumps({"token": TOKEN * 100}).encode(),
    ],
)
def test_a_body_without_the_token_proves_nothing(organization: Organization, body: bytes) -> None:
    with pytest.raises(CallRefused) as caught:
        check(organization, body)

    assert caught.value.code == "webhook_signature"


def test_without_a_token_of_ours_nobody_is_believed(organization: Organization) -> None:
    zoho = adapter(organization.session, webhook_secret="")

    with pytest.raises(CallRefused):
        zoho.verify(method="POST", url=URL, headers={}, body=b'{"token": ""}', now_ms=0)


def test_the_same_delivery_has_the_same_digest(organization: Organization) -> None:
    first, second = (json.dumps({"token": TOKEN, "ids": [one]}).encode() for one in ("1", "2"))

    assert check(organization, first) == check(organization, first)
    assert check(organization, first) != check(organization, second)


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'{"module": "Contacts"}',
        b'{"module": "Contacts", "ids": []}',
        b'{"ids": ["1"]}',
        b'{"module": "Contacts", "ids": ["1/../2"]}',
        b'{"module": "Contacts", "ids": [null]}',
        json.dumps({"module": "Contacts", "ids": ["1"] * 1001}).encode(),
    ],
)
def test_a_notification_that_names_nothing_is_malformed(organization: Organization, body: bytes) -> None:
    with pytest.raises(CallRefused) as caught:
        organization.zoho.events(body, "application/json")

    assert caught.value.code == "webhook_malformed"


def test_zoho_looks_only_at_the_status_of_the_answer(organization: Organization) -> None:
    assert organization.zoho.acknowledgement("application/json") == (b"", "")
