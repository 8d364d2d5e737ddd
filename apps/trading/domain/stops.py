"""Stop loss, take profit and trailing stop of positions: changed, pulled after the market, set off. Pure."""

from datetime import datetime

from apps.market.domain.quotes import Quote
from apps.trading.domain import checks, journal
from apps.trading.domain.commands import KEEP, ModifyPosition, Outcome, TrailStop, TriggerStop
from apps.trading.domain.filling import Desk
from apps.trading.domain.order_triggers import trigger_told, usable_quote
from apps.trading.domain.orders import OrderReason, Position, RejectReason
from apps.trading.domain.pricing import MarketView
from apps.trading.domain.triggers import TriggerVoid
from rtx.kernel.actor import ActorKind


def modify(desk: Desk, command: ModifyPosition, market: MarketView, now: datetime) -> Outcome:
    """
    Change a position's stops, or say why they stay as they are.

    :raises PositionNotFound: it is not open.
    """
    held = desk.position(command.position_id)
    reason = _refusal(desk, held, command, market)
    if reason:
        payload = {"position_id": held.id, "reject_reason": reason.value, **desk.money()}
        return desk.outcome("position_change_rejected", payload, refusal=reason)
    terms, quote = desk.terms_of(held.symbol, market, is_held=True), market.client(held.symbol)
    assert quote is not None  # `_refusal` has seen it
    trailing = held.trailing_points if command.trailing_points is KEEP else command.trailing_points
    stop_loss = held.stop_loss if command.stop_loss is KEEP else command.stop_loss
    stop_loss = checks.trailed(
        side=held.side,
        price=checks.closing_price(held.side, quote),
        stop_loss=stop_loss,
        trailing_points=trailing,
        terms=terms,
    )
    changed = desk.change_stops(
        held.id,
        stop_loss=stop_loss,
        take_profit=held.take_profit if command.take_profit is KEEP else command.take_profit,
        trailing_points=trailing,
    )
    return _told(desk, changed, cause=command.actor.kind.value)


def _refusal(desk: Desk, held: Position, command: ModifyPosition, market: MarketView) -> RejectReason | None:
    if desk.account.status == checks.DISABLED and command.actor.kind is ActorKind.CLIENT:
        return RejectReason.ACCOUNT_DISABLED
    quote = market.client(held.symbol)
    if quote is None or not market.is_usable(held.symbol):
        return RejectReason.OFF_QUOTES
    terms = desk.terms_of(held.symbol, market, is_held=True)
    price = checks.closing_price(held.side, quote)
    may_fire = command.actor.kind is ActorKind.CLIENT and market.in_session(held.symbol)
    if may_fire and any(
        checks.is_frozen(level, price=price, terms=terms) for level in (held.stop_loss, held.take_profit)
    ):
        return RejectReason.FROZEN
    trailing = None if command.trailing_points is KEEP else command.trailing_points
    return checks.trailing(trailing, terms=terms) or checks.stops(
        side=held.side,
        price=price,
        stop_loss=None if command.stop_loss is KEEP else command.stop_loss,
        take_profit=None if command.take_profit is KEEP else command.take_profit,
        terms=terms,
    )


def _told(desk: Desk, changed: Position, *, cause: str) -> Outcome:
    payload = {"position": journal.position_payload(changed), "cause": cause, **desk.money()}
    return desk.outcome("position_modified", payload)


def trail(desk: Desk, command: TrailStop, market: MarketView, now: datetime) -> Outcome:
    """
    Pull a trailing stop after the market.

    :raises TriggerVoid: the position has gone, does not trail, or the quote does not move its stop.
    """
    held = _still_open(desk, command.position_id)
    market = market.at(command.raw)
    quote = usable_quote(held.symbol, market)
    stop_loss = checks.trailed(
        side=held.side,
        price=checks.closing_price(held.side, quote),
        stop_loss=held.stop_loss,
        trailing_points=held.trailing_points,
        terms=desk.terms_of(held.symbol, market, is_held=True),
    )
    if stop_loss == held.stop_loss:
        raise TriggerVoid(f"This quote does not move the stop of position {held.id}.")
    changed = desk.change_stops(
        held.id,
        stop_loss=stop_loss,
        take_profit=held.take_profit,
        trailing_points=held.trailing_points,
    )
    return _told(desk, changed, cause="trailing")


def _still_open(desk: Desk, position_id: int) -> Position:
    held = desk.positions.get(position_id)
    if held is None:
        raise TriggerVoid(f"Position {position_id} is not open any more.")
    return held


def trigger(desk: Desk, command: TriggerStop, market: MarketView, now: datetime) -> Outcome:
    """
    Close a position whose stop loss or take profit a quote reached, at that quote. No rule refuses it.

    :raises TriggerHeld: the symbol is closed or switched off.
    :raises TriggerVoid: the position has gone or waits for another price, the quote does not reach it, or
        there is no fresh quote.
    """
    held = _still_open(desk, command.position_id)
    level = held.stop_loss if command.kind is OrderReason.STOP_LOSS else held.take_profit
    if level is None or level != command.armed_price:
        raise TriggerVoid(f"Position {held.id} waits for another price by now.")
    market = market.at(command.raw)
    quote = usable_quote(held.symbol, market)
    if not checks.stop_reached(kind=command.kind, side=held.side, level=level, quote=quote):
        raise TriggerVoid(f"The {command.kind} of position {held.id} is not reached by this quote.")
    return _close(desk, held, command, market=market, quote=quote)


def _close(desk: Desk, held: Position, command: TriggerStop, *, market: MarketView, quote: Quote) -> Outcome:
    terms = desk.terms_of(held.symbol, market, is_held=True)
    order = desk.closing_order(held, lots=held.volume, reason=command.kind, now=market.now)
    price = checks.closing_price(held.side, quote)
    order.price = command.armed_price
    order.trigger = trigger_told(
        kind=command.kind.value,
        level=command.armed_price,
        fill=price,
        side=order.side,
        quote=quote,
        point=terms.symbol.point,
        unwatched_ms=command.unwatched_ms,
    )
    result = desk.fill(order, held=held, price=price, terms=terms, market=market)
    if isinstance(result, RejectReason):
        raise TriggerVoid(f"Position {held.id} lacks a conversion rate now.")
    return desk.filled(order, result)
