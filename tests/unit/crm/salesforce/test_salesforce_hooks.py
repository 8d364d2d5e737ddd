"""Webhooks of Salesforce: Outbound Messages (SOAP, secret address) and a relay that signs the raw body."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from apps.crm.adapters.provider import CallRefused, HookEvent
from apps.crm.adapters.registry import NoSession
from apps.crm.adapters.salesforce import Salesforce
from tests.fakes.salesforce import SalesforceFake
from tests.fakes.salesforce_messages import OUTBOUND_TYPE, change_event, outbound, relayed
from tests.unit.crm.salesforce.conftest import SECRET, SETTINGS

URL = "https://rtx.example/api/webhooks/crm/salesforce"
SECRET_URL = f"{URL}/{SECRET}"
XML = {"Content-Type": OUTBOUND_TYPE}
RECORD = {
    "Id": "0035g00000AbCdEAAV",
    "CreatedDate": "2026-11-01T08:00:00.000Z",
    "LastModifiedDate": "2026-11-21T12:00:00.000Z",
    "LastName": "Müller & <Söhne>",
}
NOTIFICATION = ("04l5g0000000001AAA", RECORD)


def made(**changed: Any) -> Salesforce:
    return Salesforce(settings=replace(SETTINGS, **changed), session=NoSession())


def verify(headers: dict[str, str], body: bytes, *, url: str = URL, **changed: Any) -> str:
    return made(**changed).verify(method="POST", url=url, headers=headers, body=body, now_ms=0)


def refusal(headers: dict[str, str], body: bytes, *, url: str = URL, **changed: Any) -> str:
    with pytest.raises(CallRefused) as refused:
        verify(headers, body, url=url, **changed)
    return refused.value.code


def malformed(body: bytes, content_type: str = "application/json") -> str:
    with pytest.raises(CallRefused) as refused:
        made().events(body, content_type)
    return refused.value.code


def test_an_outbound_message_names_the_record_that_changed() -> None:
    body = outbound([NOTIFICATION])

    verify(XML, body, url=SECRET_URL)
    (event,) = made().events(body, OUTBOUND_TYPE)

    assert event == HookEvent(
        key="om:04l5g0000000001AAA",
        object_name="Contact",
        crm_id="0035g00000AbCdEAAV",
        what="changed",
        occurred_at=datetime(2026, 11, 21, 12, tzinfo=UTC),
    )


def test_a_hundred_notifications_are_read_and_a_hundred_and_one_are_not() -> None:
    records = [(f"04l5g0000000{number:03d}AAA", RECORD) for number in range(101)]

    assert len(made().events(outbound(records[:100]), OUTBOUND_TYPE)) == 100
    assert malformed(outbound(records), OUTBOUND_TYPE) == "webhook_malformed"


def test_a_new_record_is_told_from_a_changed_one() -> None:
    fresh = {**RECORD, "LastModifiedDate": RECORD["CreatedDate"]}
    bare = {"Id": RECORD["Id"]}
    body = outbound([("04l5g0000000001AAA", fresh), ("04l5g0000000002AAA", bare)])

    events = made().events(body, OUTBOUND_TYPE)

    assert [(event.what, event.occurred_at is None) for event in events] == [
        ("created", False),
        ("changed", True),
    ]


@pytest.mark.parametrize("url", [URL, f"{URL}/", f"{URL}/wrong", f"{URL}?s={SECRET}", f"{URL}/{SECRET}x"])
def test_an_outbound_message_needs_the_secret_at_the_end_of_its_address(url: str) -> None:
    assert refusal(XML, outbound([NOTIFICATION]), url=url) == "webhook_signature"


def test_an_outbound_message_of_another_organization_is_refused() -> None:
    body = outbound([NOTIFICATION], organization_id="00D5g000004OTHREA4")

    assert refusal(XML, body, url=SECRET_URL) == "webhook_signature"
    assert verify(XML, outbound([NOTIFICATION], organization_id="00D5g000004TEST"), url=SECRET_URL)


def test_nobody_is_let_in_before_organization_and_secret_are_known() -> None:
    body = outbound([NOTIFICATION])

    assert refusal(XML, body, url=SECRET_URL, external_id="") == "webhook_signature"
    assert refusal(XML, body, url=f"{URL}/", webhook_secret="") == "webhook_signature"
    assert refusal(*reversed(relayed([], secret="")), webhook_secret="") == "webhook_signature"


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        b'<!DOCTYPE a SYSTEM "http://169.254.169.254/latest"><a/>',
        b'<?xml version="1.0"?><?xml-stylesheet href="x"?><a/>',
        b"<a>&undefined;</a>",
        b"<a>" * 20 + b"</a>" * 20,
        b"<a><b></a>",
        b'<?xml version="1.0" encoding="no-such"?><a/>',
        b"",
        b"\x00\x01",
        outbound([NOTIFICATION]).replace(b"<soapenv:Envelope", b"<!DOCTYPE a><soapenv:Envelope", 1),
        outbound([NOTIFICATION]).replace(b"<soapenv:Envelope", b"<?x y?><soapenv:Envelope", 1),
        outbound([NOTIFICATION]).replace(b"outbound", b"inbound"),
        outbound([NOTIFICATION]).replace(b"0035g00000AbCdEAAV", b"../../limits"),
        outbound([NOTIFICATION]).replace(b"sf:Contact", b"sf:Contact; DROP"),
    ],
)
def test_xml_with_a_dtd_or_another_form_is_not_read(body: bytes) -> None:
    assert malformed(body, OUTBOUND_TYPE) == "webhook_malformed"
    if b"sf:Contact" not in body or b"inbound" in body:
        assert refusal(XML, body, url=SECRET_URL) == "webhook_signature"


def test_entities_are_not_blown_up() -> None:
    bomb = '<!DOCTYPE a [<!ENTITY a0 "ha">' + "".join(
        f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12)
    )
    assert malformed(f"{bomb}]><a>&a11;</a>".encode(), "text/xml") == "webhook_malformed"


def test_an_outbound_message_is_acknowledged_in_soap_and_a_relay_without_words() -> None:
    body, content_type = made().acknowledgement(OUTBOUND_TYPE)

    assert content_type == "text/xml; charset=utf-8"
    assert b"<Ack>true</Ack>" in body
    assert body.count(b"soapenv:") == 4
    assert made().acknowledgement("application/json") == (b"", "")


def test_a_relay_is_proved_by_the_hmac_of_its_raw_body() -> None:
    body, headers = relayed([{"id": "1", "object": "Contact", "recordId": RECORD["Id"]}], secret=SECRET)

    digest = verify(headers, body)

    assert digest == verify(headers, body)
    assert refusal(headers, body.replace(b", ", b","), url=SECRET_URL) == "webhook_signature"
    assert refusal({"Content-Type": "application/json"}, body, url=SECRET_URL) == "webhook_signature"
    assert refusal({**headers, "X-RTX-Signature": ""}, body) == "webhook_signature"
    assert refusal(headers, body, webhook_secret="another") == "webhook_signature"


def test_an_official_example_of_hmac_sha256_is_accepted() -> None:
    # RFC 4231, test case 2.
    secret, body = "Jefe", b"what do ya want for nothing?"
    proof = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    in_base64 = "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="

    for given in (proof, f"sha256={proof.upper()}", in_base64):
        assert verify({"x-rtx-signature": given}, body, webhook_secret=secret)
    assert refusal({"x-rtx-signature": proof[:-1] + "4"}, body, webhook_secret=secret) == "webhook_signature"


def test_change_events_of_salesforce_come_through_a_relay() -> None:
    event = change_event(
        entity="Contact",
        ids=["0035g00000AbCdE", "0035g00000AbCdF"],
        change="UPDATE",
        at_ms=1_763_726_400_250,
        number=7,
        origin="com/salesforce/api/rest/62.0;client=RTX",
    )

    for wrapped in (event, [event], {"events": [event]}, {"detail": event}, {"data": event}):
        events = made().events(json.dumps(wrapped).encode(), "application/json")
        assert [one.crm_id for one in events] == ["0035g00000AbCdEAAV", "0035g00000AbCdFAAV"]
        assert events[0].occurred_at == datetime(2025, 11, 21, 12, 0, 0, 250_000, tzinfo=UTC)
        assert (events[0].what, events[0].changed_by_us) == ("changed", True)
        assert len({one.key for one in events}) == 2


@pytest.mark.parametrize(
    ("change", "origin", "found"),
    [
        ("CREATE", "", [("created", False)]),
        ("DELETE", "com/salesforce/api/rest/62.0;client=RTX2", [("deleted", False)]),
        ("UNDELETE", "com/salesforce/api/soap/58.0", [("created", False)]),
        ("GAP_UPDATE", "", [("changed", False)]),
        ("GAP_OVERFLOW", "", []),
        ("SNAPSHOT", "", []),
    ],
)
def test_kinds_of_change_are_told_apart(change: str, origin: str, found: list[tuple[str, bool]]) -> None:
    event = change_event(
        entity="Contact", ids=[RECORD["Id"], "003*"], change=change, at_ms=1, number=1, origin=origin
    )

    events = made().events(json.dumps(event).encode(), "application/json")

    assert [(one.what, one.changed_by_us) for one in events] == found


def test_a_relay_of_its_own_form_names_records() -> None:
    given = {
        "id": "evt-1",
        "object": "Lead",
        "recordId": "00Q5g00000AbCdE",
        "change": "deleted",
        "at": "2026-11-21T12:00:00Z",
    }

    (event,) = made().events(json.dumps(given).encode(), "application/json")

    assert event == HookEvent(
        "relay:evt-1", "Lead", "00Q5g00000AbCdEEAV", "deleted", datetime(2026, 11, 21, 12, tzinfo=UTC)
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"7",
        b'["x"]',
        b"[" * 50_000,
        b"{}",
        b'{"id": 7, "object": "Contact", "recordId": "0035g00000AbCdE"}',
        b'{"object": "Contact", "recordId": "0035g00000AbCdE"}',
        b'{"id": "1", "object": "Contact/x", "recordId": "0035g00000AbCdE"}',
        b'{"id": "1", "object": "Contact", "recordId": "x"}',
        b'{"id": "1", "object": "Contact", "recordId": "0035g00000AbCdE", "change": []}',
        b'{"id": "\\u0000", "object": "Contact", "recordId": "0035g00000AbCdE"}',
        b'{"id": "\\ud800", "object": "Contact", "recordId": "0035g00000AbCdE"}',
        b'{"detail": 7}',
        b'{"payload": {"ChangeEventHeader": {"recordIds": "x"}}}',
        b'{"payload": {"ChangeEventHeader": {"recordIds": [7], "changeType": "CREATE", '
        b'"transactionKey": "a", "entityName": "Contact"}}}',
        b'{"events": [' + b'{"id":"1","object":"Lead","recordId":"00Q5g00000AbCdE"},' * 1000 + b"{}]}",
    ],
)
def test_a_relay_that_cannot_be_read_is_refused(body: bytes) -> None:
    assert malformed(body) == "webhook_malformed"


def test_two_deliveries_differ_by_their_digest_and_the_same_one_does_not() -> None:
    one, other = outbound([NOTIFICATION]), outbound([("04l5g0000000002AAA", RECORD)])

    digests = [verify(XML, body, url=SECRET_URL) for body in (one, other, one)]

    assert digests[0] == digests[2] != digests[1]
    assert all(len(digest) == 64 for digest in digests)


def test_every_write_of_the_fake_is_an_event_that_can_be_read() -> None:
    fake = SalesforceFake()
    kept = fake.add("Contact", LastName="Doe")
    fake.change("Contact", kept.id, LastName="New")
    fake.remove("Contact", kept.id)
    body, headers = relayed({"events": fake.events}, secret=SECRET)

    verify(headers, body)

    assert [event.what for event in made().events(body, "application/json")] == [
        "created",
        "changed",
        "deleted",
    ]
