"""Records that people merge at the provider: nobody's record is overwritten or deleted for another one."""

from collections.abc import Sequence

import pytest
from django.db.models import F

from apps.accounts.models import Client, TradingAccount
from apps.accounts.services import clients, erasing
from apps.crm.adapters.provider import Upsert, Written
from apps.crm.models import Conflict, Connection, DeadLetter, FieldMapping, Link, SyncEntry
from apps.crm.services import calling, outbox, previewing, pulling, pushing
from rtx.kernel import clock
from tests.factories.crm import STAFF, MemoryCrm, make_client, run_through
from tests.factories.crm import settle as settle_memory
from tests.factories.rows import make_group, make_holder
from tests.fakes.hubspot import HubSpotFake
from tests.integration.crm.test_sync_hubspot import contacts, settle

pytestmark = pytest.mark.django_db


@pytest.fixture(params=[False, True], ids=["new-id", "primary's-id"])
def keeps_id(request: pytest.FixtureRequest) -> bool:
    """Return whether what comes of a merger has the first record's id, as it once was at HubSpot."""
    return bool(request.param)


@pytest.fixture
def two(joined: Connection) -> tuple[Client, Client]:
    """Return two clients with contacts."""
    clients_ = make_client(1, phone="+491"), make_client(2, phone="+492")
    settle(joined)
    return clients_


@pytest.fixture
def merged(
    joined: Connection, hubspot: HubSpotFake, two: tuple[Client, Client], keeps_id: bool
) -> tuple[Client, Client]:
    """Return two clients; the second one's contact became a part of the first one's. Nothing is compared."""
    FieldMapping.objects.filter(connection=joined).update(direction="push")
    hubspot.merge("contacts", link(two[0]).crm_id, link(two[1]).crm_id, keeps_id=keeps_id)
    return two


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
    (crm_id,) = (one.id for one in hubspot.contacts.records.values())
    assert (link(first).crm_id, link(first).status, link(first).is_waiting) == (crm_id, "active", False)
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


@pytest.mark.parametrize("last", [0, 1])  # what changed last is sent first
def test_both_clients_of_a_merged_contact_in_one_batch_hold_nobody_up(
    joined: Connection, hubspot: HubSpotFake, merged: tuple[Client, Client], last: int
) -> None:
    first, second = merged
    phones = {first.pk: "+4911", second.pk: "+4922"}
    for client in (merged[1 - last], merged[last]):
        clients.change(client_id=client.pk, changes={"phone": phones[client.pk]})
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
    joined: Connection, hubspot: HubSpotFake, keeps_id: bool
) -> None:
    FieldMapping.objects.filter(connection=joined).update(direction="push")
    client = make_client(1, phone="+491")
    settle(joined)
    other = hubspot.add("contacts", email="sales@example.com", firstname="Annie")
    other = hubspot.merge("contacts", other, link(client).crm_id, keeps_id=keeps_id)
    clients.change(client_id=client.pk, changes={"phone": "+4911"})

    settle(joined)

    assert (link(client).crm_id, link(client).status, link(client).is_waiting) == (other, "active", False)
    contact = contacts(hubspot)[str(client.pk)]
    assert (contact["phone"], contact["firstname"], contact["lastname"]) == ("+4911", "Ann", "Client1")


def test_a_client_follows_a_contact_of_nobody_s_that_lost_rtx_s_id(
    joined: Connection, hubspot: HubSpotFake
) -> None:
    client = make_client(1)
    settle(joined)
    old = link(client).crm_id
    made = hubspot.merge("contacts", hubspot.add("contacts", email="sales@example.com"), old)
    hubspot.edit("contacts", made, rtx_client_id="")

    pull(joined, old)
    settle(joined)

    assert (link(client).crm_id, link(client).status) == (made, "active")
    assert contacts(hubspot)[str(client.pk)]["email"] == "ann1@example.com"


def pull(connection: Connection, *crm_ids: str, object_name: str = "contacts") -> None:
    """Read records as after a webhook."""
    with calling.opened(connection) as provider:
        pulling.pull_named(connection, provider, object_name=object_name, crm_ids=crm_ids, cause="webhook")


@pytest.mark.parametrize("read", ["both", "primary", "other", "made", "search"])
def test_a_pull_finds_whose_a_merged_contact_is_and_keeps_what_staff_changed_there(
    joined: Connection, hubspot: HubSpotFake, two: tuple[Client, Client], read: str
) -> None:
    first, second = two
    run_through(joined)
    old = {"primary": link(first).crm_id, "other": link(second).crm_id}
    hubspot.edit("contacts", old["primary"], phone="+4977")
    made = hubspot.merge("contacts", old["primary"], old["other"])
    ids = {"both": [made, *old.values()], "made": [made], "search": []}.get(read) or [old.get(read, "")]

    if read == "search":
        run_through(joined, "incremental")
    else:
        pull(joined, *ids)
    settle(joined)

    assert (link(first).crm_id, link(first).status) == (made, "active")
    assert (link(second).crm_id, link(second).status) == (old["other"], "gone")
    first.refresh_from_db()
    assert (first.phone, contacts(hubspot)[str(first.pk)]["phone"]) == ("+4977", "+4977")


