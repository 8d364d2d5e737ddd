"""An erased client leaves no trace here, and none there that the CRM was not told to delete."""

import json

import pytest
from django.apps import apps

from apps.accounts.models import Client
from apps.accounts.services import clients, erasing
from apps.crm.adapters.provider import CallRefused, Unavailable
from apps.crm.domain.merging import ATTEMPTS_MAX
from apps.crm.models import Conflict, Connection, DeadLetter, Link, SyncEntry, WebhookDelivery
from apps.crm.services import connections, dead_letters, outbox, pulling, pushing, webhooks
from apps.crm.services import erasing as crm_erasing
from rtx.kernel import clock
from rtx.kernel.errors import Conflict as Refused
from tests.factories.crm import STAFF, MemoryCrm, make_client, settle

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(connection: Connection, crm: MemoryCrm) -> Client:
    """Return a client who is in step with the CRM."""
    made = make_client(phone="+4930123456")
    settle(connection, crm)
    crm.calls.clear()
    return made


def erase(client: Client) -> None:
    erasing.erase(client_id=client.pk, actor=STAFF)


def delivery(connection: Connection, crm_id: str, **values: object) -> WebhookDelivery:
    event = {"subscriptionType": "contact.propertyChange", "objectId": int(crm_id), "propertyValue": "Ann"}
    now = clock.now()
    row = WebhookDelivery(
        connection=connection, digest=f"d-{crm_id}", content_type="application/json", received_at=now
    )
    row.seal(json.dumps([event]).encode())
    for name, value in {"due_at": now, **values}.items():
        setattr(row, name, value)
    row.save()
    return row


def given_up(connection: Connection, crm_id: str) -> WebhookDelivery:
    row = delivery(connection, crm_id, status="failed")
    DeadLetter.objects.create(
        connection=connection, delivery=row, direction="webhook", error_code="x", created_at=clock.now()
    )
    return row


def test_a_record_of_a_push_without_an_answer_is_found_and_erased(
    connection: Connection, crm: MemoryCrm, monkeypatch
) -> None:
    client = make_client()
    outbox.dispatch()
    real = crm.upsert

    def silent(object_name, wanted):
        real(object_name, wanted)
        raise Unavailable("no answer in time")

    monkeypatch.setattr(crm, "upsert", silent)
    with pytest.raises(Unavailable):
        pushing.push_due(connection, crm)
    assert (len(crm.all()), Link.objects.get().crm_id, Link.objects.get().claim) == (1, "", None)
    crm.calls.clear()

    erase(client)
    settle(connection, crm)

    assert (crm.all(), Link.objects.get().status) == ([], "erased")
    assert crm.calls == ["find", "delete"]  # nothing is written to be deleted


def test_who_was_never_sent_is_looked_for_and_made_nowhere(connection: Connection, crm: MemoryCrm) -> None:
    client = make_client()
    outbox.dispatch()

    erase(client)
    settle(connection, crm)

    assert crm.calls == ["find"]
    assert (Link.objects.get().status, SyncEntry.objects.get().detail) == (
        "erased",
        "nothing was found there",
    )


def test_who_was_given_up_is_erased_there(connection: Connection, crm: MemoryCrm) -> None:
    client = make_client()
    crm.refused[str(client.pk)] = CallRefused("no", code="invalid_value")
    outbox.dispatch()
    for _ in range(ATTEMPTS_MAX):
        Link.objects.update(due_at=clock.now())
        pushing.push_due(connection, crm)
    crm.put("7", external_id=str(client.pk), email="ann1@example.com")
    assert Link.objects.get().status == "dead"

    erase(client)
    settle(connection, crm)

    assert (crm.all(), Link.objects.get().status) == ([], "erased")
    assert DeadLetter.objects.get().status == "replayed"


def test_what_lies_in_the_bin_there_is_deleted_for_good(
    connection: Connection, crm: MemoryCrm, client: Client
) -> None:
    crm_id = crm.of(client).crm_id
    pulling.note_deleted(connection, object_name="contacts", crm_ids=[crm_id], cause="webhook")
    assert Link.objects.get().status == "gone"

    erase(client)
    settle(connection, crm)

    assert crm.calls == ["get_many", "delete"]
    assert (crm.all(), Link.objects.get().status) == ([], "erased")


def test_an_erasure_during_a_push_that_finds_the_record_gone_is_told(
    connection: Connection, crm: MemoryCrm, client: Client, monkeypatch
) -> None:
    clients.change(client_id=client.pk, changes={"email": "new@example.com"})
    outbox.dispatch()
    real = crm.upsert

    def erasing_meanwhile(object_name, wanted):
        erase(client)
        outbox.dispatch()
        crm.objects["contacts"][wanted[0].crm_id].is_deleted = True
        return real(object_name, wanted)

    monkeypatch.setattr(crm, "upsert", erasing_meanwhile)
    pushing.push_due(connection, crm)
    pulling.note_deleted(
        connection, object_name="contacts", crm_ids=[Link.objects.get().crm_id], cause="webhook"
    )
    assert Link.objects.get().is_waiting

    pushing.push_due(connection, crm)

    assert (crm.objects["contacts"], Link.objects.get().status) == ({}, "erased")


