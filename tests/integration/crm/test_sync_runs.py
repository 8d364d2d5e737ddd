"""Runs go over everybody, end where they should, and go on where they were cut off."""

from datetime import timedelta
from uuid import uuid4

import pytest

from apps.accounts.models import Client
from apps.accounts.services import clients
from apps.crm.adapters.provider import AccessRevoked, CallRefused, LimitReached, Unavailable
from apps.crm.models import Conflict, Connection, Link, SyncEntry, SyncRun
from apps.crm.services import outbox, passes, previewing, runs
from rtx.kernel import clock
from rtx.kernel.errors import Conflict as Refused
from tests.factories.crm import STAFF, MemoryCrm, make_client, make_connection, run_through, settle
from tests.factories.rows import make_group, make_holder

pytestmark = pytest.mark.django_db


def test_a_full_run_brings_both_sides_in_step(connection: Connection, crm: MemoryCrm) -> None:
    everyone = [make_client(number) for number in range(5)]
    crm.put("1", external_id=str(everyone[0].pk), email="ann0@example.com", phone="+33123456789")
    crm.put("2", email="stranger@example.com")

    run = run_through(connection)

    assert (run.status, run.total, run.done) == ("done", 5, 5)
    assert (run.created, run.updated, run.pulled, run.failed) == (4, 1, 1, 0)
    assert len(crm.all()) == 6
    connection.refresh_from_db()
    assert connection.pulled_at is not None


def test_a_second_full_run_sends_nothing(connection: Connection, crm: MemoryCrm) -> None:
    for number in range(5):
        make_client(number)
    run_through(connection)
    outbox.dispatch()
    crm.calls.clear()

    run = run_through(connection)

    assert (run.unchanged, run.created, run.updated) == (5, 0, 0)
    assert set(crm.calls) == {"changes"}


def test_a_dry_run_tells_and_does_nothing(connection: Connection, crm: MemoryCrm) -> None:
    everyone = [make_client(number) for number in range(3)]
    crm.put("1", email="ann0@example.com", phone="+33123456789")

    run = run_through(connection, "preview")

    assert (run.status, run.created, run.updated, run.pulled) == ("done", 2, 1, 1)
    assert (Link.objects.count(), Conflict.objects.count(), SyncEntry.objects.count()) == (0, 0, 0)
    assert set(crm.calls) == {"changes"}
    assert type(everyone[0]).objects.get(pk=everyone[0].pk).phone == ""


def test_an_incremental_run_reads_on_from_the_last(connection: Connection, crm: MemoryCrm) -> None:
    client = make_client()
    run_through(connection)
    crm.put(crm.of(client).crm_id, firstname="Anna")

    run = run_through(connection, "incremental")

    assert (run.pulled, run.total) == (1, 0)
    client.refresh_from_db()
    assert client.first_name == "Anna"
    run = run_through(connection, "incremental")
    assert run.pulled == 0


def test_a_full_run_sends_accounts_after_their_clients(crm: MemoryCrm) -> None:
    connection = make_connection(account_object="deals")
    holder = make_holder(group=make_group(), balance="100")

    run = run_through(connection)

    assert (run.total, run.done, run.created) == (2, 2, 2)
    assert [kept.external_id for kept in crm.all("deals")] == [str(holder.login)]


def test_two_runs_of_a_connection_do_not_live_at_once(connection: Connection, crm: MemoryCrm) -> None:
    runs.start(connection_id=connection.pk, kind="full", actor=STAFF)

    with pytest.raises(Refused) as refused:
        runs.start(connection_id=connection.pk, kind="incremental", actor=STAFF)

    assert refused.value.code == "run_live"


def test_a_run_that_is_canceled_stops_before_its_next_batch(
    connection: Connection, crm: MemoryCrm, monkeypatch
) -> None:
    crm.batch_max = 2
    for number in range(6):
        make_client(number)
    run = runs.start(connection_id=connection.pk, kind="full", actor=STAFF)
    real = crm.upsert

    def canceling(object_name, wanted):
        runs.cancel(run_id=run.pk, actor=STAFF)
        monkeypatch.setattr(crm, "upsert", real)
        return real(object_name, wanted)

    monkeypatch.setattr(crm, "upsert", canceling)

    assert runs.carry_on(run_id=run.pk) is False

    run.refresh_from_db()
    assert (run.status, run.created, len(crm.all())) == ("canceled", 2, 2)


def test_a_queued_run_is_canceled_at_once(connection: Connection, crm: MemoryCrm) -> None:
    run = runs.start(connection_id=connection.pk, kind="full", actor=STAFF)

    assert runs.cancel(run_id=run.pk, actor=STAFF).status == "canceled"
    with pytest.raises(Refused):
        runs.cancel(run_id=run.pk, actor=STAFF)


def test_a_run_gives_its_worker_back_while_a_limit_holds(connection: Connection, crm: MemoryCrm) -> None:
    make_client()
    run = runs.start(connection_id=connection.pk, kind="full", actor=STAFF)
    crm.failing.append(LimitReached("wait", retry_after_s=60))

    assert runs.carry_on(run_id=run.pk) is False

    run.refresh_from_db()
    assert run.status == "running"
    assert run.waits_until > clock.now() + timedelta(seconds=55)
    assert runs.waiting() == []
    SyncRun.objects.update(waits_until=clock.now())
    assert runs.waiting() == [run.pk]
    while runs.carry_on(run_id=run.pk):
        pass
    run.refresh_from_db()
    assert (run.status, run.created) == ("done", 1)


