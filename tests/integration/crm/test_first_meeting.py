"""A record that was there before RTX meets its client: compared by the rules before anything is written."""

import pytest

from apps.accounts.models import Client
from apps.accounts.services import clients
from apps.crm.adapters.provider import Page, Unavailable
from apps.crm.domain.mapping import Pair
from apps.crm.models import Conflict, Connection, Link, SyncEntry, WebhookDelivery, WebhookEvent
from apps.crm.services import field_mappings, merging, outbox, pulling, pushing, webhooks
from rtx.kernel import clock
from tests.factories.crm import STAFF, MemoryCrm, make_client, run_through, settle
from tests.integration.crm.toys import event, send

pytestmark = pytest.mark.django_db


def map_phone(connection: Connection, direction: str) -> None:
    """Map the address by which records are joined, and the phone in one direction."""
    pairs = [Pair("email", "email"), Pair("phone", "phone", direction)]  # type: ignore[arg-type]
    field_mappings.replace(connection_id=connection.pk, kind="client", pairs=pairs, actor=STAFF)


@pytest.mark.parametrize(
    ("direction", "ours", "theirs", "stays", "winner"),
    [
        ("push", "+491", "+332", "+491", "rtx"),
        ("push", "", "+332", None, ""),
        ("pull", "+491", "+332", "+332", "crm"),
        ("pull", "+491", None, None, ""),
        ("newest", "+491", "+332", "+491", "rtx"),
        ("newest", "", "+332", "+332", ""),
        ("newest", "+491", None, "+491", ""),
        ("newest", "+491", "+491", "+491", ""),
    ],
)
def test_the_rule_of_each_field_decides_what_stays(
    direction: str,
    ours: str,
    theirs: str | None,
    stays: str | None,
    winner: str,
    connection: Connection,
    crm: MemoryCrm,
) -> None:
    map_phone(connection, direction)
    kept = crm.put("77", email="ann1@example.com", phone=theirs)
    client = make_client(phone=ours)

    settle(connection, crm)

    here = Client.objects.get(pk=client.pk).phone
    if stays is None:  # each side keeps its own: the other one has nothing to say
        assert (here, kept.fields["phone"]) == (ours, theirs)
    else:
        assert (here, kept.fields["phone"]) == (stays, stays)
    assert (kept.external_id, len(crm.all())) == (str(client.pk), 1)
    conflicts = [(one.rtx_field, one.winner, one.rule) for one in Conflict.objects.all()]
    assert conflicts == ([("phone", winner, direction)] if winner else [])
    link = Link.objects.get()
    assert (link.crm_id, link.is_waiting, link.attempts) == ("77", False, 0)
    assert link.in_step_at is not None


def test_both_values_of_a_first_meeting_are_kept(connection: Connection, crm: MemoryCrm) -> None:
    crm.put("77", email="ann1@example.com", firstname="Annie")
    client = make_client()

    settle(connection, crm)

    conflict = Conflict.objects.get()
    assert merging.conflict_values(conflict, client) == {"rtx": "Ann", "crm": "Annie"}
    actions = list(SyncEntry.objects.order_by("id").values_list("action", flat=True))
    assert actions == ["adopted", "conflict", "updated"]


def test_nothing_is_written_before_it_was_compared(
    connection: Connection, crm: MemoryCrm, monkeypatch
) -> None:
    """A worker that dies in between has changed nothing: the next one meets the record anew."""
    kept = crm.put("77", email="ann1@example.com", firstname="Annie", phone="+332")
    client = make_client()
    outbox.dispatch()
    monkeypatch.setattr(pulling, "take_page", lambda *_a, **_k: (_ for _ in ()).throw(KeyboardInterrupt))

    with pytest.raises(KeyboardInterrupt):
        pushing.push_due(connection, crm)

    assert kept.fields == {"email": "ann1@example.com", "firstname": "Annie", "phone": "+332"}
    assert kept.external_id == ""
    monkeypatch.undo()
    Link.objects.update(claim=None, claimed_until=None)
    while pushing.push_due(connection, crm).taken:
        pass
    assert Client.objects.get(pk=client.pk).phone == "+332"
    assert Conflict.objects.get().rtx_field == "first_name"


