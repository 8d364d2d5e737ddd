"""
The pages of CRM connections against the HubSpot fake: setting up, connecting at its page, testing, mapping
with live fields, previewing, syncing; what is masked, and for whom.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import httpx
import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from apps.accounts.models import Client as Person
from apps.accounts.models import User
from apps.accounts.services import clients
from apps.audit.models import StaffAction
from apps.crm.adapters.provider import Forbidden
from apps.crm.models import Conflict, Connection, DeadLetter, FieldMapping, Link, SyncRun
from apps.crm.selectors.mappings import pairs_of
from apps.crm.services import connections, faults, outbox, runs
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from tests.factories.crm import make_client
from tests.factories.house import House, make_house, staff
from tests.factories.staff import signed_in
from tests.fakes.hubspot import HubSpotFake
from tests.fakes.server import serving

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system("test")
SECRET = "app-secret-0123456789"
LIST = "/admin/crm/connection/"


@pytest.fixture
def hubspot(settings: Any) -> Iterator[HubSpotFake]:
    fake = HubSpotFake()
    with serving(fake) as url:
        settings.OUTGOING_ALLOWS_LOOPBACK = True
        settings.CRM_HUBSPOT_URL = settings.CRM_HUBSPOT_OAUTH_URL = url
        settings.PUBLIC_URL = "http://testserver"
        yield fake


@pytest.fixture
def row(db: None) -> Connection:
    values = {"provider": "hubspot", "client_id": "app", "client_secret": SECRET}
    return connections.create(values=values, actor=SYSTEM)


@pytest.fixture
def boss(db: None) -> User:
    return User.objects.create_superuser("boss@example.com", "Xy-long-enough-1")


@pytest.fixture
def desk(boss: User) -> Client:
    return signed_in(boss)


def url(row: Connection, page: str = "change") -> str:
    return f"{LIST}{row.pk}/{page}/"


def deed(**values: str) -> dict[str, str]:
    return {"operator_confirmed": "1", "reason": "asked by sales", "request_key": uuid4().hex} | values


def texts(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def connect(desk: Client, row: Connection) -> Any:
    """Walk to the provider and back as a browser does."""
    leaving = desk.post(url(row, "connect"))
    with httpx.Client(trust_env=False) as browser:
        agreed = browser.post(leaving.context["url"], data={"agreed": "1"})
    back = urlsplit(agreed.headers["Location"])
    assert back.path == "/api/admin/crm/oauth/callback"
    return desk.get(back.path, dict(parse_qsl(back.query)), follow=True)


def rows_form(*rows: dict[str, str]) -> dict[str, str]:
    sent = {"form-TOTAL_FORMS": str(len(rows)), "form-INITIAL_FORMS": "0", "reason": "as sales wants it"}
    for place, one in enumerate(rows):
        pair = {"direction": "push", "transform": "text", "options": "", "is_active": "on"} | one
        sent |= {f"form-{place}-{name}": value for name, value in pair.items()}
    return sent


def test_a_connection_is_set_up_with_a_secret_that_is_never_shown(desk: Client) -> None:
    values = {"provider": "hubspot", "name": "Sales", "client_id": "app", "client_secret": SECRET}
    pace = {"calls_max": "100", "window_s": "10", "pull_every_s": "300", "keep_days": "90"}
    done = desk.post(f"{LIST}add/", values | pace, follow=True)

    row = Connection.objects.get()
    page = desk.get(url(row))
    assert (row.client_secret, row.customer_object) == (SECRET, "contacts")
    assert "was added successfully" in texts(done)[0]
    assert SECRET not in page.content.decode()
    assert [one.operation for one in StaffAction.objects.all()] == ["crm.create_connection"]


def test_an_empty_secret_stays(desk: Client, row: Connection) -> None:
    values = {"name": "Renamed", "client_id": "app", "customer_object": "contacts", "erases_there": "on"}
    pace = {"calls_max": "50", "window_s": "10", "pull_every_s": "300", "keep_days": "90"}
    desk.post(url(row), values | pace)

    row.refresh_from_db()
    assert (row.name, row.calls_max, row.client_secret) == ("Renamed", 50, SECRET)


def test_connecting_leads_to_the_provider_and_back(
    hubspot: HubSpotFake, desk: Client, row: Connection
) -> None:
    done = connect(desk, row)

    row.refresh_from_db()
    assert row.status == "active"
    assert texts(done) == [f"{row} is connected. Test it, then start a first sync."]


def test_the_way_back_is_only_for_who_began(hubspot: HubSpotFake, desk: Client, row: Connection) -> None:
    leaving = desk.post(url(row, "connect"))
    state = dict(parse_qsl(urlsplit(leaving.context["url"]).query))["state"]
    other = signed_in(User.objects.create_superuser("other@example.com", "Xy-long-enough-2"))

    refused = other.get("/admin/crm/connection/callback/", {"state": state, "code": "c"}, follow=True)

    row.refresh_from_db()
    assert row.status == "draft"
    assert texts(refused)[0].startswith("Not connected.")


def test_declining_is_told(hubspot: HubSpotFake, desk: Client, row: Connection) -> None:
    leaving = desk.post(url(row, "connect"))
    state = dict(parse_qsl(urlsplit(leaving.context["url"]).query))["state"]

    back = desk.get("/api/admin/crm/oauth/callback", {"state": state, "error": "access_denied"}, follow=True)

    assert "declined" in texts(back)[0]


def test_the_test_says_what_works_and_what_to_do(hubspot: HubSpotFake, desk: Client, row: Connection) -> None:
    before = desk.post(url(row, "test"))
    assert not before.context["diagnosis"].is_ok
    assert "Press Connect" in before.content.decode()

    connect(desk, row)
    assert desk.post(url(row, "test")).context["diagnosis"].is_ok


def test_a_fault_is_told_with_what_to_do_and_access_can_be_given_anew(desk: Client, row: Connection) -> None:
    Connection.objects.update(status="active")
    assert f"{LIST}{row.pk}/connect/" not in desk.get(url(row)).content.decode()
    error = Forbidden("The OAuth app lacks a scope for this.", code="missing_scopes")
    faults.note(connection_id=row.pk, error=error)

    page, listed = desk.get(url(row)).content.decode(), desk.get(LIST).content.decode()

    assert "Allow the OAuth app the missing scopes at the provider, then Connect again." in page
    assert "The OAuth app lacks a scope for this." in page
    assert f"{LIST}{row.pk}/connect/" in page
    assert "At fault" in listed
    assert "missing_scopes" in listed
    told = desk.get(f"{LIST}{row.pk}/live/").json()["fault"]
    assert (told["code"], told["detail"]) == ("missing_scopes", str(error))


def test_the_mapping_lists_the_fields_that_the_crm_has_now(
    hubspot: HubSpotFake, desk: Client, row: Connection
) -> None:
    connect(desk, row)

    page = desk.get(url(row, "fields")).content.decode()

    assert '<option value="phone">' in page
    assert 'value="firstname"' in page


def test_the_mapping_is_replaced_as_a_whole(hubspot: HubSpotFake, desk: Client, row: Connection) -> None:
    connect(desk, row)
    pairs = rows_form(
        {"rtx_field": "email", "crm_field": "email"},
        {
            "rtx_field": "phone",
            "crm_field": "phone",
            "direction": "newest",
            "transform": "phone",
            "options": "prefix=49",
        },
    )
    assert desk.post(url(row, "fields") + "?kind=client", pairs).status_code == 302

    kept = FieldMapping.objects.filter(connection=row, kind="client").order_by("pk")
    assert [(one.rtx_field, one.direction, one.transform, one.options) for one in kept] == [
        ("email", "push", "text", {}),
        ("phone", "newest", "phone", {"prefix": "49"}),
    ]
    assert StaffAction.objects.get(operation="crm.replace_mappings").reason == "as sales wants it"


def test_a_pair_is_switched_off_and_kept(hubspot: HubSpotFake, desk: Client, row: Connection) -> None:
    connect(desk, row)
    pairs = rows_form(
        {"rtx_field": "email", "crm_field": "email"},
        {"rtx_field": "phone", "crm_field": "no_such", "is_active": ""},
    )
    assert desk.post(url(row, "fields") + "?kind=client", pairs).status_code == 302

    kept = FieldMapping.objects.filter(connection=row, kind="client").order_by("pk")
    assert [(one.crm_field, one.is_active) for one in kept] == [("email", True), ("no_such", False)]
    assert [pair.crm_field for pair in pairs_of(row, "client")] == ["email"]
    rows = desk.get(url(row, "fields")).context["rows"]
    assert [one["is_active"].value() for one in rows] == [True, False]


@pytest.mark.parametrize(
    ("pair", "told"),
    [
        ({"rtx_field": "email", "crm_field": "no_such"}, "no_such: The CRM has no such field."),
        (
            {"rtx_field": "email", "crm_field": "email", "direction": "pull"},
            "email: E-mail cannot be changed by a CRM.",
        ),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused_by_name(
    hubspot: HubSpotFake, desk: Client, row: Connection, pair: dict[str, str], told: str
) -> None:
    connect(desk, row)
    before = list(FieldMapping.objects.values_list("pk", flat=True))

    answer = desk.post(url(row, "fields") + "?kind=client", rows_form(pair))

    assert told in answer.context["refusals"]
    assert list(FieldMapping.objects.values_list("pk", flat=True)) == before


def sync(row: Connection, kind: str = "full") -> SyncRun:
    run = runs.start(connection_id=row.pk, kind=kind, actor=SYSTEM)
    while runs.carry_on(run_id=run.pk):
        pass
    run.refresh_from_db()
    return run


def test_a_preview_shows_both_sides_and_is_logged(
    hubspot: HubSpotFake, desk: Client, row: Connection
) -> None:
    connect(desk, row)
    client = make_client(1)
    sync(row)
    link = Link.objects.get(client=client)
    hubspot.edit("contacts", link.crm_id, phone="+4930999")

    answer = desk.post(url(row, "preview"), {"number": client.number, "reason": "asked by sales"})

    lines = {one["line"].crm_field: one for one in answer.context["lines"]}
    assert (lines["phone"]["theirs"], lines["phone"]["line"].action) == ("+4930999", "pull")
    assert lines["email"]["line"].action == "keep"
    assert StaffAction.objects.get(operation="crm.preview_client").reason == "asked by sales"


def test_rows_that_nobody_saved_are_previewed(hubspot: HubSpotFake, desk: Client, row: Connection) -> None:
    connect(desk, row)
    client = make_client(1)
    before = list(FieldMapping.objects.values_list("pk", flat=True))
    rows = rows_form(
        {"rtx_field": "number", "crm_field": "company", "transform": "constant", "options": "value=RTX"}
    )

    answer = desk.post(url(row, "preview"), rows | {"number": client.number})

    assert [(one["line"].crm_field, one["ours"]) for one in answer.context["lines"]] == [("company", "RTX")]
    assert list(FieldMapping.objects.values_list("pk", flat=True)) == before


def test_a_preview_masks_persons_for_who_may_not_see_them(
    hubspot: HubSpotFake, desk: Client, row: Connection, house: House
) -> None:
    connect(desk, row)
    admin = staff("admin@example.com", role=User.Role.ADMIN, groups=(house.usd,))
    Permission.objects.get(codename="view_personal_data").group_set.clear()
    page = signed_in(User.objects.get(pk=admin.pk))
    number = house.anna.client.number

    answer = page.post(url(row, "preview"), {"number": number, "reason": "asked by sales"})

    shown = {one["line"].rtx_field: one["ours"] for one in answer.context["lines"]}
    assert shown["email"] == shown["last_name"] == "••••••"
    assert shown["country"] == "Germany"
    foreign = page.post(url(row, "preview"), {"number": house.bruno.client.number, "reason": "asked"})
    assert "lines" not in foreign.context


@pytest.fixture
def house(db: None) -> House:
    return make_house()


def test_a_sync_is_started_watched_and_its_customers_listed(
    hubspot: HubSpotFake, desk: Client, row: Connection
) -> None:
    connect(desk, row)
    for number in (1, 2, 3):
        make_client(number)
    desk.post(url(row, "sync"), deed(kind="full"))
    run = SyncRun.objects.get()
    while runs.carry_on(run_id=run.pk):
        pass

    live = desk.get(url(row, "live")).json()
    page = desk.get(f"/admin/crm/syncrun/{run.pk}/change/").content.decode()
    assert (live["status"], live["customers"]["in_step"], live["run"]) == ("active", 3, None)
    assert desk.get(f"/admin/crm/syncrun/{run.pk}/progress/").json()["created"] == 3
    assert "in HubSpot" in page
    assert StaffAction.objects.get(operation="crm.start_run").reason == "asked by sales"
    assert (
        "HubSpot: client"
        in desk.get(f"/admin/accounts/client/{Person.objects.all()[0].pk}/change/").content.decode()
    )


def test_a_queued_run_is_canceled(hubspot: HubSpotFake, desk: Client, row: Connection) -> None:
    connect(desk, row)
    run = runs.start(connection_id=row.pk, kind="full", actor=SYSTEM)

    desk.post(f"/admin/crm/syncrun/{run.pk}/cancel/", deed())

    run.refresh_from_db()
    assert run.status == "canceled"


def test_dead_letters_are_sent_again_several_at_once(desk: Client, row: Connection) -> None:
    now, links = clock.now(), []
    for number in (1, 2):
        link = Link.objects.create(
            connection=row,
            provider="hubspot",
            client=make_client(number),
            status="dead",
            wanted_at=now,
            changed_at=now,
            due_at=now,
        )
        links.append(link)
        DeadLetter.objects.create(
            connection=row, link=link, direction="push", error_code="call_refused", created_at=now
        )
    chosen = [str(one.pk) for one in DeadLetter.objects.all()]

    desk.post("/admin/crm/deadletter/", deed(action="replay", index="0") | {"_selected_action": chosen})

    assert set(DeadLetter.objects.values_list("status", flat=True)) == {"replayed"}
    assert set(Link.objects.values_list("status", flat=True)) == {"active"}


def test_the_values_of_a_conflict_are_shown_once_with_a_reason(
    hubspot: HubSpotFake, desk: Client, row: Connection
) -> None:
    connect(desk, row)
    client = make_client(1)
    sync(row)
    link = Link.objects.get(client=client)
    clients.change(client_id=client.pk, changes={"phone": "+49301111111"})
    outbox.dispatch()
    hubspot.edit("contacts", link.crm_id, phone="+49302222222")
    sync(row)
    conflict = Conflict.objects.get(crm_field="phone")
    page = f"/admin/crm/conflict/{conflict.pk}/"

    assert "+4930" not in desk.get(f"{page}change/").content.decode()
    shown = desk.post(f"{page}reveal/", deed())

    assert dict(shown.context["shown"]) == {"RTX": "+49301111111", "CRM": "+49302222222"}
    assert StaffAction.objects.get(operation="crm.reveal_conflict").reason == "asked by sales"
