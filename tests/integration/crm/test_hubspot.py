"""Clients in HubSpot and back: the sync, its calls and webhooks through HubSpot's adapter over HTTP."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from django.test import Client as Browser

from apps.accounts.models import Client
from apps.accounts.services import clients
from apps.crm.adapters.hubspot import HubSpot
from apps.crm.models import Connection, Link, OAuthToken, WebhookEvent
from apps.crm.services import calling, connections, oauth, outbox, pushing, webhooks
from rtx.kernel.actor import Actor
from tests.factories.crm import make_client, run_through
from tests.factories.rows import make_group, make_holder
from tests.fakes.fake import Fault, Limit
from tests.fakes.hubspot import HubSpotFake
from tests.fakes.server import serving

pytestmark = pytest.mark.django_db
SITE = "https://rtx.example"
BACK = f"{SITE}/admin/crm/callback/"


@pytest.fixture
def hubspot(settings: Any) -> Iterator[HubSpotFake]:
    fake = HubSpotFake()
    fake.calls_back = True
    with serving(fake) as url:
        settings.OUTGOING_ALLOWS_LOOPBACK = True
        settings.CRM_HUBSPOT_URL = settings.CRM_HUBSPOT_OAUTH_URL = url
        settings.PUBLIC_URL = SITE
        yield fake


@pytest.fixture
def connected(hubspot: HubSpotFake, actor: Actor) -> Connection:
    """Connect as a person does: settings, the page at HubSpot, back again."""
    made = connections.create(
        values={
            "provider": "hubspot",
            "name": "HubSpot",
            "client_id": "app",
            "client_secret": "a-secret-of-the-app",
            "customer_object": "contacts",
            "account_object": "deals",
        },
        actor=actor,
    )
    begun = oauth.start(connection_id=made.pk, actor=actor, redirect_uri=BACK)
    reply = httpx.post(begun.url, data={"agreed": "1"}, trust_env=False)
    query = parse_qs(urlsplit(reply.headers["location"]).query)
    return oauth.finish(actor=actor, state=query["state"][0], code=query["code"][0], error="")


def step(connection: Connection) -> None:
    """Send what changed."""
    while outbox.dispatch():
        pass
    with calling.opened(connection) as provider:
        while pushing.push_due(connection, provider).taken:
            pass


def contact_of(hubspot: HubSpotFake, client: Client) -> dict[str, str]:
    found = hubspot.contacts.find(str(client.pk), "rtx_client_id")
    assert found is not None
    return found.properties


def deliver(hubspot: HubSpotFake, events: list[dict[str, Any]]) -> int:
    """Send a webhook as HubSpot does and look at what was stored; return the answer's status."""
    assert hubspot.subscriber is not None
    url, secret = hubspot.subscriber
    body, headers = hubspot.delivery(events, url=url, secret=secret)
    answer = Browser().post(
        "/api/webhooks/crm/hubspot",
        data=body,
        content_type="application/json",
        headers={name: value for name, value in headers.items() if name != "Content-Type"},
    )
    webhooks.process_due()
    return int(answer.status_code)


def test_a_connected_portal_is_well(connected: Connection, hubspot: HubSpotFake, actor: Actor) -> None:
    diagnosis = connections.test(connection_id=connected.pk, actor=actor)

    assert [(one.step, one.code) for one in diagnosis.findings if one.outcome == "failed"] == []
    assert (connected.status, connected.external_id) == ("active", "62515")
    assert hubspot.contacts.properties["rtx_client_id"].is_unique


def test_everybody_and_their_accounts_stand_in_hubspot_once(
    connected: Connection, hubspot: HubSpotFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HubSpot, "batch_max", 10)
    for number in range(13):
        make_client(number)
    there = hubspot.add("contacts", email="ann7@example.com", company="Known before")
    holder = make_holder(group=make_group(), balance="100")

    run = run_through(connected)
    again = run_through(connected)

    assert (run.status, run.created, run.updated, run.failed) == ("done", 14, 1, 0)
    assert (again.status, again.created, again.updated, again.failed) == ("done", 0, 0, 0)
    assert len(hubspot.contacts.records) == 14
    assert (
        contact_of(hubspot, Client.objects.get(user__email="ann7@example.com"))["company"] == "Known before"
    )
    assert Link.objects.get(crm_id=there).status == "active"
    deal = hubspot.deals.find(str(holder.login), "rtx_login")
    assert deal is not None
    assert [name for name, _ in deal.associated] == ["contacts"]
    upserted = [call for call in hubspot.calls if call.path == "/crm/v3/objects/contacts/batch/upsert"]
    assert (len(upserted), sum(call.records for call in upserted)) == (2, 13)
    assert hubspot.batches("batch_update") == [1]  # who was there before


def test_a_change_here_arrives_there_and_does_not_come_back(
    connected: Connection, hubspot: HubSpotFake
) -> None:
    client = make_client()
    step(connected)
    clients.change(client_id=client.pk, changes={"phone": "+49 30 123456"})
    step(connected)
    ours = [one for one in hubspot.events if one["subscriptionType"] == "contact.propertyChange"]

    assert contact_of(hubspot, client)["phone"].replace(" ", "") == "+4930123456"
    assert deliver(hubspot, ours) == 204
    assert set(WebhookEvent.objects.values_list("outcome", flat=True)) == {"ignored"}
    writes = hubspot.count("batch_update") + hubspot.count("batch_upsert")
    run_through(connected, "incremental")
    step(connected)
    assert hubspot.count("batch_update") + hubspot.count("batch_upsert") == writes