@pytest.mark.parametrize("error", [AccessRevoked("gone"), CallRefused("no such object", code="bad_request")])
def test_a_run_fails_for_what_does_not_pass(connection: Connection, crm: MemoryCrm, error: Exception) -> None:
    run = runs.start(connection_id=connection.pk, kind="full", actor=STAFF)
    crm.failing.append(error)

    runs.carry_on(run_id=run.pk)

    run.refresh_from_db()
    assert (run.status, run.error_code) == ("failed", error.code)  # type: ignore[attr-defined]


def test_a_provider_that_stays_silent_ends_a_run_in_the_end(connection: Connection, crm: MemoryCrm) -> None:
    run = runs.start(connection_id=connection.pk, kind="full", actor=STAFF)
    for _ in range(runs.FAILURES_MAX):
        crm.failing.append(Unavailable("down"))
        SyncRun.objects.update(waits_until=None)
        runs.carry_on(run_id=run.pk)

    run.refresh_from_db()
    assert (run.status, run.error_code) == ("failed", "provider_unavailable")


def test_a_run_whose_worker_died_goes_on_where_it_stood(
    connection: Connection, crm: MemoryCrm, settings, monkeypatch
) -> None:
    settings.CRM_CLAIM_S = 0.0
    monkeypatch.setattr(passes, "CHUNK", 4)
    crm.batch_max = 3
    everyone = [make_client(number) for number in range(10)]
    run = runs.start(connection_id=connection.pk, kind="full", actor=STAFF)
    crm.dying = True
    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            runs.carry_on(run_id=run.pk)
    crm.dying = False

    while runs.carry_on(run_id=run.pk):
        pass

    run.refresh_from_db()
    assert (run.status, run.done) == ("done", 10)
    assert sorted(kept.external_id for kept in crm.all()) == sorted(str(one.pk) for one in everyone)
    assert crm.calls.count("changes") == 1


def test_a_run_in_other_hands_is_left_alone(connection: Connection, crm: MemoryCrm) -> None:
    run = runs.start(connection_id=connection.pk, kind="full", actor=STAFF)
    SyncRun.objects.update(claimed_until=clock.now() + timedelta(seconds=60))

    assert runs.carry_on(run_id=run.pk) is False

    assert crm.calls == []
    assert runs.waiting() == []


def test_a_run_that_was_taken_over_moves_no_cursor(
    connection: Connection, crm: MemoryCrm, monkeypatch
) -> None:
    crm.put("9", email="new@example.com", firstname="New", lastname="Person")
    Connection.objects.update(creates_clients=True)
    run = runs.start(connection_id=connection.pk, kind="full", actor=STAFF)
    real, other = crm.changes, uuid4()

    def overtaken(*args, **more):
        page = real(*args, **more)
        SyncRun.objects.filter(pk=run.pk).update(claim=other, cursor={"pull": {"at": "theirs"}})
        return page

    monkeypatch.setattr(crm, "changes", overtaken)

    assert runs.carry_on(run_id=run.pk) is False

    run.refresh_from_db()
    connection.refresh_from_db()
    assert (run.claim, run.phase, run.cursor) == (other, "pull", {"pull": {"at": "theirs"}})
    assert (connection.pulled_at, Client.objects.count()) == (None, 0)


def test_a_run_of_a_connection_that_is_paused_stops_before_its_next_batch(
    connection: Connection, crm: MemoryCrm, monkeypatch
) -> None:
    crm.batch_max = 2
    for number in range(6):
        make_client(number)
    run = runs.start(connection_id=connection.pk, kind="full", actor=STAFF)
    real = crm.upsert

    def pausing(object_name, wanted):
        Connection.objects.update(status="paused")
        return real(object_name, wanted)

    monkeypatch.setattr(crm, "upsert", pausing)

    assert runs.carry_on(run_id=run.pk) is False

    run.refresh_from_db()
    assert (run.status, run.claim, len(crm.all())) == ("running", None, 2)
    monkeypatch.setattr(crm, "upsert", real)
    Connection.objects.update(status="active")
    SyncRun.objects.update(waits_until=clock.now())
    while runs.carry_on(run_id=run.pk):
        pass
    assert len(crm.all()) == 6


def test_incremental_runs_start_when_their_time_has_come(connection: Connection, crm: MemoryCrm) -> None:
    assert runs.start_due() == 0  # never synced: staff begin with a full run
    run_through(connection)
    assert runs.start_due() == 0
    Connection.objects.update(pulled_at=clock.now() - timedelta(seconds=301))

    assert runs.start_due() == 1
    assert runs.start_due() == 0
    assert SyncRun.objects.get(kind="incremental").status == "queued"


def test_a_preview_shows_what_would_be_sent_and_what_stands_there(
    connection: Connection, crm: MemoryCrm
) -> None:
    client = make_client()
    settle(connection, crm)
    clients.change(client_id=client.pk, changes={"email": "new@example.com"})
    crm.put(crm.of(client).crm_id, firstname="Anna")

    shown = {line.rtx_field: line for line in previewing.preview(connection, client_id=client.pk).lines}

    assert (shown["email"].action, shown["email"].ours, shown["email"].theirs) == (
        "push",
        "new@example.com",
        "ann1@example.com",
    )
    assert (shown["first_name"].action, shown["last_name"].action) == ("pull", "keep")
    assert Link.objects.get().is_waiting is False
