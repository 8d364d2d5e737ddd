"""Reads of fund policies, and of what one person alone may still post today."""

from datetime import datetime
from decimal import Decimal

from django.db import connection

from apps.accounts.models import TradingAccount
from apps.funds.domain.operations import Asked
from apps.funds.domain.policy import Policy, needs_second_person
from apps.funds.models import FundPolicy


def policy_of(group_id: int) -> Policy:
    """Return a group's policy; a group without one has the mildest."""
    row = FundPolicy.objects.filter(group_id=group_id).first()
    if row is None:
        return Policy()
    return Policy(
        threshold=row.threshold,
        minimum=row.minimum,
        takes_deposits=row.takes_deposits,
        takes_withdrawals=row.takes_withdrawals,
        approval_hours=row.approval_hours,
    )


def alone_today(account: TradingAccount, *, now: datetime) -> Decimal:
    """
    Return what the client's accounts in this currency saw today on one person's word: the absolute amounts
    of all balance operations without an approval. The database's own rule asks the same function.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT funds_alone_on_day(%s, %s, %s)", [account.client_id, account.currency, now])
        found = cursor.fetchone()
    return Decimal(found[0]) if found else Decimal(0)


def waits_for_second_person(account: TradingAccount, asked: Asked, *, now: datetime) -> bool:
    """Tell whether posting this now would need a second person. Advice: the database decides."""
    policy = policy_of(account.group_id)
    if policy.threshold is None:
        return False
    return needs_second_person(policy=policy, alone_today=alone_today(account, now=now), amount=asked.amount)
