"""Admin REST of clients, reviews and users: masked, within reach, logged, and no field more than is meant."""

from typing import Any

import pytest
from django.test import Client as Http

from apps.accounts.models import Client, KycReview, TradingAccount, User
from apps.accounts.services import kyc
from apps.audit.models import Approval, StaffAction
from tests.factories.house import PASSWORD, House, make_house, staff
from tests.factories.staff import token_of
from tests.integration.accounts.test_client_pages import allow

pytestmark = pytest.mark.django_db
REASON = {"reason": "ticket 4711"}


@pytest.fixture
def house(db: None) -> House:
    return make_house()


@pytest.fixture
def manager(house: House) -> User:
    user = staff("manager@example.com", role=User.Role.ADMIN, groups=(house.usd,))
    return allow(
        user,
        "view_client",
        "add_client",
        "change_client",
        "view_personal_data",
        "view_user",
        "change_user",
        "view_kycreview",
        "decide_kycreview",
        "add_kycdocument",
        "download_kycdocument",
        "add_tradingaccount",
    )


class Caller:
    """Calls the admin interface as a member of staff."""

    def __init__(self, user: User) -> None:
        self.http, self.token = Http(raise_request_exception=False), token_of(user)

    def __call__(self, method: str, path: str, body: Any = None, *, key: str = "", **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"} | ({"Idempotency-Key": key} if key else {})
        return self.http.generic(
            method,
            f"/api/admin/{path}",
            data=body if isinstance(body, bytes) else "" if body is None else _json(body),
            content_type=more.get("content_type", "application/json"),
            headers=headers,
        )


def _json(body: Any) -> str:
    import json

    return json.dumps(body)


@pytest.fixture
def call(manager: User) -> Caller:
    return Caller(manager)


def test_clients_are_listed_and_found_without_personal_data(house: House, call: Caller) -> None:
    listed = call("GET", "clients").json()["results"]
    found = call("POST", "clients/search", {"last_name": "ahlberg"}).json()["results"]
    foreign = call("POST", "clients/search", {"email": "bruno@example.com"}).json()["results"]

    assert [row["number"] for row in listed] == [house.anna.client.number]
    assert found == listed
    assert foreign == []
    assert listed[0]["accounts"] == [house.anna.login]
    assert listed[0]["known"] == ["first_name", "last_name", "email", "phone"]
    assert "Ahlberg" not in str(listed)


def test_a_reveal_tells_once_and_is_logged(house: House, call: Caller) -> None:
    address = f"client/{house.anna.client_id}/reveal"

    without = call("POST", address, {})
    told = call("POST", address, REASON)

    assert without.status_code == 400
    assert (told.json()["last_name"], told["Cache-Control"]) == ("Ahlberg", "no-store")
    entry = StaffAction.objects.get(operation="accounts.reveal_client")
    assert (entry.reason, entry.group_id) == ("ticket 4711", house.usd.pk)


def test_outside_reach_is_404_and_without_the_right_403(house: House, call: Caller) -> None:
    bare = Caller(staff("bare@example.com", role=User.Role.DEALER, groups=(house.usd,)))
    mine, foreign = house.anna.client, house.bruno.client
    calls = [
        ("PUT", "client/{}", REASON),
        ("DELETE", "client/{}", REASON),
        ("POST", "client/{}/reveal", REASON),
        ("POST", "client/{}/account", {"group": "usd", **REASON}),
        ("POST", "client/{}/documents?kind=passport", b"%PDF-1"),
    ]

    for method, path, body in calls:
        assert call(method, path.format(foreign.pk), body, key="k").status_code == 404, path
        assert bare(method, path.format(mine.pk), body, key="k").status_code == 403, path
    for method, path, body in (
        ("GET", "user/{}", None),
        ("PUT", "user/{}", REASON),
        ("DELETE", "user/{}", REASON),
        ("POST", "user/{}/password", {"new": PASSWORD, **REASON}),
    ):
        assert call(method, path.format(foreign.user_id), body).status_code == 404, path


def test_a_client_is_opened_once_per_key(house: House, call: Caller) -> None:
    body = {"email": "ida@example.com", "first_name": "Ida", "last_name": "Lund", "group": "usd", **REASON}

    first = call("POST", "client/create", body, key="new-1")
    again = call("POST", "client/create", body, key="new-1")
    other = call("POST", "client/create", {**body, "last_name": "Holm"}, key="new-1")
    taken = call("POST", "client/create", body, key="new-2")
    foreign = call("POST", "client/create", {**body, "email": "b@example.com", "group": "eur"}, key="new-3")

    assert (first.status_code, again.json()) == (200, first.json())
    assert [answer.json()["code"] for answer in (other, taken, foreign)] == [
        "idempotency_key_reused",
        "email_taken",
        "group_not_found",
    ]
    assert TradingAccount.objects.filter(client__user__email="ida@example.com").count() == 1
    assert not User.objects.get(email="ida@example.com").has_usable_password()


@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("POST", "client/create", {"kyc_status": "verified"}),
        ("POST", "client/create", {"role": "admin"}),
        ("PUT", "client/{client}", {"kyc_status": "verified"}),
        ("PUT", "client/{client}", {"opened_by": 1}),
        ("PUT", "user/{user}", {"role": "superadmin"}),
        ("PUT", "user/{user}", {"is_superuser": True}),
        ("PUT", "user/{user}", {"is_staff": True}),
        ("PUT", "user/{user}", {"email": "new@example.com"}),
        ("PUT", "user/{user}", {"password": "x"}),
        ("POST", "user/create", {"is_superuser": True}),
    ],
)
def test_fields_that_are_not_meant_are_refused(
    house: House, method: str, path: str, more: dict[str, Any]
) -> None:
    boss = Caller(User.objects.create_superuser("boss@example.com", PASSWORD))
    base = {"POST": {"email": "e@example.com", "first_name": "E", "last_name": "F"}}.get(method, {})
    if path == "user/create":
        base = {"email": "e@example.com", "role": "dealer"}
    address = path.format(client=house.anna.client_id, user=house.anna.client.user_id)

    answer = boss(method, address, {**base, **REASON, **more}, key="k")

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert "unknown field" in answer.json()["detail"]


