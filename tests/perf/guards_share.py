"""
What guards add to an order, in percent of its time: `guards_share`.

The same executor, in this process, trades with its guards (B) and without (A), in turn: A B A B. Under
load, as a web process sees it, and prepared like one: 64 accounts, each one order at a time, first a buy,
then a sell that flips the position, so that each of them adds exposure and is held against everything. In
force: kill switches and open breakers elsewhere, trading hours, 20 limits of every kind, some of them per
account and one total.

`guards_share`: 64 orders to a batch; `guards_share_8` and `guards_share_1`: as many as that, where what is
read once per batch weighs more.
"""

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from datetime import time as wall_time
from decimal import Decimal
from typing import Any
from uuid import uuid4

from tests.perf.broker import Broker, NotMeasured, Say
from tests.perf.figures import Figure

NAMES = ("guards_share", "guards_share_8", "guards_share_1")
SYMBOL = "EURUSD"
ROUNDS = 24
PASSES = {64: 12, 8: 3, 1: 1}  # orders to a batch: how often all accounts trade in a round
WARMUP = 6
MOST_PCT = 10.0

Times = dict[str, list[float]]
Switch = Callable[[bool], None]


def run(broker: Broker, say: Say) -> list[Figure]:
    """Set the controls up, then trade with and without guards in turn, in batches of each size."""
    from django.conf import settings

    from apps.trading.services import executor
    from apps.trading.services.guarding import Guards
    from rtx.kernel import interpreter

    broker.stop("web", "stream", "engine")
    account_ids = [trader.account_id for trader in broker.traders]
    rows = _controls(account_ids)
    guards = Guards()
    paths, settings.TRADING_GUARDS = settings.TRADING_GUARDS, []
    none = Guards()
    settings.TRADING_GUARDS = paths
    runner = executor._executor._runner
    kept = runner._guards
    interpreter.prepare()  # as rtx/wsgi.py does

    def switch(is_on: bool) -> None:
        runner._guards = guards if is_on else none

    try:
        _quote()
        _pass(account_ids, 0, size=len(account_ids))
        figures = [_measured(account_ids, size, switch, say) for size in PASSES]
    finally:
        runner._guards = kept
        for row in rows:
            row.delete()
    say(f"  {broker.verify()}")
    return figures


def _measured(account_ids: list[int], size: int, switch: Switch, say: Say) -> Figure:
    """Measure one size of batches."""
    spent: Times = {"A": [], "B": []}
    cpu: Times = {"A": [], "B": []}
    turn = 1
    for number in range(WARMUP + ROUNDS):
        _quote()
        for kind in "AB" if number % 2 == 0 else "BA":
            switch(kind == "B")
            began, worked = time.perf_counter(), time.process_time()
            for _ in range(PASSES[size]):
                _pass(account_ids, turn, size=size)
                turn += 1
            if number >= WARMUP:
                orders = PASSES[size] * len(account_ids)
                spent[kind].append((time.perf_counter() - began) / orders)
                cpu[kind].append((time.process_time() - worked) / orders)
    usual = {kind: statistics.median(found) * 1e6 for kind, found in spent.items()}
    worked_us = {kind: statistics.median(found) * 1e6 for kind, found in cpu.items()}
    share = 100 * (usual["B"] / usual["A"] - 1)
    cpu_share = 100 * (worked_us["B"] / worked_us["A"] - 1)
    say(
        f"  batches of {size}: {usual['A']:.0f} us without, {usual['B']:.0f} us with guards; "
        f"CPU +{cpu_share:.1f} %"
    )
    return Figure(
        name="guards_share" if size == len(account_ids) else f"guards_share_{size}",
        value=share,
        unit="%",
        target=f"<= {MOST_PCT:g}",
        ok=share <= MOST_PCT,
        detail=f"{usual['A']:.0f} us without, {usual['B']:.0f} us with guards, medians of {ROUNDS} "
        f"rounds of {PASSES[size] * len(account_ids)} orders, {size} to a batch, in turn; CPU of the "
        f"process {worked_us['A']:.0f} and {worked_us['B']:.0f} us (+{cpu_share:.1f} %); 20 limits, "
        "hours, switches and breakers elsewhere",
    )


