"""HubSpot's webhooks: the official examples of its signatures, freshness, and what the events name."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hubspot.utils.signature import Signature

from apps.crm.adapters.hubspot import HubSpot
from apps.crm.adapters.provider import CallRefused
from apps.crm.domain import signatures
from tests.fakes.hubspot import HubSpotFake
from tests.fakes.session import BareSession
from tests.unit.crm.hubspot.conftest import Portal, adapter

SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
URL = "https://www.example.com/webhook_uri"
BODY = b"{'example_field':'example_value'}"
STAMP = 1693657560000
V3 = "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y="


@pytest.fixture
def hubspot() -> HubSpot:
    nothing: Any = None
    return adapter(BareSession(nothing, ""))


def check(hubspot: HubSpot, **changes: Any) -> str:
    headers = {"X-HubSpot-Signature-v3": V3, "X-HubSpot-Request-Timestamp": str(STAMP)}
    known = {"method": "POST", "url": URL, "headers": headers, "body": BODY, "now_ms": STAMP + 1000}
    return hubspot.verify(**{**known, **changes})


def refused(hubspot: HubSpot, **changes: Any) -> str:
    with pytest.raises(CallRefused) as caught:
        check(hubspot, **changes)
    return caught.value.code


def test_the_official_example_of_v3_is_taken(hubspot: HubSpot) -> None:
    assert len(check(hubspot)) == 64


def test_the_official_examples_of_v1_and_v2_come_out() -> None:
    assert signatures.hubspot_v1(secret=SECRET, body=BODY).startswith("69fc6631a867edd4")
    post = signatures.hubspot_v2(secret=SECRET, method="POST", uri=URL, body=BODY)
    get = signatures.hubspot_v2(secret=SECRET, method="GET", uri=URL, body=b"")
    assert post.startswith("4fe4e3a7d3cf09db")
    assert get.startswith("eee2dddcc73c94d6")


def test_hubspots_own_client_signs_alike() -> None:
    theirs = Signature.get_signature(SECRET, BODY.decode(), "v3", URL, "POST", str(STAMP))

    assert theirs == V3


@pytest.mark.parametrize("version", ["X-HubSpot-Signature", "X-HubSpot-Signature-v2"])
def test_older_signatures_prove_nothing(hubspot: HubSpot, version: str) -> None:
    proof = signatures.hubspot_v1(secret=SECRET, body=BODY)
    headers = {version: proof, "X-HubSpot-Request-Timestamp": str(STAMP)}

    assert refused(hubspot, headers=headers) == "webhook_signature"


@pytest.mark.parametrize(
    "changes",
    [
        {"body": BODY + b" "},
        {"url": URL + "?a=1"},
        {"method": "PUT"},
        {"headers": {"x-hubspot-signature-v3": V3, "x-hubspot-request-timestamp": str(STAMP + 1)}},
        {"headers": {"x-hubspot-signature-v3": V3}},
        {"headers": {"x-hubspot-signature-v3": V3, "x-hubspot-request-timestamp": "soon"}},
        {"headers": {"x-hubspot-signature-v3": "", "x-hubspot-request-timestamp": str(STAMP)}},
        {"headers": {"x-hubspot-signature-v3": "é", "x-hubspot-request-timestamp": str(STAMP)}},
    ],
)
def test_whatever_differs_from_what_was_signed_is_refused(hubspot: HubSpot, changes: dict[str, Any]) -> None:
    assert refused(hubspot, **changes) == "webhook_signature"


@pytest.mark.parametrize(("late_ms", "is_taken"), [(0, True), (300_000, True), (300_001, False), (-1, False)])
def test_only_the_last_five_minutes_are_taken(hubspot: HubSpot, late_ms: int, is_taken: bool) -> None:
    if is_taken:
        check(hubspot, now_ms=STAMP + late_ms)
    else:
        assert refused(hubspot, now_ms=STAMP + late_ms) == "webhook_stale"


def test_the_same_delivery_is_known_again_and_another_is_not(hubspot: HubSpot) -> None:
    fake = HubSpotFake()
    fake.clock.stop(STAMP / 1000)
    first, headers = fake.delivery([{"eventId": 1}], url=URL, secret=SECRET)
    second, others = fake.delivery([{"eventId": 2}], url=URL, secret=SECRET)

    digests = [
        check(hubspot, body=first, headers=headers),
        check(hubspot, body=first, headers=headers),
        check(hubspot, body=second, headers=others),
    ]

    assert digests[0] == digests[1] != digests[2]


def test_without_a_secret_nothing_is_taken() -> None:
    nothing: Any = None

    assert refused(adapter(BareSession(nothing, ""), client_secret="")) == "webhook_signature"


def test_events_name_records_and_say_who_changed_them(portal: Portal) -> None:
    fake = portal.fake
    fake.clock.stop(STAMP / 1000)
    contact = fake.add("contacts", email="a@b.example")
    fake.edit("contacts", contact, firstname="A")
    deal = fake.add("deals", dealname="1001")
    portal.hubspot.update("contacts", contact, {"firstname": "B"})
    fake.remove("deals", deal)
    body, _ = fake.delivery(fake.events, url=URL, secret=SECRET)

    events = portal.hubspot.events(body, "application/json")

    assert [(one.object_name, one.crm_id, one.what, one.changed_by_us) for one in events] == [
        ("contacts", contact, "created", False),
        ("contacts", contact, "changed", False),
        ("deals", deal, "created", False),
        ("contacts", contact, "changed", True),
        ("deals", deal, "deleted", False),
    ]
    assert {one.occurred_at for one in events} == {datetime.fromtimestamp(STAMP / 1000, tz=UTC)}
    assert len({one.key for one in events}) == 5


def event(**changes: Any) -> dict[str, Any]:
    known = {
        "eventId": 100,
        "subscriptionId": 7,
        "portalId": 62515,
        "appId": 9,
        "occurredAt": STAMP,
        "subscriptionType": "contact.propertyChange",
        "attemptNumber": 0,
        "objectId": 123,
        "propertyName": "phone",
        "changeSource": "CRM",
    }
    return {**known, **changes}


def read(hubspot: HubSpot, *rows: Any) -> Any:
    return hubspot.events(json.dumps(list(rows)).encode(), "application/json")


def test_a_repeated_event_has_the_same_key_though_its_attempt_counts_up(hubspot: HubSpot) -> None:
    first, again, other = read(hubspot, event(), event(attemptNumber=3), event(objectId=124))

    assert first.key == again.key != other.key
    assert len(first.key) <= 128


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"subscriptionType": "object.creation", "objectTypeId": "0-1"}, [("contacts", "123", "created")]),
        ({"subscriptionType": "object.propertyChange", "objectTypeId": "0-3"}, [("deals", "123", "changed")]),
        ({"subscriptionType": "contact.restore"}, [("contacts", "123", "changed")]),
        ({"subscriptionType": "contact.privacyDeletion"}, [("contacts", "123", "privacy")]),
        (
            {"subscriptionType": "contact.merge", "primaryObjectId": 5, "mergedObjectIds": [6, 7]},
            [("contacts", "5", "merged"), ("contacts", "6", "merged"), ("contacts", "7", "merged")],
        ),
        ({"subscriptionType": "contact.associationChange"}, []),
        ({"subscriptionType": "conversation.creation"}, []),
        ({"portalId": 4711}, []),
    ],
)
def test_each_kind_of_event(hubspot: HubSpot, changes: dict[str, Any], expected: list[Any]) -> None:
    events = read(hubspot, event(**changes))

    assert [(one.object_name, one.crm_id, one.what) for one in events] == expected


@pytest.mark.parametrize("body", [b"", b"{", b"3", b"[3]", b'[{"subscriptionType": "contact.creation"}]'])
def test_what_is_no_list_of_events_is_refused(hubspot: HubSpot, body: bytes) -> None:
    with pytest.raises(CallRefused) as caught:
        adapter(BareSession(None, ""), external_id="").events(body, "application/json")  # type: ignore[arg-type]

    assert caught.value.code == "webhook_malformed"


def test_an_instant_that_is_none_is_left_open(hubspot: HubSpot) -> None:
    assert read(hubspot, event(occurredAt="soon"))[0].occurred_at is None
