"""What providers send: proved, stored sealed, answered; looked at once, in whatever order it comes."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections as databases
from django.test import Client as Browser

from apps.crm.api import webhooks as views
from apps.crm.domain import signatures
from apps.crm.models import Connection, DeadLetter, Link, WebhookDelivery, WebhookEvent
from apps.crm.services import pulling, webhooks
from rtx.kernel import clock
from tests.factories.house import House, make_house
from tests.fakes.server import Fault, Limit
from tests.fakes.toy import proof
from tests.integration.crm.toys import CLIENT_SECRET

pytestmark = pytest.mark.django_db
PATH = "/api/webhooks/crm/hubspot"
ADDRESS = f"https://rtx.example{PATH}"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def event(key: str = "e1", crm_id: str = "501", **more: object) -> dict[str, object]:
    return {"key": key, "id": crm_id, **more}


def send(
    rows: object = None,
    *,
    body: bytes | None = None,
    path: str = PATH,
    stamp_ms: int | None = None,
    secret: str = CLIENT_SECRET,
    content_type: str = "application/json",
    **headers: str,
):
    """Post a delivery as the toy signs it."""
    body = json.dumps([event()] if rows is None else rows).encode() if body is None else body
    stamp = str(clock.now_ms() if stamp_ms is None else stamp_ms)
    sent = {
        "HTTP_X_STAMP": stamp,
        "HTTP_X_PROOF": proof(secret=secret, uri=f"https://rtx.example{path}", body=body, stamp=stamp),
        **headers,
    }
    return Browser().post(path, body, content_type=content_type, **sent)


@pytest.fixture
def pulled(monkeypatch) -> list[tuple[str, list[str]]]:
    """Note what the sync is asked to read anew."""
    asked: list[tuple[str, list[str]]] = []

    def pull_named(connection, provider, *, object_name, crm_ids, cause):
        assert cause == "webhook"
        provider.get_many(object_name, crm_ids, [])
        asked.append((object_name, list(crm_ids)))
        return len(crm_ids)

    monkeypatch.setattr(pulling, "pull_named", pull_named)
    return asked


@pytest.fixture
def house(db) -> House:
    return make_house()


def link(connection, client, crm_id="501", **values) -> Link:
    now = clock.now()
    return Link.objects.create(
        connection=connection,
        provider=connection.provider,
        client=client,
        crm_id=crm_id,
        wanted_at=now,
        changed_at=now,
        due_at=now,
        **values,
    )


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


def test_an_event_that_came_before_in_another_delivery_does_nothing(connected, pulled):
    send([event("e1"), event("e2", "502")])
    webhooks.process_due()
    send([event("e2", "502"), event("e1"), event("e3", "503")])  # a retry of the provider, and one more
    webhooks.process_due()

    assert pulled == [("contacts", ["501", "502"]), ("contacts", ["503"])]
    assert WebhookEvent.objects.count() == 3
    assert list(WebhookDelivery.objects.order_by("id").values_list("events", "repeated")) == [(2, 0), (3, 2)]


def test_events_of_one_record_read_it_once(connected, pulled):
    send([event(f"e{place}") for place in range(50)])

    assert webhooks.process_due() == 1

    assert pulled == [("contacts", ["501"])]
    assert WebhookEvent.objects.count() == 50


def test_deliveries_are_read_together_and_in_batches(connected, pulled):
    for place in range(3):
        send([event(f"e{place}-{number}", str(1000 * place + number)) for number in range(50)])

    webhooks.process_due()

    assert [len(crm_ids) for _, crm_ids in pulled] == [100, 50]


def test_an_event_older_than_what_was_taken_does_nothing(connected, pulled, house):
    link(connected, house.anna.client, crm_changed_at=NOON)
    send([event("old", at=NOON.timestamp() - 60), event("new", "502", at=NOON.timestamp() - 60)])

    webhooks.process_due()

    assert pulled == [("contacts", ["502"])]
    assert dict(WebhookEvent.objects.values_list("key", "outcome")) == {"old": "older", "new": "taken"}


def test_a_later_event_of_a_known_record_reads_it(connected, pulled, house):
    link(connected, house.anna.client, crm_changed_at=NOON)
    send([event("new", at=NOON.timestamp() + 1)])

    webhooks.process_due()

    assert pulled == [("contacts", ["501"])]


def test_a_deletion_is_looked_into_even_when_its_stamp_is_older(connected, pulled, house):
    link(connected, house.anna.client, crm_changed_at=NOON)
    send([event("gone", what="deleted", at=NOON.timestamp() - 60)])

    webhooks.process_due()

    assert pulled == [("contacts", ["501"])]


@pytest.mark.parametrize("more", [{"ours": True}, {"object": "tickets"}, {"crm_id": ""}])
def test_what_is_ours_or_nobody_s_is_ignored(more, connected, pulled):
    send([event(**more)])

    assert webhooks.process_due() == 1

    assert pulled == []
    assert WebhookEvent.objects.get().outcome == "ignored"


def test_what_cannot_be_read_is_given_up_at_once_and_kept(connected, pulled):
    send(body=b'{"half": ')

    assert webhooks.process_due() == 0

    held = WebhookDelivery.objects.get()
    assert (held.status, held.error_code) == ("failed", "webhook_malformed")
    letter = DeadLetter.objects.get()
    assert (letter.delivery, letter.direction, letter.error_code) == (held, "webhook", "webhook_malformed")


def test_a_provider_that_is_down_puts_the_delivery_off(connected, pulled, toy):
    toy.fail(Fault(status=503), path="/names", times=4)
    send()

    assert webhooks.process_due() == 0

    held = WebhookDelivery.objects.get()
    assert (held.status, held.attempts, held.error_code) == ("received", 1, "provider_unavailable")
    assert held.due_at > clock.now() + timedelta(seconds=5)
    assert not WebhookEvent.objects.exists()

    toy.heal()
    WebhookDelivery.objects.update(due_at=clock.now())
    assert webhooks.process_due() == 1
    assert pulled == [("contacts", ["501"])]


def test_waiting_for_a_limit_is_no_try(connected, pulled, toy):
    toy.limit = Limit(calls_max=1, window_s=60)
    Connection.objects.update(calls_max=1, window_s=60)
    send([event("e1")])
    webhooks.process_due()
    send([event("e2", "502")])

    webhooks.process_due()

    held = WebhookDelivery.objects.order_by("-id")[0]
    assert (held.status, held.attempts, held.error_code) == ("received", 0, "rate_limited")
    assert held.due_at > clock.now() + timedelta(seconds=30)


def test_after_eight_tries_a_delivery_is_given_up_and_can_be_sent_again(connected, pulled, toy):
    toy.fail(Fault(status=503), path="/names", times=1)
    send()
    WebhookDelivery.objects.update(attempts=7)
    toy.fail(Fault(status=503), path="/names", times=8)

    webhooks.process_due()

    held = WebhookDelivery.objects.get()
    assert held.status == "failed"
    assert DeadLetter.objects.get().attempts == 8

    toy.heal()
    webhooks.retry(delivery_id=held.pk)
    assert webhooks.process_due() == 1
    assert pulled == [("contacts", ["501"])]


def test_one_bad_delivery_does_not_take_the_others_down(connected, toy, monkeypatch):
    taken = []

    def pull_named(connection, provider, *, object_name, crm_ids, cause):
        if "666" in crm_ids:
            toy.fail(Fault(status=400), path="/names")
        provider.get_many(object_name, crm_ids, [])
        taken.extend(crm_ids)

    monkeypatch.setattr(pulling, "pull_named", pull_named)
    for crm_id in ("1", "666", "3"):
        send([event(f"e{crm_id}", crm_id)])

    assert webhooks.process_due() == 2

    assert sorted(taken) == ["1", "3"]
    assert sorted(WebhookDelivery.objects.values_list("status", flat=True)) == ["done", "done", "failed"]


def test_a_worker_that_dies_leaves_its_deliveries_to_the_next_one(connected, pulled, monkeypatch):
    send()
    monkeypatch.setattr(pulling, "pull_named", lambda *_a, **_k: (_ for _ in ()).throw(SystemExit))
    with pytest.raises(SystemExit):
        webhooks.process_due()
    assert webhooks.process_due() == 0  # claimed
    assert not WebhookEvent.objects.exists()
    asked = []
    monkeypatch.setattr(pulling, "pull_named", lambda *_a, **more: asked.append(more["crm_ids"]))
    WebhookDelivery.objects.update(due_at=clock.now())

    webhooks.process_due()

    assert asked == [["501"]]
    assert WebhookDelivery.objects.get().attempts == 2


def test_a_delivery_that_ends_its_workers_every_time_is_given_up(connected, pulled):
    send()
    WebhookDelivery.objects.update(attempts=8)

    webhooks.process_due()

    assert WebhookDelivery.objects.get().status == "failed"
    assert DeadLetter.objects.get().error_code == "processing_failed"
    assert pulled == []


def test_parallel_workers_share_deliveries(connected, pulled):
    for place in range(20):
        send([event(f"e{place}", str(place))])

    def work(_place):
        try:
            return webhooks.process_due(limit=20)
        finally:
            databases.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == 20

    assert sorted(int(crm_id) for _, crm_ids in pulled for crm_id in crm_ids) == list(range(20))


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
    assert webhooks.renew_watches() == 1

    assert Connection.objects.get().watch == {"notify_url": ADDRESS}


def test_without_a_public_address_no_channel_is_opened(connected, toy, settings):
    settings.PUBLIC_URL = ""

    assert webhooks.renew_watches() == 0
    assert toy.calls == []
