"""Funds: what clients ask for, what staff post, limits of one person."""

from decimal import Decimal
from typing import Any

from apps.accounts.domain.ledger import BalanceKind
from apps.funds.models import FundOperation
from apps.funds.services import requests
from rtx.kernel.actor import Actor, ActorKind

PAGES = """
                          superadmin admin dealer support auditor
funds.fundoperation reach v          v     v      v       v
funds.fundstep      reach v          v     v      v       v
funds.fundpolicy    reach vac        vac   v      -       v
"""

ACTIONS = """
                                  superadmin admin dealer support auditor
funds.fundoperation approve       x          x     -      -       -
funds.fundoperation new_operation x          x     -      x       -
funds.fundoperation receipt       -          -     -      -       -
funds.fundoperation reject        x          x     -      -       -
funds.fundoperation take_back     x          x     -      x       -
"""

ROUTES = """
                                                 superadmin admin   dealer  support auditor trader  anonymous
POST   api/admin/fund/<int:operation_id>/approve ok         ok/404  403/404 403/404 403/404 403     401
GET    api/admin/fund/<int:operation_id>/receipt ok         ok/404  409/404 409/404 409/404 403     401
POST   api/admin/fund/<int:operation_id>/reject  409        409/404 403/404 403/404 403/404 403     401
POST   api/admin/fund/adjust                     ok         ok/404  403/404 ok/404  403/404 403     401
POST   api/admin/fund/credit                     ok         ok/404  403/404 ok/404  403/404 403     401
POST   api/admin/fund/deposit                    ok         ok/404  403/404 ok/404  403/404 403     401
POST   api/admin/fund/withdraw                   ok         ok/404  403/404 ok/404  403/404 403     401
GET    api/admin/funds                           ok         ok      ok      ok      ok      403     401
GET    api/funds                                 ok         ok      ok      ok      ok      ok      401
DELETE api/funds/<int:operation_id>              404        404     404     404     404     ok/404  401
GET    api/funds/<int:operation_id>              404        404     404     404     404     ok/404  401
GET    api/funds/<int:operation_id>/receipt      404        404     404     404     404     409/404 401
POST   api/funds/deposits                        404        404     404     404     404     ok/404  401
POST   api/funds/withdrawals                     404        404     404     404     404     ok/404  401
"""


def seed(side: Any) -> None:
    """Let the client of a side ask for a deposit."""
    actor = Actor(kind=ActorKind.CLIENT, name=f"user:{side.account.client.user_id}")
    requests.by_client(
        account=side.account,
        kind=BalanceKind.DEPOSIT,
        amount=Decimal(10),
        comment="",
        key="matrix",
        actor=actor,
    )


def _operation(side: Any) -> int:
    return FundOperation.objects.filter(account=side.account).order_by("pk")[0].pk


def _request(side: Any) -> dict[str, Any]:
    return {"account": side.account.login, "amount": "10.00"}


def _post(side: Any) -> dict[str, Any]:
    return _request(side) | {"reference": "matrix", "reason": "to be seen"}


IDS = {
    "api/funds/<int:operation_id>": _operation,
    "api/funds/<int:operation_id>/receipt": _operation,
    "api/admin/fund/<int:operation_id>/approve": _operation,
    "api/admin/fund/<int:operation_id>/reject": _operation,
    "api/admin/fund/<int:operation_id>/receipt": _operation,
}

ASKED = {
    "POST api/funds/deposits": _request,
    "POST api/funds/withdrawals": _request,
    "POST api/admin/fund/deposit": _post,
    "POST api/admin/fund/withdraw": lambda side: _post(side) | {"reference": "matrix-out"},
    "POST api/admin/fund/adjust": lambda side: _post(side) | {"reference": "matrix-adjust"},
    "POST api/admin/fund/credit": lambda side: _post(side) | {"reference": "matrix-credit"},
    "POST api/admin/fund/<int:operation_id>/approve": lambda side: {"reason": "to be seen"},
    "POST api/admin/fund/<int:operation_id>/reject": lambda side: {"reason": "to be seen"},
}
