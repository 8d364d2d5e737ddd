"""
Fields that nobody offers: every write of the API refuses a body that names one and changes nothing; the forms
of the admin pass over them.
"""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.urls import get_resolver

from rtx.kernel.rest import Input, UserThrottle
from tests.integration.matrix import declared
from tests.integration.matrix.asking import PARAMETER, Asker
from tests.integration.matrix.broker import Broker

PRIVILEGED = frozenset(
    {"is_superuser", "is_staff", "is_active", "role", "password", "permissions", "groups", "user_permissions"}
    | {"balance", "equity", "credit", "status", "kyc_status", "created_at"}
    | {"group_id", "client", "client_id", "account_id", "user", "user_id", "maker_id", "checker_id"}
)
OFFERED = {
    "AccountChangeIn.status",
    "ClientIn.is_active",
    "CrmConfigIn.client_id",  # of the OAuth app
    "GroupIn.is_active",
    "LoginIn.password",
    "NewCrmConfigIn.client_id",
    "NewGroupIn.is_active",
    "NewUserIn.role",  # of staff, by superadmins alone
    "UserIn.is_active",
    "WhatIfIn.groups",
}
WITHOUT_BODY = frozenset(  # what a body says is not read there
    {
        "POST api/auth/ws-ticket",
        "POST api/admin/audit/verify",
        "POST api/admin/crm/test/<int:config_id>",
        "POST api/admin/kyc/<int:review_id>/take",
        "DELETE api/funds/<int:operation_id>",
    }
)
WATCHED = (
    "accounts_user",
    "accounts_client",
    "accounts_tradingaccount",
    "accounts_accountstate",
    "accounts_accountevent",
    "accounts_kycreview",
    "groups_tradinggroup",
    "trading_order",
    "trading_position",
    "funds_fundoperation",
    "funds_fundpolicy",
    "audit_approval",
    "risk_killswitch",
    "risk_correlation",
)


def state() -> dict[str, str]:
    """Return a sum over every row of the tables that a write could change."""
    found = {}
    with connection.cursor() as cursor:
        for table in WATCHED:
            cursor.execute(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t")
            found[table] = cursor.fetchone()[0]
    return found


def inputs(kind: type[Input] = Input) -> set[type[Input]]:
    """Return every form of a body."""
    return {kind} | {found for one in kind.__subclasses__() for found in inputs(one)}


def test_every_form_of_a_body_refuses_unknown_fields() -> None:
    assert get_resolver().url_patterns
    assert len(inputs()) > 30
    assert [kind for kind in inputs() if not kind.__struct_config__.forbid_unknown_fields] == []


def test_fields_that_give_rights_or_money_are_offered_where_they_are_the_point() -> None:
    assert get_resolver().url_patterns
    offered = {
        f"{kind.__name__}.{name}"
        for kind in inputs()
        for name in kind.__struct_fields__
        if name in PRIVILEGED
    }

    assert offered == OFFERED


def writes(role: str) -> list[str]:
    """Return the writes of the API that a role gets into, with a row of its own."""
    return [
        key
        for key, line in declared.routes().items()
        if not key.startswith("GET ")
        and key.split()[1].startswith("api/")
        and declared.answer(line.words[role], "own") not in {"401", "403", "404"}
        and key not in WITHOUT_BODY
    ]


def send(asker: Asker, key: str, extra: dict[str, Any], token: str) -> Any:
    method, _space, route = key.partition(" ")
    path = "/" + PARAMETER.sub(lambda found: asker._parameter(route, found[1], "own"), route)
    given = asker._asked[key](asker.broker.sides["own"]) if key in asker._asked else {}
    return Client(raise_request_exception=False).generic(
        method,
        path,
        json.dumps({**given, **extra}),
        content_type="application/json",
        HTTP_AUTHORIZATION=f"Bearer {token}",
        HTTP_IDEMPOTENCY_KEY=uuid4().hex,
    )


@pytest.mark.parametrize("role", ["superadmin", "admin", "support", "trader"])
def test_the_api_refuses_what_it_does_not_offer(role: str, broker: Broker, unrendered: None) -> None:
    asker, token = Asker(broker, role), broker.token(role)
    before, wrong = state(), []
    for key in writes(role):
        UserThrottle._bucket._levels.clear()
        answer = send(asker, key, {"is_superuser": True, "balance": "1000000"}, token)
        if answer.status_code != 400:
            wrong.append(f"{key}: {answer.status_code}")

    assert wrong == []
    assert {table for table, total in state().items() if total != before[table]} == set()
