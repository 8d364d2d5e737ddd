"""Staff over REST: second factor, tokens without it, addresses, a fresh sign-in for what moves money."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory

from apps.accounts.api.auth import AddressThrottle
from apps.accounts.api.staff import StaffView
from apps.accounts.models import AllowedNetwork, User
from apps.accounts.selectors import tokens as selectors
from apps.accounts.services import tokens, users
from apps.audit.models import StaffAction
from rtx.kernel import clock
from tests.factories.house import PASSWORD, House, staff
from tests.factories.rows import Trader
from tests.factories.staff import code, token_of

LOGIN = "/api/admin/auth/login"
EXPOSURE = "/api/admin/risk/exposure"


@pytest.fixture(autouse=True)
def _unhurried() -> None:
    AddressThrottle._bucket._levels.clear()


def log_in(email: str, password: str = PASSWORD, **more: str) -> Any:
    return Trader().call("POST", LOGIN, json.dumps({"email": email, "password": password, **more}))


def told(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


def test_password_and_code_give_a_token_that_opens_the_admins_calls(dealer: User) -> None:
    missing = log_in(dealer.email)
    wrong = log_in(dealer.email, otp="000000")
    given = code()
    right = log_in(dealer.email, otp=given)
    again = log_in(dealer.email, otp=given)

    assert (told(missing), told(wrong)) == ((401, "otp_required"), (401, "invalid_otp"))
    assert told(again) == (401, "invalid_otp")  # a code is good once
    assert Trader(right.json()["access"]).call("GET", EXPOSURE).status_code == 200


def test_a_refreshed_token_still_says_that_there_was_a_second_factor(dealer: User) -> None:
    pair = log_in(dealer.email, otp=code()).json()
    body = json.dumps({"refresh": pair["refresh"]})
    renewed = Trader().call("POST", "/api/auth/refresh", body).json()

    assert Trader(renewed["access"]).call("GET", EXPOSURE).status_code == 200
    first, second = (selectors.read_access(one["access"]) for one in (pair, renewed))
    assert 0 < first.proved_at_s == second.proved_at_s


def test_the_traders_login_gives_staff_nothing_of_the_admin(dealer: User) -> None:
    body = json.dumps({"email": dealer.email, "password": PASSWORD})
    access = Trader().call("POST", "/api/auth/login", body).json()["access"]

    assert told(Trader(access).call("GET", EXPOSURE)) == (403, "second_factor_required")


def set_password(access: str, *, current: str = PASSWORD, ip: str = "127.0.0.1") -> Any:
    body = json.dumps({"current": current, "new": "another battery 18"})
    http = Trader(access)
    http.http.defaults["REMOTE_ADDR"] = ip
    return http.call("POST", "/api/auth/password", body)


def test_a_password_alone_changes_no_password_of_staff(dealer: User) -> None:
    body = json.dumps({"email": dealer.email, "password": PASSWORD})
    access = Trader().call("POST", "/api/auth/login", body).json()["access"]
    entry = StaffAction.objects.get()

    assert told(set_password(access)) == (403, "second_factor_required")
    assert User.objects.get(pk=dealer.pk).check_password(PASSWORD)
    assert (entry.operation, entry.after) == ("accounts.sign_in", {"by": "rest", "proved_by": ["password"]})
    assert set_password(token_of(dealer)).status_code == 204


def test_a_wrong_present_password_is_a_failed_sign_in(dealer: User, settings: Any) -> None:
    settings.AXES_FAILURE_LIMIT = 2
    access = token_of(dealer)
    statuses = [set_password(access, current="wrong").status_code for _ in range(2)]

    assert statuses == [401, 429]
    assert set_password(access).status_code == 429
    assert StaffAction.objects.filter(operation="accounts.sign_in", outcome="refused").count() == 2


def test_an_address_that_is_not_allowed_is_refused_everywhere_and_told(dealer: User) -> None:
    AllowedNetwork.objects.create(network="203.0.113.0/24", note="office")
    access, body = token_of(dealer), json.dumps({"email": dealer.email, "password": PASSWORD})
    answers = [
        Trader().call("POST", "/api/auth/login", body),
        log_in(dealer.email, otp=code()),
        set_password(access),
        Trader(access).call("GET", EXPOSURE),
    ]
    Client().post("/admin/login/", {"login": dealer.email, "password": PASSWORD})

    rows = StaffAction.objects.order_by("pk")
    assert {told(answer) for answer in answers} == {(403, "address_not_allowed")}
    assert [row.after["by"] for row in rows] == ["rest"] * 4 + ["page"]
    assert {(row.detail, row.outcome, row.ip) for row in rows} == {
        ("address not allowed", "refused", "127.0.0.1")
    }
    assert set_password(access, ip="203.0.113.9").status_code == 204


def test_staff_without_a_second_factor_get_no_token(house: House) -> None:
    staff("new@example.com", groups=(house.usd,))

    assert told(log_in("new@example.com", otp="123456")) == (403, "second_factor_missing")


def test_wrong_codes_lock_and_a_right_password_alone_does_not_unlock(dealer: User, settings: Any) -> None:
    settings.AXES_FAILURE_LIMIT = 3
    body = json.dumps({"email": dealer.email, "password": PASSWORD})
    for _ in range(2):
        assert told(log_in(dealer.email, otp="000000")) == (401, "invalid_otp")
        Trader().call("POST", "/api/auth/login", body)

    assert log_in(dealer.email, otp="000000").status_code == 429
    assert log_in(dealer.email, otp=code()).status_code == 429


def test_wrong_codes_pause_whatever_address_they_come_from(dealer: User) -> None:
    statuses = []
    for number in range(6):
        body = json.dumps({"email": dealer.email, "password": PASSWORD, "otp": "000000"})
        http = Trader()
        http.http.defaults["REMOTE_ADDR"] = f"203.0.113.{number + 1}"
        statuses.append(http.call("POST", LOGIN, body).status_code)

    assert statuses == [401, 401, 401, 401, 401, 429]
    assert log_in(dealer.email, otp=code()).status_code == 429


def test_allowed_networks_hold_for_sign_in_and_for_every_call(dealer: User) -> None:
    http = Trader(token_of(dealer))
    before = http.call("GET", EXPOSURE).status_code
    AllowedNetwork.objects.create(network="203.0.113.0/24", note="office")

    assert before == 200
    assert told(http.call("GET", EXPOSURE)) == (403, "address_not_allowed")
    assert told(log_in(dealer.email, otp=code())) == (403, "address_not_allowed")
    http.http.defaults["REMOTE_ADDR"] = "203.0.113.9"
    assert http.call("GET", EXPOSURE).status_code == 200


def test_an_entry_of_ones_own_adds_to_those_for_all_and_an_old_one_counts_no_more(
    dealer: User, boss: User
) -> None:
    AllowedNetwork.objects.create(network="203.0.113.0/24", note="office")
    AllowedNetwork.objects.create(network="127.0.0.0/8", note="home", user=dealer)
    mine, others = Trader(token_of(dealer)), Trader(token_of(boss))
    at_home = (mine.call("GET", EXPOSURE).status_code, others.call("GET", EXPOSURE).status_code)
    AllowedNetwork.objects.update(until=clock.now() - timedelta(seconds=1))

    assert at_home == (200, 403)
    assert others.call("GET", EXPOSURE).status_code == 200  # no entry applies any more


class Fresh(StaffView):
    """A call that moves money."""

    fresh = frozenset({"POST"})

    def get(self, request: Request) -> Response:
        """Look."""
        return Response({})

    def post(self, request: Request) -> Response:
        """Move."""
        return Response({})


@pytest.mark.parametrize(("age_s", "status"), [(0, 200), (590, 200), (700, 401)])
def test_what_moves_money_needs_a_recent_sign_in(age_s: int, status: int, dealer: User) -> None:
    header = {"HTTP_AUTHORIZATION": f"Bearer {token_of(dealer, proved_s_ago=age_s)}"}
    request = APIRequestFactory()
    looked = Fresh.as_view()(request.get("/", **header))
    moved = Fresh.as_view()(request.post("/", **header))

    assert (looked.status_code, moved.status_code) == (200, status)
    if status == 401:
        assert moved.render().data["code"] == "reauthentication_required"


def test_a_change_of_role_ends_sessions_and_tokens(dealer: User) -> None:
    from tests.factories.staff import signed_in

    pair = tokens.issue(user_id=dealer.pk, proved_at=clock.now())
    page, http = signed_in(dealer), Trader(pair.access)
    users.change_role(user_id=dealer.pk, role=User.Role.AUDITOR)
    selectors.forget()

    assert page.get("/admin/").status_code == 302
    assert told(http.call("GET", EXPOSURE)) == (401, "token_revoked")
