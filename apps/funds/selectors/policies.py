"""Reads of fund policies, and of what one person alone may still post today."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection
from django.db.models import F, Q

from apps.accounts.models import TradingAccount
from apps.funds.domain.operations import Asked
from apps.funds.domain.policy import Policy, needs_second_person
from apps.funds.models import FundPolicy


def policy_of(group_id: int) -> Policy:
    """Return a group's policy, or the house's for a group without one."""
    rows = FundPolicy.objects.filter(Q(group_id=group_id) | Q(group=None))
    row = rows.order_by(F("group").asc(nulls_last=True)).first()
    if row is None:
        return Policy()
    return Policy(
        threshold=row.threshold,
        minimum=row.minimum,
        takes_deposits=row.takes_deposits,
        takes_withdrawals=row.takes_withdrawals,
        approval_hours=row.approval_hours,
    )


def house_threshold() -> Decimal | None:
    """Return what holds for groups without a policy of their own; None: nothing."""
    return FundPolicy.objects.filter(group=None).values_list("threshold", flat=True).first()


@dataclass(frozen=True, slots=True)
class Room:
    """What one person alone may post for a client in a currency today, and what was posted so already."""

    threshold: Decimal
    alone_today: Decimal


def room_of(account: TradingAccount, *, now: datetime) -> Room | None:
    """
    Return what limits one person today; None: nothing. The database's own rule asks the same functions: the
    strictest policy of the groups of all accounts of the client in this currency, and of those they left in
    the last seven days, the house's standing in for a group without one; the absolute amounts of all balance
    operations of the client in this currency that no second person approved.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT l.threshold, funds_alone_on_day(l.client, l.currency, %s, l.since) "
            "FROM funds_limit(%s, %s) l",
            [now, account.pk, now],
        )
        found = cursor.fetchone()
    return None if found is None else Room(*found)


def waits_for_second_person(account: TradingAccount, asked: Asked, *, now: datetime) -> bool:
    """Tell whether posting this now would need a second person. Advice: the database decides."""
    room = room_of(account, now=now)
    return room is not None and needs_second_person(
        threshold=room.threshold, alone_today=room.alone_today, amount=asked.amount
    )