def test_the_others_of_a_batch_are_written_at_once(connection: Connection, crm: MemoryCrm) -> None:
    crm.put("77", email="ann2@example.com", firstname="Annie")
    everyone = [make_client(number) for number in range(4)]
    outbox.dispatch()

    pushed = pushing.push_due(connection, crm)

    assert (pushed.taken, pushed.created, pushed.updated, pushed.conflicts) == (4, 3, 0, 1)
    assert pushing.push_due(connection, crm).updated == 1
    assert {kept.external_id for kept in crm.all()} == {str(one.pk) for one in everyone}


def test_a_run_counts_what_a_meeting_led_to(connection: Connection, crm: MemoryCrm, monkeypatch) -> None:
    """Found by the push alone: the provider's list did not show the record yet."""
    make_client()
    monkeypatch.setattr(crm, "changes", lambda *_: Page([], {}, is_last=True))
    crm.put("77", email="ann1@example.com", firstname="Annie", lastname="Client1", phone="+332")

    run = run_through(connection)

    assert (run.status, run.created, run.updated, run.pulled, run.conflicts) == ("done", 0, 1, 1, 1)


def test_a_record_that_was_taken_meanwhile_is_not_overwritten(
    connection: Connection, crm: MemoryCrm, monkeypatch
) -> None:
    kept = crm.put("77", email="ann1@example.com", firstname="Annie")
    client, other = make_client(1), make_client(2)
    outbox.dispatch()
    real = crm.get_many

    def raced(object_name, crm_ids, names):
        kept.external_id = str(other.pk)
        return real(object_name, crm_ids, names)

    monkeypatch.setattr(crm, "get_many", raced)

    pushing.push_due(connection, crm)

    link = Link.objects.get(client=client)
    assert (link.crm_id, link.attempts, link.last_error_code) == ("", 1, "record_taken")
    assert kept.fields["firstname"] == "Annie"


# What is not told of a record is no deletion.


def test_a_record_that_is_not_told_of_is_not_deleted_and_asked_again(
    connection: Connection, crm: MemoryCrm
) -> None:
    first, second = make_client(1), make_client(2)
    settle(connection, crm)
    ids = [crm.of(one).crm_id for one in (first, second)]
    crm.put(ids[1], phone="+332")
    crm.untold.add(ids[0])

    with pytest.raises(Unavailable) as untold:
        pulling.pull_named(connection, crm, object_name="contacts", crm_ids=ids, cause="webhook")

    assert untold.value.code == "record_unknown"
    assert Client.objects.get(pk=second.pk).phone == "+332"  # what was told is taken
    assert set(Link.objects.values_list("status", flat=True)) == {"active"}

    crm.untold.clear()
    crm.delete("contacts", ids[0])
    pulling.pull_named(connection, crm, object_name="contacts", crm_ids=ids, cause="webhook")
    assert Link.objects.get(client=first).status == "gone"


def test_a_push_does_not_write_what_it_could_not_compare(connection: Connection, crm: MemoryCrm) -> None:
    first, second = make_client(1), make_client(2)
    settle(connection, crm)
    crm.untold.add(crm.of(first).crm_id)
    for one in (first, second):
        clients.change(client_id=one.pk, changes={"first_name": "New"})
    outbox.dispatch()

    while pushing.push_due(connection, crm).taken:
        pass

    assert [crm.of(one).fields["firstname"] for one in (first, second)] == ["Ann", "New"]
    link = Link.objects.get(client=first)
    assert (link.status, link.attempts, link.last_error_code) == ("active", 1, "record_unknown")
    crm.untold.clear()
    Link.objects.update(due_at=clock.now())
    settle(connection, crm)
    assert crm.of(first).fields["firstname"] == "New"


def test_a_record_that_is_not_told_of_holds_no_other_delivery_up(connected, toy, crm: MemoryCrm) -> None:
    for place in range(4):
        send([event(f"e{place}", f"50{place}")])
    crm.untold.add("502")

    assert webhooks.process_due() == 3

    waits = WebhookDelivery.objects.get(status="received")
    assert (waits.attempts, waits.error_code) == (1, "record_unknown")
    assert set(WebhookEvent.objects.values_list("key", flat=True)) == {"e0", "e1", "e3"}
    crm.untold.clear()
    WebhookDelivery.objects.update(due_at=clock.now())
    assert webhooks.process_due() == 1
