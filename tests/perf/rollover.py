"""
How long the rollover of 100,000 open positions takes: `rollover_s`.

One account trades with real orders; 20,000 copies of its rows (account, journal, ledger, orders, deals,
positions) make the house, and `verify_books` has to agree before and after. The rollover is the one that the
task and the command run, with its progress shown, in one process.
"""

import sys
import time
from datetime import timedelta
from typing import Any

import psycopg

from tests.perf import copies
from tests.perf.broker import Broker, NotMeasured, Say
from tests.perf.figures import Figure

NAMES = ("rollover_s",)
ACCOUNTS = 20_000
TARGET_S = 60
POSITIONS = (("EURUSD", "buy"), ("GBPUSD", "sell"), ("USDJPY", "buy"), ("XAUUSD", "sell"), ("AUDUSD", "buy"))
PRICES = {
    "EURUSD": ("1.10000", "1.10010"),
    "GBPUSD": ("1.25000", "1.25010"),
    "USDJPY": ("150.000", "150.010"),
    "XAUUSD": ("2400.100", "2400.300"),
    "AUDUSD": ("0.65000", "0.65010"),
}


def run(broker: Broker, say: Say) -> list[Figure]:
    """Make the house, roll its day, verify."""
    from apps.trading.models import Position, SwapCharge
    from apps.trading.services import rollover

    broker.stop("web", "stream", "engine")
    group = _group()
    started = time.perf_counter()
    with psycopg.connect(broker.stack.owner_url) as owner:
        copies.number_tickets(owner)
        copies.copy_account(owner, _template(group), count=ACCOUNTS - 1)
    positions = Position.objects.filter(account__group=group).count()
    say(f"  {positions:,} positions on {ACCOUNTS:,} accounts made in {time.perf_counter() - started:.0f} s")
    say(f"  {broker.verify()}")
    day = _day(group)
    started = time.perf_counter()
    done = rollover.roll(day, progress=_progress(positions))
    took = time.perf_counter() - started
    print(file=sys.stderr)
    say(f"  {broker.verify()}")
    booked = SwapCharge.objects.filter(account__group=group).count()
    if done.charges != positions or booked != positions or done.pending:
        raise NotMeasured(f"{done.charges} charged, {booked} booked of {positions}, {done.pending} wait")
    return [
        Figure(
            name="rollover_s",
            value=took,
            unit="s",
            target=f"<= {TARGET_S}",
            ok=took <= TARGET_S,
            detail=f"{positions:,} positions on {ACCOUNTS:,} accounts, one process; books agree after it",
        )
    ]


def _progress(total: int) -> Any:
    from tqdm import tqdm

    bar = tqdm(total=total, unit=" positions", file=sys.stderr, mininterval=1)
    return lambda accounts, charges: bar.update(charges)


def _group() -> Any:
    from decimal import Decimal

    from apps.groups.models import TradingGroup
    from apps.market.models import Symbol

    Symbol.objects.update(
        swap_mode="points",
        swap_long=Decimal("-7.5"),
        swap_short=Decimal("2.1"),
        swap_multipliers=[1] * 7,
        session=Symbol.objects.get(name="BTCUSD").session,  # open on every day that the bench may run
    )
    return TradingGroup.objects.create(name="overnight", leverage_max=500)


def _template(group: Any) -> int:
    """Open an account, deposit and trade through the executor; return its id."""
    from decimal import Decimal

    from apps.accounts.domain.ledger import BalanceKind
    from apps.accounts.models import Client
    from apps.accounts.services import trading_accounts
    from apps.market.domain.quotes import Quote
    from apps.market.models import Symbol
    from apps.market.services import ticks
    from apps.market.services.board import own_board
    from apps.market.services.ticks import StoredTick
    from apps.trading.domain.orders import Side
    from apps.trading.services import balances, executor, orders
    from apps.trading.services.orders import MarketOrder
    from rtx.kernel import clock
    from rtx.kernel.actor import Actor

    actor = Actor.system("bench")
    executor._executor._runner.forget()  # it holds numbers from before they were moved
    now = clock.now()
    ids = dict(Symbol.objects.values_list("name", "pk"))
    ticks.ensure_days([now.date(), (now + timedelta(days=1)).date()])
    for name, (bid, ask) in PRICES.items():
        own_board().put(Quote(name, Decimal(bid), Decimal(ask), clock.now_ms()))
        ticks.append([StoredTick(ids[name], now, 0, "bench", Decimal(bid), Decimal(ask))])
    client = Client.objects.order_by("pk")[0]
    account = trading_accounts.open_account(client=client, group=group, actor=actor)
    balances.change(
        account_id=account.pk,
        kind=BalanceKind.DEPOSIT,
        amount=Decimal(50_000),
        reference="start",
        actor=actor,
    )
    for number, (symbol, side) in enumerate(POSITIONS):
        order = MarketOrder(
            symbol=symbol, side=Side(side), volume=Decimal("0.10"), client_order_id=f"night-{number}"
        )
        if orders.place_market(account_id=account.pk, order=order, actor=actor).order.status != "filled":
            raise NotMeasured(f"the template's order in {symbol} was not filled")
    return account.pk


def _day(group: Any) -> Any:
    """Return today as a day whose rollover is this moment: everything before it is stored already."""
    from apps.trading.models import RolloverDay
    from rtx.kernel import clock

    now = clock.now()
    return RolloverDay.objects.create(group=group, date=now.date(), rolled_at=now)