def _controls(account_ids: list[int]) -> list[Any]:
    """Put into force what a broker would have; return the rows."""
    from apps.accounts.models import AccountState, TradingAccount
    from apps.market.models import Symbol
    from apps.risk.models import AccountRisk, Breaker, BreakerState, KillSwitch, RiskLimit, TradingHours
    from rtx.kernel import clock

    now = clock.now()
    group_id = TradingAccount.objects.values_list("group_id", flat=True).get(pk=account_ids[0])
    symbol = Symbol.objects.get(name=SYMBOL)
    other = Symbol.objects.exclude(pk=symbol.pk).order_by("name")[0]
    stranger = TradingAccount.objects.exclude(pk__in=account_ids).order_by("pk")[0]
    seqs = dict(AccountState.objects.values_list("account_id", "seq"))
    for account_id in account_ids:
        AccountRisk.objects.update_or_create(
            account_id=account_id,
            defaults={
                "seq": seqs[account_id],
                "equity": Decimal(1_000_000),
                "margin": Decimal(0),
                "peak_equity": Decimal(1_000_000),
                "peak_at": now,
                "day": now.date(),
                "day_start_equity": Decimal(1_000_000),
                "day_low_equity": Decimal(0),
                "day_high_equity": Decimal(0),
                "used_credit": Decimal(0),
                "used_credit_max": Decimal(0),
                "updated_at": now,
            },
        )
    made: list[Any] = [
        KillSwitch.objects.create(scope="symbol", symbol=other, reason="bench", engaged_at=now),
        KillSwitch.objects.create(scope="account", account=stranger, reason="bench", engaged_at=now),
    ]
    breaker = Breaker.objects.create(name="bench", scope="symbol", kind="spread", threshold=Decimal(500))
    made.append(breaker)
    BreakerState.objects.create(breaker=breaker, subject=other.name, symbol=other, state="open", since=now)
    day = datetime(2026, 1, 1, tzinfo=UTC)
    made += [
        TradingHours.objects.create(
            scope="group",
            group_id=group_id,
            weekday=(day + timedelta(days=offset)).weekday(),
            opens_at=wall_time(0),
            closes_at=wall_time(0),
            timezone="UTC",
        )
        for offset in range(7)
    ]
    made += [
        RiskLimit.objects.create(value=Decimal(value), **more) for value, more in _limits(group_id, symbol)
    ]
    assert len([row for row in made if isinstance(row, RiskLimit)]) == 20
    return made


def _limits(group_id: int, symbol: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return 20 limits of every kind that none of the orders exceeds."""
    own = {"scope": "platform", "is_per_account": True}
    of_group = {"scope": "group", "group_id": group_id, "is_per_account": True}
    of_symbol = {"scope": "symbol", "symbol": symbol, "is_per_account": True}
    most = "1000000000"
    return [
        ("50", {"scope": "platform", "kind": "order_volume"}),
        ("50", {"scope": "group", "group_id": group_id, "kind": "order_volume"}),
        ("50", {"scope": "symbol", "symbol": symbol, "kind": "order_volume"}),
        ("500", {**own, "kind": "open_volume"}),
        ("400", {**of_group, "kind": "open_volume"}),
        ("300", {**of_symbol, "kind": "open_volume"}),
        ("500", {**own, "kind": "positions"}),
        ("400", {**of_group, "kind": "positions"}),
        ("300", {**of_symbol, "kind": "positions"}),
        (most, {**own, "kind": "orders_per_minute"}),
        (most, {**own, "kind": "symbol_exposure"}),
        (most, {**of_symbol, "kind": "symbol_exposure"}),
        (most, {**own, "kind": "currency_exposure"}),
        (most, {**of_group, "kind": "currency_exposure", "exposed_currency": "EUR"}),
        (most, {**own, "kind": "correlated_exposure"}),
        (most, {**own, "kind": "credit_use"}),
        (most, {**own, "kind": "daily_loss"}),
        (most, {**of_group, "kind": "daily_loss"}),
        ("90", {**own, "kind": "drawdown"}),
        (most, {"scope": "symbol", "symbol": symbol, "kind": "open_volume"}),
    ]


def _quote() -> None:
    from apps.market.domain.quotes import Quote
    from apps.market.services.board import own_board
    from rtx.kernel import clock

    own_board().put(Quote(SYMBOL, Decimal("1.10000"), Decimal("1.10010"), clock.now_ms()))


def _pass(account_ids: list[int], turn: int, *, size: int) -> None:
    """Let every account send one order, `size` of them to a batch; the second of two flips the position."""
    for start in range(0, len(account_ids), size):
        _batch(account_ids[start : start + size], turn)


def _batch(account_ids: list[int], turn: int) -> None:
    """Let accounts send one order each, all in one batch."""
    from apps.trading.domain.commands import PlaceMarket, order_command_id
    from apps.trading.domain.orders import Side
    from apps.trading.services import executor
    from rtx.kernel.actor import Actor, ActorKind

    actor = Actor(kind=ActorKind.CLIENT, name="user:0")
    commands = []
    for account_id in account_ids:
        client_order_id = uuid4().hex
        commands.append(
            PlaceMarket(
                account_id=account_id,
                command_id=order_command_id(account_id=account_id, client_order_id=client_order_id),
                actor=actor,
                client_order_id=client_order_id,
                symbol=SYMBOL,
                side=Side.BUY if turn % 2 == 0 else Side.SELL,
                volume=Decimal("0.10") if turn == 0 else Decimal("0.20"),
            )
        )
    for future in executor.submit_all(commands):
        outcome = future.result(30)
        if outcome.refusal:
            raise NotMeasured(f"an order was refused: {outcome.refusal}")
