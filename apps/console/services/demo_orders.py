"""Working orders and stops of the demo broker: real commands, some way off the market. Demo only."""

import random
from collections.abc import Iterable, Iterator
from decimal import Decimal
from uuid import uuid4

from apps.console.services.demo_market import DemoMarket
from apps.trading.domain.commands import Command
from apps.trading.domain.orders import OrderType, Side
from apps.trading.models import Position
from apps.trading.services import orders, positions
from apps.trading.services.orders import PendingOrder
from rtx.kernel.actor import Actor

ORDER_SHARE = 0.4
STOP_SHARE = 0.5
TRAILING_SHARE = 0.15
TRAILING_PCT = Decimal("0.4")


def pending(
    account_id: int,
    *,
    actor: Actor,
    generator: random.Random,
    market: DemoMarket,
    lots: Iterable[tuple[str, Decimal]],
) -> Command:
    """Return an order that waits 0.1 to 1.5 % away from the market."""
    symbol, volume = generator.choice(list(lots))
    side = generator.choice([Side.BUY, Side.SELL])
    type_ = generator.choice([OrderType.LIMIT, OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT])
    away = Decimal(generator.randint(10, 150)) / 100
    above = (side is Side.BUY) is (type_ is not OrderType.LIMIT)
    off = away if above else -away
    back = -away / 10 if side is Side.BUY else away / 10
    return orders.pending_command(
        account_id=account_id,
        order=PendingOrder(
            symbol=symbol,
            side=side,
            type=type_,
            volume=volume,
            price=market.price(symbol, off_pct=off),
            stop_limit_price=market.price(symbol, off_pct=off + back)
            if type_ is OrderType.STOP_LIMIT
            else None,
            client_order_id=f"demo-{uuid4().hex[:16]}",
        ),
        actor=actor,
    )


def stops(*, actors: dict[int, Actor], generator: random.Random, market: DemoMarket) -> Iterator[Command]:
    """Give about half of all open positions a stop loss and a take profit, and some a trailing stop."""
    found = Position.objects.select_related("symbol").order_by("pk")
    for position in found:
        actor = actors.get(position.account_id)
        symbol = position.symbol.name
        if actor is None or symbol not in market.priced or generator.random() >= STOP_SHARE:
            continue
        away = Decimal(generator.randint(30, 250)) / 100
        loss, gain = (-away, away * 2) if position.side == Side.BUY else (away, -away * 2)
        trailing = market.points(symbol, pct=TRAILING_PCT) if generator.random() < TRAILING_SHARE else None
        yield positions.modify_command(
            account_id=position.account_id,
            position_id=position.pk,
            changes={
                "stop_loss": market.price(symbol, off_pct=loss),
                "take_profit": market.price(symbol, off_pct=gain),
                "trailing_points": trailing,
            },
            actor=actor,
        )
