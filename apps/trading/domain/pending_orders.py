"""
Orders that wait for their price: placing, changing, canceling, expiring, setting off. Pure.

The lifecycle stands in orders.py (TRANSITIONS). Who watches the prices is the trigger engine; whether an
order is really set off is decided here, by the quote that reached it.
"""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from apps.groups.domain.terms import Terms
from apps.market.domain.quotes import Quote
from apps.market.domain.symbols import TradeMode
from apps.trading.domain import checks, journal
from apps.trading.domain.commands import (
    KEEP,
    CancelOrder,
    ExpireOrder,
    ModifyOrder,
    Outcome,
    PlacePending,
    TriggerOrder,
)
from apps.trading.domain.filling import REASONS, Desk, TriggerVoid
from apps.trading.domain.orders import (
    ContractTerms,
    Order,
    OrderStatus,
    OrderType,
    RejectReason,
    Side,
    TimeInForce,
)
from apps.trading.domain.pricing import MarketView
from apps.trading.domain.rollover import next_instant
from rtx.kernel.actor import Actor, ActorKind
from rtx.kernel.errors import Invalid
from rtx.kernel.money import text

IMMEDIATE = frozenset({TimeInForce.IOC, TimeInForce.FOK})


class TimeInForceInvalid(Invalid):
    """The time in force does not fit the order's type or its expiry."""

    code = "invalid_time_in_force"
    title = "Invalid time in force"


class OrderTypeInvalid(Invalid):
    """A pending order lacks a price its type needs, or has one it must not have."""

    code = "invalid_order_type"
    title = "The prices do not fit the order type"


def order_of(desk: Desk, command: PlacePending, now: datetime) -> Order:
    """
    Return the new order that a command asks for.

    :raises OrderTypeInvalid: its prices do not fit its type.
    """
    is_stop_limit = command.type is OrderType.STOP_LIMIT
    if command.type is OrderType.MARKET or (command.stop_limit_price is not None) is not is_stop_limit:
        raise OrderTypeInvalid(
            "A stop limit order has a stop_limit_price; a limit and a stop order have none."
        )
    return Order(
        id=desk.order_ticket(),
        client_order_id=command.client_order_id,
        symbol=command.symbol,
        side=command.side,
        type=command.type,
        volume=command.volume,
        status=OrderStatus.NEW,
        created_at=now,
        price=command.price,
        stop_limit_price=command.stop_limit_price,
        stop_loss=command.stop_loss,
        take_profit=command.take_profit,
        trailing_points=command.trailing_points,
        time_in_force=command.time_in_force,
        expires_at=command.expires_at,
        reason=REASONS[command.actor.kind],
        comment=command.comment,
    )


def expiry(
    order_type: OrderType,
    time_in_force: TimeInForce,
    expires_at: datetime | None,
    *,
    terms: Terms,
    now: datetime,
) -> datetime | None:
    """
    Return when an order ends: DAY at the group's next rollover, GTD at the time given, the others never.

    :raises TimeInForceInvalid: GTD lacks a time in the future, another one has a time, or IOC and FOK are
        asked of something else than a limit.
    """
    if time_in_force in IMMEDIATE and order_type is not OrderType.LIMIT:
        raise TimeInForceInvalid(f"{time_in_force} is for limit orders.")
    if time_in_force is TimeInForce.GTD:
        if expires_at is None or expires_at <= now:
            raise TimeInForceInvalid("gtd needs an expires_at in the future.")
        return expires_at
    if expires_at is not None:
        raise TimeInForceInvalid("expires_at belongs to gtd.")
    return next_instant(terms.group.rollover, after=now) if time_in_force is TimeInForce.DAY else None


def place(desk: Desk, command: PlacePending, market: MarketView, now: datetime) -> Outcome:
    """Accept an order that waits, fill a limit that the market already meets, or refuse."""
    held = desk.net_position(command.symbol)
    terms = desk.terms_of(command.symbol, market, is_held=held is not None)
    ends_at = expiry(command.type, command.time_in_force, command.expires_at, terms=terms, now=now)
    order = order_of(desk, command, now)
    order.expires_at = ends_at
    reason = checks.permission(
        status=desk.account.status,
        terms=terms,
        side=order.side,
        reduces=desk.reduces(order, held),
        actor=command.actor.kind,
    ) or checks.volume(order.volume, terms=terms)
    is_open = market.in_session(order.symbol)
    if not reason and order.time_in_force in IMMEDIATE and not is_open:
        reason = RejectReason.MARKET_CLOSED
    if not reason and not market.is_usable(order.symbol):
        reason = RejectReason.OFF_QUOTES
    if reason:
        return desk.rejected(order, reason)
    quote = market.client(order.symbol)
    assert quote is not None  # usable
    reason = _price_refusal(order, quote=quote, terms=terms)
    if reason:
        return desk.rejected(order, reason)
    if is_open and _is_reached(order, quote):
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
    if order.time_in_force in IMMEDIATE:
        order.move(OrderStatus.CANCELED)
        return desk.ended("order_canceled", order)
    if len(desk.orders) >= terms.group.orders_max:
        return desk.rejected(order, RejectReason.LIMIT_POSITIONS)
    reason = _reserve(desk, order, terms=terms, market=market)
    if reason:
        return desk.rejected(order, reason)
    order.move(OrderStatus.WORKING)
    return desk.works("order_placed", order)