def test_an_erasure_that_is_refused_is_told_without_personal_data(
    connection: Connection, crm: MemoryCrm, client: Client, monkeypatch
) -> None:
    def refuse(object_name: str, crm_id: str) -> None:
        raise CallRefused("The connected app may not do this.", code="call_refused")

    monkeypatch.setattr(crm, "delete", refuse)
    erase(client)
    outbox.dispatch()
    for _ in range(ATTEMPTS_MAX):
        Link.objects.update(due_at=clock.now())
        pushing.push_due(connection, crm)

    letter = DeadLetter.objects.get()
    assert (letter.direction, letter.status, letter.error_code) == ("erase", "open", "call_refused")
    assert Link.objects.get().status == "dead"
    monkeypatch.undo()
    dead_letters.replay(dead_letter_id=letter.pk, actor=STAFF)
    while pushing.push_due(connection, crm).taken:
        pass
    assert (crm.all(), Link.objects.get().status) == ([], "erased")


def test_an_erasure_that_waits_for_access_is_told(
    connection: Connection, crm: MemoryCrm, client: Client
) -> None:
    Connection.objects.update(status="revoked")
    erase(client)
    outbox.dispatch()

    letter = DeadLetter.objects.get()
    assert (letter.direction, letter.status, letter.error_code) == ("erase", "open", "not_connected")
    Connection.objects.update(status="active")
    connection.refresh_from_db()
    settle(connection, crm)
    letter.refresh_from_db()
    assert (letter.status, crm.all()) == ("replayed", [])


def test_an_erasure_whose_access_ends_before_it_was_carried_out_is_told_once(
    connection: Connection, crm: MemoryCrm, client: Client
) -> None:
    crm_id = crm.of(client).crm_id
    erase(client)
    outbox.dispatch()
    hers, other = delivery(connection, crm_id), delivery(connection, "999")
    crm_erasing.tell_unreached()
    assert not DeadLetter.objects.exists()  # it is about to be carried out
    Connection.objects.update(status="revoked")

    crm_erasing.tell_unreached()
    letter = DeadLetter.objects.get()
    crm_erasing.tell_unreached()

    assert (letter.direction, letter.error_code) == ("erase", "not_connected")
    assert DeadLetter.objects.get().created_at == letter.created_at
    for row in (hers, other):
        row.refresh_from_db()
    assert (hers.error_code, hers.body()) == ("erased", b"")
    assert b'"objectId": 999' in other.body()
    with pytest.raises(Refused) as refused:
        dead_letters.replay(dead_letter_id=letter.pk, actor=STAFF)
    assert refused.value.code == "nothing_to_replay"
    dead_letters.drop(dead_letter_id=letter.pk, actor=STAFF)  # they have seen to it by hand
    crm_erasing.tell_unreached()
    assert DeadLetter.objects.get().status == "dropped"


def test_an_erasure_goes_before_what_changed_later(
    connection: Connection, crm: MemoryCrm, client: Client
) -> None:
    others = [make_client(number) for number in (2, 3)]
    settle(connection, crm)
    Link.objects.filter(client__in=others).update(touched_at=clock.now())

    erase(client)
    outbox.dispatch()

    assert Link.objects.order_by("-touched_at").first().client == client


def test_where_nothing_is_to_be_deleted_there_an_erasure_ends_without_access(
    connection: Connection, crm: MemoryCrm, client: Client
) -> None:
    Connection.objects.update(erases_there=False, status="draft")
    erase(client)
    outbox.dispatch()

    crm_erasing.tell_unreached()

    link = Link.objects.get()
    assert (link.status, link.is_waiting, DeadLetter.objects.count()) == ("erased", False, 0)


def test_what_was_merged_into_another_customer_s_is_not_sent_again(
    connection: Connection, crm: MemoryCrm, client: Client
) -> None:
    other = make_client(2)
    settle(connection, crm)
    crm.objects["contacts"].pop(crm.of(client).crm_id)
    crm.of(other).external_id = str(client.pk)  # the record that both became
    erase(client)
    settle(connection, crm)
    letter = DeadLetter.objects.get()
    assert letter.error_code == "record_merged"

    with pytest.raises(Refused) as refused:
        dead_letters.replay(dead_letter_id=letter.pk, actor=STAFF)

    letter.refresh_from_db()
    assert (refused.value.code, letter.status) == ("nothing_to_replay", "open")
    assert len(crm.all()) == 1


