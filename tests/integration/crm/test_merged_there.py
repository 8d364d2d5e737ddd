"""Records that people merge at the provider: nobody's record is overwritten or deleted for another one."""

from collections.abc import Sequence

import pytest

from apps.accounts.models import Client
from apps.accounts.services import clients, erasing
from apps.crm.adapters.provider import Upsert, Written
from apps.crm.models import Connection, DeadLetter, FieldMapping, Link, SyncEntry
from apps.crm.services import calling, outbox, pulling, pushing
from tests.factories.crm import STAFF, MemoryCrm, make_client, run_through
from tests.factories.crm import settle as settle_memory
from tests.fakes.hubspot import HubSpotFake
from tests.integration.crm.test_sync_hubspot import contacts, settle

pytestmark = pytest.mark.django_db


@pytest.fixture
def merged(joined: Connection, hubspot: HubSpotFake) -> tuple[Client, Client]:
    """Return two clients; the second one's contact became a part of the first one's. Nothing is compared."""
    FieldMapping.objects.filter(connection=joined).update(direction="push")
    first, second = make_client(1, phone="+491"), make_client(2, phone="+492")
    settle(joined)
    hubspot.merge("contacts", link(first).crm_id, link(second).crm_id)
    return first, second


def link(client: Client) -> Link:
    return Link.objects.get(client=client)


def test_erasing_a_merged_client_leaves_the_other_one_s_contact(
    joined: Connection, hubspot: HubSpotFake, merged: tuple[Client, Client]
) -> None:
    first, second = merged
    crm_id = link(second).crm_id

    erasing.erase(client_id=second.pk, actor=STAFF)
    settle(joined)

    assert list(contacts(hubspot)) == [str(first.pk)]
    assert (hubspot.count("gdpr_delete"), link(second).status) == (0, "erased")
    assert SyncEntry.objects.get(action="erased").detail == "nothing was found there"
    letter = DeadLetter.objects.get()
    assert (letter.direction, letter.status, letter.error_code) == ("erase", "open", "record_merged")
    assert letter.error == (
        f"Record {crm_id} became another customer's there: see by hand what is left of this one."
    )


def test_erasing_who_the_contact_belongs_to_deletes_it(
    joined: Connection, hubspot: HubSpotFake, merged: tuple[Client, Client]
) -> None:
    erasing.erase(client_id=merged[0].pk, actor=STAFF)
    settle(joined)

    assert (contacts(hubspot), hubspot.count("gdpr_delete")) == ({}, 1)
    assert not DeadLetter.objects.exists()


def test_a_contact_that_bears_another_client_s_id_is_not_deleted(
    joined: Connection, hubspot: HubSpotFake
) -> None:
    first, second = make_client(1), make_client(2)
    settle(joined)
    hubspot.remove("contacts", link(second).crm_id)
    hubspot.edit("contacts", link(first).crm_id, rtx_client_id=str(second.pk))

    erasing.erase(client_id=first.pk, actor=STAFF)
    settle(joined)

    assert list(contacts(hubspot)) == [str(second.pk)]
    assert DeadLetter.objects.get().error_code == "record_merged"


def test_a_change_of_a_merged_client_does_not_stay_in_the_other_one_s_contact(
    joined: Connection, hubspot: HubSpotFake, merged: tuple[Client, Client]
) -> None:
    first, second = merged
    clients.change(client_id=second.pk, changes={"phone": "+4922", "last_name": "Private"})

    settle(joined)

    (contact,) = contacts(hubspot).values()
    assert (contact["rtx_client_id"], contact["phone"], contact["lastname"], contact["email"]) == (
        str(first.pk),
        "+491",
        "Client1",
        "ann1@example.com",
    )
    assert (link(second).status, link(second).is_waiting, link(second).attempts) == ("gone", False, 0)
    gone = SyncEntry.objects.get(action="gone")
    assert (gone.link_id, gone.detail) == (link(second).pk, "merged into another customer's record")
    run_through(joined, "incremental")
    first.refresh_from_db()
    assert (first.phone, first.last_name, first.email) == ("+491", "Client1", "ann1@example.com")


