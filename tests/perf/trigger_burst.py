"""
One tick that reaches 10,000 sell stops and stop losses at once: `trigger_burst_s`.

The trigger service runs in this process with its executor, as in the engine, on the broker's PostgreSQL.
Measured is from the tick until the last of them is committed and answered. Afterwards the database must hold
each of them executed once, in price-time order, at the tick's price, and the books must verify.
"""

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from decimal import Decimal
from typing import Any
from uuid import uuid4

from tests.perf.broker import Broker, NotMeasured, Say
from tests.perf.figures import Figure

NAMES = ("trigger_burst_s",)
ACCOUNTS = 2_000
STOPS_EACH = 5  # three positions with a stop loss, two sell stops
BURST = ACCOUNTS * STOPS_EACH
LEVELS = 400
RUNS = 1
SYMBOL = "EURUSD"
START = (Decimal("1.10000"), Decimal("1.10010"))
FALLEN = (Decimal("1.09000"), Decimal("1.09010"))
POINT = Decimal("0.00001")
UNDER_WAY = 1_000
LIMIT_S = 120.0

ORDERS = """
    SELECT o.id, o.position_id, (o.trigger->>'price')::numeric, o.average_price, d.id, o.reason
    FROM trading_order o JOIN trading_deal d ON d.order_id = o.id
    WHERE o.trigger IS NOT NULL AND o.account_id = ANY(%s) ORDER BY d.id
"""


def run(broker: Broker, say: Say) -> list[Figure]:
    """Open the accounts, place the stops, let the price fall."""
    from apps.market.services.engine import Engine
    from apps.trading.services.triggering import TriggerService
    from rtx.kernel import interpreter

    broker.stop("web", "stream", "engine")
    interpreter.prepare(collects_rarely=True)
    accounts = _accounts(say)
    engine, service = Engine(paths=[]), TriggerService()
    try:
        _tick(engine, START)
        _place(accounts, say)
        service.start(engine)
        _wait(lambda: service.health()["armed"] == BURST, f"{BURST} armed stops", service)
        _tick(engine, START)
        started = time.perf_counter()
        _tick(engine, FALLEN)
        _wait(lambda: service.health()["done"] >= BURST, f"{BURST} executed stops", service, pause_s=0.02)
        seconds = time.perf_counter() - started
        health = service.health()
    finally:
        service.stop()
    _check(accounts)
    said = broker.verify()
    say(f"  {BURST} stops in {seconds:.2f} s, {BURST / seconds:,.0f} per second; {said}")
    return [
        Figure(
            name="trigger_burst_s",
            value=seconds,
            unit="s",
            target="<= 5",
            ok=seconds <= 5,
            detail=f"{BURST} stops of {ACCOUNTS} accounts on one tick, all in price-time order, "
            f"{health['void']} tried again",
        )
    ]


def _wait(check: Any, what: str, service: Any, *, pause_s: float = 0.05) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not check():
        if time.monotonic() > deadline:
            raise NotMeasured(f"waited in vain for {what}: {service.health()}")
        time.sleep(pause_s)


def _tick(engine: Any, prices: tuple[Decimal, Decimal]) -> None:
    from apps.market.domain.quotes import Quote
    from apps.market.services.board import own_board
    from apps.market.services.engine import TickBatch
    from rtx.kernel import clock

    board = own_board()
    quote = Quote(SYMBOL, *prices, clock.now_ms())
    board.put(quote)
    engine.publish(TickBatch([quote], board.latest))


def _accounts(say: Say) -> list[int]:
    """Open the accounts, each with money."""
    from apps.accounts.domain.ledger import BalanceKind
    from apps.accounts.services import clients, trading_accounts
    from apps.groups.models import TradingGroup
    from apps.trading.domain.commands import ChangeBalance, balance_command_id
    from rtx.kernel.actor import Actor

    actor = Actor.system("bench")
    group = TradingGroup.objects.create(
        name=f"burst-{uuid4().hex[:6]}", position_mode=TradingGroup.PositionMode.HEDGING
    )
    started = time.monotonic()
    person = clients.PersonalData(first_name="Bench", last_name="Burst")
    client = clients.register(
        email=f"burst-{uuid4().hex}@bench.example", password=None, person=person, country="DE"
    )
    ids = [trading_accounts.open_account(client=client, group=group, actor=actor).pk for _ in range(ACCOUNTS)]
    deposits = (
        ChangeBalance(
            account_id=account_id,
            command_id=balance_command_id(account_id=account_id, reference="start"),
            actor=actor,
            kind=BalanceKind.DEPOSIT,
            amount=Decimal(10_000),
            reference="start",
        )
        for account_id in ids
    )
    _submit_all(deposits)
    say(f"  {ACCOUNTS} accounts ({time.monotonic() - started:.0f} s)")
    return ids


def _place(accounts: list[int], say: Say) -> None:
    """Give each account its positions and orders, at levels below the present price."""
    started = time.monotonic()
    outcomes = _submit_all(_commands(accounts))
    wrong = [outcome for outcome in outcomes if outcome.refusal]
    if wrong:
        raise NotMeasured(f"{len(wrong)} orders were refused: {wrong[0].refusal}")
    seconds = time.monotonic() - started
    say(f"  {len(outcomes)} orders placed, {len(outcomes) / seconds:,.0f} per second")


def _commands(accounts: list[int]) -> Iterator[Any]:
    from apps.trading.domain.commands import PlaceMarket, PlacePending, order_command_id
    from apps.trading.domain.orders import OrderType, Side
    from rtx.kernel.actor import Actor, ActorKind

    actor = Actor(kind=ActorKind.CLIENT, name="user:0")
    for number in range(BURST):
        account_id = accounts[number % ACCOUNTS]
        client_order_id = f"burst-{number}"
        level = START[0] - (100 + number * 7919 % LEVELS) * POINT
        common: dict[str, Any] = {
            "account_id": account_id,
            "command_id": order_command_id(account_id=account_id, client_order_id=client_order_id),
            "actor": actor,
            "client_order_id": client_order_id,
            "symbol": SYMBOL,
            "volume": Decimal("0.01"),
        }
        if number // ACCOUNTS < 3:
            yield PlaceMarket(**common, side=Side.BUY, stop_loss=level)
        else:
            yield PlacePending(**common, side=Side.SELL, type=OrderType.STOP, price=level)


def _submit_all(commands: Iterable[Any]) -> list[Any]:
    """Run commands through this process's executor, many at a time."""
    from apps.trading.services import executor

    waiting: list[Future[Any]] = []
    outcomes = []
    for command in commands:
        waiting.append(executor.submit(command))
        if len(waiting) >= UNDER_WAY:
            outcomes += [future.result(60) for future in waiting[: UNDER_WAY // 2]]
            del waiting[: UNDER_WAY // 2]
    return outcomes + [future.result(60) for future in waiting]


def _check(accounts: list[int]) -> None:
    """
    Compare what the database holds with what must have happened.

    :raises NotMeasured: something is missing, came twice, at another price or in another order.
    """
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(ORDERS, [accounts])
        found = cursor.fetchall()
    if len(found) != BURST or len({row[0] for row in found}) != BURST:
        raise NotMeasured(f"{len(found)} executed stops are stored, not {BURST}")
    if {row[3] for row in found} != {FALLEN[0]}:
        raise NotMeasured(f"stops filled at {sorted({row[3] for row in found})}, not at {FALLEN[0]}")
    tickets = [
        (-price, position if reason == "stop_loss" else order)
        for order, position, price, _, _, reason in found
    ]
    if tickets != sorted(tickets):
        raise NotMeasured("stops were not executed in price-time order")