def test_a_change_is_logged_by_name_alone(house: House, call: Caller) -> None:
    client = house.anna.client

    answer = call("PUT", f"client/{client.pk}", {"last_name": "Sommerfeld", "is_active": False, **REASON})

    changed = Client.objects.select_related("user").get(pk=client.pk)
    assert (answer.status_code, changed.last_name, changed.user.is_active) == (200, "Sommerfeld", False)
    entry = StaffAction.objects.get(operation="accounts.change_client")
    assert entry.after == {"changed": ["last_name"], "is_active": False}


def test_a_review_is_taken_and_decided(house: House, call: Caller, manager: User) -> None:
    sent = call(
        "POST",
        f"client/{house.anna.client_id}/documents?kind=passport&country=SE",
        b"%PDF-1 x",
        content_type="application/pdf",
    )
    kyc.submit(client_id=house.bruno.client_id)
    queue = call("GET", "kyc").json()["results"]
    taken = call("POST", f"kyc/{queue[0]['id']}/take")
    decided = call("POST", f"kyc/{queue[0]['id']}/decide", {"decision": "verified", **REASON})
    again = call("POST", f"kyc/{queue[0]['id']}/decide", {"decision": "rejected", **REASON})
    foreign = KycReview.objects.get(client=house.bruno.client)
    document = call("POST", f"kyc/document/{sent.json()['id']}", REASON)

    assert (sent.status_code, len(queue), queue[0]["documents"][0]["kind"]) == (200, 1, "passport")
    assert taken.json()["assignee"] == manager.pk
    assert (decided.json()["decision"], again.json()["code"]) == ("verified", "kyc_state")
    assert call("POST", f"kyc/{foreign.pk}/take").status_code == 404
    assert (document.content, document["X-Content-Type-Options"]) == (b"%PDF-1 x", "nosniff")
    assert document["Content-Disposition"].startswith("attachment")
    assert (
        call("GET", "clients?kyc_status=verified").json()["results"][0]["number"] == house.anna.client.number
    )


