"""What a CRM changes is taken over here by the rules, once, and never sent back as news."""

from datetime import timedelta

import pytest

from apps.accounts.models import Client
from apps.accounts.services import clients, erasing
from apps.audit.models import StaffAction
from apps.crm.models import Conflict, Connection, FieldMapping, Link, SyncEntry
from apps.crm.services import merging, outbox, pulling, pushing
from apps.crm.services.pulling import pull_named
from rtx.kernel import clock
from tests.factories.crm import STAFF, MemoryCrm, make_client, run_through, settle

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(connection: Connection, crm: MemoryCrm) -> Client:
    """Return a client who is in step with the CRM."""
    made = make_client(phone="+4930123456")
    settle(connection, crm)
    crm.calls.clear()
    return made


def named(connection: Connection, crm: MemoryCrm, *crm_ids: str) -> int:
    return pull_named(connection, crm, object_name="contacts", crm_ids=crm_ids, cause="webhook")


def fresh(client: Client) -> Client:
    return Client.objects.get(pk=client.pk)


def test_what_the_crm_changed_is_changed_here(connection: Connection, crm: MemoryCrm, client: Client) -> None:
    kept = crm.of(client)
    crm.put(kept.crm_id, firstname="Anna", country="France")

    assert named(connection, crm, kept.crm_id) == 1

    assert (fresh(client).first_name, fresh(client).country) == ("Anna", "FR")
    entry = SyncEntry.objects.get(direction="pull")
    assert (entry.action, entry.fields) == ("updated", ["country", "first_name"])
    noted = StaffAction.objects.get(operation="crm.change_client")
    assert (noted.actor, noted.after["fields"]) == ("system:crm", ["country", "first_name"])


def test_what_was_pulled_is_not_sent_back(connection: Connection, crm: MemoryCrm, client: Client) -> None:
    kept = crm.of(client)
    crm.put(kept.crm_id, firstname="Anna", country="france")
    named(connection, crm, kept.crm_id)
    crm.calls.clear()

    settle(connection, crm)

    assert crm.calls == []
    assert kept.fields["country"] == "france"  # written their way, and left so


def test_what_was_sent_is_not_pulled(connection: Connection, crm: MemoryCrm, client: Client) -> None:
    clients.change(client_id=client.pk, changes={"first_name": "Anna"})
    settle(connection, crm)
    SyncEntry.objects.all().delete()

    named(connection, crm, crm.of(client).crm_id)

    assert SyncEntry.objects.count() == 0
    assert not Link.objects.get().is_waiting


def test_a_field_that_only_rtx_writes_is_put_right_once(
    connection: Connection, crm: MemoryCrm, client: Client
) -> None:
    kept = crm.of(client)
    crm.put(kept.crm_id, email="ANN1@EXAMPLE.COM")
    named(connection, crm, kept.crm_id)
    settle(connection, crm)
    assert kept.fields["email"] == "ann1@example.com"
    crm.put(kept.crm_id, email="ANN1@EXAMPLE.COM")  # it insists
    crm.calls.clear()

    named(connection, crm, kept.crm_id)
    settle(connection, crm)

    assert crm.calls == ["get_many"]
    assert fresh(client).email == "ann1@example.com"


@pytest.mark.parametrize(("rtx_is_later", "winner"), [(True, "rtx"), (False, "crm")])
def test_of_two_changes_of_one_field_the_newest_wins(
    connection: Connection, crm: MemoryCrm, client: Client, rtx_is_later: bool, winner: str
) -> None:
    kept = crm.of(client)
    if rtx_is_later:
        crm.put(kept.crm_id, firstname="There")
        clients.change(client_id=client.pk, changes={"first_name": "Here"})
    else:
        clients.change(client_id=client.pk, changes={"first_name": "Here"})
        crm.put(kept.crm_id, firstname="There")

    named(connection, crm, kept.crm_id)
    settle(connection, crm)

    won = "Here" if rtx_is_later else "There"
    assert (fresh(client).first_name, kept.fields["firstname"]) == (won, won)
    conflict = Conflict.objects.get()
    assert (conflict.rtx_field, conflict.winner, conflict.rule) == ("first_name", winner, "newest")
    assert merging.conflict_values(conflict, fresh(client)) == {"rtx": "Here", "crm": "There"}


def test_a_push_looks_before_it_writes_a_shared_field(
    connection: Connection, crm: MemoryCrm, client: Client
) -> None:
    kept = crm.of(client)
    clients.change(client_id=client.pk, changes={"first_name": "Here"})
    outbox.dispatch()
    crm.put(kept.crm_id, firstname="There")  # no webhook came yet

    while pushing.push_due(connection, crm).taken:
        pass

    assert (fresh(client).first_name, kept.fields["firstname"]) == ("There", "There")
    assert Conflict.objects.get().winner == "crm"


