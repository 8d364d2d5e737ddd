"""Orders at the market. Pure: functions that change the desk they are given."""

from datetime import datetime

from apps.trading.domain import checks
from apps.trading.domain.commands import Outcome, PlaceMarket
from apps.trading.domain.filling import REASONS, Desk
from apps.trading.domain.orders import Order, OrderStatus, OrderType, RejectReason
from apps.trading.domain.pricing import MarketView


def order_of(desk: Desk, command: PlaceMarket, now: datetime) -> Order:
    """Return the new order that a command asks for."""
    return Order(
        id=desk.order_ticket(),
        client_order_id=command.client_order_id,
        symbol=command.symbol,
        side=command.side,
        type=OrderType.MARKET,
        volume=command.volume,
        status=OrderStatus.NEW,
        created_at=now,
        price=command.price,
        deviation=command.deviation,
        stop_loss=command.stop_loss,
        take_profit=command.take_profit,
        reason=REASONS[command.actor.kind],
        comment=command.comment,
    )


def place(desk: Desk, command: PlaceMarket, market: MarketView, now: datetime) -> Outcome:
    """Fill an order at the market or refuse it."""
    held = desk.net_position(command.symbol)
    terms = desk.terms_of(command.symbol, market, is_held=held is not None)
    order = order_of(desk, command, now)
    reason = (
        checks.permission(
            status=desk.account.status,
            terms=terms,
            side=order.side,
            reduces=desk.reduces(order, held),
            actor=command.actor.kind,
        )
        or checks.volume(order.volume, terms=terms)
        or checks.tradable(order.symbol, market=market)
    )
    if not reason and not checks.on_grid(command.price, terms=terms):
        reason = RejectReason.INVALID_PRICE
    if reason:
        return desk.rejected(order, reason)
    quote = market.client(order.symbol)
    assert quote is not None  # `tradable` has seen it
    fill = checks.opening_price(order.side, quote)
    if checks.slips(
        fill=fill, wanted=command.price, deviation=command.deviation, side=order.side, terms=terms
    ):
        order.requote_price = fill
        return desk.rejected(order, RejectReason.REQUOTE)
    reason = checks.stops(
        side=order.side,
        price=checks.closing_price(order.side, quote),
        stop_loss=order.stop_loss,
        take_profit=order.take_profit,
        terms=terms,
    )
    if reason:
        return desk.rejected(order, reason)
    result = desk.enter(order, terms=terms, market=market, actor=command.actor)
    if isinstance(result, RejectReason):
        return desk.rejected(order, result)
    return desk.filled(order, result)
