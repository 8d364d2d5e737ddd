"""The REST calls of CRM connections: shapes, refusals, what is never answered, the log."""

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from apps.accounts.models import User
from apps.audit.models import StaffAction
from apps.crm.adapters.provider import ConnectionFault
from apps.crm.api import outputs
from apps.crm.models import Connection, FieldMapping, SyncRun
from apps.crm.services import connections, faults
from rtx.kernel.actor import Actor
from tests.factories.crm import make_client
from tests.factories.staff import token_of
from tests.fakes.hubspot import HubSpotFake
from tests.fakes.server import serving
from tests.integration.crm.toys import give_access

pytestmark = pytest.mark.django_db
SECRET = "app-secret-0123456789"
CONFIG = {"provider": "hubspot", "name": "Sales", "client_id": "app", "client_secret": SECRET}
REASON = {"reason": "asked by sales"}


class Api:
    """Calls as one member of staff."""

    def __init__(self, user: User, *, proved_s_ago: int = 0) -> None:
        self._token = token_of(user, proved_s_ago=proved_s_ago)

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """Send one call and return the answer."""
        return Client().generic(
            method,
            f"/api/admin/crm/{path}",
            json.dumps(body) if body is not None else "",
            content_type="application/json",
            HTTP_AUTHORIZATION=f"Bearer {self._token}",
        )


@pytest.fixture
def boss(db: None) -> User:
    return User.objects.create_superuser("boss@example.com", "Xy-long-enough-1")


@pytest.fixture
def api(boss: User) -> Api:
    return Api(boss)


@pytest.fixture
def row(db: None) -> Connection:
    return connections.create(values=CONFIG, actor=Actor.system("test"))


@pytest.fixture
def active(row: Connection, settings: Any) -> Iterator[Connection]:
    """A connection with access to the HubSpot fake."""
    fake = HubSpotFake()
    with serving(fake) as url:
        settings.OUTGOING_ALLOWS_LOOPBACK = True
        settings.CRM_HUBSPOT_URL = settings.CRM_HUBSPOT_OAUTH_URL = url
        settings.PUBLIC_URL = "https://rtx.example"
        give_access(row, fake)  # type: ignore[arg-type]  # it needs the fake's grants alone
        Connection.objects.filter(pk=row.pk).update(status="active")
        row.refresh_from_db()
        yield row


def test_a_connection_is_set_up_changed_and_removed(api: Api) -> None:
    made = api("POST", "config", CONFIG | REASON)
    number = made.json()["id"]
    changed = api("PUT", f"config/{number}", {"calls_max": 50} | REASON)
    removed = api("DELETE", f"config/{number}", REASON)

    assert (made.status_code, changed.status_code, removed.status_code) == (201, 200, 204)
    assert msgspec.convert(changed.json(), outputs.CrmConfigOut).calls_max == 50
    assert api("GET", f"config/{number}").json()["code"] == "connection_not_found"
    assert api("GET", "configs").json()["results"] == []
    told = list(StaffAction.objects.order_by("pk").values_list("operation", "reason"))
    assert {reason for _, reason in told} == {"asked by sales"}
    assert [operation for operation, _ in told][:2] == ["crm.create_connection", "crm.change_connection"]


def test_no_secret_is_ever_answered_or_logged(api: Api, row: Connection) -> None:
    api(
        "PUT",
        f"config/{row.pk}",
        {"client_secret": "new-secret-77", "webhook_secret": "webhook-secret-77"} | REASON,
    )
    answers = [api("GET", "configs"), api("GET", f"config/{row.pk}"), api("GET", "sync/status")]

    row.refresh_from_db()
    assert (row.client_secret, row.webhook_secret) == ("new-secret-77", "webhook-secret-77")
    assert all("secret-77" not in answer.content.decode() for answer in answers)
    assert "secret-77" not in str(list(StaffAction.objects.values("before", "after", "detail")))
    assert answers[1].json()["has_webhook_secret"] is True


def test_a_fault_is_answered_with_what_to_do(api: Api, row: Connection) -> None:
    Connection.objects.update(status="active")
    faults.note(connection_id=row.pk, error=ConnectionFault("refused", code="oauth_invalid_client"))

    (told,) = api("GET", "sync/status").json()["results"]

    fault = msgspec.convert(told, outputs.CrmStatusOut).fault
    assert fault is not None
    assert (fault.code, fault.detail) == ("oauth_invalid_client", "refused")
    assert fault.advice == "Client id or client secret is wrong. Copy both from the provider's app again."


def test_one_connection_per_provider(api: Api, row: Connection) -> None:
    assert api("POST", "config", CONFIG | REASON).json()["code"] == "connection_exists"


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "config"), ("PUT", "config/1"), ("DELETE", "config/1"), ("GET", "oauth/start")],
)
def test_settings_and_access_need_a_fresh_sign_in(boss: User, method: str, path: str) -> None:
    answer = Api(boss, proved_s_ago=7200)(method, path, None if method == "GET" else REASON)

    assert answer.json()["code"] == "reauthentication_required"


