"""Reads of kill switches: what their scope holds, and which of them have work left. Reads only."""

from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet

from apps.accounts.models import AccountState, TradingAccount
from apps.risk.models import KillSwitch
from apps.trading.models import Order, Position

WORKING = (Order.Status.WORKING, Order.Status.PARTIALLY_FILLED)
Place = tuple[int, int]  # an account, and an order or a symbol of it
FIRST: Place = (0, 0)


@dataclass(frozen=True, slots=True)
class Extent:
    """What a scope holds now."""

    accounts: int
    working_orders: int
    positions: int


@dataclass(frozen=True, slots=True)
class Held:
    """How many positions the accounts of one group have on one symbol."""

    group_id: int
    symbol_id: int
    symbol: str
    positions: int


@dataclass(frozen=True, slots=True)
class Holding:
    """Positions of one account on one symbol; `seq` is the account's latest event."""

    account_id: int
    group_id: int
    symbol_id: int
    symbol: str
    seq: int
    positions: int


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


def is_on(switch_id: int) -> bool:
    """Tell whether a switch still stops trading, as the database has it now."""
    return KillSwitch.objects.filter(pk=switch_id, released_at__isnull=True).exists()


def working_orders(switch: KillSwitch, *, after: Place, limit: int) -> list[Place]:
    """Return the next working orders in a switch's scope as (account id, order id)."""
    rows = Order.objects.filter(of_scope(switch), _beyond("pk", after), status__in=WORKING)
    return list(rows.order_by("account_id", "pk").values_list("account_id", "pk")[:limit])


def held(switch: KillSwitch) -> list[Held]:
    """Return what the switch's scope holds by group and symbol, counted by the database."""
    rows = (
        Position.objects.filter(of_scope(switch))
        .order_by()
        .values_list("account__group_id", "symbol_id", "symbol__name")
        .annotate(Count("pk"))
    )
    return [Held(*row) for row in rows]


def holdings(switch: KillSwitch, *, symbol_ids: Collection[int], after: Place, limit: int) -> list[Holding]:
    """Return the next holdings of these symbols in a switch's scope, by account and symbol."""
    rows = (
        Position.objects.filter(of_scope(switch), _beyond("symbol_id", after), symbol_id__in=symbol_ids)
        .order_by("account_id", "symbol_id")
        .values_list("account_id", "account__group_id", "symbol_id", "symbol__name")
        .annotate(Count("pk"))
    )
    found = list(rows[:limit])
    states = AccountState.objects.filter(account_id__in={row[0] for row in found})
    seqs = dict(states.values_list("account_id", "seq"))
    return [
        Holding(account_id, group_id, symbol_id, symbol, seqs[account_id], count)
        for account_id, group_id, symbol_id, symbol, count in found
    ]


def _beyond(column: str, after: Place) -> Q:
    """Return the condition of what comes after a place, in the order of the account and a column."""
    account_id, key = after
    return Q(account_id__gt=account_id) | Q(account_id=account_id, **{f"{column}__gt": key})
