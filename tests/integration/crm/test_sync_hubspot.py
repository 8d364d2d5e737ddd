"""The sync through HubSpot's own adapter and its stand-in: pages, limits, bad records, joining, racing."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections

from apps.accounts.services import clients, erasing
from apps.crm.models import Connection, Exchange, Link, SyncEntry
from apps.crm.services import calling, outbox, pushing, runs
from tests.factories.crm import STAFF, make_client, run_through
from tests.factories.rows import make_group, make_holder
from tests.fakes.fake import Fault, Limit
from tests.fakes.hubspot import HubSpotFake

pytestmark = pytest.mark.django_db


def contacts(fake: HubSpotFake) -> dict[str, dict[str, str]]:
    """Return the portal's contacts by RTX's id."""
    rows = [one.properties for one in fake.contacts.records.values() if not one.is_archived]
    return {row.get("rtx_client_id", ""): row for row in rows}


def settle(connection: Connection) -> None:
    while outbox.dispatch():
        pass
    while pushing.push_all(connection_id=connection.pk, for_s=30):
        pass


def test_a_full_sync_brings_clients_and_accounts_over(joined: Connection, hubspot: HubSpotFake) -> None:
    holder = make_holder(group=make_group(), balance="100")
    client = holder.row.client
    for number in range(120):
        make_client(number)

    run = run_through(joined)

    assert (run.status, run.created, run.failed) == ("done", 122, 0)
    assert len(contacts(hubspot)) == 121
    assert contacts(hubspot)[str(client.pk)]["email"] == client.email
    assert hubspot.batches("batch_upsert")[:2] == [100, 21]
    (deal,) = hubspot.deals.records.values()
    assert (deal.properties["rtx_login"], deal.properties["amount"]) == (str(holder.login), "100.00")
    assert run.calls == Exchange.objects.filter(run=run).count() > 0


def test_a_second_full_sync_reads_every_page_and_writes_nothing(
    joined: Connection, hubspot: HubSpotFake
) -> None:
    for number in range(230):
        make_client(number)
    run_through(joined)
    written = hubspot.count("batch_upsert") + hubspot.count("batch_update")

    run = run_through(joined)

    assert (run.unchanged, run.pulled, run.conflicts) == (230, 0, 0)
    assert hubspot.count("batch_upsert") + hubspot.count("batch_update") == written


@pytest.mark.parametrize("multi_status", [True, False])
def test_one_bad_record_does_not_hold_its_batch(
    joined: Connection, hubspot: HubSpotFake, multi_status: bool
) -> None:
    hubspot.multi_status = multi_status
    everyone = [make_client(number) for number in range(12)]
    bad = everyone[4]

    clients.change(client_id=bad.pk, changes={"email": "no-address@nowhere"})

    settle(joined)

    assert len(contacts(hubspot)) == 11
    assert Link.objects.get(client=bad).attempts == 1


def test_contacts_with_the_same_email_are_joined(joined: Connection, hubspot: HubSpotFake) -> None:
    hubspot.add("contacts", email="ann1@example.com", firstname="Ann", phone="+33123456789")
    client = make_client()

    run = run_through(joined)

    assert (run.created, run.pulled) == (0, 1)
    assert len(hubspot.contacts.records) == 1
    assert contacts(hubspot)[str(client.pk)]["phone"] == "+33123456789"
    client.refresh_from_db()
    assert client.phone == "+33123456789"


def test_a_sync_waits_for_the_limit_and_goes_on(
    joined: Connection, hubspot: HubSpotFake, monkeypatch
) -> None:
    hubspot.limit = Limit(3, 2.0)
    Connection.objects.update(calls_max=3, window_s=2)
    for number in range(450):
        make_client(number)

    run = run_through(joined)

    assert (run.status, run.created) == ("done", 450)
    assert not [call for call in hubspot.calls if call.is_over]


def test_a_used_up_limit_and_broken_answers_lose_nobody(joined: Connection, hubspot: HubSpotFake) -> None:
    for number in range(30):
        make_client(number)
    hubspot.fail(Fault(status=429, headers={"Retry-After": "0"}), path="upsert$")
    hubspot.fail(Fault(kind="malformed", is_done=True), path="upsert$")
    hubspot.fail(Fault(kind="drop", is_done=True), path="upsert$")

    run = run_through(joined)

    assert run.status == "done"
    assert len(contacts(hubspot)) == len(hubspot.contacts.records) == 30
    assert Link.objects.filter(is_waiting=True).count() == 0


def test_workers_that_race_double_nobody(joined: Connection, hubspot: HubSpotFake) -> None:
    for number in range(150):
        make_client(number)
    outbox.dispatch()

    def work(_number: int) -> int:
        try:
            taken = 0
            with calling.opened(joined) as provider:
                while pushed := pushing.push_due(joined, provider).taken:
                    taken += pushed
            return taken
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        taken = sum(pool.map(work, range(4)))

    assert taken == 150
    assert len(hubspot.contacts.records) == 150
    assert SyncEntry.objects.filter(action="created").count() == 150


def test_an_erased_client_is_deleted_for_good(joined: Connection, hubspot: HubSpotFake) -> None:
    client = make_client()
    settle(joined)

    erasing.erase(client_id=client.pk, actor=STAFF)
    settle(joined)

    assert hubspot.count("gdpr_delete") == 1
    assert contacts(hubspot) == {}
    assert Link.objects.get().status == "erased"


def test_what_people_change_there_comes_over_and_goes_nowhere_else(
    joined: Connection, hubspot: HubSpotFake
) -> None:
    client = make_client()
    run_through(joined)
    link = Link.objects.get()
    hubspot.edit("contacts", link.crm_id, lastname="Married")
    written = hubspot.count("batch_update") + hubspot.count("batch_upsert")

    run = run_through(joined, "incremental")
    settle(joined)

    client.refresh_from_db()
    assert (run.pulled, client.last_name) == (1, "Married")
    assert hubspot.count("batch_update") + hubspot.count("batch_upsert") == written


def test_a_revoked_access_ends_a_run(joined: Connection, hubspot: HubSpotFake) -> None:
    run = runs.start(connection_id=joined.pk, kind="full", actor=STAFF)
    hubspot.grants.revoke_all()

    runs.carry_on(run_id=run.pk)

    run.refresh_from_db()
    joined.refresh_from_db()
    assert (run.status, run.error_code, joined.status) == ("failed", "access_revoked", "revoked")
