"""What changes here reaches the CRM: once, whole, and again only when it differs."""

from decimal import Decimal

import pytest

from apps.accounts.models import Client
from apps.accounts.services import clients
from apps.crm.adapters.provider import CallRefused, Unavailable
from apps.crm.domain.mapping import Pair
from apps.crm.domain.merging import ATTEMPTS_MAX
from apps.crm.models import Change, Connection, DeadLetter, Link, SyncEntry
from apps.crm.services import dead_letters, field_mappings, links, outbox, pushing
from rtx.kernel import clock
from rtx.kernel.errors import Conflict
from tests.factories.crm import STAFF, MemoryCrm, later, make_client, make_connection, settle
from tests.factories.rows import deposit, make_group, make_holder

pytestmark = pytest.mark.django_db


def test_a_new_client_becomes_a_record(connection: Connection, crm: MemoryCrm) -> None:
    client = make_client(phone="+49 30 123456", country="DE")

    settle(connection, crm)

    kept = crm.of(client)
    assert kept.fields["firstname"] == "Ann"
    assert kept.fields["email"] == "ann1@example.com"
    assert kept.fields["country"] == "Germany"
    link = Link.objects.get(client=client)
    assert (link.crm_id, link.sent, link.is_waiting) == (kept.crm_id, link.wanted, False)
    assert SyncEntry.objects.get(link=link).action == "created"


def test_what_changes_is_sent_and_nothing_else(connection: Connection, crm: MemoryCrm) -> None:
    client = make_client()
    settle(connection, crm)
    crm.batches.clear()

    clients.change(client_id=client.pk, changes={"email": "new@example.com"})
    settle(connection, crm)

    assert [one.fields for one in crm.batches[0]] == [{"email": "new@example.com"}]
    assert Change.objects.count() == 0


def test_a_change_that_makes_no_difference_there_is_not_sent(connection: Connection, crm: MemoryCrm) -> None:
    client = make_client()
    settle(connection, crm)
    calls = len(crm.calls)

    clients.change(client_id=client.pk, changes={"document_number": "X1"})
    settle(connection, crm)

    assert len(crm.calls) == calls
    assert not Link.objects.get(client=client).is_waiting


def test_batches_are_full(connection: Connection, crm: MemoryCrm) -> None:
    crm.batch_max = 10
    for number in range(25):
        make_client(number)

    settle(connection, crm)

    assert [len(batch) for batch in crm.batches] == [10, 10, 5]


def test_one_refused_record_does_not_hold_the_others(connection: Connection, crm: MemoryCrm) -> None:
    bad, good = make_client(1), make_client(2)
    crm.refused[str(bad.pk)] = CallRefused("phone is wrong", code="invalid_value")

    settle(connection, crm)

    assert crm.of(good).fields["lastname"] == "Client2"
    link = Link.objects.get(client=bad)
    assert (link.attempts, link.last_error_code, link.is_waiting) == (1, "invalid_value", True)
    assert link.due_at > clock.now()


def test_a_batch_that_is_refused_for_one_record_is_halved(connection: Connection, crm: MemoryCrm) -> None:
    everyone = [make_client(number) for number in range(16)]
    crm.refused[f"!{everyone[5].pk}"] = CallRefused("no", code="bad_request")

    settle(connection, crm)

    assert len(crm.all()) == 15
    assert Link.objects.filter(last_error_code="bad_request").get().client == everyone[5]


def test_a_mapping_that_is_refused_for_everybody_is_not_halved_to_the_last(
    connection: Connection, crm: MemoryCrm
) -> None:
    for number in range(16):
        make_client(number)
    crm.refused["*"] = CallRefused("no such property", code="bad_request")

    settle(connection, crm)

    assert crm.calls == ["upsert"] * 3
    assert Link.objects.filter(attempts=1).count() == 16


def test_when_the_crm_is_away_links_keep_their_attempts(connection: Connection, crm: MemoryCrm) -> None:
    make_client()
    outbox.dispatch()
    crm.failing.append(Unavailable("down"))

    with pytest.raises(Unavailable):
        pushing.push_due(connection, crm)

    link = Link.objects.get()
    assert (link.attempts, link.claim, link.is_waiting) == (0, None, True)