def test_removing_a_connection_tells_of_erasures_that_were_not_carried_out(
    connection: Connection, crm: MemoryCrm, client: Client
) -> None:
    crm_id = crm.of(client).crm_id
    Connection.objects.update(status="paused")
    erase(client)  # nobody was asked yet

    connections.remove(connection_id=connection.pk, actor=STAFF)

    letter = DeadLetter.objects.get()
    assert (letter.direction, letter.status, letter.link) == ("erase", "open", None)
    assert letter.error == (
        f"Record {crm_id} may be left there: the connection was removed before it was deleted."
    )
    assert not Link.objects.exists()
    with pytest.raises(Refused) as refused:
        dead_letters.replay(dead_letter_id=letter.pk, actor=STAFF)
    assert refused.value.code == "nothing_to_replay"
    dead_letters.drop(dead_letter_id=letter.pk, actor=STAFF)


def test_deliveries_that_were_given_up_are_forgotten_with_the_client_alone(
    connection: Connection, crm: MemoryCrm, client: Client
) -> None:
    hers = given_up(connection, crm.of(client).crm_id)
    other = given_up(connection, "999")
    unreadable = given_up(connection, "998")
    unreadable.seal(b'{"half": ')
    unreadable.save()

    erase(client)
    outbox.dispatch()

    for row in (hers, other, unreadable):
        row.refresh_from_db()
    assert (hers.body(), unreadable.body()) == (b"", b"")
    assert b'"objectId": 999' in other.body()
    told = dict(DeadLetter.objects.values_list("delivery_id", "status"))
    assert told == {hers.pk: "dropped", other.pk: "open", unreadable.pk: "dropped"}


def test_a_delivery_that_is_given_up_after_the_erasure_is_not_kept(
    connection: Connection, crm: MemoryCrm, client: Client
) -> None:
    crm_id = crm.of(client).crm_id
    row = delivery(connection, crm_id)
    erase(client)
    settle(connection, crm)
    crm.failing.append(CallRefused("no", code="bad_request"))

    webhooks.process_due()

    row.refresh_from_db()
    assert (row.status, row.body()) == ("failed", b"")
    assert DeadLetter.objects.get(delivery=row).status == "dropped"


@pytest.mark.parametrize("status", ["paused", "revoked", "draft"])
def test_deliveries_that_nobody_looks_at_are_forgotten_with_the_client(
    connection: Connection, crm: MemoryCrm, client: Client, status: str
) -> None:
    hers, other = delivery(connection, crm.of(client).crm_id), delivery(connection, "999")
    Connection.objects.update(status=status)

    erase(client)
    while outbox.dispatch():
        pass

    for row in (hers, other):
        row.refresh_from_db()
    assert (hers.status, hers.error_code, hers.body()) == ("failed", "erased", b"")
    assert (other.status, b'"objectId": 999' in other.body()) == ("received", True)
    assert not DeadLetter.objects.filter(direction="webhook").exists()


@pytest.mark.parametrize(("named", "body"), [("hers", b""), ("others", b'[{"objectId": 9991}')])
def test_a_delivery_that_is_given_up_unread_is_not_kept_of_who_was_erased(
    connection: Connection, crm: MemoryCrm, client: Client, named: str, body: bytes
) -> None:
    crm_id = crm.of(client).crm_id if named == "hers" else "9991"
    attempts = webhooks.ATTEMPTS_MAX  # the last one ended its worker
    killer = delivery(connection, crm_id, attempts=attempts)
    broken = delivery(connection, f"{crm_id}0")
    broken.seal(f'[{{"objectId": {crm_id}}}'.encode())
    broken.save()
    erase(client)
    settle(connection, crm)

    webhooks.process_due()

    for row in (killer, broken):
        row.refresh_from_db()
    assert (killer.status, killer.error_code, broken.status) == ("failed", "processing_failed", "failed")
    assert (bool(killer.body()), broken.body()) == (bool(body), body)
    letters = set(DeadLetter.objects.filter(direction="webhook").values_list("status", flat=True))
    assert letters == {"dropped" if named == "hers" else "open"}


def test_after_an_erasure_nothing_readable_is_left(
    connection: Connection, crm: MemoryCrm, client: Client
) -> None:
    kept = crm.of(client)
    crm.put(kept.crm_id, firstname="There")
    clients.change(client_id=client.pk, changes={"first_name": "Here"})
    given_up(connection, kept.crm_id)
    pulling.pull_named(connection, crm, object_name="contacts", crm_ids=[kept.crm_id], cause="webhook")
    settle(connection, crm)
    assert bytes(Conflict.objects.get().values_sealed) != b""

    erase(client)
    settle(connection, crm)

    rows = [row for model in apps.get_app_config("crm").get_models() for row in model.objects.all()]
    texts = [str(vars(row)) for row in rows]
    found = [
        word for word in ("Here", "There", "ann1@", "Client1", "+4930") for text in texts if word in text
    ]
    assert (len(rows) > 3, found) == (True, [])
    sealed = [
        (type(row).__name__, name)
        for row in rows
        for name in ("base_sealed", "values_sealed", "body_sealed")
        if bytes(getattr(row, name, b""))
    ]
    assert sealed == []
