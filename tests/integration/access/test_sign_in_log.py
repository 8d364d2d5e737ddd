"""The staff log tells of signing in and out, by pages and REST: who, from where, with what outcome."""

import json
import logging
from typing import Any

import pytest
from django.test import Client, RequestFactory

from apps.accounts.admin.clients import ClientAdmin
from apps.accounts.api.auth import AddressThrottle
from apps.accounts.models import User
from apps.accounts.services.sign_in_log import TOLD_MAX, note_failure
from apps.audit.models import StaffAction
from tests.factories.house import PASSWORD, House
from tests.factories.rows import Trader
from tests.factories.staff import code, signed_in, token_of

ADDRESS = "203.0.113.9"
NEW = "another battery 18"


@pytest.fixture(autouse=True)
def _unhurried() -> None:
    AddressThrottle._bucket._levels.clear()


def told() -> list[tuple[str, str, str | None, str]]:
    rows = StaffAction.objects.order_by("pk")
    return [(row.operation.removeprefix("accounts."), row.outcome, row.after["by"], row.ip) for row in rows]


def test_pages(dealer: User) -> None:
    http = Client(REMOTE_ADDR=ADDRESS)
    http.post("/admin/login/", {"login": dealer.email, "password": "wrong"})
    http.post("/admin/login/", {"login": dealer.email, "password": PASSWORD})
    http.post("/admin/login/code/", {"code": "000000"})
    http.post("/admin/login/code/", {"code": code()})
    http.post("/admin/logout/")

    rows = StaffAction.objects.order_by("pk")
    assert told() == [
        ("sign_in", "refused", "page", ADDRESS),
        ("sign_in", "refused", "page", ADDRESS),
        ("sign_in", "done", "page", ADDRESS),
        ("sign_out", "done", "page", ADDRESS),
    ]
    assert [row.user_id for row in rows] == [None, None, dealer.pk, dealer.pk]
    assert {row.target_id for row in rows} == {str(dealer.pk)}
    assert rows[2].after["proved_by"][-1] == "mfa"


def test_rest(dealer: User) -> None:
    def send(path: str, token: str = "", **body: str) -> Any:
        return Trader(token).call("POST", f"/api/{path}", json.dumps(body), REMOTE_ADDR=ADDRESS)

    send("admin/auth/login", email=dealer.email, password="wrong")
    send("admin/auth/login", email=dealer.email, password=PASSWORD, otp="000000")
    pair = send("admin/auth/login", email=dealer.email, password=PASSWORD, otp=code()).json()
    send("auth/logout", pair["access"])
    send("auth/password", token_of(dealer), current=PASSWORD, new=NEW)

    assert [entry[:3] for entry in told()] == [
        ("sign_in", "refused", "rest"),
        ("sign_in", "refused", "rest"),
        ("sign_in", "done", "rest"),
        ("sign_out", "done", "rest"),
        ("change_own_password", "done", "rest"),
    ]


def test_sessions_that_one_ends_and_a_password_that_one_changes(dealer: User) -> None:
    signed_in(dealer)
    http = signed_in(dealer)
    http.post("/admin/second-factor/sessions/", {"session": "all"})
    http.post(
        "/admin/password_change/", {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    )

    assert [entry[:2] for entry in told()] == [
        ("end_own_session", "done"),
        ("change_own_password", "done"),
    ]


def test_guessing_fills_no_log(dealer: User) -> None:
    for address in (ADDRESS, "203.0.113.10"):
        request = RequestFactory(REMOTE_ADDR=address).post("/admin/login/")
        for _ in range(TOLD_MAX + 2):
            note_failure(email=dealer.email, request=request)

    assert [row[3] for row in told()] == [ADDRESS] * 5 + ["203.0.113.10"] * 5


def test_who_is_no_staff_is_not_told(house: House) -> None:
    trader = house.anna.client.user
    for given in (PASSWORD, "wrong"):
        body = json.dumps({"email": trader.email, "password": given})
        Trader().call("POST", "/api/auth/login", body)
    Client().post("/admin/login/", {"login": "nobody@example.com", "password": "wrong"})

    assert not StaffAction.objects.exists()


def test_a_failing_search_is_logged_without_what_was_searched(
    boss: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(ClientAdmin, "get_queryset", fail)
    http = signed_in(boss)
    http.raise_request_exception = False
    with caplog.at_level(logging.INFO):
        answer = http.get("/admin/accounts/client/", {"q": "canary.client@example.com"})

    assert answer.status_code == 500
    assert "/admin/accounts/client/" in caplog.text
    assert "canary" not in caplog.text