def test_access_begins_with_an_address_of_the_provider(api: Api, active: Connection, settings: Any) -> None:
    begun = api("GET", f"oauth/start?config={active.pk}").json()

    assert begun["url"].startswith(f"{settings.CRM_HUBSPOT_OAUTH_URL}/oauth/authorize?")
    assert "code_challenge_method=S256" in begun["url"]
    assert "redirect_uri=https%3A%2F%2Frtx.example%2Fapi%2Fadmin%2Fcrm%2Foauth%2Fcallback" in begun["url"]


def test_the_way_back_hands_on_what_it_knows_and_nothing_else(client: Client) -> None:
    answer = client.get(
        "/api/admin/crm/oauth/callback", {"state": "s", "code": "c", "next": "//evil.example"}
    )

    assert answer.status_code == 302
    assert answer["Location"] == "/admin/crm/connection/callback/?state=s&code=c"
    assert answer["Referrer-Policy"] == "no-referrer"


def test_a_test_answers_step_by_step(api: Api, active: Connection) -> None:
    found = msgspec.convert(api("POST", f"test/{active.pk}").json(), outputs.CrmDiagnosisOut)

    assert found.ok
    assert {one.step for one in found.findings} >= {"settings", "access", "account", "object"}


def test_a_run_is_triggered_once_and_canceled(api: Api, active: Connection) -> None:
    begun = api("POST", "sync/trigger", {"config": active.pk, "kind": "full"} | REASON)
    again = api("POST", "sync/trigger", {"config": active.pk} | REASON)
    told = msgspec.convert(api("GET", "sync/status").json()["results"][0], outputs.CrmStatusOut, strict=False)
    ended = api("POST", f"sync/{begun.json()['id']}/cancel", REASON)

    assert (begun.status_code, again.json()["code"]) == (202, "run_live")
    assert told.run is not None
    assert told.run.kind == "full"
    assert ended.json()["status"] == "canceled"
    assert api("POST", f"sync/{begun.json()['id']}/cancel", REASON).json()["code"] == "run_ended"
    assert [one["status"] for one in api("GET", "sync/history?status=canceled").json()["results"]] == [
        "canceled"
    ]


def test_a_run_needs_access(api: Api, row: Connection) -> None:
    assert api("POST", "sync/trigger", {"config": row.pk} | REASON).json()["code"] == "not_connected"


def test_mappings_are_read_and_replaced(api: Api, active: Connection) -> None:
    pairs = [
        {"rtx_field": "country", "crm_field": "country", "direction": "newest", "transform": "country_name"}
    ]
    body = {"config": active.pk, "kind": "client", "pairs": pairs} | REASON
    changed = msgspec.convert(api("PUT", "mappings", body).json(), outputs.MappingsOut)

    assert [(one.crm_field, one.is_active) for one in changed.pairs] == [("country", True)]
    assert {one.name for one in changed.fields} >= {"email", "balance", "kyc_status"}
    assert FieldMapping.objects.filter(connection=active, kind="account").count() == 2


def test_a_pair_is_switched_off_and_shown(api: Api, active: Connection) -> None:
    pairs = [{"rtx_field": "email", "crm_field": "email", "is_active": False}]
    body = {"config": active.pk, "kind": "client", "pairs": pairs} | REASON
    changed = msgspec.convert(api("PUT", "mappings", body).json(), outputs.MappingsOut)

    assert [(one.crm_field, one.is_active) for one in changed.pairs] == [("email", False)]
    assert FieldMapping.objects.get(connection=active, kind="client").is_active is False


def test_a_mapping_that_does_not_fit_is_refused_by_field(api: Api, active: Connection) -> None:
    pairs = [{"rtx_field": "email", "crm_field": "email", "direction": "pull"}]
    answer = api("PUT", "mappings", {"config": active.pk, "kind": "client", "pairs": pairs} | REASON)

    assert (answer.status_code, answer.json()["code"]) == (400, "mapping_invalid")
    assert answer.json()["errors"] == {"email": ["E-mail cannot be changed by a CRM."]}


def test_the_command_syncs_here_and_says_what_it_did(active: Connection) -> None:
    make_client(1)
    said = StringIO()

    call_command("crm_sync", "--full", "--here", stdout=said)

    assert SyncRun.objects.get().status == "done"
    assert "done: 1 created, 0 updated" in said.getvalue()


def test_the_command_says_when_nothing_is_connected(row: Connection) -> None:
    with pytest.raises(CommandError, match="No CRM is connected"):
        call_command("crm_sync", "--full")


def test_the_command_lists_connections_with_their_diagnosis(active: Connection) -> None:
    said = StringIO()

    call_command("crm_connections", "--test", stdout=said)

    assert "hubspot     Connected" in said.getvalue()
    assert "ok       access" in said.getvalue()
