"""
A market order on an account with many open positions against one with few: `order_many_positions_ratio`.

Both accounts trade through the executor of this process, one order at a time: a buy, then the close of what
it opened. They take turns order by order, so that both see the same machine; medians are compared.
"""

import time
from decimal import Decimal
from typing import Any
from uuid import uuid4

from tests.perf.broker import Broker, NotMeasured, Say
from tests.perf.figures import Figure

NAMES = ("order_many_positions_ratio",)
MANY, FEW = 200, 2
ROUNDS = 200
WARMUP = 20
SYMBOLS = ("EURUSD", "GBPUSD", "USDJPY", "EURGBP")


def run(broker: Broker, say: Say) -> list[Figure]:
    """Open both accounts, then trade on them in turn."""
    from apps.market.selectors.quotes import last_quotes
    from apps.market.services.board import own_board

    broker.start("engine")
    _wait_for_quotes()
    broker.stop("web", "stream", "engine")
    own_board().apply(_as_of_now(last_quotes().quotes.values()))
    accounts = {count: _account(count) for count in (MANY, FEW)}
    spent: dict[int, list[float]] = {MANY: [], FEW: []}
    for number in range(WARMUP + ROUNDS):
        if number % 50 == 0:
            own_board().apply(_as_of_now(own_board().latest.values()))
        for count, account_id in accounts.items():
            seconds = _trade(account_id)
            if number >= WARMUP:
                spent[count].append(seconds)
    usual = {count: sorted(found)[len(found) // 2] * 1000 for count, found in spent.items()}
    ratio = usual[MANY] / usual[FEW]
    said = broker.verify()
    say(f"  {usual[MANY]:.2f} ms with {MANY} positions, {usual[FEW]:.2f} ms with {FEW}; {said}")
    return [
        Figure(
            name="order_many_positions_ratio",
            value=ratio,
            unit="x",
            target="<= 2",
            ok=ratio <= 2,
            detail=f"{usual[MANY]:.2f} ms with {MANY} open positions, {usual[FEW]:.2f} ms with {FEW}, "
            f"medians of {ROUNDS} orders each, committed one by one",
        )
    ]


def _wait_for_quotes() -> None:
    """Wait until the engine has stored a quote of each symbol."""
    from apps.market.selectors.quotes import last_quotes

    deadline = time.monotonic() + 30
    while not set(SYMBOLS) <= set(last_quotes().quotes):
        if time.monotonic() > deadline:
            raise NotMeasured("the engine stored no quotes")
        time.sleep(0.1)


def _as_of_now(quotes: Any) -> list[Any]:
    from apps.market.domain.quotes import Quote
    from rtx.kernel import clock

    return [Quote(quote.symbol, quote.bid, quote.ask, clock.now_ms()) for quote in list(quotes)]


def _account(positions: int) -> int:
    """Open an account that holds so many positions, over several symbols and on both sides."""
    from apps.accounts.domain.ledger import BalanceKind
    from apps.accounts.services import clients, trading_accounts
    from apps.groups.models import TradingGroup
    from apps.trading.domain.orders import Side
    from apps.trading.services import balances
    from rtx.kernel.actor import Actor

    actor = Actor.system("bench")
    group, _ = TradingGroup.objects.get_or_create(
        name="many-positions", defaults={"position_mode": TradingGroup.PositionMode.HEDGING}
    )
    person = clients.PersonalData(first_name="Bench", last_name="Many")
    client = clients.register(
        email=f"many-{uuid4().hex}@bench.example", password=None, person=person, country="DE"
    )
    account = trading_accounts.open_account(client=client, group=group, actor=actor)
    balances.change(
        account_id=account.pk,
        kind=BalanceKind.DEPOSIT,
        amount=Decimal(1_000_000),
        reference="start",
        actor=actor,
    )
    for number in range(positions):
        side = Side.BUY if number % 3 else Side.SELL
        _run(_market(account.pk, SYMBOLS[number % len(SYMBOLS)], side))
    return int(account.pk)


def _market(account_id: int, symbol: str, side: Any) -> Any:
    from apps.trading.domain.commands import PlaceMarket, order_command_id
    from rtx.kernel.actor import Actor, ActorKind

    client_order_id = uuid4().hex
    return PlaceMarket(
        account_id=account_id,
        command_id=order_command_id(account_id=account_id, client_order_id=client_order_id),
        actor=Actor(kind=ActorKind.CLIENT, name="user:0"),
        client_order_id=client_order_id,
        symbol=symbol,
        side=side,
        volume=Decimal("0.01"),
    )


def _run(command: Any) -> Any:
    from apps.trading.services import executor

    outcome = executor.run(command)
    if outcome.refusal:
        raise NotMeasured(f"an order was refused: {outcome.refusal}")
    return outcome


def _trade(account_id: int) -> float:
    """Buy, measured; then close again."""
    from apps.trading.domain.commands import ClosePosition, order_command_id
    from apps.trading.domain.orders import Side

    command = _market(account_id, "EURUSD", Side.BUY)
    started = time.perf_counter()
    outcome = _run(command)
    seconds = time.perf_counter() - started
    client_order_id = uuid4().hex
    _run(
        ClosePosition(
            account_id=account_id,
            command_id=order_command_id(account_id=account_id, client_order_id=client_order_id),
            actor=command.actor,
            client_order_id=client_order_id,
            position_id=outcome.payload["position"]["id"],
        )
    )
    return seconds
