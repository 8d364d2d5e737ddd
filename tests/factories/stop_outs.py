"""Accounts below their stop-out level, and what became of them."""

from decimal import Decimal

from apps.groups.models import TradingGroup
from apps.risk.models import Liquidation, QueuedLiquidation, RiskAlarm
from apps.trading.domain.orders import Side
from apps.trading.services import executor
from tests.factories import rows
from tests.factories.rows import Holder

CRASHED = {"EURUSD": ("1.00000", "1.00017")}  # a buyer of 1.10017 loses 10,017 USD a lot


def exposed(
    *,
    group: TradingGroup,
    balance: str = "2000",
    lots: tuple[str, ...] = ("0.10", "0.10"),
    symbol: str = "EURUSD",
) -> Holder:
    """Open an account that bought at 1.10017: with 2,000 USD and 0.20 lots it is below 50 % at 1.00000."""
    holder = rows.make_holder(group=group, balance=balance)
    for size in lots:
        executor.run(rows.market_order(holder, Side.BUY, symbol, lots=size))
    return holder


def crash(prices: dict[str, tuple[str, str]] | None = None) -> None:
    """Let the euro fall ten cents."""
    rows.show(prices or CRASHED)


def liquidations(holder: Holder) -> list[Liquidation]:
    """Return an account's liquidations, oldest first."""
    return list(Liquidation.objects.filter(account_id=holder.id).order_by("id"))


def queued(holder: Holder) -> QueuedLiquidation | None:
    """Return the account's open row of the queue."""
    return QueuedLiquidation.objects.filter(account_id=holder.id, resolved_at=None).first()


def open_alarms(holder: Holder) -> list[str]:
    """Return the kinds of the account's open alarms."""
    found = RiskAlarm.objects.filter(account_id=holder.id, cleared_at=None)
    return sorted(found.values_list("kind", flat=True))


def balance_of(holder: Holder) -> Decimal:
    """Return the account's balance."""
    return rows.state_of(holder)[0]
