"""What providers send: proved on the raw bytes, stored sealed, answered at once."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections as databases
from django.test import Client as Browser

from apps.crm.api import webhooks as views
from apps.crm.domain import signatures
from apps.crm.models import Connection, WebhookDelivery
from apps.crm.services import watches, webhooks
from rtx.kernel import clock
from tests.fakes.toy import proof
from tests.integration.crm.toys import CLIENT_SECRET, PATH, event, send

pytestmark = pytest.mark.django_db
ADDRESS = f"https://rtx.example{PATH}"


def test_a_proved_delivery_is_stored_sealed_and_answered_at_once(connected, pulled):
    answer = send([event(secret_name="Ahlberg")])

    assert (answer.status_code, answer.content) == (204, b"")
    held = WebhookDelivery.objects.get()
    assert held.status == "received"
    assert json.loads(held.body())[0]["secret_name"] == "Ahlberg"
    assert b"Ahlberg" not in bytes(held.body_sealed)
    assert pulled == []  # looked at later


def test_a_provider_that_wants_words_gets_them(connected):
    answer = send(content_type="text/xml")

    assert (answer.status_code, answer.content, answer["Content-Type"]) == (200, b"<Ack/>", "text/xml")


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": "another"},
        {"HTTP_X_PROOF": ""},
        {"HTTP_X_PROOF": "é"},
        {"HTTP_X_STAMP": "soon"},
        {"HTTP_X_STAMP": "1"},
    ],
)
def test_a_wrong_proof_is_refused_and_nothing_is_stored(wrong, connected):
    answer = send(**wrong)

    assert (answer.status_code, answer.json()["code"]) == (401, "webhook_signature")
    assert not WebhookDelivery.objects.exists()


def test_one_changed_byte_of_the_body_is_refused(connected):
    stamp = str(clock.now_ms())
    signed = proof(secret=CLIENT_SECRET, uri=ADDRESS, body=b"[1]", stamp=stamp)

    answer = Browser().post(
        PATH, b"[2]", content_type="application/json", HTTP_X_STAMP=stamp, HTTP_X_PROOF=signed
    )

    assert answer.status_code == 401


@pytest.mark.parametrize("age_ms", [300_000 + 5_000, -60_000])
def test_an_old_delivery_and_one_of_the_future_are_refused(age_ms, connected):
    answer = send(stamp_ms=clock.now_ms() - age_ms)

    assert (answer.status_code, answer.json()["code"]) == (401, "webhook_stale")


def test_the_address_is_proved_as_it_was_called_with_its_query(connected):
    assert send(path=f"{PATH}?b=1&a=2").status_code == 204
    stamp = str(clock.now_ms())
    signed = proof(secret=CLIENT_SECRET, uri=f"{ADDRESS}?b=1&a=2", body=b"[]", stamp=stamp)

    moved = Browser().post(
        f"{PATH}?a=2&b=1", b"[]", content_type="application/json", HTTP_X_STAMP=stamp, HTTP_X_PROOF=signed
    )

    assert moved.status_code == 401


@pytest.mark.parametrize("status", ["draft", "revoked", "removed"])
def test_nobody_waits_for_a_connection_that_is_not_there(status, connected):
    Connection.objects.update(status=status)

    answer = send()

    assert (answer.status_code, answer.json()["code"]) == (404, "webhook_not_found")


def test_a_provider_without_a_connection_answers_like_a_missing_one(connected):
    answer = Browser().post("/api/webhooks/crm/zoho", b"{}", content_type="application/json")

    assert (answer.status_code, answer.json()["code"]) == (404, "webhook_not_found")
    unknown = Browser().post("/api/webhooks/crm/pipedrive", b"{}", content_type="application/json")
    assert unknown.status_code == 404


def test_a_paused_connection_goes_on_listening_and_looks_later(connected, pulled):
    Connection.objects.update(status="paused")
    assert send().status_code == 204
    assert webhooks.process_due() == 0

    Connection.objects.update(status="active")
    assert webhooks.process_due() == 1


def test_a_body_over_a_megabyte_is_refused(connected):
    answer = send(body=b" " * (1024 * 1024 + 1))

    assert answer.status_code == 413
    assert not WebhookDelivery.objects.exists()


def test_another_method_is_refused(connected):
    assert Browser().get(PATH).status_code == 405


def test_the_same_delivery_again_is_answered_alike_and_does_nothing(connected, pulled):
    body = json.dumps([event()]).encode()
    stamp_ms = clock.now_ms()

    answers = [send(body=body, stamp_ms=stamp_ms) for _ in range(3)]
    webhooks.process_due()
    late = send(body=body, stamp_ms=stamp_ms)
    webhooks.process_due()

    assert [answer.status_code for answer in (*answers, late)] == [204] * 4
    assert WebhookDelivery.objects.count() == 1
    assert pulled == [("contacts", ["501"])]


def test_the_same_delivery_at_the_same_moment_is_stored_once(connected):
    body = json.dumps([event()]).encode()

    def work(_place):
        try:
            return send(body=body).status_code
        finally:
            databases.close_all()

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(12))) == [204] * 12

    assert WebhookDelivery.objects.count() == 1


def test_a_secret_in_the_path_is_not_kept_or_logged(connected, make_connection, caplog, monkeypatch):
    caplog.set_level("DEBUG")
    row = make_connection(provider="salesforce", status="active", customer_object="Contact")
    row.webhook_secret = "path-secret-0123456789"
    row.save()
    seen = []
    monkeypatch.setattr(views.webhooks, "take", lambda **given: seen.append(given) or 1 / 0)

    answer = Browser().post(
        "/api/webhooks/crm/salesforce/path-secret-0123456789", b"<a/>", content_type="text/xml"
    )

    assert answer.status_code == 500
    assert "path-secret" not in answer.content.decode()
    assert "/salesforce/-" in caplog.text  # the failure itself is logged
    assert seen[0]["url"].endswith("/path-secret-0123456789")  # the check needs it
    assert "path-secret" not in caplog.text


def test_the_path_of_a_request_with_a_secret_is_blotted_out(connected):
    request = (
        Browser()
        .post("/api/webhooks/crm/salesforce/path-secret-0123456789", b"{}", content_type="text/xml")
        .wsgi_request
    )

    assert "path-secret" not in request.path
    assert "path-secret" not in request.get_full_path()
    assert not [name for name, value in request.META.items() if "path-secret" in str(value)]


def test_hubspot_s_own_signature_opens_the_door(make_connection, settings):
    settings.PUBLIC_URL = "https://rtx.example"
    make_connection(status="active", external_id="62515")
    body = json.dumps(
        [
            {
                "eventId": 1,
                "subscriptionId": 12345,
                "portalId": 62515,
                "occurredAt": 1564113600000,
                "subscriptionType": "contact.propertyChange",
                "attemptNumber": 0,
                "objectId": 123,
                "changeSource": "CRM",
                "propertyName": "phone",
                "propertyValue": "x",
            }
        ]
    ).encode()
    stamp = str(clock.now_ms())
    signature = signatures.hubspot_v3(
        secret=CLIENT_SECRET, method="POST", uri=ADDRESS, body=body, timestamp=stamp
    )

    answer = Browser().post(
        PATH,
        body,
        content_type="application/json",
        HTTP_X_HUBSPOT_SIGNATURE_V3=signature,
        HTTP_X_HUBSPOT_REQUEST_TIMESTAMP=stamp,
    )

    assert answer.status_code == 204
    assert Browser().post(PATH, body, content_type="application/json").status_code == 401


def test_a_salesforce_relay_s_signature_opens_the_door(make_connection, settings):
    settings.PUBLIC_URL = "https://rtx.example"
    row = make_connection(provider="salesforce", status="active", customer_object="Contact")
    row.webhook_secret = "relay-secret"
    row.save()
    body = b'{"events": []}'
    path = "/api/webhooks/crm/salesforce"

    good = Browser().post(
        path,
        body,
        content_type="application/json",
        HTTP_X_RTX_SIGNATURE=signatures.hmac_hex("relay-secret", body),
    )
    bad = Browser().post(
        path, body, content_type="application/json", HTTP_X_RTX_SIGNATURE=signatures.hmac_hex("x", body)
    )

    assert (good.status_code, bad.status_code) == (204, 401)


def test_channels_of_notifications_are_kept(connected, toy):
    assert watches.renew() == 1

    assert Connection.objects.get().watch == {"notify_url": ADDRESS}


def test_without_a_public_address_no_channel_is_opened(connected, toy, settings):
    settings.PUBLIC_URL = ""

    assert watches.renew() == 0
    assert toy.calls == []


@pytest.mark.parametrize("more", ["/", "/more", "//"])
def test_what_follows_the_secret_in_the_path_shows_it_to_nobody(more, connected, caplog):
    caplog.set_level("DEBUG")
    path = f"/api/webhooks/crm/salesforce/path-secret-0123456789{more}"

    answer = Browser().post(path, b"{}", content_type="text/xml")

    assert answer.status_code == 404
    request = answer.wsgi_request
    assert "path-secret" not in f"{request.path} {request.META} {answer.content.decode()} {caplog.text}"


def test_a_slash_after_the_secret_changes_no_proof(connected, make_connection, monkeypatch):
    seen = []
    monkeypatch.setattr(views.webhooks, "take", lambda **given: seen.append(given["url"]) or 1 / 0)

    Browser().post("/api/webhooks/crm/salesforce/abc/", b"<a/>", content_type="text/xml")

    assert seen == ["https://rtx.example/api/webhooks/crm/salesforce/abc/"]  # as it was called
