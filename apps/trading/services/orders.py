"""Orders: build the command of a request and run it through the executor."""

from dataclasses import dataclass
from decimal import Decimal

from apps.trading.domain.commands import Outcome, PlaceMarket, order_command_id
from apps.trading.domain.orders import Side
from apps.trading.services import executor
from rtx.kernel.actor import Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketOrder:
    """A request to buy or sell at the market; volume in lots, deviation in points."""

    symbol: str
    side: Side
    volume: Decimal
    client_order_id: str
    price: Decimal | None = None
    deviation: int | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    comment: str = ""


def market_command(*, account_id: int, order: MarketOrder, actor: Actor) -> PlaceMarket:
    """Return the command of a market order; its `client_order_id` makes it unique on the account."""
    return PlaceMarket(
        account_id=account_id,
        command_id=order_command_id(account_id=account_id, client_order_id=order.client_order_id),
        actor=actor,
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        volume=order.volume,
        price=order.price,
        deviation=order.deviation,
        stop_loss=order.stop_loss,
        take_profit=order.take_profit,
        comment=order.comment,
    )


def place_market(*, account_id: int, order: MarketOrder, actor: Actor) -> Outcome:
    """
    Place one market order and wait for its outcome. A repeated `client_order_id` returns the first outcome.

    :raises ClientOrderIdReused: the id already names a different request.
    :raises SymbolNotOffered: the account's group does not trade the symbol.
    :raises Busy: the executor's queue is full; nothing was accepted.
    :raises OutcomeUnknown: no answer in time; repeat with the same id.
    """
    return executor.run(market_command(account_id=account_id, order=order, actor=actor))