def _price_refusal(order: Order, *, quote: Quote, terms: Terms) -> RejectReason | None:
    waits_for = order.price if order.stop_limit_price is None else order.stop_limit_price
    assert waits_for is not None
    return checks.pending_prices(order, quote=quote, terms=terms) or checks.stops(
        side=order.side,
        price=waits_for,
        stop_loss=order.stop_loss,
        take_profit=order.take_profit,
        terms=terms,
    )


def _is_reached(order: Order, quote: Quote) -> bool:
    assert order.waits_for is not None
    return checks.reached(waits_as=order.waits_as, side=order.side, price=order.waits_for, quote=quote)


def _reserve(desk: Desk, order: Order, *, terms: Terms, market: MarketView) -> RejectReason | None:
    """Give an order the terms that its margin follows, and see whether the account can carry it."""
    if not terms.symbol.margin_rate_pending:
        return None
    account = desk.account
    order.margin_rate = market.rate(
        terms.symbol.margin_currency, account.currency, selling=order.side is Side.SELL, fresh=True
    )
    if order.margin_rate is None:
        return RejectReason.OFF_QUOTES
    order.terms = ContractTerms.of(terms, account_leverage=account.leverage)
    need = desk.margin_with(order.symbol, without=order.id, adding=order)
    if need <= account.margin:
        return None
    value = desk.valuation(market)
    if value is None:
        return RejectReason.OFF_QUOTES
    return RejectReason.NO_MONEY if value.equity < need else None


def modify(desk: Desk, command: ModifyOrder, market: MarketView, now: datetime) -> Outcome:
    """Change a working order, or say why it stays as it is."""
    order = desk.working(command.order_id)
    terms = desk.terms_of(order.symbol, market, is_held=True)
    changed = _changed(order, command, terms=terms, now=now)
    reason = _change_refusal(desk, order, changed, terms=terms, market=market, actor=command.actor)
    if reason:
        return _not_changed(desk, order, reason)
    changed.move(OrderStatus.WORKING)
    return desk.works("order_modified", changed)


def _changed(order: Order, command: ModifyOrder, *, terms: Terms, now: datetime) -> Order:
    if (command.stop_limit_price is not KEEP) and order.type is not OrderType.STOP_LIMIT:
        raise OrderTypeInvalid("Only a stop limit order has a stop_limit_price.")
    time_in_force = order.time_in_force if command.time_in_force is KEEP else command.time_in_force
    if time_in_force in IMMEDIATE:
        raise TimeInForceInvalid("A working order cannot become ioc or fok.")
    expires_at = order.expires_at
    if command.time_in_force is not KEEP or command.expires_at is not KEEP:
        given = None if command.expires_at is KEEP else command.expires_at
        if given is None and time_in_force is TimeInForce.GTD:
            given = order.expires_at
        expires_at = expiry(order.type, time_in_force, given, terms=terms, now=now)
    return replace(
        order,
        volume=order.volume if command.volume is KEEP else command.volume,
        price=order.price if command.price is KEEP else command.price,
        stop_limit_price=(
            order.stop_limit_price if command.stop_limit_price is KEEP else command.stop_limit_price
        ),
        stop_loss=order.stop_loss if command.stop_loss is KEEP else command.stop_loss,
        take_profit=order.take_profit if command.take_profit is KEEP else command.take_profit,
        trailing_points=(
            order.trailing_points if command.trailing_points is KEEP else command.trailing_points
        ),
        time_in_force=time_in_force,
        expires_at=expires_at,
    )


def _change_refusal(
    desk: Desk, order: Order, changed: Order, *, terms: Terms, market: MarketView, actor: Actor
) -> RejectReason | None:
    if desk.account.status == checks.DISABLED and actor.kind is ActorKind.CLIENT:
        return RejectReason.ACCOUNT_DISABLED
    reason = checks.volume(changed.volume, terms=terms)
    if not reason and not market.is_usable(order.symbol):
        reason = RejectReason.OFF_QUOTES
    if reason:
        return reason
    quote = market.client(order.symbol)
    assert quote is not None  # usable
    if _is_held_fast(order, quote=quote, terms=terms, actor=actor):
        return RejectReason.FROZEN
    reason = _price_refusal(changed, quote=quote, terms=terms)
    if reason or changed.terms is None:
        return reason
    need = desk.margin_with(order.symbol, without=order.id, adding=changed)
    if need <= desk.account.margin:
        return None
    value = desk.valuation(market)
    if value is None:
        return RejectReason.OFF_QUOTES
    return RejectReason.NO_MONEY if value.equity < need else None


