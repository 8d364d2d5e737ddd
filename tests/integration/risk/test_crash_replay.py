"""
A real day's ticks with a gap of five percent put in, and 2,000 accounts under the margin monitor.

Every dossier must come out again byte for byte, every cent must be somewhere, and the books must verify.
"""

import heapq
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from django.db.models import Count, Sum

from apps.accounts.domain.ledger import BalanceKind
from apps.accounts.models import AccountState, LedgerLine, TradingAccount
from apps.groups.models import StopOutRule, TradingGroup
from apps.market.adapters.recordings import identify
from apps.market.domain.quotes import Quote
from apps.market.models import Symbol
from apps.market.services.board import own_board
from apps.market.services.engine import Engine, TickBatch
from apps.risk.models import Liquidation, MonitorStatus, QueuedLiquidation
from apps.risk.selectors import dossiers, sweep
from apps.risk.services import liquidation
from apps.risk.services.liquidation_queue import LiquidationQueueService
from apps.risk.services.monitor import MonitorService
from apps.trading.domain.commands import ChangeBalance, balance_command_id
from apps.trading.domain.orders import OrderType, Side
from apps.trading.selectors.markets import markets
from apps.trading.services import executor
from rtx.kernel import clock
from tests.factories import booked, rows
from tests.factories.rows import Holder
from tests.factories.triggering import eventually, pending
from tests.perf import copies

FOLDER = os.environ.get("RTX_TICKS_DIR", "")
DAY = ("oanda/eurusd_tick_20140508.zip", "oanda/nzdusd_tick_20140508.zip", "oanda/xauusd_tick_20140508.zip")
ACCOUNTS_PER_GROUP = 500
TOGETHER = 40  # ticks of one batch
EVERY = 4  # of the recorded ticks one is played
GAP = Decimal("0.95")
DIGITS = {"EURUSD": 5, "NZDUSD": 5, "XAUUSD": 3}
BUY, SELL = Side.BUY, Side.SELL
HELD = ((BUY, "EURUSD", "0.30"), (SELL, "NZDUSD", "0.20"), (BUY, "XAUUSD", "0.05"), (BUY, "EURUSD", "0.10"))

pytestmark = [
    pytest.mark.serial,
    pytest.mark.skipif(not FOLDER, reason="RTX_TICKS_DIR names no folder of recordings"),
]


def played() -> list[Quote]:
    """Return one recorded day in the order of its ticks, fallen by five percent in the middle."""
    ticks = list(heapq.merge(*map(_tape, DAY)))[::EVERY]
    middle = len(ticks) // 2
    return [
        _quote(symbol, bid, ask, GAP if number >= middle else Decimal(1))
        for number, (_, symbol, bid, ask) in enumerate(ticks)
    ]


def _tape(name: str) -> Iterator[tuple[int, str, Decimal, Decimal]]:
    recording = identify(Path(FOLDER) / name)
    assert recording is not None
    for tick in recording.ticks():
        if tick.bid is not None and tick.ask is not None and tick.ask >= tick.bid:
            yield tick.time_us, recording.symbol, tick.bid, tick.ask


def _quote(symbol: str, bid: Decimal, ask: Decimal, factor: Decimal) -> Quote:
    step = Decimal(1).scaleb(-DIGITS[symbol])
    return Quote(symbol, (bid * factor).quantize(step), (ask * factor).quantize(step), 0)


def pass_on(engine: Engine, quotes: list[Quote]) -> None:
    """Let ticks pass as of now: board first, then the listeners."""
    now_ms = clock.now_ms()
    told = [Quote(one.symbol, one.bid, one.ask, now_ms) for one in quotes]
    own_board().apply(told)
    engine.publish(TickBatch(told, own_board().latest))


@pytest.fixture
def day(symbols: dict[str, Symbol]) -> list[Quote]:
    """The day, with symbols for it and its first prices on the board."""
    session = symbols["EURUSD"].session
    for name in ("NZDUSD", "XAUUSD"):
        Symbol.objects.create(
            name=name,
            asset_class="forex",
            base_currency=name[:3],
            profit_currency="USD",
            margin_currency=name[:3],
            digits=DIGITS[name],
            contract_size=100 if name == "XAUUSD" else 100_000,
            session=session,
            quote_age_max_s=600,
        )
    Symbol.objects.update(margin_rate_pending=1)
    ticks = played()
    pass_on(Engine(paths=[]), [next(one for one in ticks if one.symbol == name) for name in DIGITS])
    return ticks


