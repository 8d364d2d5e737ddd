"""Records that people merge at the provider: nobody's record is overwritten or deleted for another one."""

import pytest

from apps.accounts.models import Client
from apps.accounts.services import erasing
from apps.crm.models import Connection, DeadLetter, Link, SyncEntry
from tests.factories.crm import STAFF, make_client
from tests.fakes.hubspot import HubSpotFake
from tests.integration.crm.test_sync_hubspot import contacts, settle

pytestmark = pytest.mark.django_db


@pytest.fixture
def merged(joined: Connection, hubspot: HubSpotFake) -> tuple[Client, Client]:
    """Return two clients; the second one's contact became a part of the first one's."""
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