def _fail_until_dead(connection: Connection, crm: MemoryCrm) -> None:
    outbox.dispatch()
    for _ in range(ATTEMPTS_MAX):
        Link.objects.update(due_at=clock.now())
        pushing.push_due(connection, crm)


def test_after_eight_attempts_a_link_is_a_dead_letter(connection: Connection, crm: MemoryCrm) -> None:
    client = make_client()
    crm.refused[str(client.pk)] = CallRefused("no", code="invalid_value")

    _fail_until_dead(connection, crm)

    letter = DeadLetter.objects.get()
    assert (letter.status, letter.attempts, letter.error_code) == ("open", ATTEMPTS_MAX, "invalid_value")
    link = Link.objects.get()
    assert (link.status, link.is_waiting) == ("dead", False)


def test_a_dead_letter_is_sent_again_by_staff(connection: Connection, crm: MemoryCrm) -> None:
    client = make_client()
    crm.refused[str(client.pk)] = CallRefused("no", code="invalid_value")
    _fail_until_dead(connection, crm)
    crm.refused.clear()

    letter = dead_letters.replay(dead_letter_id=DeadLetter.objects.get().pk, actor=STAFF)
    settle(connection, crm)

    assert letter.status == "replayed"
    assert crm.of(client).fields["firstname"] == "Ann"
    with pytest.raises(Conflict):
        dead_letters.replay(dead_letter_id=letter.pk, actor=STAFF)


def test_a_change_of_the_client_lets_what_was_given_up_try_again(
    connection: Connection, crm: MemoryCrm
) -> None:
    client = make_client()
    crm.refused[str(client.pk)] = CallRefused("no", code="invalid_value")
    _fail_until_dead(connection, crm)
    crm.refused.clear()

    clients.change(client_id=client.pk, changes={"first_name": "Anna"})
    settle(connection, crm)

    assert crm.of(client).fields["firstname"] == "Anna"
    assert DeadLetter.objects.get().status == "replayed"


def test_a_value_that_does_not_fit_leaves_out_its_field_alone(connection: Connection, crm: MemoryCrm) -> None:
    phone = Pair("phone", "phone", transform="phone")
    names = [Pair("first_name", "firstname"), Pair("email", "email"), phone]
    field_mappings.replace(connection_id=connection.pk, kind="client", pairs=names, actor=STAFF)
    client = make_client(phone="call me")

    settle(connection, crm)

    assert crm.of(client).fields == {"firstname": "Ann", "email": "ann1@example.com"}
    failed = SyncEntry.objects.get(action="failed")
    assert (failed.fields, failed.detail) == (["phone"], "phone is no international phone number")


def test_a_worker_that_dies_after_the_call_doubles_nobody(
    connection: Connection, crm: MemoryCrm, settings
) -> None:
    settings.CRM_CLAIM_S = 0.0
    client = make_client()
    outbox.dispatch()
    crm.dying = True
    with pytest.raises(KeyboardInterrupt):
        pushing.push_due(connection, crm)
    crm.dying = False

    settle(connection, crm)

    assert len(crm.all()) == 1
    assert Link.objects.get().crm_id == crm.of(client).crm_id


def test_a_worker_whose_claim_ran_out_writes_nothing(
    connection: Connection, crm: MemoryCrm, settings, monkeypatch
) -> None:
    settings.CRM_CLAIM_S = 0.0
    make_client()
    outbox.dispatch()
    real, inner = crm.upsert, []

    def overtaken(object_name, wanted):
        answer = real(object_name, wanted)
        monkeypatch.setattr(crm, "upsert", real)
        inner.append(pushing.push_due(connection, crm).updated)  # another worker, meanwhile
        return answer

    monkeypatch.setattr(crm, "upsert", overtaken)

    pushed = pushing.push_due(connection, crm)

    assert inner == [1]  # it found the record that was there by now
    assert (pushed.created, pushed.updated) == (0, 0)
    assert SyncEntry.objects.count() == 1