@pytest.fixture
def accounts(day: list[Quote], owner: psycopg.Connection) -> list[int]:
    """2,000 accounts in four groups, one for each rule; in each, levels differ from account to account."""
    copies.number_tickets(owner)
    executor._executor._runner.forget()
    made = [_template(rule) for rule in StopOutRule]
    for holder in made:
        copies.copy_account(owner, holder.id, count=ACCOUNTS_PER_GROUP - 1)
    executor._executor._runner.forget()
    ids = list(TradingAccount.objects.order_by("pk").values_list("pk", flat=True))
    given = [
        executor.submit(_deposit(account_id, 1 + number % ACCOUNTS_PER_GROUP * 6))
        for number, account_id in enumerate(ids)
    ]
    for future in given:
        future.result(60)
    return ids


def _deposit(account_id: int, amount: int) -> ChangeBalance:
    return ChangeBalance(
        account_id=account_id,
        command_id=balance_command_id(account_id=account_id, reference="spread"),
        actor=rows.TESTER,
        kind=BalanceKind.DEPOSIT,
        amount=Decimal(amount),
        reference="spread",
    )


def _template(rule: str) -> Holder:
    group: TradingGroup = rows.make_group(
        rule,
        stop_out_rule=rule,
        currency="EUR" if rule == StopOutRule.SMART else "USD",
        markup_ask_points=2,
        commission_mode="per_lot",
        commission_value=3,
    )
    holder = rows.make_holder(group=group, balance="1200")
    for side, symbol, lots in HELD:
        assert executor.run(rows.market_order(holder, side, symbol, lots=lots)).refusal is None
    order = pending(holder, BUY, OrderType.LIMIT, "1.00000")
    assert executor.run(order).refusal is None
    return holder


def test_a_crash_is_survived_to_the_cent_and_explained(accounts: list[int], day: list[Quote]) -> None:
    engine = Engine(paths=[])
    services = [MonitorService(), LiquidationQueueService()]
    for service in services:
        service.start(engine)
    try:
        eventually(
            lambda: MonitorStatus.objects.filter(positions__gte=len(accounts) * len(HELD)).exists(),
            timeout_s=60,
        )
        for start in range(0, len(day), TOGETHER):
            pass_on(engine, day[start : start + TOGETHER])
        eventually(lambda: liquidation.backlog() == 0 and not _below(), timeout_s=120)
    finally:
        for service in services:
            service.stop()

    _everybody_once_and_above()
    _every_cent_is_somewhere()
    different = [
        (row.pk, found.difference)
        for row in Liquidation.objects.select_related("event").order_by("pk")
        if not (found := dossiers.derived(row)).is_identical
    ]
    assert different == []
    assert booked.verified() > len(accounts) * 7


def _below() -> list[sweep.Found]:
    return sweep.below_stop_out(markets(now=clock.now())).found


def _everybody_once_and_above() -> None:
    """Nobody is left below, no debt is left, and each rule had its share."""
    assert _below() == []
    assert not QueuedLiquidation.objects.filter(resolved_at=None).exists()
    assert not AccountState.objects.filter(balance__lt=0, account__positions__isnull=True).exists()
    shares = dict(Liquidation.objects.values_list("rule").annotate(Count("account", distinct=True)))
    assert set(shares) == set(StopOutRule)
    assert min(shares.values()) > 100
    assert Liquidation.objects.filter(compensation__gt=0).exists()
    assert set(Liquidation.objects.values_list("cause", flat=True)) == {"monitor"}


def _every_cent_is_somewhere() -> None:
    """All lines of a currency add up to nothing; clients' and the house's parts are what the accounts say."""
    totals: dict[tuple[str, str], Decimal] = {}
    for currency, ledger, amount in LedgerLine.objects.values_list("currency", "ledger").annotate(
        Sum("amount")
    ):
        totals[currency, ledger] = amount
    for currency in ("USD", "EUR"):
        assert sum(amount for (one, _), amount in totals.items() if one == currency) == 0
        held = AccountState.objects.filter(account__currency=currency).aggregate(Sum("balance"))[
            "balance__sum"
        ]
        assert totals[currency, "client"] == held
        paid = Liquidation.objects.filter(account__currency=currency).aggregate(Sum("compensation"))
        assert -totals.get((currency, "compensation"), Decimal(0)) == (paid["compensation__sum"] or 0)
