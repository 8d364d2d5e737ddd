"""Fund operations as staff ask for them in tests, and what the journal says of them."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django.db import connection

from apps.accounts.domain.ledger import BalanceKind
from apps.accounts.models import AccountEvent, AccountState, User
from apps.audit.services import approvals
from apps.funds.domain.operations import Asked, signed
from apps.funds.models import FundOperation
from apps.funds.services import requests
from rtx.kernel.actor import Actor, ActorKind
from tests.factories.rows import Holder

D = Decimal


def acting(user: User, reason: str = "bank statement 17") -> Actor:
    """Return a member of staff as the actor of what they do."""
    return Actor(kind=ActorKind.STAFF, name=f"user:{user.pk}", reason=reason)


def ask(
    holder: Holder, user: User, amount: str, kind: str = "deposit", *, key: str = "", **content: Any
) -> FundOperation:
    """Let a member of staff post, or ask for, an operation on a holder's account."""
    account = holder.row
    asked = Asked(
        account_id=account.pk,
        kind=BalanceKind(kind),
        amount=signed(BalanceKind(kind), D(amount), currency=account.currency),
        reference=content.get("reference", f"ref-{uuid4().hex[:12]}"),
        comment=content.get("comment", ""),
    )
    return requests.by_staff(
        account=account, asked=asked, key=key or uuid4().hex, actor=acting(user), may=user.has_perm
    )


def approve(operation: FundOperation, user: User) -> Any:
    """Be the second person."""
    assert operation.approval_id is not None
    return approvals.approve(approval_id=operation.approval_id, actor=acting(user, "seen"), may=user.has_perm)


def balance(holder: Holder) -> Decimal:
    """Return the account's settled money."""
    return AccountState.objects.get(account_id=holder.id).balance


def postings(holder: Holder) -> int:
    """Return how often money was booked after the first deposit."""
    return AccountEvent.objects.filter(account_id=holder.id, type="balance_changed").count() - 1


def race(*work: Callable[[], Any]) -> list[Any]:
    """Let threads begin at the same moment; return what each returned or raised."""
    gate = threading.Barrier(len(work))

    def run(one: Callable[[], Any]) -> Any:
        gate.wait(30)
        try:
            return one()
        except Exception as error:  # noqa: BLE001 - it is the result that the test looks at
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(work)) as pool:
        return list(pool.map(run, work))
