"""Tokens that do not hold, over the trader interface: always 401 with a stable code, and nothing is done."""

import json
import time
from typing import Any

import jwt
import pytest
from django.conf import settings

from apps.accounts.models import User
from apps.accounts.selectors import tokens
from apps.trading.models import Order
from rtx.kernel.rest import UserThrottle
from tests.factories.problems import answers_of, is_problem, order_body
from tests.factories.rows import Trader

MARKET = "/api/orders/market"


@pytest.fixture(autouse=True)
def _fresh_process_memory() -> None:
    tokens.forget()
    UserThrottle._bucket._levels.clear()


def _signed(token: str, *, key: str | None = None, algorithm: str = "HS256", **changes: Any) -> str:
    claims = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode(claims | changes, key or settings.TOKEN_SIGNING_KEY, algorithm=algorithm)


TOKENS = {
    "empty": lambda token: "",
    "garbage": lambda token: "garbage",
    "three parts": lambda token: "a.b.c",
    "cut": lambda token: token[:-3],
    "changed": lambda token: token[:40] + ("A" if token[40] != "A" else "B") + token[41:],
    "not ascii": lambda token: "\xe9\xff",
    "long": lambda token: "x" * 5_000,
    "other key": lambda token: _signed(token, key="k" * 64),
    "other algorithm": lambda token: _signed(token, key=settings.TOKEN_SIGNING_KEY * 2, algorithm="HS512"),
    "no algorithm": lambda token: jwt.encode(
        jwt.decode(token, options={"verify_signature": False}), None, algorithm="none"
    ),
    "other type": lambda token: _signed(token, typ="refresh"),
    "unknown user": lambda token: _signed(token, sub="999999"),
    "subject no number": lambda token: _signed(token, sub="x"),
    "huge subject": lambda token: _signed(token, sub="9" * 30),
    "old version": lambda token: _signed(token, ver=-1),
    "family no id": lambda token: _signed(token, fam="x"),
    "unknown family": lambda token: _signed(token, fam="00000000-0000-4000-8000-000000000000"),
}


def test_a_token_that_does_not_hold_is_refused(holder):
    body = json.dumps(order_body(holder))
    bad = {kind: f"Bearer {make(holder.token)}" for kind, make in TOKENS.items()}

    answers = answers_of(TOKENS, lambda kind: Trader().call("POST", MARKET, body, Authorization=bad[kind]))

    revoked = {"unknown user", "old version", "unknown family", "huge subject"}
    expected = {kind: (401, "token_revoked" if kind in revoked else "invalid_token") for kind in TOKENS}
    assert answers == expected
    assert not Order.objects.exists()


def test_an_expired_token_says_so(holder):
    expired = _signed(holder.token, exp=int(time.time()) - 1)

    is_problem(Trader(expired).call("GET", "/api/accounts"), 401, "token_expired")


HEADERS = {
    "": "not_authenticated",
    "Basic dXNlcjpwYXNz": "invalid_token",
    "Bearer": "invalid_token",
    "bearer  ": "invalid_token",
    "Token x": "invalid_token",
}


def test_without_a_token_nothing_is_shown(holder):
    def ask(header: str):
        return Trader().call("GET", "/api/accounts", **({"Authorization": header} if header else {}))

    assert answers_of(HEADERS, ask) == {header: (401, code) for header, code in HEADERS.items()}
    assert ask("")["WWW-Authenticate"] == "Bearer"


def test_a_disabled_user_is_refused(holder):
    User.objects.filter(pk=holder.user_id).update(is_active=False)

    is_problem(Trader(holder.token).call("GET", "/api/accounts"), 401, "token_revoked")