def test_changes_of_different_fields_meet_without_conflict(
    connection: Connection, crm: MemoryCrm, client: Client
) -> None:
    kept = crm.of(client)
    clients.change(client_id=client.pk, changes={"first_name": "Here"})
    crm.put(kept.crm_id, phone="+33123456789")

    settle(connection, crm)

    assert fresh(client).phone == "+33123456789"
    assert kept.fields["firstname"] == "Here"
    assert Conflict.objects.count() == 0


def test_an_older_state_of_a_record_is_left_alone(
    connection: Connection, crm: MemoryCrm, client: Client
) -> None:
    kept = crm.of(client)
    crm.put(kept.crm_id, firstname="Newer")
    named(connection, crm, kept.crm_id)
    kept.fields["firstname"], kept.changed_at = "Older", kept.changed_at - timedelta(seconds=1)

    named(connection, crm, kept.crm_id)

    assert fresh(client).first_name == "Newer"


def test_a_list_that_lags_does_not_undo_what_was_sent(
    connection: Connection, crm: MemoryCrm, client: Client
) -> None:
    kept = crm.of(client)
    before = kept.changed_at
    clients.change(client_id=client.pk, changes={"first_name": "Here"})
    settle(connection, crm)
    kept.fields["firstname"], kept.changed_at = "Ann", before

    named(connection, crm, kept.crm_id)

    assert fresh(client).first_name == "Here"


def test_a_required_value_is_not_emptied(connection: Connection, crm: MemoryCrm, client: Client) -> None:
    kept = crm.of(client)
    crm.put(kept.crm_id, firstname=None, phone=None)

    named(connection, crm, kept.crm_id)

    assert (fresh(client).first_name, fresh(client).phone) == ("Ann", "")
    assert SyncEntry.objects.get(action="failed").detail == "first_name cannot be empty"


def test_a_value_that_does_not_fit_is_named_and_not_shown(
    connection: Connection, crm: MemoryCrm, client: Client
) -> None:
    kept = crm.of(client)
    crm.put(kept.crm_id, country="Narnia", firstname="Anna")

    named(connection, crm, kept.crm_id)

    assert (fresh(client).country, fresh(client).first_name) == ("DE", "Anna")
    assert SyncEntry.objects.get(action="failed").detail == "country is no country"


def test_a_record_with_the_same_email_is_joined(connection: Connection, crm: MemoryCrm) -> None:
    crm.put("7", email="Ann1@Example.com", phone="+33123456789")
    client = make_client()

    named(connection, crm, "7")
    settle(connection, crm)

    assert crm.of(client).crm_id == "7"
    assert len(crm.all()) == 1
    assert fresh(client).phone == "+33123456789"  # RTX had none


def test_a_second_record_of_a_person_is_left_alone(
    connection: Connection, crm: MemoryCrm, client: Client
) -> None:
    crm.put("8", email="ann1@example.com", firstname="Other")

    assert named(connection, crm, "8") == 0

    assert fresh(client).first_name == "Ann"


def test_who_is_unknown_is_left_alone(connection: Connection, crm: MemoryCrm) -> None:
    crm.put("9", email="new@example.com", firstname="New", lastname="Person")

    assert named(connection, crm, "9") == 0

    assert Client.objects.count() == 0


def test_who_is_unknown_becomes_a_client_where_the_connection_says_so(
    connection: Connection, crm: MemoryCrm
) -> None:
    Connection.objects.update(creates_clients=True)
    connection.refresh_from_db()
    crm.put("9", email="New@example.com", firstname="New", lastname="Person", country="Spain")
    crm.put("10", email="half@example.com", firstname="Half")

    named(connection, crm, "9", "10")
    named(connection, crm, "9", "10")
    settle(connection, crm)

    client = Client.objects.get()
    assert (client.full_name, client.email, client.country) == ("New Person", "new@example.com", "ES")
    assert not client.user.has_usable_password()
    assert crm.of(client).crm_id == "9"


