"""A call that outlasts its claim: what others did meanwhile stands; who was erased is not left there."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest

from apps.accounts.models import Client
from apps.accounts.services import clients, erasing
from apps.crm.adapters.provider import CallRefused, Unavailable, Upsert
from apps.crm.models import Connection, DeadLetter, FieldMapping, Link
from apps.crm.services import claims, outbox, pushing, results
from rtx.kernel import clock
from tests.factories.crm import STAFF, MemoryCrm, make_client, run_through, settle

pytestmark = pytest.mark.django_db
During = Callable[[Callable[[], None]], None]


@pytest.fixture
def during(connection: Connection, crm: MemoryCrm, monkeypatch) -> During:
    """Return how to let something happen, and be sent by another worker, before a late write arrives."""
    real = crm.upsert

    def arrange(happens: Callable[[], None]) -> None:
        def late(object_name, wanted):
            monkeypatch.setattr(crm, "upsert", real)
            Link.objects.update(claimed_until=clock.now() - timedelta(seconds=1))
            happens()
            settle(connection, crm)
            return real(object_name, wanted)

        monkeypatch.setattr(crm, "upsert", late)

    return arrange


def test_who_is_erased_during_a_late_write_is_deleted_there_after_all(
    connection: Connection, crm: MemoryCrm, during: During
) -> None:
    client = make_client()
    outbox.dispatch()
    during(lambda: erasing.erase(client_id=client.pk, actor=STAFF))

    pushing.push_due(connection, crm)

    link = Link.objects.get()
    assert (link.status, link.is_waiting) == ("active", True)
    assert [kept.crm_id for kept in crm.all()] == [link.crm_id]
    settle(connection, crm)
    assert crm.all() == []
    assert Link.objects.get().status == "erased"


def test_who_is_erased_during_a_late_write_without_an_answer_is_looked_for_again(
    connection: Connection, crm: MemoryCrm, during: During, monkeypatch
) -> None:
    client = make_client()
    outbox.dispatch()
    during(lambda: erasing.erase(client_id=client.pk, actor=STAFF))
    late = crm.upsert

    def silent(object_name, wanted):
        late(object_name, wanted)
        raise Unavailable("silence")

    monkeypatch.setattr(crm, "upsert", silent)
    with pytest.raises(Unavailable):
        pushing.push_due(connection, crm)
    assert len(crm.all()) == 1

    settle(connection, crm)

    assert crm.all() == []
    assert Link.objects.get().status == "erased"


@pytest.mark.parametrize("is_answered", [True, False])
def test_a_late_write_that_comes_while_an_erasure_looks_for_the_record_is_deleted_too(
    connection: Connection, crm: MemoryCrm, monkeypatch, is_answered: bool
) -> None:
    client = make_client()
    outbox.dispatch()
    (late,) = claims.claim(Link.objects.all(), limit=1)
    erasing.erase(client_id=client.pk, actor=STAFF)
    outbox.dispatch()
    Link.objects.update(claim=None, claimed_until=None)
    real = crm.find

    def find(object_name, external_id):
        found = real(object_name, external_id)
        monkeypatch.setattr(crm, "find", real)
        (written,) = crm.upsert(object_name, [Upsert(external_id, {"email": "late@example.com"})])
        if is_answered:
            one = results.Prepared(link=late, external_id=external_id, fields={}, unfit={}, parent_crm_id="")
            writer = results.Writer(connection, None, "change", [], results.Pushed())
            writer.write([(one, written)])
        else:
            results.unanswered([late])
        return found

    monkeypatch.setattr(crm, "find", find)
    pushing.push_due(connection, crm)

    assert len(crm.all()) == 1
    settle(connection, crm)
    assert crm.all() == []
    assert (Link.objects.get().status, DeadLetter.objects.count()) == ("erased", 0)


@pytest.mark.parametrize("direction", ["push", "newest"])
def test_an_old_value_that_comes_late_is_written_over_and_not_pulled_back(
    direction: str, connection: Connection, crm: MemoryCrm, during: During
) -> None:
    FieldMapping.objects.filter(crm_field="lastname").update(direction=direction)
    client = make_client()
    run_through(connection)
    clients.change(client_id=client.pk, changes={"last_name": "Old"})
    outbox.dispatch()
    during(lambda: clients.change(client_id=client.pk, changes={"last_name": "New"}))

    pushing.push_due(connection, crm)
    assert crm.of(client).fields["lastname"] == "Old"
    settle(connection, crm)
    run_through(connection, "incremental")
    settle(connection, crm)

    assert crm.of(client).fields["lastname"] == "New"
    assert Client.objects.get(pk=client.pk).last_name == "New"
    assert not Link.objects.get().is_waiting


def test_a_claim_is_renewed_before_each_call_and_what_was_lost_is_left_out(
    connection: Connection, crm: MemoryCrm, monkeypatch
) -> None:
    bad, lost, *_ = [make_client(number) for number in range(4)]
    outbox.dispatch()
    crm.refused[f"!{bad.pk}"] = CallRefused("no", code="bad_request")
    real, sent, lasting = crm.upsert, [], []

    def slow(object_name, wanted):
        sent.append({one.external_id for one in wanted})
        held = Link.objects.exclude(claim=other).filter(claimed_until__gt=clock.now())
        lasting.append(all(link.claimed_until > clock.now() + timedelta(seconds=100) for link in held))
        Link.objects.filter(client=lost).update(claim=other)
        Link.objects.update(claimed_until=clock.now() + timedelta(seconds=9))
        return real(object_name, wanted)

    other = uuid4()
    monkeypatch.setattr(crm, "upsert", slow)

    pushing.push_due(connection, crm)

    assert len(sent[0]) == 4
    assert all(str(lost.pk) not in batch for batch in sent[1:])
    assert lasting == [True] * len(sent)
    assert len(crm.all()) == 2
    assert Link.objects.get(client=lost).claim == other


def test_an_erasure_that_another_took_over_is_left_to_them(
    connection: Connection, crm: MemoryCrm, monkeypatch
) -> None:
    gone = [make_client(number) for number in range(2)]
    settle(connection, crm)
    for client in gone:
        erasing.erase(client_id=client.pk, actor=STAFF)
    outbox.dispatch()
    real, other, deleted = crm.delete, uuid4(), []

    def slow(object_name, crm_id):
        deleted.append(crm_id)
        Link.objects.exclude(crm_id=crm_id).update(claim=other)
        real(object_name, crm_id)

    monkeypatch.setattr(crm, "delete", slow)

    pushing.push_due(connection, crm)

    assert len(deleted) == 1
    assert sorted(Link.objects.values_list("status", flat=True)) == ["active", "erased"]


def test_a_record_that_was_refused_for_its_company_alone_has_no_try_less(
    connection: Connection, crm: MemoryCrm
) -> None:
    client = make_client()
    crm.refused[str(client.pk)] = Unavailable("around it", code="batch_refused")
    outbox.dispatch()

    pushing.push_due(connection, crm)

    link = Link.objects.get()
    assert (link.attempts, link.claim, link.is_waiting) == (0, None, True)
    assert link.due_at <= clock.now()
