"""A fault that names one call holds the work that needs this call: the other direction goes on."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from apps.accounts.models import Client
from apps.accounts.services import clients
from apps.crm.adapters.provider import ConnectionFault, Forbidden
from apps.crm.domain.mapping import Pair
from apps.crm.models import Connection, Link, SyncRun
from apps.crm.services import connections, faults, field_mappings, outbox, pushing, runs
from apps.risk.models import RiskAlarm
from rtx.kernel import clock
from tests.factories.crm import STAFF, make_client, run_through
from tests.factories.rows import make_group, make_holder
from tests.fakes.fake import Fault
from tests.fakes.hubspot import HubSpotFake
from tests.integration.crm.test_sync_hubspot import contacts, settle
from tests.integration.crm.toys import CLIENT_SECRET

pytestmark = pytest.mark.django_db
SEARCH, WRITE = r"/crm/v3/objects/contacts/search", r"/crm/v3/objects/contacts/batch/update"


@pytest.fixture
def client(joined: Connection) -> Client:
    """Return a client who is in step with the portal; the next run is an incremental one."""
    made = make_client(1)
    run_through(joined)
    settle(joined)
    return made


def pass_by(connection: Connection) -> None:
    """Do what workers do at one tick."""
    outbox.dispatch()
    for run_id in runs.waiting():
        runs.carry_on(run_id=run_id)
    for key in pushing.waiting():
        pushing.push_all(connection_id=key, for_s=5)
    connection.refresh_from_db()


def test_refused_reading_holds_the_run_alone(
    joined: Connection, hubspot: HubSpotFake, client: Client
) -> None:
    hubspot.fail(Fault(status=404, body={"message": "no"}), path=SEARCH, times=99)
    run = runs.start(connection_id=joined.pk, kind="incremental", actor=STAFF)
    pauses = []
    for number in range(3):
        SyncRun.objects.update(waits_until=None)
        clients.change(client_id=client.pk, changes={"phone": f"+4930{number}"})

        pass_by(joined)

        assert contacts(hubspot)[str(client.pk)]["phone"] == f"+4930{number}"
        assert not Link.objects.get().is_waiting
        assert (joined.fault_code, joined.fault_during) == ("object_missing", "changes contacts")
        assert (joined.open_until, joined.failures, joined.push_not_before) == (None, 0, None)
        run.refresh_from_db()
        assert (run.status, run.error_code, run.claim) == ("running", "object_missing", None)
        pauses.append(round((run.waits_until - clock.now()).total_seconds(), -1))
    assert pauses == [30, 60, 120]
    alarm = RiskAlarm.objects.get()
    assert (alarm.kind, alarm.severity, alarm.cleared_at) == ("crm_fault", "critical", None)


def test_a_run_that_is_read_again_ends_the_fault(
    joined: Connection, hubspot: HubSpotFake, client: Client
) -> None:
    hubspot.fail(Fault(status=403, body={"category": "MISSING_SCOPES"}), path=SEARCH)
    run = runs.start(connection_id=joined.pk, kind="incremental", actor=STAFF)
    pass_by(joined)
    SyncRun.objects.update(waits_until=None)

    pass_by(joined)

    run.refresh_from_db()
    assert (run.status, run.cursor.get("refusals")) == ("done", None)
    assert joined.fault_code == ""
    assert RiskAlarm.objects.get().cleared_at is not None


def test_refused_sending_holds_sending_alone(
    joined: Connection, hubspot: HubSpotFake, client: Client
) -> None:
    clients.change(client_id=client.pk, changes={"phone": "+4930"})
    hubspot.fail(Fault(status=403, body={"category": "MISSING_SCOPES"}), path=WRITE, times=3)
    pauses = []
    for _ in range(3):
        Connection.objects.update(push_not_before=None)
        pass_by(joined)
        pauses.append(round((joined.push_not_before - clock.now()).total_seconds(), -1))
        assert pushing.waiting() == []
        assert pushing.push_all(connection_id=joined.pk, for_s=5) == 0
    assert pauses == [30, 60, 120]
    assert hubspot.count("batch_update") == 3
    assert (joined.fault_code, joined.fault_during) == ("missing_scopes", "upsert contacts")
    assert (joined.open_until, joined.failures) == (None, 0)
    assert Link.objects.get().attempts == 0

    assert run_through_pull(joined) == "push"

    Connection.objects.update(push_not_before=clock.now() - timedelta(seconds=1))
    pass_by(joined)
    assert contacts(hubspot)[str(client.pk)]["phone"] == "+4930"
    assert (joined.push_refusals, joined.push_not_before, joined.fault_code) == (0, None, "")


@pytest.mark.parametrize(
    ("path", "during"), [("/associations/", "associate deals"), ("/deals/batch/upsert", "upsert deals")]
)
def test_refused_accounts_hold_no_client(
    path: str, during: str, joined: Connection, hubspot: HubSpotFake
) -> None:
    client = make_holder(group=make_group()).row.client
    hubspot.fail(Fault(status=403, body={"category": "MISSING_SCOPES"}), path=path, times=3)
    pauses = []
    for number in range(3):
        Connection.objects.update(account_push_not_before=None)
        pass_by(joined)
        pauses.append(round((joined.account_push_not_before - clock.now()).total_seconds(), -1))
        assert pushing.waiting() == []
        assert (joined.fault_code, joined.fault_during) == ("missing_scopes", during)

        clients.change(client_id=client.pk, changes={"phone": f"+4930{number}"})
        pass_by(joined)

        assert contacts(hubspot)[str(client.pk)]["phone"] == f"+4930{number}"
        assert (joined.push_refusals, joined.push_not_before, joined.open_until) == (0, None, None)
    assert pauses == [30, 60, 120]
    tried = [call.status for call in hubspot.calls if call.path.endswith("/deals/batch/upsert")]
    assert len(tried) - tried.count(400) == 3  # 400: RTX's property was to be made first
    assert RiskAlarm.objects.get().cleared_at is None

    Connection.objects.update(account_push_not_before=clock.now() - timedelta(seconds=1))
    pass_by(joined)

    (deal,) = hubspot.deals.records.values()
    assert deal.associated == {("contacts", Link.objects.get(kind="client").crm_id)}
    assert not Link.objects.filter(is_waiting=True).exists()
    assert (joined.account_push_refusals, joined.account_push_not_before) == (0, None)
    assert (joined.fault_code, RiskAlarm.objects.get().cleared_at is not None) == ("", True)


@pytest.mark.parametrize("kind", ["incremental", "full"])
@pytest.mark.parametrize("path", ["/associations/", "/deals/batch/upsert", "/contacts/batch/up"])
def test_a_run_ends_though_sending_is_refused(
    path: str, kind: str, joined: Connection, hubspot: HubSpotFake, client: Client
) -> None:
    login = make_holder(group=make_group()).row.login
    clients.change(client_id=client.pk, changes={"phone": "+49301"})
    is_client = path == "/contacts/batch/up"
    during = {"/associations/": "associate deals", "/deals/batch/upsert": "upsert deals"}
    hubspot.fail(Fault(status=403, body={"category": "MISSING_SCOPES"}), path=path, times=99)
    outbox.dispatch()

    run = run_through(joined, kind)

    joined.refresh_from_db()
    assert (run.status, run.phase, run.claim, run.error_code) == ("done", "", None, "missing_scopes")
    assert run.error.startswith(f"Sending waits ({'clients' if is_client else 'accounts'}): ")
    assert (joined.fault_code, joined.fault_during) == (
        "missing_scopes",
        during.get(path, "upsert contacts"),
    )
    assert (joined.push_refusals, joined.account_push_refusals) == ((1, 0) if is_client else (0, 1))
    assert (joined.open_until, run.failed) == (None, 0)

    hubspot.heal()
    Connection.objects.update(push_not_before=None, account_push_not_before=None)
    pass_by(joined)
    assert contacts(hubspot)[str(client.pk)]["phone"] == "+49301"
    assert [one.properties["rtx_login"] for one in hubspot.deals.records.values()] == [str(login)]
    assert joined.fault_code == ""
    assert run_through(joined, kind).error_code == ""


def test_what_people_change_there_arrives_while_sending_is_refused(
    joined: Connection, hubspot: HubSpotFake, client: Client
) -> None:
    make_holder(group=make_group())
    hubspot.fail(Fault(status=403, body={"category": "MISSING_SCOPES"}), path="/deals/batch/upsert", times=99)
    for number in range(3):
        hubspot.edit("contacts", Link.objects.get(client=client).crm_id, phone=f"+49{number}")
        Connection.objects.update(pulled_at=clock.now() - timedelta(days=1))

        assert runs.start_due() == 1
        pass_by(joined)

        client.refresh_from_db()
        assert client.phone == f"+49{number}"
    assert set(SyncRun.objects.values_list("status", flat=True)) == {"done"}


def test_a_full_run_lets_what_differs_wait_while_sending_is_refused(
    joined: Connection, hubspot: HubSpotFake, client: Client
) -> None:
    make_holder(group=make_group())
    clients.change(client_id=client.pk, changes={"phone": "+49301"})  # nothing was dispatched
    Connection.objects.update(push_not_before=clock.now() + timedelta(hours=1), push_refusals=3)
    writes = hubspot.count("batch_update") + hubspot.count("batch_upsert")

    run = run_through(joined)

    assert (run.status, run.done, run.total, run.created, run.updated) == ("done", 3, 3, 0, 0)
    assert Link.objects.filter(is_waiting=True).count() == 3
    assert hubspot.count("batch_update") + hubspot.count("batch_upsert") == writes


def run_through_pull(connection: Connection) -> str:
    """Start an incremental run, let it read once, cancel it; return what it would do next."""
    run = runs.start(connection_id=connection.pk, kind="incremental", actor=STAFF)
    runs.carry_on(run_id=run.pk, for_s=0)
    run.refresh_from_db()
    phase = run.phase
    runs.cancel(run_id=run.pk, actor=STAFF)
    return phase


@pytest.mark.parametrize(
    ("error", "holds_all"),
    [
        (ConnectionFault("no", code="oauth_invalid_client"), True),
        (ConnectionFault("no", code="not_authorized"), True),
        (ConnectionFault("no", code="address_refused"), True),
        (Forbidden("no", code="too_many_fields"), False),
        (Forbidden("no", code="missing_scopes").of("changes", "contacts"), False),
    ],
)
def test_what_is_wrong_with_the_access_holds_every_call(
    error: ConnectionFault, holds_all: bool, joined: Connection
) -> None:
    faults.note(connection_id=joined.pk, error=error)

    joined.refresh_from_db()
    assert (joined.open_until is not None) is holds_all
    assert joined.push_not_before is None


def change_secret(connection: Connection) -> None:
    connections.change(connection_id=connection.pk, values={"client_secret": CLIENT_SECRET}, actor=STAFF)


def change_mapping(connection: Connection) -> None:
    pairs = [Pair("email", "email")]
    field_mappings.replace(connection_id=connection.pk, kind="client", pairs=pairs, actor=STAFF)


@pytest.mark.parametrize("change", [change_secret, change_mapping])
def test_what_staff_change_lets_sending_try_at_once(
    change: Callable[[Connection], None], joined: Connection
) -> None:
    make_client()
    outbox.dispatch()
    error = Forbidden("no", code="missing_rights").of("upsert", "contacts")
    faults.note(connection_id=joined.pk, error=error, sending="client")
    assert pushing.waiting() == []

    change(joined)

    assert pushing.waiting() == [joined.pk]


def test_what_is_mended_is_forgotten(joined: Connection) -> None:
    error = Forbidden("no", code="missing_rights").of("upsert", "contacts")
    faults.note(connection_id=joined.pk, error=error, sending="client")

    faults.mended(connection_id=joined.pk)

    joined.refresh_from_db()
    assert (joined.push_refusals, joined.push_not_before, joined.fault_code) == (0, None, "")