@pytest.mark.parametrize("transform", ["text", "upper"])
@pytest.mark.parametrize(
    ("name", "wrong", "told"),
    [
        ("country", {"country": "Germany"}, "country is no country"),
        ("country", {"country": "\u00c4\u00d6"}, "country is no country"),
        ("address", {"address": "x" * 201}, "address is too long"),
        ("email", {"email": "x" * 190 + "@example.com"}, "email is too long"),
        ("email", {"email": "nobody"}, "email is no address"),
        ("record", {"email": "n\0@example.com"}, "record cannot be stored"),
    ],
)
def test_a_record_that_no_client_can_be_made_of_is_told_and_holds_nobody_up(
    name: str, wrong: dict[str, str], told: str, transform: str, connection: Connection, crm: MemoryCrm
) -> None:
    Connection.objects.update(creates_clients=True)
    FieldMapping.objects.filter(rtx_field="country").update(transform=transform)
    fine = {"email": "fine@example.com", "firstname": "Fine", "lastname": "Person", "country": "DE"}
    crm.put("8", **{**fine, "email": "new@example.com", **wrong})
    crm.put("9", **fine)

    run = run_through(connection)

    assert (run.status, run.failed) == ("done", 1)
    assert [(one.email, one.country) for one in Client.objects.all()] == [("fine@example.com", "DE")]
    entry = SyncEntry.objects.get(action="failed")
    assert (entry.direction, entry.error_code, entry.fields) == ("pull", "value_unfit", [name])
    assert (entry.link, entry.detail) == (None, f"Record 8: {told}")
    assert run_through(connection, "incremental").status == "done"


def test_a_deleted_record_is_noted_and_not_made_again(
    connection: Connection, crm: MemoryCrm, client: Client
) -> None:
    kept = crm.of(client)
    crm.delete("contacts", kept.crm_id)

    named(connection, crm, kept.crm_id)
    run = run_through(connection)

    assert Link.objects.get().status == "gone"
    assert (run.status, run.created, crm.all()) == ("done", 0, [])


def test_a_record_that_comes_back_is_followed_again(
    connection: Connection, crm: MemoryCrm, client: Client
) -> None:
    kept = crm.of(client)
    pulling.note_deleted(connection, object_name="contacts", crm_ids=[kept.crm_id], cause="webhook")
    assert Link.objects.get().status == "gone"

    named(connection, crm, kept.crm_id)

    assert Link.objects.get().status == "active"


def test_an_erased_client_is_erased_there(connection: Connection, crm: MemoryCrm, client: Client) -> None:
    crm_id = crm.of(client).crm_id

    erasing.erase(client_id=client.pk, actor=STAFF)
    settle(connection, crm)

    link = Link.objects.get()
    assert (link.status, bytes(link.base_sealed), crm.all()) == ("erased", b"", [])
    assert SyncEntry.objects.filter(action="erased", link=link).count() == 1
    crm.put(crm_id, email="ann1@example.com")
    named(connection, crm, crm_id)
    assert Link.objects.get().status == "erased"


def test_an_erasure_waits_for_a_paused_connection(
    connection: Connection, crm: MemoryCrm, client: Client
) -> None:
    Connection.objects.update(status="paused")
    erasing.erase(client_id=client.pk, actor=STAFF)
    outbox.dispatch()
    assert bytes(Link.objects.get().base_sealed) == b""
    assert len(crm.all()) == 1

    Connection.objects.update(status="active")
    pushing.push_all(connection_id=connection.pk, for_s=5)

    assert crm.all() == []


def test_where_the_connection_keeps_them_erased_clients_stay_there(
    connection: Connection, crm: MemoryCrm, client: Client
) -> None:
    Connection.objects.update(erases_there=False)
    connection.refresh_from_db()

    erasing.erase(client_id=client.pk, actor=STAFF)
    settle(connection, crm)

    assert len(crm.all()) == 1
    assert Link.objects.get().status == "erased"


def test_the_log_names_no_value(connection: Connection, crm: MemoryCrm, client: Client) -> None:
    kept = crm.of(client)
    crm.put(kept.crm_id, firstname="Secretname", country="Secretland", changed=str(clock.now()))

    named(connection, crm, kept.crm_id)

    logged = [str(vars(row)) for row in [*SyncEntry.objects.all(), *StaffAction.objects.all()]]
    assert logged
    assert not [text for text in logged if "Secret" in text]


def test_a_record_whose_id_was_never_written_down_is_erased_too(
    connection: Connection, crm: MemoryCrm, settings
) -> None:
    settings.CRM_CLAIM_S = 0.0
    client = make_client()
    outbox.dispatch()
    crm.dying = True
    with pytest.raises(KeyboardInterrupt):
        pushing.push_due(connection, crm)
    crm.dying = False
    assert (len(crm.all()), Link.objects.get().crm_id) == (1, "")

    erasing.erase(client_id=client.pk, actor=STAFF)
    settle(connection, crm)

    assert crm.all() == []
    assert Link.objects.get().status == "erased"


def test_what_changes_while_nobody_is_connected_is_sent_after_that(
    connection: Connection, crm: MemoryCrm, client: Client
) -> None:
    Connection.objects.update(status="draft")
    erasing.erase(client_id=client.pk, actor=STAFF)
    outbox.dispatch()

    Connection.objects.update(status="active")
    settle(connection, crm)

    assert crm.all() == []
