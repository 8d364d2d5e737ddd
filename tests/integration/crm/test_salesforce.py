"""Salesforce through the real session and the real webhook intake."""

from collections.abc import Iterator

import pytest
from django.test import Client

from apps.accounts.services import erasing
from apps.crm.adapters.provider import AccessRevoked, LimitReached
from apps.crm.models import Connection, DeadLetter, Exchange, Link, OAuthToken, WebhookDelivery
from apps.crm.services import calling, field_mappings, outbox, pushing, webhooks
from tests.factories.crm import STAFF, make_client, run_through
from tests.factories.rows import make_group, make_holder
from tests.fakes.fake import Limit
from tests.fakes.salesforce import SalesforceFake
from tests.fakes.salesforce_messages import OUTBOUND_TYPE, outbound, relayed
from tests.fakes.server import serving
from tests.integration.crm.toys import CLIENT_ID, CLIENT_SECRET, give_access

pytestmark = pytest.mark.django_db

PLACE = "/api/webhooks/crm/salesforce"
SECRET = "a-shared-secret-of-the-webhooks"
NOTIFICATION = ("04l5g0000000001AAA", {"Id": "0035g00000AbCdEAAV"})


@pytest.fixture
def fake(settings) -> Iterator[SalesforceFake]:
    fake = SalesforceFake()
    fake.grants.clients = {CLIENT_ID: CLIENT_SECRET}
    with serving(fake) as url:
        settings.OUTGOING_ALLOWS_LOOPBACK = True
        settings.CRM_SALESFORCE_URL = settings.CRM_SALESFORCE_OAUTH_URL = url
        settings.PUBLIC_URL = "https://rtx.example"
        yield fake


@pytest.fixture
def connected(fake, make_connection) -> Connection:
    row = make_connection(
        provider="salesforce",
        name="Salesforce",
        customer_object="Contact",
        account_object="Trading_Account__c",
        external_id=fake.organization_id,
        status=Connection.Status.ACTIVE,
    )
    row.webhook_secret = SECRET
    row.save()
    give_access(row, fake)
    return row


def health(connection):
    with calling.opened(connection) as provider:
        return provider.health()


def test_an_ended_session_is_refreshed_once_and_the_rotated_token_is_kept(connected, fake):
    fake.grants.expire()

    assert health(connected).external_id == fake.organization_id

    held = OAuthToken.objects.get()
    assert fake.grants.refreshed == 1
    assert list(fake.grants.refresh_tokens) == [held.refresh_token]  # the old one is dead
    assert held.generation == 2
    fake.grants.expire()
    health(connected)
    assert OAuthToken.objects.get().generation == 3


def test_a_grant_that_was_taken_away_is_shown(connected, fake):
    fake.grants.revoke_all()

    with pytest.raises(AccessRevoked):
        health(connected)

    assert Connection.objects.get().status == Connection.Status.REVOKED


def test_the_calls_of_the_day_are_remembered_and_a_used_up_day_is_not_tried_again(connected, fake):
    fake.limit = Limit(calls_max=5, window_s=86_400)
    health(connected)  # an organization, its limits, two descriptions
    row = Connection.objects.get()
    assert (row.daily_max, row.daily_left) == (5, 1)

    fake.limit = Limit(calls_max=4, window_s=86_400)  # another program took the last one
    with pytest.raises(LimitReached) as reached:
        health(connected)
    with pytest.raises(calling.Held) as held:
        health(connected)

    assert reached.value.code == "daily_limit"
    assert 840 < held.value.retry_after_s <= 900
    assert fake.count(status=403) == 1
    assert Exchange.objects.order_by("-pk").first().error_code == "daily_limit"


