"""
What quotes and time do to orders that wait: setting off, expiring. Pure.

Who watches the prices is the trigger engine; whether an order is really set off is decided here, by the
quote that reached it.
"""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from apps.market.domain.quotes import Quote
from apps.market.domain.symbols import TradeMode
from apps.trading.domain import checks, journal
from apps.trading.domain.commands import ExpireOrder, Outcome, TriggerOrder
from apps.trading.domain.filling import Desk
from apps.trading.domain.orders import Order, OrderStatus, OrderType, RejectReason, Side
from apps.trading.domain.pending_orders import end, reserve
from apps.trading.domain.pricing import MarketView
from apps.trading.domain.triggers import TriggerHeld, TriggerVoid
from rtx.kernel.money import text

# Refusals of guards that say "not now": hours and circuit breakers end nobody's order.
WAITS_OUT = frozenset({RejectReason.MARKET_CLOSED, RejectReason.CIRCUIT_BREAKER})


def expire(desk: Desk, command: ExpireOrder, market: MarketView, now: datetime) -> Outcome:
    """
    End an order whose time is over.

    :raises TriggerVoid: it does not work any more, or its time is not over.
    """
    order = _still_working(desk, command.order_id)
    if not order.has_expired(now):
        raise TriggerVoid(f"Order {order.id} has not expired.")
    return end(desk, order, OrderStatus.EXPIRED, "order_expired")


def _still_working(desk: Desk, order_id: int) -> Order:
    order = desk.orders.get(order_id)
    if order is None:
        raise TriggerVoid(f"Order {order_id} is not working any more.")
    return order


def trigger(
    desk: Desk,
    command: TriggerOrder,
    market: MarketView,
    now: datetime,
    refusal: RejectReason | None = None,
) -> Outcome:
    """
    Set off a working order by the quote that reached it: fill it at that quote, or activate its limit.

    What the account may not do (no money, hedging, close only) rejects the order for good; so does
    `refusal`, a guard's word against the fill, which counts only when there would be one. A word that passes
    with time (`WAITS_OUT`) leaves the order waiting.

    :raises TriggerHeld: a guard's word that passes with time, or the symbol is closed or switched off.
    :raises TriggerVoid: the order has gone or waits for something else, the quote does not reach it, or there
        is no fresh quote.
    """
    known = _still_working(desk, command.order_id)
    if known.waits_for != command.armed_price:
        raise TriggerVoid(f"Order {known.id} waits for another price by now.")
    if known.has_expired(now):
        return end(desk, known, OrderStatus.EXPIRED, "order_expired")
    order = replace(known, deals=[])
    market = market.at(command.raw)
    quote = usable_quote(order.symbol, market)
    if not checks.is_reached(order, quote):
        raise TriggerVoid(f"Order {order.id} is not reached by this quote.")
    if order.waits_as is OrderType.STOP and order.type is OrderType.STOP_LIMIT:
        order.activated_at = now
        if not checks.is_reached(order, quote):
            return _activate(desk, order, market=market)
    return _enter(desk, order, command, market=market, quote=quote, refusal=refusal)


def _activate(desk: Desk, order: Order, *, market: MarketView) -> Outcome:
    """Let a stop limit wait as a limit, its margin reserved anew at the limit's price."""
    terms = desk.terms_of(order.symbol, market, is_held=True)
    reason = reserve(desk, order, terms=terms, market=market)
    if reason is RejectReason.OFF_QUOTES:
        raise TriggerVoid(f"Order {order.id} lacks a conversion rate now.")
    if reason:
        return desk.rejected(order, reason)
    order.move(OrderStatus.WORKING)
    return desk.works("order_activated", order)


def _enter(
    desk: Desk,
    order: Order,
    command: TriggerOrder,
    *,
    market: MarketView,
    quote: Quote,
    refusal: RejectReason | None,
) -> Outcome:
    """Fill an order that has been reached, or reject it for good."""
    if refusal in WAITS_OUT:
        raise TriggerHeld(f"Order {order.id} cannot be filled now: {refusal}.")
    assert order.waits_for is not None
    terms = desk.terms_of(order.symbol, market, is_held=True)
    order.trigger = trigger_told(
        kind=order.waits_as.value,
        level=order.waits_for,
        fill=checks.opening_price(order.side, quote),
        side=order.side,
        quote=quote,
        point=terms.symbol.point,
        unwatched_ms=command.unwatched_ms,
    )
    result = refusal or desk.enter(order, terms=terms, market=market, actor=command.actor)
    if result is RejectReason.OFF_QUOTES:  # of the book or of a guard
        raise TriggerVoid(f"Order {order.id} lacks a conversion rate now.")
    if isinstance(result, RejectReason):
        return desk.rejected(order, result)
    return desk.filled(order, result)


def usable_quote(symbol: str, market: MarketView) -> Quote:
    """
    Return the client's quote of a symbol that can be traded now.

    :raises TriggerHeld: it is closed or switched off.
    :raises TriggerVoid: it has no fresh quote.
    """
    reason = checks.tradable(symbol, market=market)
    terms, quote = market.terms(symbol), market.client(symbol)
    if reason or terms is None or quote is None or terms.trade_mode is TradeMode.DISABLED:
        kind = TriggerVoid if reason is RejectReason.OFF_QUOTES else TriggerHeld
        raise kind(f"{symbol} cannot be traded now: {reason or RejectReason.TRADE_DISABLED}.")
    return quote


def trigger_told(
    *, kind: str, level: Decimal, fill: Decimal, side: Side, quote: Quote, point: Decimal, unwatched_ms: int
) -> journal.Payload:
    """Return what set an order off, for the journal; slippage in points, positive: worse for the client."""
    worse = fill - level if side is Side.BUY else level - fill
    return {
        "kind": kind,
        "price": text(level),
        "bid": text(quote.bid),
        "ask": text(quote.ask),
        "quote_time": quote.time_ms,
        "slippage_points": int(worse / point),
        "unwatched_ms": unwatched_ms,
    }