def test_a_persons_change_there_arrives_here_by_webhook_once(
    connected: Connection, hubspot: HubSpotFake
) -> None:
    client = make_client()
    step(connected)
    hubspot.events.clear()
    crm_id = Link.objects.get(client=client).crm_id
    hubspot.edit("contacts", crm_id, firstname="Anna")
    events = list(hubspot.events)

    assert deliver(hubspot, events) == 204
    client.refresh_from_db()
    assert client.first_name == "Anna"

    reads = hubspot.count("batch_read")
    assert deliver(hubspot, [{**events[0], "attemptNumber": 1}]) == 204
    assert hubspot.count("batch_read") == reads
    writes = hubspot.count("batch_update") + hubspot.count("batch_upsert")
    step(connected)
    assert hubspot.count("batch_update") + hubspot.count("batch_upsert") == writes


def test_a_persons_change_there_arrives_here_without_webhooks_too(
    connected: Connection, hubspot: HubSpotFake
) -> None:
    client = make_client()
    run_through(connected)
    hubspot.edit("contacts", Link.objects.get(client=client).crm_id, lastname="Changed")

    run_through(connected, "incremental")

    client.refresh_from_db()
    assert client.last_name == "Changed"


def test_a_contact_that_a_person_deleted_is_not_made_anew(
    connected: Connection, hubspot: HubSpotFake
) -> None:
    client = make_client()
    step(connected)
    hubspot.remove("contacts", Link.objects.get(client=client).crm_id)
    clients.change(client_id=client.pk, changes={"first_name": "New"})

    step(connected)

    assert Link.objects.get(client=client).status == "gone"
    assert [one for one in hubspot.contacts.records.values() if not one.is_archived] == []


def test_contacts_that_were_merged_stay_the_clients(connected: Connection, hubspot: HubSpotFake) -> None:
    client = make_client()
    step(connected)
    old = Link.objects.get(client=client).crm_id
    other = hubspot.add("contacts", email="private@example.com", phone="+49 30 123456")
    hubspot.events.clear()

    made = hubspot.merge("contacts", other, old)
    assert deliver(hubspot, list(hubspot.events)) == 204
    clients.change(client_id=client.pk, changes={"first_name": "New"})
    step(connected)

    link = Link.objects.get(client=client)
    assert (link.status, link.crm_id) == ("active", made)
    assert contact_of(hubspot, client)["firstname"] == "New"


def test_of_two_clients_whose_contacts_were_merged_a_webhook_finds_who_has_the_new_one(
    connected: Connection, hubspot: HubSpotFake
) -> None:
    first, second = make_client(1), make_client(2)
    step(connected)
    kept, lost = (Link.objects.get(client=one) for one in (first, second))
    hubspot.events.clear()

    made = hubspot.merge("contacts", kept.crm_id, lost.crm_id)
    assert deliver(hubspot, list(hubspot.events)) == 204

    told = Link.objects.values_list("client_id", "crm_id", "status")
    assert set(told) == {(first.pk, made, "active"), (second.pk, lost.crm_id, "gone")}


def test_tokens_that_end_in_the_middle_are_refreshed_once(
    connected: Connection, hubspot: HubSpotFake
) -> None:
    for number in range(3):
        make_client(number)
    seen: list[str] = []

    def expire(request: Any) -> None:
        seen.append(request.path)
        if request.path.endswith("batch/upsert") and seen.count(request.path) == 1:
            hubspot.grants.expire()

    hubspot.on_request = expire

    run = run_through(connected)

    assert (run.status, run.created, run.failed) == ("done", 3, 0)
    assert hubspot.grants.refreshed == 1
    assert OAuthToken.objects.get().generation == 2


def test_an_answer_that_was_lost_makes_no_double(connected: Connection, hubspot: HubSpotFake) -> None:
    client = make_client()
    hubspot.with_rtx_properties()
    hubspot.fail(Fault(kind="drop", is_done=True), path="batch/upsert")
    hubspot.fail(Fault(status=502, is_done=True), path="batch/upsert")

    step(connected)

    assert len(hubspot.contacts.records) == 1
    link = Link.objects.get(client=client)
    assert (link.status, link.sent) == ("active", link.wanted)


def test_hubspots_own_word_on_its_limit_is_followed(connected: Connection, hubspot: HubSpotFake) -> None:
    assert (connected.calls_max, connected.window_s) == (100, 10)
    hubspot.limit = Limit(calls_max=3, window_s=0.3)

    with calling.opened(connected) as provider:
        for _ in range(8):
            provider.describe("contacts")

    assert hubspot.count("describe", status=200) == 8
    assert hubspot.count("describe", status=429) == 0


def test_an_erased_client_is_deleted_for_good(connected: Connection, hubspot: HubSpotFake) -> None:
    client = make_client()
    step(connected)
    clients.erase(client_id=client.pk)

    step(connected)

    assert hubspot.contacts.records == {}
    assert Link.objects.get(client=client).status == "erased"
    assert hubspot.count("gdpr_delete") == 1


def test_what_hubspot_writes_in_its_own_way_is_not_sent_again_and_again(
    connected: Connection, hubspot: HubSpotFake
) -> None:
    make_client(email="Ann.Upper@Example.com", first_name="  Ann ", phone="+49 30 123456")
    run_through(connected)
    writes = hubspot.count("batch_update") + hubspot.count("batch_upsert")

    for _ in range(2):
        run_through(connected, "incremental")
        step(connected)
    run_through(connected)

    assert hubspot.count("batch_update") + hubspot.count("batch_upsert") == writes == 1
