"""
Turning a position of the house's own book round: one deal closes it, one opens as much the other way. Pure.

Both deals are made at one client price: closing a buy and opening a sell both sell, so no spread stands
between them. Stop loss, take profit and trailing distance end with the old position: mirrored ones would be
prices that nobody asked for.
"""

from datetime import datetime

from apps.groups.domain.terms import Terms
from apps.trading.domain import checks, deals, journal
from apps.trading.domain.closing import queue_jumped
from apps.trading.domain.commands import Outcome, ReversePosition
from apps.trading.domain.filling import REASONS, Desk
from apps.trading.domain.orders import Order, OrderStatus, OrderType, Position, RejectReason
from apps.trading.domain.pricing import MarketView

B_BOOK = "b"


def reverse(
    desk: Desk,
    command: ReversePosition,
    market: MarketView,
    now: datetime,
    *,
    refusal: RejectReason | None = None,
) -> Outcome:
    """
    Reverse a position at the present price, or refuse it; `refusal` is a guard's.

    :raises PositionNotFound: it is not open.
    """
    held = desk.position(command.position_id)
    terms = desk.terms_of(held.symbol, market, is_held=True)
    closing = desk.closing_order(held, lots=held.volume, reason=REASONS[command.actor.kind], now=now)
    closing.comment = f"reversal {command.command_id}"
    reason = _changed(held, command) or refusal or _refusal(desk, held, closing, terms, market, command)
    if not reason and _has_moved(closing, held, command, terms, market):
        reason = RejectReason.REQUOTE
    if reason:
        return desk.rejected(closing, reason)
    result = _both_deals(desk, closing, held, terms, market)
    if isinstance(result, RejectReason):
        return desk.rejected(closing, result)
    return result


def _changed(held: Position, command: ReversePosition) -> RejectReason | None:
    """Say whether the position is no longer the one that was meant."""
    is_same = held.side is command.side and held.volume == command.volume
    return None if is_same else RejectReason.POSITION_CHANGED


def _refusal(
    desk: Desk, held: Position, order: Order, terms: Terms, market: MarketView, command: ReversePosition
) -> RejectReason | None:
    """Say why the new side may not be opened, price and money aside."""
    if held.book != B_BOOK or terms.book != B_BOOK:
        return RejectReason.A_BOOK
    reason = (
        checks.permission(
            status=desk.account.status,
            terms=terms,
            side=order.side,
            reduces=False,
            actor=command.actor.kind,
        )
        or queue_jumped(desk, held, market=market, actor=command.actor)
        or checks.volume(held.volume, terms=terms)
    )
    if reason:
        return reason
    others = [p for p in desk.of_symbol(held.symbol) if p.id != held.id]
    if not terms.group.allows_hedging and any(p.side is held.side for p in others):
        return RejectReason.HEDGING_PROHIBITED
    if len(desk.positions) > terms.group.positions_max:
        return RejectReason.LIMIT_POSITIONS
    return checks.tradable(held.symbol, market=market)


def _has_moved(
    order: Order, held: Position, command: ReversePosition, terms: Terms, market: MarketView
) -> bool:
    """
    Say whether the price has left the one that was agreed on, to either side: what is better for the client
    is dearer for the house.
    """
    quote = market.client(held.symbol)
    assert quote is not None  # `tradable` has seen it
    price = checks.closing_price(held.side, quote)
    if abs(price - command.price) <= command.deviation * terms.symbol.point:
        return False
    order.requote_price = price
    return True


def _both_deals(
    desk: Desk, closing: Order, held: Position, terms: Terms, market: MarketView
) -> Outcome | RejectReason:
    """Close and open at one price, unless money or a conversion rate is missing."""
    quote = market.client(held.symbol)
    assert quote is not None
    price = checks.closing_price(held.side, quote)
    opening = Order(
        id=desk.ticket(),
        client_order_id="",
        symbol=held.symbol,
        side=closing.side,
        type=OrderType.MARKET,
        volume=held.volume,
        status=OrderStatus.NEW,
        created_at=closing.created_at,
        reason=closing.reason,
        comment=closing.comment,
    )
    opening.client_order_id = f"#{opening.id}"
    leaving = desk.draft(closing, held=held, price=price, terms=terms, market=market)
    entering = desk.draft(opening, held=None, price=price, terms=terms, market=market)
    if leaving is None or entering is None:
        return RejectReason.OFF_QUOTES
    closed = deals.settle(leaving, position=held, currency=desk.account.currency)
    opened = deals.settle(entering, position=None, currency=desk.account.currency)
    assert opened.position is not None
    others = [position for position in desk.positions.values() if position.id != held.id]
    reason = desk.lacks_money(
        held.symbol,
        after=[*others, opened.position],
        brought=closed.profit + closed.swap + leaving.commission + entering.commission,
        market=market,
    )
    if reason:
        return reason
    desk.made.add(opening.id)
    with desk.margins_at_the_end():
        filled = [desk.book(closing, leaving, closed), desk.book(opening, entering, opened)]
    payload = {
        "reversal_id": closing.comment.removeprefix("reversal "),
        "position_id": held.id,
        "side": held.side.value,
        "orders": [journal.order_payload(closing), journal.order_payload(opening)],
        "position": journal.position_payload(opened.position),
        **desk.money(),
        "house": {str(one.deal.id): journal.house_payload(one.deal) for one in filled},
    }
    lines = [line for one in filled for line in one.lines]
    return desk.outcome("position_reversed", payload, orders=[closing, opening], lines=lines)
