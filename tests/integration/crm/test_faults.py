"""A fault of the connection is no record's: nothing is given up, staff are told, all goes on once mended."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from apps.audit.models import StaffAction
from apps.crm.adapters.provider import CallRefused, ConnectionFault, Forbidden, LimitReached, Written
from apps.crm.domain.mapping import Pair
from apps.crm.models import Connection, DeadLetter, Link, OAuthToken, SyncRun, WebhookDelivery
from apps.crm.selectors import status
from apps.crm.services import calling, connections, faults, field_mappings, outbox, pushing, runs, webhooks
from apps.risk.models import RiskAlarm
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from tests.factories.crm import STAFF, MemoryCrm, make_client, settle
from tests.fakes.server import Fault
from tests.fakes.toy import Toy
from tests.integration.crm.toys import call, send

pytestmark = pytest.mark.django_db


def told(connection: Connection) -> tuple[str, str]:
    """Return what staff are told of a fault: its code and what to do."""
    connection.refresh_from_db()
    shown = status.status_view(connection, now=clock.now())["fault"]
    return (shown["code"], shown["advice"]) if shown else ("", "")


@pytest.mark.parametrize(
    "fault",
    [
        ConnectionFault("refused", code="oauth_invalid_client"),
        ConnectionFault("refused", code="not_authorized"),
        ConnectionFault("refused", code="address_refused"),
        Forbidden("no", code="missing_scopes"),
        Forbidden("no", code="missing_rights"),
        Forbidden("none", code="object_missing"),
    ],
)
def test_what_waits_keeps_its_attempts_and_goes_on_once_mended(
    fault: ConnectionFault, connection: Connection, crm: MemoryCrm
) -> None:
    everyone = [make_client(number) for number in range(3)]
    outbox.dispatch()
    crm.refused["*"] = fault

    assert pushing.push_all(connection_id=connection.pk, for_s=5) == 0

    assert crm.calls == ["upsert"]  # nothing is halved to find whose fault it is
    links = Link.objects.values_list("attempts", "claim", "status", "is_waiting")
    assert list(links) == [(0, None, "active", True)] * 3
    assert not DeadLetter.objects.exists()
    assert pushing.waiting() == []  # left alone
    assert told(connection)[0] == fault.code
    alarm = RiskAlarm.objects.get()
    assert (alarm.kind, alarm.severity, alarm.subject, alarm.cleared_at) == (
        "crm_fault",
        "critical",
        "hubspot",
        None,
    )
    assert fault.code in alarm.message
    assert StaffAction.objects.filter(operation="crm.fault", detail=fault.code).count() == 1

    crm.refused.clear()
    Connection.objects.update(open_until=clock.now(), push_not_before=None)
    assert pushing.waiting() == [connection.pk]
    assert pushing.push_all(connection_id=connection.pk, for_s=5) == 3
    assert {kept.external_id for kept in crm.all()} == {str(one.pk) for one in everyone}


def test_a_refusal_of_what_is_read_before_writing_is_no_record_s_either(
    connection: Connection, crm: MemoryCrm, monkeypatch
) -> None:
    client = make_client()
    settle(connection, crm)
    type(client).objects.filter(pk=client.pk).update(country="FR")
    outbox.dispatch()
    refused = CallRefused("no", code="call_refused")
    monkeypatch.setattr(crm, "get_many", lambda *_: (_ for _ in ()).throw(refused))

    pushing.push_all(connection_id=connection.pk, for_s=5)

    link = Link.objects.get()
    assert (link.attempts, link.claim, link.is_waiting) == (0, None, True)
    assert told(connection)[0] == "call_refused"
    assert pushing.waiting() == []


@pytest.mark.parametrize("state", ["paused", "draft", "revoked", "removed"])
def test_what_ends_meanwhile_is_at_no_fault(state: str, connection: Connection) -> None:
    Connection.objects.update(status=state)

    faults.note(connection_id=connection.pk, error=ConnectionFault("refused"))

    assert told(connection) == ("", "")
    assert not RiskAlarm.objects.exists()


def test_a_fault_that_lasts_is_tried_less_and_less_and_told_once(
    connection: Connection, crm: MemoryCrm
) -> None:
    make_client()
    outbox.dispatch()
    crm.refused["*"] = Forbidden("no", code="missing_scopes")
    pauses = []
    for _ in range(3):
        Connection.objects.update(push_not_before=None)
        pushing.push_all(connection_id=connection.pk, for_s=5)
        connection.refresh_from_db()
        pauses.append(round((connection.push_not_before - clock.now()).total_seconds(), -1))

    assert pauses == [30, 60, 120]
    assert (connection.open_until, connection.failures) == (None, 0)
    assert RiskAlarm.objects.get().count == 3
    assert StaffAction.objects.filter(operation="crm.fault").count() == 1
    assert Link.objects.get().attempts == 0


def test_a_fault_after_half_of_a_batch_was_written_keeps_that_half(
    connection: Connection, crm: MemoryCrm, monkeypatch
) -> None:
    """Salesforce and Zoho write known and new records by two calls."""
    first, second = make_client(1), make_client(2)
    outbox.dispatch()
    real = crm.upsert

    def half(object_name, wanted):
        error = Forbidden("no", code="missing_rights")
        return [
            real(object_name, [one])[0]
            if one.external_id == str(first.pk)
            else Written(one.external_id, error=error)
            for one in wanted
        ]

    monkeypatch.setattr(crm, "upsert", half)

    pushing.push_all(connection_id=connection.pk, for_s=5)

    assert (Link.objects.get(client=first).is_waiting, told(connection)[0]) == (False, "missing_rights")
    waits = Link.objects.get(client=second)
    assert (waits.attempts, waits.claim, waits.is_waiting) == (0, None, True)


def test_a_limit_that_is_reached_within_a_batch_is_no_try(connection: Connection, crm: MemoryCrm) -> None:
    client, other = make_client(1), make_client(2)
    crm.refused[str(client.pk)] = LimitReached("later", code="daily_limit", retry_after_s=900)

    settle(connection, crm)

    link = Link.objects.get(client=client)
    assert (link.attempts, link.claim, link.is_waiting) == (0, None, True)
    assert clock.now() + timedelta(minutes=14) < link.due_at <= clock.now() + timedelta(minutes=15)
    assert crm.of(other)


def test_a_run_waits_for_a_fault_to_be_mended_and_says_so(connection: Connection, crm: MemoryCrm) -> None:
    make_client()
    run = runs.start(connection_id=connection.pk, kind="full", actor=STAFF)
    crm.failing.append(ConnectionFault("refused", code="oauth_invalid_client"))

    assert runs.carry_on(run_id=run.pk) is False

    run.refresh_from_db()
    assert (run.status, run.error_code, run.claim) == ("running", "oauth_invalid_client", None)
    assert run.waits_until > clock.now()
    assert told(connection)[0] == "oauth_invalid_client"

    faults.mended(connection_id=connection.pk)
    assert runs.waiting() == [run.pk]
    while runs.carry_on(run_id=run.pk):
        pass
    run.refresh_from_db()
    assert (run.status, run.error_code, run.created) == ("done", "", 1)
    assert told(connection) == ("", "")
    assert RiskAlarm.objects.get().cleared_at is not None


def test_what_may_not_be_deleted_there_holds_nobody_else_up(
    connection: Connection, crm: MemoryCrm, monkeypatch
) -> None:
    gone, other = make_client(1), make_client(2)
    settle(connection, crm)
    monkeypatch.setattr(crm, "delete", lambda *_: (_ for _ in ()).throw(Forbidden("no")))
    type(gone).objects.filter(pk=gone.pk).update(data_key=None)
    type(other).objects.filter(pk=other.pk).update(country="FR")
    outbox.dispatch()

    pushing.push_all(connection_id=connection.pk, for_s=5)

    assert Link.objects.get(client=gone).last_error_code == "missing_rights"
    assert Link.objects.get(client=other).is_waiting is False
    assert told(connection) == ("", "")


def test_a_delivery_waits_for_a_fault_to_be_mended(connected, pulled, toy) -> None:
    toy.fail(Fault(status=403), path="/names")
    send()
    assert webhooks.process_due() == 0

    held = WebhookDelivery.objects.get()
    assert (held.status, held.attempts, held.error_code) == ("received", 0, "missing_scopes")
    assert held.due_at > clock.now() + timedelta(seconds=25)
    assert not DeadLetter.objects.exists()
    assert told(connected)[0] == "missing_scopes"

    WebhookDelivery.objects.update(due_at=clock.now())
    Connection.objects.update(open_until=clock.now())
    assert webhooks.process_due() == 1
    assert told(connected) == ("", "")


# What ends a fault.


def note(connected: Connection, *, during: str = "", code: str = "missing_scopes") -> None:
    """Let a connection be at fault."""
    error = Forbidden("no", code=code)
    error.during = during
    faults.note(connection_id=connected.pk, error=error)
    Connection.objects.update(open_until=None)


@pytest.mark.parametrize(("during", "is_over"), [("", True), ("health", True), ("upsert contacts", False)])
def test_the_call_that_was_refused_ends_it_once_it_succeeds(during, is_over, connected, toy) -> None:
    note(connected, during=during)

    call(connected)

    assert (told(connected) == ("", "")) is is_over
    assert (RiskAlarm.objects.get().cleared_at is not None) is is_over


def test_a_call_that_is_refused_again_ends_nothing(connected, toy) -> None:
    note(connected)
    toy.fail(Fault(status=404), path="/names")

    with pytest.raises(CallRefused):
        call(connected)

    assert told(connected)[0] == "missing_scopes"


def test_a_test_that_finds_nothing_wrong_ends_it_and_lets_all_go_on(connected, toy, actor) -> None:
    run = SyncRun.objects.create(
        connection=connected,
        kind="full",
        asked_by="x",
        status="running",
        created_at=clock.now(),
        waits_until=clock.now() + timedelta(minutes=9),
    )
    note(connected, during="upsert contacts")
    Connection.objects.update(open_until=clock.now() + timedelta(minutes=9))

    assert connections.test(connection_id=connected.pk, actor=actor).is_ok

    assert told(connected) == ("", "")
    assert (connected.failures, connected.open_until) == (0, None)
    assert runs.waiting() == [run.pk]


def test_a_test_tells_a_fault_clearly_and_leaves_it(connected, toy, actor) -> None:
    note(connected, code="oauth_invalid_client")
    connected.client_secret = "wrong"
    connected.save(update_fields=["client_secret_sealed"])
    OAuthToken.objects.update(expires_at=clock.now())

    (_, found) = connections.test(connection_id=connected.pk, actor=actor).findings

    assert (found.step, found.outcome, found.code) == ("access", "failed", "oauth_invalid_client")
    assert found.advice == "Client id or client secret is wrong. Copy both from the provider's app again."
    assert told(connected) == ("oauth_invalid_client", found.advice)
    assert OAuthToken.objects.exists()


def change_secret(row: Connection, actor: Actor) -> None:
    connections.change(connection_id=row.pk, values={"client_secret": "another"}, actor=actor)


def change_mapping(row: Connection, actor: Actor) -> None:
    pairs = [Pair("email", "email")]
    field_mappings.replace(connection_id=row.pk, kind="client", pairs=pairs, actor=actor)


@pytest.mark.parametrize("change", [change_secret, change_mapping])
def test_what_staff_change_is_tried_at_once_and_ends_it_when_it_helps(
    change: Callable[[Connection, Actor], None], connected, toy, actor
) -> None:
    note(connected)
    Connection.objects.update(open_until=clock.now() + timedelta(minutes=9))

    change(connected, actor)

    assert told(connected)[0] == "missing_scopes"
    call(connected)
    assert told(connected) == ("", "")


def test_disconnecting_ends_it(connected, toy, actor) -> None:
    note(connected)

    connections.disconnect(connection_id=connected.pk, actor=actor)

    assert told(connected) == ("", "")
    assert RiskAlarm.objects.get().cleared_at is not None


def test_access_that_is_gone_goes_before_a_fault(connected, toy) -> None:
    note(connected)
    toy.grants.revoke_all()

    with pytest.raises(calling.ProviderError):
        call(connected)

    assert told(connected) == ("", "")
    open_ones = RiskAlarm.objects.filter(cleared_at=None)
    assert [alarm.kind for alarm in open_ones] == ["crm_access"]


# The token endpoint.


def ended_token(connected: Connection) -> None:
    OAuthToken.objects.update(expires_at=clock.now())


def test_a_wrong_client_secret_is_a_fault_of_the_connection_and_keeps_the_grant(
    connected, toy, monkeypatch
) -> None:
    monkeypatch.setattr(
        Toy, "upsert", lambda self, *_: self.session.call("GET", "/names", operation="upsert")
    )
    make_client()
    outbox.dispatch()
    before = OAuthToken.objects.get().refresh_token
    connected.client_secret = "wrong"
    connected.save(update_fields=["client_secret_sealed"])
    ended_token(connected)

    pushing.push_all(connection_id=connected.pk, for_s=5)

    assert told(connected)[0] == "oauth_invalid_client"
    assert (connected.status, connected.last_error_code) == ("active", "oauth_invalid_client")
    assert OAuthToken.objects.get().refresh_token == before
    assert toy.count("token") == 1
    assert Link.objects.filter(attempts=0, claim=None).count() == Link.objects.count() > 0
