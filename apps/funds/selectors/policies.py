"""Reads of fund policies, and of what one person alone may still post today."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection
from django.db.models import F, Q

from apps.accounts.models import TradingAccount
from apps.funds.domain.operations import Asked
from apps.funds.domain.policy import Policy, Used, needs_second_person
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
    """
    What one person alone may post for a client in a currency today, and what was posted so already: in it,
    and in the client's other currencies that have a threshold.
    """

    threshold: Decimal
    alone_today: Decimal
    elsewhere: tuple[Used, ...] = ()


def room_of(account: TradingAccount, *, now: datetime) -> Room | None:
    """
    Return what limits one person today; None: nothing. The database's own rule asks the same function: for
    each currency of the client the strictest policy of the groups of all accounts in it, and of those they
    left in the last seven days, the house's standing in for a group without one; the absolute amounts of all
    balance operations of the client in it that no second person approved.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT currency, threshold, alone FROM funds_day(%s, %s)", [account.pk, now])
        day = {row[0]: Used(*row) for row in cursor.fetchall()}
    here = day.pop(account.currency, None)
    return None if here is None else Room(here.threshold, here.alone_today, tuple(day.values()))


def waits_for_second_person(account: TradingAccount, asked: Asked, *, now: datetime) -> bool:
    """Tell whether posting this now would need a second person. Advice: the database decides."""
    room = room_of(account, now=now)
    return room is not None and needs_second_person(
        threshold=room.threshold,
        alone_today=room.alone_today,
        amount=asked.amount,
        elsewhere=room.elsewhere,
    )
