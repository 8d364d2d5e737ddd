"""
Orders that wait for their price: placing, changing, canceling. Pure.

The lifecycle stands in orders.py (TRANSITIONS). What quotes and time do to them: order_triggers.py.
"""

from dataclasses import replace
from datetime import datetime

from apps.groups.domain.terms import Terms
from apps.trading.domain import checks
from apps.trading.domain.commands import (
    KEEP,
    CancelOrder,
    ModifyOrder,
    Outcome,
    PlacePending,
)
from apps.trading.domain.filling import REASONS, Desk, OrderNotWorking
from apps.trading.domain.orders import (
    IMMEDIATE,
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
    fills = is_open and checks.is_reached(order, quote)
    reason = checks.pending_prices(order, quote=quote, terms=terms) or checks.order_stops(
        order, at=checks.closing_price(order.side, quote) if fills else None, terms=terms
    )
    if reason:
        return desk.rejected(order, reason)
    if fills:
        result = desk.enter(order, terms=terms, market=market, actor=command.actor)
        if isinstance(result, RejectReason):
            return desk.rejected(order, result)
        return desk.filled(order, result)
    if order.time_in_force in IMMEDIATE:
        order.move(OrderStatus.CANCELED)
        return desk.ended("order_canceled", order)
    if len(desk.orders) >= terms.group.orders_max:
        return desk.rejected(order, RejectReason.LIMIT_POSITIONS)
    reason = reserve(desk, order, terms=terms, market=market)
    if reason:
        return desk.rejected(order, reason)
    order.move(OrderStatus.WORKING)
    return desk.works("order_placed", order)


def reserve(desk: Desk, order: Order, *, terms: Terms, market: MarketView) -> RejectReason | None:
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
    return _lacks_reserve(desk, order, market)


def _lacks_reserve(desk: Desk, order: Order, market: MarketView) -> RejectReason | None:
    """Say whether the account can carry an order as it now is in the place of the one it was."""
    need = desk.margin_with(order.symbol, without=order.id, adding=order)
    if need <= desk.account.margin:
        return None
    value = desk.valuation(market)
    if value is None:
        return RejectReason.OFF_QUOTES
    return RejectReason.NO_MONEY if value.equity < need else None


def modify(
    desk: Desk,
    command: ModifyOrder,
    market: MarketView,
    now: datetime,
    *,
    refusal: RejectReason | None = None,
) -> Outcome:
    """
    Change a working order, or say why it stays as it is (`refusal`: a reason outside the book).

    :raises OrderNotWorking: there is none with that id, or its time is over.
    """
    order = desk.working(command.order_id)
    if order.has_expired(now):
        raise OrderNotWorking(f"Order {order.id} has expired.")
    terms = desk.terms_of(order.symbol, market, is_held=True)
    changed = _changed(order, command, terms=terms, now=now)
    reason = refusal or _change_refusal(desk, order, changed, terms=terms, market=market, actor=command.actor)
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
    if _is_held_fast(order, terms=terms, market=market, actor=actor):
        return RejectReason.FROZEN
    if (changed.price, changed.stop_limit_price) != (order.price, order.stop_limit_price):
        reason = checks.pending_prices(changed, quote=quote, terms=terms)
    reason = reason or checks.order_stops(changed, terms=terms)
    if reason or changed.terms is None:
        return reason
    return _lacks_reserve(desk, changed, market)


def _is_held_fast(order: Order, *, terms: Terms, market: MarketView, actor: Actor) -> bool:
    """Within the freeze level only staff and the system change an order, while it could be set off."""
    quote = market.client(order.symbol)
    if actor.kind is not ActorKind.CLIENT or quote is None or checks.tradable(order.symbol, market=market):
        return False
    return checks.is_frozen(order.waits_for, price=checks.opening_price(order.side, quote), terms=terms)


def _not_changed(desk: Desk, order: Order, reason: RejectReason) -> Outcome:
    payload = {"order_id": order.id, "reject_reason": reason.value, **desk.money()}
    return desk.outcome("order_change_rejected", payload, refusal=reason)


def cancel(desk: Desk, command: CancelOrder, market: MarketView, now: datetime) -> Outcome:
    """Take a working order back, unless the market is too near for a client to do so."""
    order = desk.working(command.order_id)
    terms = market.terms(order.symbol)
    if desk.account.status == checks.DISABLED and command.actor.kind is ActorKind.CLIENT:
        return _not_changed(desk, order, RejectReason.ACCOUNT_DISABLED)
    if terms is not None and _is_held_fast(order, terms=terms, market=market, actor=command.actor):
        return _not_changed(desk, order, RejectReason.FROZEN)
    return end(desk, order, OrderStatus.CANCELED, "order_canceled")


def end(desk: Desk, order: Order, status: OrderStatus, type_: str) -> Outcome:
    """End a working order without a fill."""
    ended = replace(order, deals=[])
    desk.drop_order(order.id)
    ended.move(status)
    return desk.ended(type_, ended)