def test_a_contact_that_rtx_s_id_was_moved_to_by_hand_meets_the_client_for_the_first_time(
    joined: Connection, hubspot: HubSpotFake
) -> None:
    client = make_client(1, phone="+491")
    settle(joined)
    old = link(client).crm_id
    hubspot.edit("contacts", old, rtx_client_id="", email="old@example.com")
    new = hubspot.add("contacts", email="b@example.com", phone="+4999", rtx_client_id=str(client.pk))

    pull(joined, new)
    settle(joined)

    client.refresh_from_db()
    assert (link(client).crm_id, client.phone) == (new, "+491")
    assert contacts(hubspot)[str(client.pk)]["phone"] == "+491"


def test_an_update_through_a_merged_id_leaves_rtx_s_id_of_the_other_client(
    joined: Connection, hubspot: HubSpotFake, merged: tuple[Client, Client]
) -> None:
    first, second = merged
    clients.change(client_id=second.pk, changes={"phone": "+4922"})
    while outbox.dispatch():
        pass

    with calling.opened(joined) as provider:
        pushing.push_due(joined, provider)

        assert [one["phone"] for one in contacts(hubspot).values()] == ["+4922"]
        assert provider.find("contacts", str(second.pk)) == ""
        assert provider.find("contacts", str(first.pk)) == link(first).crm_id


def test_a_merged_contact_is_read_before_rtx_s_id_is_written_to_it(
    joined: Connection, hubspot: HubSpotFake, merged: tuple[Client, Client]
) -> None:
    first, second = merged
    Link.objects.filter(client=second).update(in_step_at=None, base_sealed=b"", wanted=F("wanted") + 1)

    settle(joined)

    (contact,) = contacts(hubspot).values()
    assert (contact["rtx_client_id"], contact["phone"]) == (str(first.pk), "+491")
    assert (hubspot.count("batch_update"), link(second).status) == (0, "gone")


def test_rtx_s_id_that_staff_cleared_is_written_again(joined: Connection, hubspot: HubSpotFake) -> None:
    client = make_client(1)
    settle(joined)
    run_through(joined)
    hubspot.edit("contacts", link(client).crm_id, rtx_client_id="")

    run_through(joined, "incremental")

    assert list(contacts(hubspot)) == [str(client.pk)]
    assert link(client).in_step_at is not None


def test_who_was_given_up_is_sent_again_when_their_contact_was_written_for_another(
    joined: Connection, hubspot: HubSpotFake, merged: tuple[Client, Client]
) -> None:
    first, second = merged
    Link.objects.filter(client=first).update(status="dead", attempts=8)
    letter = DeadLetter.objects.create(
        connection=joined, link=link(first), direction="push", error_code="x", created_at=clock.now()
    )
    clients.change(client_id=second.pk, changes={"phone": "+4922"})

    settle(joined)

    (contact,) = contacts(hubspot).values()
    assert (contact["rtx_client_id"], contact["phone"]) == (str(first.pk), "+491")
    assert (link(first).status, link(first).attempts, link(first).is_waiting) == ("active", 0, False)
    letter.refresh_from_db()
    assert letter.status == "replayed"


def test_what_staff_changed_in_a_contact_that_another_client_was_written_to_is_taken_over(
    joined: Connection, hubspot: HubSpotFake, two: tuple[Client, Client], keeps_id: bool
) -> None:
    first, second = two
    run_through(joined)
    hubspot.edit("contacts", link(first).crm_id, phone="+4977")
    made = hubspot.merge("contacts", link(first).crm_id, link(second).crm_id, keeps_id=keeps_id)
    clients.change(
        client_id=second.pk, changes={"email": "other@example.com"}
    )  # pushed alone: nothing is read
    while outbox.dispatch():
        pass
    with calling.opened(joined) as provider:
        pushing.push_due(joined, provider)
    assert hubspot.contacts.records[made].properties["email"] == "other@example.com"

    settle(joined)

    first.refresh_from_db()
    contact = contacts(hubspot)[str(first.pk)]
    assert (first.phone, contact["phone"], contact["email"]) == ("+4977", "+4977", "ann1@example.com")
    assert not Conflict.objects.exists()


def test_a_preview_shows_no_other_client(
    joined: Connection, hubspot: HubSpotFake, merged: tuple[Client, Client]
) -> None:
    shown = previewing.preview(joined, client_id=merged[1].pk)

    assert (shown.crm_id, {line.theirs for line in shown.lines}) == ("", {None})


@pytest.mark.parametrize("is_pushed", [False, True])
def test_an_account_follows_its_deal_and_the_other_one_s_ends(
    joined: Connection, hubspot: HubSpotFake, keeps_id: bool, is_pushed: bool
) -> None:
    group = make_group()
    first, second = (
        TradingAccount.objects.get(pk=make_holder(group=group, balance=balance).id)
        for balance in ("100", "200")
    )
    run_through(joined)
    links = [Link.objects.get(account=one) for one in (first, second)]
    made = hubspot.merge("deals", *(one.crm_id for one in links), keeps_id=keeps_id)

    if is_pushed:
        Link.objects.filter(account=second).update(base_sealed=b"", wanted=F("wanted") + 1)
    else:
        pull(joined, *(one.crm_id for one in links), object_name="deals")
    settle(joined)

    for one in links:
        one.refresh_from_db()
    assert [(one.crm_id, one.status) for one in links] == [(made, "active"), (links[1].crm_id, "gone")]
    assert {one.properties["amount"] for one in hubspot.deals.records.values()} == {"100.00"}
    assert {one.properties["rtx_login"] for one in hubspot.deals.records.values()} == {str(first.login)}
