"""Zoho through the real session, the sync, and the real webhook intake."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client as Browser

from apps.accounts.services import clients, erasing
from apps.audit.models import StaffAction
from apps.crm.adapters.provider import Forbidden
from apps.crm.models import Connection, Exchange, Link, OAuthToken, WebhookDelivery, WebhookEvent
from apps.crm.services import (
    calling,
    connections,
    field_mappings,
    oauth,
    outbox,
    pulling,
    pushing,
    watches,
    webhooks,
)
from apps.risk.models import RiskAlarm
from rtx.kernel import clock
from tests.factories.crm import STAFF, make_client, run_through
from tests.factories.rows import make_group, make_holder
from tests.fakes.fake import Fault
from tests.fakes.server import serving
from tests.fakes.zoho import ZohoFake
from tests.integration.crm.toys import CLIENT_ID, CLIENT_SECRET, give_access

pytestmark = pytest.mark.django_db

PLACE = "/api/webhooks/crm/zoho"
TOKEN = "the-token-of-the-channel"


@pytest.fixture
def fake(settings) -> Iterator[ZohoFake]:
    fake = ZohoFake().with_rtx_fields()
    fake.grants.clients = {CLIENT_ID: CLIENT_SECRET}
    with serving(fake) as url:
        settings.OUTGOING_ALLOWS_LOOPBACK = True
        settings.CRM_ZOHO_URL = settings.CRM_ZOHO_OAUTH_URL = url
        settings.PUBLIC_URL = "https://rtx.example"
        yield fake


@pytest.fixture
def draft(fake, make_connection) -> Connection:
    row = make_connection(
        provider="zoho",
        name="Zoho CRM",
        region="eu",
        customer_object="Contacts",
        account_object="Deals",
        calls_max=1000,
    )
    row.webhook_secret = TOKEN
    row.save()
    field_mappings.install_defaults(row)
    return row


@pytest.fixture
def connected(draft, fake) -> Connection:
    Connection.objects.update(status=Connection.Status.ACTIVE, external_id=fake.org_id)
    give_access(draft, fake)
    draft.refresh_from_db()
    return draft


def contacts(fake) -> dict[str, dict[str, Any]]:
    """Return the organization's contacts by RTX's id."""
    return {one.values.get("RTX_Client_Id"): one.values for one in fake.modules["Contacts"].alive()}


def settle(connection) -> None:
    while outbox.dispatch():
        pass
    while pushing.push_all(connection_id=connection.pk, for_s=30):
        pass


def deliver(fake, **changes: Any) -> list[int]:
    """Post what Zoho has to tell; return the statuses."""
    bodies = [fake.delivery({**event, **changes}) for event in fake.events]
    return [
        Browser().post(PLACE, body, content_type=headers["Content-Type"]).status_code
        for body, headers in bodies
    ]


def test_an_agreed_authorization_connects_and_names_the_organization(draft, fake, actor, settings):
    back = "https://rtx.example/admin/crm/callback"
    url = oauth.start(connection_id=draft.pk, actor=actor, redirect_uri=back).url
    asked = {name: value for name, (value,) in parse_qs(urlsplit(url).query).items()}
    answer = parse_qs(urlsplit(fake.grants.agree(asked)).query)

    row = oauth.finish(actor=actor, state=answer["state"][0], code=answer["code"][0], error="")

    assert (row.status, row.external_id, row.api_url) == ("active", fake.org_id, settings.CRM_ZOHO_URL)
    assert OAuthToken.objects.get().refresh_token in fake.grants.refresh_tokens


def test_an_ended_token_is_refreshed_once_and_the_refresh_token_stays(connected, fake):
    before = OAuthToken.objects.get().refresh_token
    fake.grants.expire()

    with calling.opened(connected) as provider:
        provider.health()
        provider.describe("Contacts")

    held = OAuthToken.objects.get()
    assert (held.refresh_token, held.generation, fake.grants.refreshed) == (before, 2, 1)


def test_a_missing_scope_is_no_revocation_and_costs_no_token(connected, fake):
    fake.missing_scopes.add("ZohoCRM.settings.fields.READ")

    with calling.opened(connected) as provider, pytest.raises(Forbidden) as caught:
        provider.describe("Contacts")

    connected.refresh_from_db()
    assert (caught.value.code, connected.status, fake.grants.refreshed) == ("missing_scopes", "active", 0)


def test_when_too_many_tokens_were_asked_for_nobody_asks_again_soon(connected, fake):
    make_client()
    outbox.dispatch()
    fake.grants.expire()
    fake.given = [fake.clock()] * 10

    pushing.push_all(connection_id=connected.pk, for_s=5)

    connected.refresh_from_db()
    assert timedelta(minutes=9) < connected.not_before - clock.now() <= timedelta(minutes=10)
    assert (connected.status, fake.count("token"), pushing.waiting()) == ("active", 1, [])


def test_a_full_sync_brings_clients_and_accounts_over_once(connected, fake):
    holder = make_holder(group=make_group(), balance="100")
    for number in range(120):
        make_client(number)

    run = run_through(connected)
    again = run_through(connected)

    assert (run.status, run.created, run.failed) == ("done", 122, 0)
    assert (again.unchanged, again.created, again.updated, again.pulled, again.conflicts) == (122, 0, 0, 0, 0)
    assert len(contacts(fake)) == 121
    assert fake.batches("upsert") == [100, 21, 1]
    assert contacts(fake)[str(holder.row.client.pk)]["Email"] == holder.row.client.email
    (deal,) = fake.modules["Deals"].alive()
    assert (deal.values["RTX_Login"], deal.values["Amount"]) == (str(holder.login), 100.0)
    assert deal.values["Contact_Name"]["id"] in fake.modules["Contacts"].records


def test_changes_and_deletions_there_come_with_the_next_run(connected, fake):
    changed, deleted = make_client(1), make_client(2)
    run_through(connected)
    ids = {link.client_id: link.crm_id for link in Link.objects.all()}
    fake.edit("Contacts", ids[changed.pk], Phone="+33123456789", Mailing_Country="France")
    fake.remove("Contacts", ids[deleted.pk])

    run = run_through(connected, "incremental")

    changed.refresh_from_db()
    assert (run.pulled, changed.phone, changed.country) == (1, "+33123456789", "FR")
    assert Link.objects.get(client=deleted).status == Link.Status.GONE


def test_a_change_here_is_there_and_does_not_come_back(connected, fake):
    client = make_client()
    run_through(connected)
    clients.change(client_id=client.pk, changes={"first_name": "Änne"})

    settle(connected)
    run = run_through(connected, "incremental")

    assert contacts(fake)[str(client.pk)]["First_Name"] == "Änne"
    assert (run.pulled, run.conflicts, run.updated) == (0, 0, 0)


def test_contacts_with_the_same_email_are_joined(connected, fake):
    fake.add("Contacts", Email="ann1@example.com", First_Name="Ann", Phone="+33123456789")
    client = make_client()

    settle(connected)

    assert list(contacts(fake)) == [str(client.pk)]
    assert contacts(fake)[str(client.pk)]["Phone"] == "+33123456789"


def test_an_erased_client_is_emptied_and_deleted_there(connected, fake):
    client = make_client()
    settle(connected)
    (kept,) = fake.modules["Contacts"].alive()

    erasing.erase(client_id=client.pk, actor=STAFF)
    settle(connected)

    assert fake.modules["Contacts"].alive() == []
    assert {name: value for name, value in kept.values.items() if value} == {"Last_Name": "Erased"}
    assert Link.objects.get().status == Link.Status.ERASED


def test_a_notification_is_believed_by_its_token_and_read_anew(connected, fake):
    client = make_client()
    settle(connected)
    assert watches.renew() == 1
    fake.edit("Contacts", Link.objects.get().crm_id, First_Name="Anna")

    assert deliver(fake, token="another") == [401]
    assert deliver(fake) == [204]
    assert deliver(fake) == [204]  # sent twice
    assert webhooks.process_due() == 1

    client.refresh_from_db()
    assert client.first_name == "Anna"
    assert WebhookDelivery.objects.get().status == "done"
    assert WebhookEvent.objects.get().outcome == "taken"


def test_what_a_notification_claims_is_not_taken_over(connected, fake):
    client = make_client()
    settle(connected)
    watches.renew()
    fake.edit("Contacts", Link.objects.get().crm_id, Phone="+33123456789")

    claimed = [{"record_id": Link.objects.get().crm_id, "values": {"First_Name": "Mallory"}}]
    deliver(fake, affected_values=claimed, operation="delete")
    webhooks.process_due()

    client.refresh_from_db()
    assert (client.first_name, client.phone) == ("Ann", "+33123456789")
    assert Link.objects.get().status == Link.Status.ACTIVE


def test_the_channel_is_kept_without_its_token(connected, fake):
    watches.renew()
    watches.renew()

    connected.refresh_from_db()
    (channel,) = fake.channels.values()
    assert (connected.watch["channel_id"], channel["notify_url"]) == (
        channel["channel_id"],
        f"https://rtx.example{PLACE}",
    )
    assert TOKEN not in str(connected.watch)
    assert Exchange.objects.filter(operation="watch").count() == 1


def test_a_list_that_leaves_records_out_deletes_nobody(connected, fake):
    first, second = make_client(1), make_client(2)
    settle(connected)
    ids = [Link.objects.get(client=one).crm_id for one in (first, second)]
    fake.edit("Contacts", ids[0], First_Name="Anna")
    fake.remove("Contacts", ids[1])
    fake.fail(Fault(status=204), path=r"Contacts\?ids")

    with calling.opened(connected) as provider:
        pulling.pull_named(connected, provider, object_name="Contacts", crm_ids=ids, cause="webhook")

    first.refresh_from_db()
    assert first.first_name == "Anna"
    assert [Link.objects.get(client=one).status for one in (first, second)] == ["active", "gone"]


def test_a_missing_channel_of_notifications_fails_the_test(connected, fake, actor):
    missing = connections.test(connection_id=connected.pk, actor=actor)
    watches.renew()
    there = connections.test(connection_id=connected.pk, actor=actor)

    told = {one.step: (one.outcome, one.code) for one in missing.findings}
    assert (missing.is_ok, told["webhook"]) == (False, ("failed", "watch_missing"))
    assert {one.step: one.outcome for one in there.findings}["webhook"] == "ok"


def test_a_channel_that_may_not_be_opened_is_a_fault_that_staff_are_told_of(connected, fake):
    fake.fail(Fault(status=401, body={"code": "OAUTH_SCOPE_MISMATCH"}), path="actions/watch")

    assert watches.renew() == 0

    connected.refresh_from_db()
    assert (connected.fault_code, connected.watch) == ("missing_scopes", {})
    assert RiskAlarm.objects.get(kind="crm_fault").subject == "zoho"


def test_a_refused_channel_holds_nothing_else_and_is_told_once(connected, fake):
    fake.fail(Fault(status=400, body={"code": "NO_PERMISSION"}), path="actions/watch", times=2)

    for number in range(2):
        assert watches.renew() == 0
        make_client(number)
        settle(connected)

        connected.refresh_from_db()
        assert (connected.fault_code, connected.fault_during) == ("missing_rights", "watch")
        assert (connected.open_until, connected.failures, len(contacts(fake))) == (None, 0, number + 1)
    assert RiskAlarm.objects.get(kind="crm_fault").cleared_at is None
    assert StaffAction.objects.filter(operation="crm.fault").count() == 1

    assert watches.renew() == 1
    connected.refresh_from_db()
    assert connected.fault_code == ""