def test_what_changes_during_the_call_is_sent_afterwards(
    connection: Connection, crm: MemoryCrm, monkeypatch
) -> None:
    client = make_client()
    outbox.dispatch()
    real = crm.upsert

    def changing(object_name, wanted):
        answer = real(object_name, wanted)
        monkeypatch.setattr(crm, "upsert", real)
        clients.change(client_id=client.pk, changes={"first_name": "Later"})
        outbox.dispatch()
        return answer

    monkeypatch.setattr(crm, "upsert", changing)

    settle(connection, crm)

    assert crm.of(client).fields["firstname"] == "Later"


def test_a_paused_connection_keeps_what_changes(connection: Connection, crm: MemoryCrm) -> None:
    Connection.objects.update(status="paused")
    client = make_client()
    outbox.dispatch()
    assert pushing.waiting() == []

    Connection.objects.update(status="active")

    assert pushing.waiting() == [connection.pk]
    assert pushing.push_all(connection_id=connection.pk, for_s=5) == 1
    assert crm.of(client).fields["firstname"] == "Ann"


def test_without_a_connection_changes_pile_up_nowhere(db: None) -> None:
    make_client()

    outbox.dispatch()

    assert Change.objects.count() == 0
    assert Link.objects.count() == 0


def test_money_reaches_the_crm_by_the_journal(crm: MemoryCrm) -> None:
    connection = make_connection(account_object="deals")
    pairs = [Pair("email", "email"), Pair("balance", "balance", transform="number")]
    field_mappings.replace(connection_id=connection.pk, kind="client", pairs=pairs, actor=STAFF)
    holder = make_holder(group=make_group(), balance="100")
    settle(connection, crm)

    deposit(holder.id, "50.50")
    settle(connection, crm)

    client = holder.row.client
    assert Decimal(crm.of(client).fields["balance"]) == Decimal("150.50")
    (deal,) = crm.all("deals")
    assert (deal.external_id, deal.fields["amount"]) == (str(holder.login), "150.50")
    assert deal.parent == crm.of(client).crm_id


def test_an_account_waits_until_its_customer_is_there(crm: MemoryCrm) -> None:
    connection = make_connection(account_object="deals")
    holder = make_holder(group=make_group(), balance="0")
    client = holder.row.client
    crm.refused[str(client.pk)] = CallRefused("no", code="invalid_value")

    settle(connection, crm)

    assert crm.all("deals") == []
    assert Link.objects.get(kind="account").attempts == 0


def test_a_record_that_is_gone_there_is_not_made_again(connection: Connection, crm: MemoryCrm) -> None:
    client = make_client()
    settle(connection, crm)
    crm.delete("contacts", crm.of(client).crm_id)

    clients.change(client_id=client.pk, changes={"email": "other@example.com"})
    settle(connection, crm)

    link = Link.objects.get()
    assert (link.status, crm.all()) == ("gone", [])
    links.send_again(link_id=link.pk, actor=STAFF)
    settle(connection, crm)
    assert crm.of(client).fields["email"] == "other@example.com"


def test_an_older_failure_waits_longer_each_time(connection: Connection, crm: MemoryCrm) -> None:
    client = make_client()
    crm.refused[str(client.pk)] = CallRefused("no", code="invalid_value")
    outbox.dispatch()
    pushing.push_due(connection, crm)
    assert later(2) < Link.objects.get().due_at < later(5.1)

    for _ in range(3):
        Link.objects.update(due_at=clock.now())
        pushing.push_due(connection, crm)

    assert later(19) < Link.objects.get().due_at < later(40.1)


def test_a_client_whose_data_does_not_open_holds_nobody_up(connection: Connection, crm: MemoryCrm) -> None:
    broken, good = make_client(1), make_client(2)
    Client.objects.filter(pk=broken.pk).update(first_name_sealed=b"1:damaged")

    settle(connection, crm)

    assert [kept.external_id for kept in crm.all()] == [str(good.pk)]
    assert Link.objects.get(client=broken).last_error_code == "unreadable"


def test_an_error_of_ours_gives_the_claims_back(connection: Connection, crm: MemoryCrm) -> None:
    make_client()
    outbox.dispatch()
    crm.failing.append(ZeroDivisionError())

    with pytest.raises(ZeroDivisionError):
        pushing.push_due(connection, crm)

    assert Link.objects.get().claim is None
    assert pushing.push_all(connection_id=connection.pk, for_s=1) == 1
