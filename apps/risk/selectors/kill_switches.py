"""Reads of kill switches: what their scope holds, and which of them have work left. Reads only."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet

from apps.accounts.models import AccountState, TradingAccount
from apps.risk.models import KillSwitch
from apps.trading.models import Order, Position

WORKING = (Order.Status.WORKING, Order.Status.PARTIALLY_FILLED)


@dataclass(frozen=True, slots=True)
class Extent:
    """What a scope holds now."""

    accounts: int
    working_orders: int
    positions: int


@dataclass(frozen=True, slots=True)
class Holding:
    """Positions of one account on one symbol; `seq` is the account's latest event."""

    account_id: int
    group_id: int
    symbol: str
    seq: int
    position_ids: tuple[int, ...]


def of_scope(switch: KillSwitch) -> Q:
    """Return the condition for orders and positions in a switch's scope."""
    match switch.scope:
        case "group":
            return Q(account__group_id=switch.group_id)
        case "symbol":
            return Q(symbol_id=switch.symbol_id)
        case "account":
            return Q(account_id=switch.account_id)
    return Q()


def extent(switch: KillSwitch) -> Extent:
    """Return what a switch (also one that was not saved) covers."""
    accounts = {"group": {"group_id": switch.group_id}, "account": {"pk": switch.account_id}}
    condition = of_scope(switch)
    return Extent(
        accounts=TradingAccount.objects.filter(**accounts.get(switch.scope, {})).count(),
        working_orders=Order.objects.filter(condition, status__in=WORKING).count(),
        positions=Position.objects.filter(condition).count(),
    )


def engaged() -> QuerySet[KillSwitch]:
    """Return the switches that are on, oldest first."""
    rows = KillSwitch.objects.filter(released_at__isnull=True)
    return rows.select_related("group", "symbol", "account").order_by("pk")


def with_work() -> list[KillSwitch]:
    """Return the switches whose orders are to be canceled or positions closed, and are not yet."""
    asks = Q(cancels_orders=True) | Q(closes_positions=True)
    return list(engaged().filter(asks, work_done_at__isnull=True))


def working_orders(switch: KillSwitch, *, limit: int) -> list[tuple[int, int]]:
    """Return working orders in a switch's scope as (account id, order id), by account."""
    rows = Order.objects.filter(of_scope(switch), status__in=WORKING).order_by("account_id", "pk")
    return list(rows.values_list("account_id", "pk")[:limit])


def holdings(switch: KillSwitch) -> list[Holding]:
    """Return the open positions in a switch's scope by account and symbol."""
    rows = (
        Position.objects.filter(of_scope(switch))
        .order_by("account_id", "symbol__name", "pk")
        .values_list("account_id", "account__group_id", "symbol__name", "pk")
    )
    found: dict[tuple[Any, ...], list[int]] = {}
    for account_id, group_id, symbol, position_id in rows:
        found.setdefault((account_id, group_id, symbol), []).append(position_id)
    states = AccountState.objects.filter(account_id__in={key[0] for key in found})
    seqs = dict(states.values_list("account_id", "seq"))
    return [
        Holding(account_id, group_id, symbol, seqs[account_id], tuple(ids))
        for (account_id, group_id, symbol), ids in found.items()
    ]
