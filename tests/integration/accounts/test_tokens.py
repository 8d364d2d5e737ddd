"""Logging in, refreshing with rotation and reuse detection, and every way in which tokens end."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection

from apps.accounts.api.auth import AddressThrottle
from apps.accounts.models import Client, RefreshToken, User
from apps.accounts.selectors import tokens as selectors
from apps.accounts.services import tickets, tokens, users
from rtx.kernel.limits import TokenBucket
from tests.integration.accounts.conftest import PASSWORD, Api

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def code(response: Any) -> tuple[int, str]:
    assert response["Content-Type"] == "application/problem+json"
    return response.status_code, response.json()["code"]


def test_login_answers_a_pair_that_opens_the_api(trader: Client, api: Api) -> None:
    pair = api.log_in().json()

    assert set(pair) == {"access", "refresh", "expires_in"}
    assert pair["expires_in"] == 900
    assert selectors.caller(pair["access"]).pk == trader.user_id


def test_login_ignores_the_case_of_the_address(trader: Client, api: Api) -> None:
    assert api.log_in("MINA@example.COM").status_code == 200


@pytest.mark.parametrize(
    ("email", "password"), [("mina@example.com", "wrong"), ("nobody@example.com", PASSWORD)]
)
def test_wrong_and_unknown_look_the_same(trader: Client, api: Api, email: str, password: str) -> None:
    assert code(api.log_in(email, password)) == (401, "invalid_credentials")


def test_a_disabled_user_cannot_log_in(trader: Client, api: Api) -> None:
    users.disable(user_id=trader.user_id)

    assert code(api.log_in()) == (401, "invalid_credentials")


def test_failures_lock_the_address_out_even_with_the_right_password(
    trader: Client, api: Api, settings: Any
) -> None:
    for _ in range(settings.AXES_FAILURE_LIMIT):
        api.log_in(password="wrong")

    response = api.log_in()

    assert code(response) == (429, "rate_limit")
    assert response["Retry-After"] == "900"


def test_a_refresh_token_works_once(trader: Client) -> None:
    first = tokens.issue(user_id=trader.user_id)

    second = tokens.refresh(token=first.refresh)

    assert second.refresh != first.refresh
    assert selectors.caller(second.access).pk == trader.user_id
    assert tokens.refresh(token=second.refresh).refresh not in {first.refresh, second.refresh}


def test_a_repeat_within_ten_seconds_gets_the_same_pair(trader: Client) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        first = tokens.issue(user_id=trader.user_id)
        second = tokens.refresh(token=first.refresh)
        clock.shift(timedelta(seconds=10))
        again = tokens.refresh(token=first.refresh)

    assert (again.access, again.refresh) == (second.access, second.refresh)
    assert (second.expires_in, again.expires_in) == (900, 890)


def test_a_later_repeat_ends_the_whole_family(trader: Client) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        first = tokens.issue(user_id=trader.user_id)
        second = tokens.refresh(token=first.refresh)
        other_login = tokens.issue(user_id=trader.user_id)
        clock.shift(timedelta(seconds=11))
        with pytest.raises(tokens.InvalidRefreshToken, match="used before"):
            tokens.refresh(token=first.refresh)

        with pytest.raises(tokens.InvalidRefreshToken):
            tokens.refresh(token=second.refresh)
        with pytest.raises(selectors.InvalidToken):
            selectors.caller(second.access)
        assert selectors.caller(other_login.access).pk == trader.user_id


def test_an_expired_refresh_token_is_refused(trader: Client, settings: Any) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        first = tokens.issue(user_id=trader.user_id)
        clock.shift(timedelta(seconds=settings.REFRESH_TOKEN_LIFETIME_S))
        with pytest.raises(tokens.InvalidRefreshToken):
            tokens.refresh(token=first.refresh)


def test_racing_refreshes_agree_on_one_successor(trader: Client) -> None:
    first = tokens.issue(user_id=trader.user_id)

    def refresh(_: int) -> str:
        try:
            return tokens.refresh(token=first.refresh).refresh
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        successors = set(pool.map(refresh, range(16)))

    assert len(successors) == 1
    assert RefreshToken.objects.count() == 2


def test_the_database_holds_no_usable_token(trader: Client) -> None:
    pair = tokens.issue(user_id=trader.user_id)

    assert pair.refresh not in str(RefreshToken.objects.values_list().get())


def test_logout_ends_both_tokens(trader: Client, api: Api) -> None:
    pair = api.log_in().json()

    assert api.post("/api/auth/logout").status_code == 204

    assert code(api.post("/api/auth/ws-ticket")) == (401, "token_revoked")
    assert code(api.post("/api/auth/refresh", {"refresh": pair["refresh"]})) == (401, "invalid_refresh_token")


def test_logout_by_refresh_token_needs_no_access_token(trader: Client, api: Api) -> None:
    pair = api.log_in().json()
    api.access = ""

    assert api.post("/api/auth/logout", {"refresh": pair["refresh"]}).status_code == 204

    assert code(api.post("/api/auth/refresh", {"refresh": pair["refresh"]})) == (401, "invalid_refresh_token")


def test_a_new_password_ends_every_login(trader: Client, api: Api) -> None:
    other = tokens.issue(user_id=trader.user_id)
    api.log_in()

    changed = api.post("/api/auth/password", {"current": PASSWORD, "new": "another long secret 5"})

    assert changed.status_code == 204
    assert code(api.post("/api/auth/ws-ticket")) == (401, "token_revoked")
    with pytest.raises(tokens.InvalidRefreshToken):
        tokens.refresh(token=other.refresh)
    api.access = ""
    assert api.log_in(password="another long secret 5").status_code == 200


@pytest.mark.parametrize(
    ("current", "new", "expected"),
    [
        ("wrong", "another long secret 5", (401, "invalid_credentials")),
        (PASSWORD, "12345", (400, "weak_password")),
    ],
)
def test_a_password_change_is_refused(
    trader: Client, api: Api, current: str, new: str, expected: tuple[int, str]
) -> None:
    api.log_in()

    assert code(api.post("/api/auth/password", {"current": current, "new": new})) == expected
    assert User.objects.get().check_password(PASSWORD)


def test_disabling_elsewhere_ends_tokens_when_the_cache_runs_out(trader: Client, settings: Any) -> None:
    pair = tokens.issue(user_id=trader.user_id)
    claims = selectors.caller(pair.access).claims
    User.objects.update(is_active=False)  # as another process would do it

    assert selectors.still_valid(claims)  # known from a moment ago
    assert settings.TOKEN_STATE_CACHE_S <= 2
    settings.TOKEN_STATE_CACHE_S = 0
    assert not selectors.still_valid(claims)


def test_a_batch_check_names_what_ended(trader: Client) -> None:
    kept, gone = (selectors.read_access(tokens.issue(user_id=trader.user_id).access) for _ in range(2))
    tokens.end_family(user_id=trader.user_id, family=gone.family)

    assert selectors.revoked([kept, gone]) == {gone}
    users.disable(user_id=trader.user_id)
    assert selectors.revoked([kept, gone]) == {kept, gone}


def test_a_known_caller_costs_no_query(trader: Client, django_assert_num_queries: Any) -> None:
    access = tokens.issue(user_id=trader.user_id).access
    with django_assert_num_queries(1):
        selectors.caller(access)
    with django_assert_num_queries(0):
        selectors.caller(access)


def test_a_ticket_is_good_once(trader: Client, api: Api) -> None:
    api.log_in()
    ticket = api.post("/api/auth/ws-ticket").json()["ticket"]

    assert tickets.redeem(ticket=ticket).user_id == trader.user_id
    with pytest.raises(selectors.InvalidToken):
        tickets.redeem(ticket=ticket)


def test_a_ticket_dies_with_its_login(trader: Client) -> None:
    claims = selectors.read_access(tokens.issue(user_id=trader.user_id).access)
    ticket = tickets.issue(claims=claims)
    tokens.end_family(user_id=claims.user_id, family=claims.family)

    with pytest.raises(selectors.InvalidToken, match="has ended"):
        tickets.redeem(ticket=ticket)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", "not_authenticated"),
        ("Bearer x.y.z", "invalid_token"),
        ("Basic dXNlcjpwYXNz", "invalid_token"),
        ("Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", "invalid_token"),
    ],
)
def test_no_valid_token_is_401(db: None, api: Api, header: str, expected: str) -> None:
    response = api.http.post("/api/auth/ws-ticket", headers={"Authorization": header} if header else {})

    assert code(response) == (401, expected)
    assert response["WWW-Authenticate"] == "Bearer"


def test_an_expired_access_token_says_so(trader: Client) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        access = tokens.issue(user_id=trader.user_id).access
        clock.shift(timedelta(seconds=900))
        with pytest.raises(selectors.InvalidToken, match="expired"):
            selectors.caller(access)


@pytest.mark.parametrize(
    "raw",
    ["", "{", "[]", "null", '{"email": 5, "password": "x"}', '{"email": "a@b.c", "password": "x", "y": 1}'],
)
def test_malformed_logins_are_400(db: None, api: Api, raw: str) -> None:
    assert code(api.post("/api/auth/login", raw=raw))[0] == 400


def test_an_address_that_asks_too_often_is_told_when_to_come_back(
    db: None, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AddressThrottle, "_bucket", TokenBucket(rate=0.001, burst=3))
    for _ in range(3):
        assert code(api.post("/api/auth/refresh", {"refresh": "x"}))[0] == 401

    response = api.post("/api/auth/refresh", {"refresh": "x"})

    assert code(response) == (429, "rate_limit")
    assert 990 < int(response["Retry-After"]) <= 1001
    assert (response["RateLimit-Limit"], response["RateLimit-Remaining"]) == ("3", "0")


def test_expired_tokens_are_purged_a_day_later(trader: Client, settings: Any) -> None:
    tokens.issue(user_id=trader.user_id)
    life = timedelta(seconds=settings.REFRESH_TOKEN_LIFETIME_S)

    assert tokens.purge_expired() == 0
    with time_machine.travel(datetime.now(UTC) + life + timedelta(days=1, seconds=1)):
        assert tokens.purge_expired() == 1
