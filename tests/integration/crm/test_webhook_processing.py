"""Looking at what providers sent: each event once, in whatever order it comes, whatever fails."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections as databases

from apps.crm.models import Connection, DeadLetter, WebhookDelivery, WebhookEvent
from apps.crm.services import pulling, webhooks
from rtx.kernel import clock
from tests.factories.house import House, make_house
from tests.fakes.server import Fault, Limit
from tests.integration.crm.toys import event, link, send

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def house(db) -> House:
    return make_house()


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