def test_what_was_written_to_another_one_s_contact_is_not_written_there_again(
    joined: Connection, hubspot: HubSpotFake, merged: tuple[Client, Client]
) -> None:
    second = merged[1]
    clients.change(client_id=second.pk, changes={"phone": "+4922"})
    settle(joined)
    written = hubspot.count("batch_update")

    clients.change(client_id=second.pk, changes={"phone": "+4933"})
    settle(joined)

    assert hubspot.count("batch_update") == written == 2  # the change, and the first client again


def test_what_a_pull_finds_before_the_contact_is_mended_is_not_taken_over(
    joined: Connection, hubspot: HubSpotFake, merged: tuple[Client, Client]
) -> None:
    first, second = merged
    clients.change(client_id=second.pk, changes={"phone": "+4922"})
    while outbox.dispatch():
        pass
    with calling.opened(joined) as provider:
        pushing.push_due(joined, provider)
        assert [one["phone"] for one in contacts(hubspot).values()] == ["+4922"]
        FieldMapping.objects.filter(connection=joined).update(direction="newest")
        pulling.pull_named(
            joined, provider, object_name="contacts", crm_ids=[link(first).crm_id], cause="webhook"
        )
    settle(joined)

    first.refresh_from_db()
    assert first.phone == "+491"
    assert contacts(hubspot)[str(first.pk)]["phone"] == "+491"


def test_both_clients_of_a_merged_contact_in_one_batch_hold_nobody_up(
    joined: Connection, hubspot: HubSpotFake, merged: tuple[Client, Client]
) -> None:
    first, second = merged
    clients.change(client_id=first.pk, changes={"phone": "+4911"})
    clients.change(client_id=second.pk, changes={"phone": "+4922"})
    third = make_client(3)

    settle(joined)

    there = contacts(hubspot)
    assert set(there) == {str(first.pk), str(third.pk)}
    assert (there[str(first.pk)]["phone"], there[str(first.pk)]["lastname"]) == ("+4911", "Client1")
    assert [link(one).status for one in (first, second, third)] == ["active", "gone", "active"]
    assert not Link.objects.filter(is_waiting=True).exists()


def test_a_link_of_the_batch_that_has_nothing_to_send_keeps_its_record(
    connection: Connection, crm: MemoryCrm, monkeypatch
) -> None:
    first, second = make_client(1), make_client(2)
    settle_memory(connection, crm)
    clients.change(client_id=first.pk, changes={"document_number": "X"})  # mapped to nothing
    clients.change(client_id=second.pk, changes={"last_name": "Other"})
    third, kept = make_client(3), crm.of(first)
    while outbox.dispatch():
        pass

    def merging(object_name: str, wanted: Sequence[Upsert]) -> list[Written]:
        kept.external_id, kept.fields["lastname"] = str(second.pk), "Other"
        ids = {str(second.pk): kept.crm_id}
        return [Written(one.external_id, ids.get(one.external_id, "777")) for one in wanted]

    monkeypatch.setattr(crm, "upsert", merging)
    pushing.push_due(connection, crm)

    assert [link(one).status for one in (first, second, third)] == ["active", "gone", "active"]
    assert (link(third).crm_id, link(third).is_waiting, link(first).is_waiting) == ("777", False, True)
    monkeypatch.undo()
    settle_memory(connection, crm)
    first.refresh_from_db()
    assert (crm.of(first).fields["lastname"], first.last_name) == ("Client1", "Client1")


def test_a_client_follows_a_contact_that_was_merged_into_nobody_s(
    joined: Connection, hubspot: HubSpotFake
) -> None:
    FieldMapping.objects.filter(connection=joined).update(direction="push")
    client = make_client(1, phone="+491")
    settle(joined)
    other = hubspot.add("contacts", email="sales@example.com", firstname="Annie")
    hubspot.merge("contacts", other, link(client).crm_id)
    clients.change(client_id=client.pk, changes={"phone": "+4911"})

    settle(joined)

    assert (link(client).crm_id, link(client).status, link(client).is_waiting) == (other, "active", False)
    contact = contacts(hubspot)[str(client.pk)]
    assert (contact["phone"], contact["firstname"], contact["lastname"]) == ("+4911", "Ann", "Client1")