def test_a_password_ends_every_login_and_stands_nowhere(house: House, call: Caller) -> None:
    user = house.anna.client.user
    weak = call("POST", f"user/{user.pk}/password", {"new": "12345", **REASON})
    done = call("POST", f"user/{user.pk}/password", {"new": "another good phrase 42", **REASON})

    changed = User.objects.get(pk=user.pk)
    assert (weak.json()["code"], done.status_code) == ("weak_password", 204)
    assert changed.check_password("another good phrase 42")
    assert changed.token_version == user.token_version + 1
    entry = StaffAction.objects.get(operation="accounts.set_password")
    assert "phrase" not in f"{entry.before}{entry.after}{entry.detail}"


def test_staff_are_made_and_changed_by_whom_the_pages_let(house: House, call: Caller, manager: User) -> None:
    boss = User.objects.create_superuser("boss@example.com", PASSWORD)
    superior, new = Caller(boss), {"email": "New@Example.com", "role": "dealer", **REASON}

    created = superior("POST", "user/create", new, key="u1").json()
    waiting = call("POST", "user/create", {**new, "email": "x@example.com"}, key="u2").json()
    above = call("POST", "user/create", {**new, "email": "y@example.com", "role": "admin"}, key="u3")
    lower = call("PUT", f"user/{created['id']}", {"display_name": "Desk", **REASON})

    assert (created["email"], created["role"], waiting["role"]) == ("new@example.com", "dealer", "auditor")
    assert Approval.objects.get().maker_id == manager.pk  # a dealer of an administrator waits
    assert (above.status_code, lower.json()["display_name"]) == (403, "Desk")
    assert call("PUT", f"user/{manager.pk}", {"display_name": "Boss", **REASON}).status_code == 403
    assert call("DELETE", f"user/{boss.pk}", REASON).status_code == 404  # nor is there anybody above
    assert superior("DELETE", f"user/{created['id']}", REASON).json()["is_active"] is False
    assert superior("DELETE", f"user/{boss.pk}", REASON).status_code == 403


def test_traders_are_told_without_their_address(house: House, call: Caller, manager: User) -> None:
    rows = call("GET", "users").json()["results"]

    assert {row["email"] for row in rows} == {"manager@example.com", None}
    assert [row["client"] for row in rows if row["role"] == "trader"] == [str(house.anna.client_id)]


def test_a_refused_write_is_in_the_staff_log(house: House, call: Caller) -> None:
    dealer = staff("bare2@example.com", role=User.Role.DEALER, groups=(house.usd,))

    refused = Caller(dealer)("POST", f"client/{house.anna.client_id}/reveal", REASON)

    assert refused.status_code == 403
    entry = StaffAction.objects.get(outcome="refused")
    assert (entry.user_id, entry.reason) == (dealer.pk, "ticket 4711")
    assert entry.operation.startswith("rest.post.")
    assert entry.detail.startswith("forbidden: This needs the right")
    assert entry.target_label == f"/api/admin/client/{house.anna.client_id}/reveal"


def test_a_conflict_is_in_the_staff_log_and_noise_is_not(house: House, call: Caller) -> None:
    body = {"email": "ida@example.com", "first_name": "Ida", "last_name": "Lund", "group": "usd", **REASON}
    call("POST", "client/create", body, key="new-1")
    call("GET", f"client/{house.bruno.client_id}")  # 404
    call("POST", "client/create", {}, key="new-9")  # 400
    call("POST", f"client/{house.bruno.client_id}/reveal", REASON)  # 404
    assert not StaffAction.objects.filter(outcome="refused").exists()

    answer = call("POST", "client/create", {**body, "last_name": "Holm"}, key="new-1")

    assert answer.status_code == 409
    entry = StaffAction.objects.get(outcome="refused")
    assert entry.detail.startswith("idempotency_key_reused: ")
    assert "Holm" not in f"{entry.after}{entry.detail}{entry.target_label}"