def _is_held_fast(order: Order, *, quote: Quote, terms: Terms, actor: Actor) -> bool:
    """Within the freeze level only staff and the system change an order."""
    price = checks.opening_price(order.side, quote)
    return actor.kind is ActorKind.CLIENT and checks.is_frozen(order.waits_for, price=price, terms=terms)


def _not_changed(desk: Desk, order: Order, reason: RejectReason) -> Outcome:
    payload = {"order_id": order.id, "reject_reason": reason.value, **desk.money()}
    return desk.outcome("order_change_rejected", payload, refusal=reason)


def cancel(desk: Desk, command: CancelOrder, market: MarketView, now: datetime) -> Outcome:
    """Take a working order back, unless the market is too near for a client to do so."""
    order = desk.working(command.order_id)
    terms, quote = market.terms(order.symbol), market.client(order.symbol)
    if desk.account.status == checks.DISABLED and command.actor.kind is ActorKind.CLIENT:
        return _not_changed(desk, order, RejectReason.ACCOUNT_DISABLED)
    if (
        terms is not None
        and quote is not None
        and market.in_session(order.symbol)
        and _is_held_fast(order, quote=quote, terms=terms, actor=command.actor)
    ):
        return _not_changed(desk, order, RejectReason.FROZEN)
    return _end(desk, order, OrderStatus.CANCELED, "order_canceled")


def expire(desk: Desk, command: ExpireOrder, market: MarketView, now: datetime) -> Outcome:
    """
    End an order whose time is over.

    :raises TriggerVoid: it does not work any more, or its time is not over.
    """
    order = _still_working(desk, command.order_id)
    if order.expires_at is None or now < order.expires_at:
        raise TriggerVoid(f"Order {order.id} has not expired.")
    return _end(desk, order, OrderStatus.EXPIRED, "order_expired")


def _end(desk: Desk, order: Order, status: OrderStatus, type_: str) -> Outcome:
    ended = replace(order, deals=[])
    desk.drop_order(order.id)
    ended.move(status)
    return desk.ended(type_, ended)


def _still_working(desk: Desk, order_id: int) -> Order:
    order = desk.orders.get(order_id)
    if order is None:
        raise TriggerVoid(f"Order {order_id} is not working any more.")
    return order


def trigger(desk: Desk, command: TriggerOrder, market: MarketView, now: datetime) -> Outcome:
    """
    Set off a working order by the quote that reached it: fill it at that quote, or activate its limit.

    What the account may not do (no money, hedging, close only) rejects the order for good.

    :raises TriggerVoid: the order has gone or waits for something else, the quote does not reach it, or the
        symbol cannot be traded now.
    """
    known = _still_working(desk, command.order_id)
    if known.waits_for != command.armed_price:
        raise TriggerVoid(f"Order {known.id} waits for another price by now.")
    order = replace(known, deals=[])
    if order.expires_at is not None and now >= order.expires_at:
        return _end(desk, known, OrderStatus.EXPIRED, "order_expired")
    market = market.at(command.raw)
    quote = usable_quote(order.symbol, market)
    if not _is_reached(order, quote):
        raise TriggerVoid(f"Order {order.id} is not reached by this quote.")
    if order.waits_as is OrderType.STOP and order.type is OrderType.STOP_LIMIT:
        order.activated_at = now
        if not _is_reached(order, quote):
            order.move(OrderStatus.WORKING)
            return desk.works("order_activated", order)
    return enter_triggered(desk, order, command, market=market, quote=quote)


def enter_triggered(
    desk: Desk, order: Order, command: TriggerOrder, *, market: MarketView, quote: Quote
) -> Outcome:
    """Fill an order that has been reached, or reject it for good."""
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
    result = desk.enter(order, terms=terms, market=market, actor=command.actor)
    if isinstance(result, RejectReason):
        if result is RejectReason.OFF_QUOTES:
            raise TriggerVoid(f"Order {order.id} lacks a conversion rate now.")
        return desk.rejected(order, result)
    return desk.filled(order, result)


def usable_quote(symbol: str, market: MarketView) -> Quote:
    """
    Return the client's quote of a symbol that can be traded now.

    :raises TriggerVoid: it cannot: closed, without a fresh quote, or switched off.
    """
    reason = checks.tradable(symbol, market=market)
    terms, quote = market.terms(symbol), market.client(symbol)
    if reason or terms is None or quote is None or terms.trade_mode is TradeMode.DISABLED:
        raise TriggerVoid(f"{symbol} cannot be traded now: {reason or RejectReason.TRADE_DISABLED}.")
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
