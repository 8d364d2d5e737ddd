"""The permission matrix of the trader interface: every call of the description, with and without a token."""

import re
from typing import Any
from uuid import UUID

import pytest
from django.test import Client as HttpClient
from drf_spectacular.generators import SchemaGenerator

from apps.accounts.models import Client
from apps.accounts.services import tokens, users

OPEN = {("POST", "/api/auth/login"), ("POST", "/api/auth/refresh"), ("POST", "/api/admin/auth/login")}
PROVED_OTHERWISE = (
    "/api/webhooks/",
    "/api/admin/crm/oauth/callback",
)  # signed; behind sign-in
STAFF = "/api/admin/"
EXPECTED_PATHS = {
    "/api/auth/login",
    "/api/auth/refresh",
    "/api/auth/logout",
    "/api/auth/password",
    "/api/auth/ws-ticket",
    "/api/accounts",
    "/api/accounts/{login}",
    "/api/symbols",
    "/api/symbols/{symbol}",
    "/api/quotes",
    "/api/candles",
    "/api/orders",
    "/api/orders/market",
    "/api/orders/{order_id}",
    "/api/positions",
    "/api/positions/{position_id}",
    "/api/positions/{position_id}/close",
    "/api/deals",
    "/api/events",
}


def operations() -> list[tuple[str, str]]:
    """Return method and address template of every call."""
    described: Any = SchemaGenerator().get_schema(request=None, public=True)
    return sorted(
        (method.upper(), path) for path, methods in described["paths"].items() for method in methods
    )


CLOSED = [call for call in operations() if call not in OPEN and not call[1].startswith(PROVED_OTHERWISE)]


def call(method: str, path: str, token: str | None) -> Any:
    address = path
    address = address.replace("{symbol}", "EURUSD")
    for name in ("client_id", "approval_id", "document_id"):
        address = address.replace("{" + name + "}", str(UUID(int=1)))
    address = re.sub(r"\{\w+\}", "1", address)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return HttpClient().generic(method, address, b"{}", content_type="application/json", headers=headers)


def test_every_promised_call_is_there() -> None:
    assert EXPECTED_PATHS - {path for _, path in operations()} == set()


@pytest.mark.django_db
@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_nothing_answers_without_a_valid_token(method: str, path: str) -> None:
    for token, expected in ((None, "not_authenticated"), ("e30.e30.x", "invalid_token")):
        response = call(method, path, token)

        assert response.status_code == 401
        assert response["Content-Type"] == "application/problem+json"
        assert response.json()["code"] == expected


def test_nothing_answers_to_a_disabled_user(trader: Client) -> None:
    access = tokens.issue(user_id=trader.user_id).access
    users.disable(user_id=trader.user_id)

    assert {call(method, path, access).json()["code"] for method, path in CLOSED} == {"token_revoked"}


def test_nothing_of_anybody_else_is_found(trader: Client) -> None:
    """A trader without an account finds none of the addresses that name one, or fails by form first."""
    access = tokens.issue(user_id=trader.user_id).access

    for method, path in CLOSED:
        if path.startswith(STAFF):
            assert call(method, path, access).status_code == 403, (method, path)
        elif "{" in path and "symbol" not in path:
            assert call(method, path, access).status_code in {400, 404}, (method, path)