def test_an_outbound_message_is_acknowledged_and_stored_once(connected):
    client = Client()
    body = outbound([NOTIFICATION])

    answers = [client.post(f"{PLACE}/{SECRET}", body, content_type=OUTBOUND_TYPE) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert b"<Ack>true</Ack>" in answers[1].content
    assert answers[0]["Content-Type"] == "text/xml; charset=utf-8"
    assert WebhookDelivery.objects.count() == 1


@pytest.mark.parametrize("place", [PLACE, f"{PLACE}/wrong"])
def test_an_outbound_message_without_the_secret_is_not_believed(connected, place):
    answer = Client().post(place, outbound([NOTIFICATION]), content_type=OUTBOUND_TYPE)

    assert (answer.status_code, answer.json()["code"]) == (401, "webhook_signature")
    assert WebhookDelivery.objects.count() == 0


def test_a_signed_relay_is_taken_once(connected, fake):
    fake.add("Contact", LastName="Doe")
    body, headers = relayed({"events": fake.events}, secret=SECRET)
    sent = {"headers": {"X-RTX-Signature": headers["X-RTX-Signature"]}, "content_type": "application/json"}

    answers = [Client().post(PLACE, body, **sent) for _ in range(2)]
    forged = Client().post(PLACE, body + b" ", **sent)

    assert [answer.status_code for answer in (*answers, forged)] == [204, 204, 401]
    assert WebhookDelivery.objects.count() == 1


@pytest.fixture
def synced(connected) -> Connection:
    field_mappings.install_defaults(connected)
    return connected


def contacts(fake):
    return {row["RTX_Client_Id__c"]: row for row in fake.alive("Contact")}


def drain(connection):
    while outbox.dispatch():
        pass
    with calling.opened(connection) as provider:
        while pushing.push_due(connection, provider).taken:
            pass


def test_a_full_run_joins_makes_and_hangs_accounts_on_their_customers(synced, fake):
    there = fake.add("Contact", LastName="Client1", Email="ann1@example.com", Phone="+33123456789")
    one, two = make_client(1), make_client(2)
    holder = make_holder(group=make_group(), balance="100")
    third = str(holder.row.client_id)

    run = run_through(synced)

    assert (run.status, run.failed) == ("done", 0)
    found = contacts(fake)
    assert set(found) == {str(one.pk), str(two.pk), third}
    assert found[str(one.pk)]["Id"] == there.id
    (account,) = fake.alive("Trading_Account__c")
    assert account["RTX_Login__c"] == str(holder.login)
    assert account["RTX_Client__c"] == found[third]["Id"]
    one.refresh_from_db()
    assert one.phone == "+33123456789"


def test_changes_go_both_ways_without_an_echo(synced, fake):
    client = make_client(1)
    run_through(synced)
    drain(synced)
    crm_id = contacts(fake)[str(client.pk)]["Id"]
    fake.change("Contact", crm_id, FirstName="Anna")

    pulled = run_through(synced, "incremental")
    drain(synced)
    writes = fake.count("collection_update") + fake.count("collection_upsert")
    again = run_through(synced, "incremental")
    drain(synced)

    client.refresh_from_db()
    assert (pulled.pulled, again.pulled, client.first_name) == (1, 0, "Anna")
    assert fake.count("collection_update") + fake.count("collection_upsert") == writes


def test_a_contact_that_is_deleted_there_is_not_made_anew(synced, fake):
    client = make_client(1)
    fake.clock.advance(-600)
    run_through(synced)
    fake.remove("Contact", contacts(fake)[str(client.pk)]["Id"])
    fake.clock.advance(600)

    run_through(synced, "incremental")
    run_through(synced)

    assert Link.objects.get(client=client).status == Link.Status.GONE
    assert fake.alive("Contact") == []


def test_a_signed_event_pulls_the_record_that_it_names(synced, fake):
    client = make_client(1)
    run_through(synced)
    drain(synced)
    fake.events.clear()
    fake.change("Contact", contacts(fake)[str(client.pk)]["Id"], FirstName="Anna")
    body, headers = relayed({"events": fake.events}, secret=SECRET)
    sent = {"headers": {"X-RTX-Signature": headers["X-RTX-Signature"]}, "content_type": "application/json"}

    assert Client().post(PLACE, body, **sent).status_code == 204
    assert webhooks.process_due() == 1

    client.refresh_from_db()
    assert client.first_name == "Anna"


@pytest.fixture
def two(synced, fake):
    """Two clients and the ids of their contacts."""
    clients = [make_client(1), make_client(2)]
    run_through(synced)
    return [(client, contacts(fake)[str(client.pk)]["Id"]) for client in clients]


def test_of_an_erased_client_whose_contact_was_merged_what_may_be_left_is_told(synced, fake, two):
    (first, kept), (second, gone) = two
    fake.merge("Contact", kept, gone)

    erasing.erase(client_id=second.pk, actor=STAFF)
    drain(synced)

    assert list(contacts(fake)) == [str(first.pk)]
    assert (Link.objects.get(client=second).status, fake.count("delete")) == ("erased", 0)
    letter = DeadLetter.objects.get()
    assert (letter.direction, letter.error_code) == ("erase", "record_merged")
    assert letter.error.startswith(f"Record {gone} became another customer's there")


def test_another_client_s_contact_that_took_an_erased_one_s_id_over_is_left_and_told(synced, fake, two):
    (first, kept), (second, gone) = two
    fake.merge("Contact", kept, gone, RTX_Client_Id__c=str(second.pk))

    erasing.erase(client_id=second.pk, actor=STAFF)
    drain(synced)

    assert [row["Id"] for row in fake.alive("Contact")] == [kept]
    assert DeadLetter.objects.get().error.startswith(f"Record {kept} became another customer's there")
    assert Link.objects.get(client=first).crm_id == kept


def test_a_contact_of_nobody_that_took_an_erased_client_s_over_is_deleted(synced, fake, two):
    (first, _), (second, gone) = two
    stray = fake.add("Contact", LastName="Double")
    fake.merge("Contact", stray.id, gone, RTX_Client_Id__c=str(second.pk))

    erasing.erase(client_id=second.pk, actor=STAFF)
    drain(synced)

    assert list(contacts(fake)) == [str(first.pk)]
    assert not DeadLetter.objects.exists()
