"""Closing positions: one or a part, one by its opposite, all of them. Pure. Money never stands in the way."""

from datetime import datetime

from apps.trading.domain import checks, deals, journal
from apps.trading.domain.commands import CloseAll, CloseBy, ClosePosition, Outcome
from apps.trading.domain.filling import REASONS, Desk, Filled
from apps.trading.domain.orders import Entry, Order, OrderStatus, Position, RejectReason
from apps.trading.domain.pricing import MarketView
from rtx.kernel.actor import Actor, ActorKind
from rtx.kernel.errors import Invalid


class PositionsDoNotMatch(Invalid):
    """Two positions cannot close each other: other symbols, the same side, or one and the same."""

    code = "positions_do_not_match"
    title = "These positions cannot close each other"


def close(desk: Desk, command: ClosePosition, market: MarketView, now: datetime) -> Outcome:
    """
    Close a position at the market, or a part of it.

    :raises PositionNotFound: it is not open.
    """
    held = desk.position(command.position_id)
    lots = held.volume if command.volume is None else command.volume
    order = desk.closing_order(held, lots=lots, reason=REASONS[command.actor.kind], now=now)
    order.client_order_id = command.client_order_id
    result = _close_one(desk, order, held, market=market, actor=command.actor)
    if isinstance(result, RejectReason):
        return desk.rejected(order, result)
    return desk.filled(order, result)


def _close_one(
    desk: Desk, order: Order, held: Position, *, market: MarketView, actor: Actor
) -> Filled | RejectReason:
    terms = desk.terms_of(held.symbol, market, is_held=True)
    reason = checks.permission(
        status=desk.account.status, terms=terms, side=order.side, reduces=True, actor=actor.kind
    ) or queue_jumped(desk, held, market=market, actor=actor)
    if not reason and order.volume != held.volume:
        reason = (
            RejectReason.INVALID_VOLUME
            if order.volume > held.volume
            else checks.volume(order.volume, terms=terms)
        )
    reason = reason or checks.tradable(held.symbol, market=market)
    if reason:
        return reason
    quote = market.client(held.symbol)
    assert quote is not None  # `tradable` has seen it
    price = checks.closing_price(held.side, quote)
    return desk.fill(order, held=held, price=price, terms=terms, market=market)


def queue_jumped(desk: Desk, held: Position, *, market: MarketView, actor: Actor) -> RejectReason | None:
    """Where a group closes first in, first out, only a side's oldest position may be closed by hand."""
    terms = market.terms(held.symbol)
    if terms is None or not terms.group.closes_fifo or actor.kind is ActorKind.SYSTEM:
        return None
    same_side = (p for p in desk.of_symbol(held.symbol) if p.side is held.side)
    return None if min(same_side, key=_by_age).id == held.id else RejectReason.FIFO_VIOLATION


def _by_age(position: Position) -> tuple[datetime, int]:
    """Sort by age: numbers alone do not tell it, each process takes them from a block of its own."""
    return (position.opened_at, position.id)


def close_by(desk: Desk, command: CloseBy, market: MarketView, now: datetime) -> Outcome:
    """
    Close a position by an opposite one: two OUT_BY deals at the opposite's open price, no spread paid.

    The first deal books the profit, the second none; each realises its own swap. Commission on exits is
    charged for both on the first deal.

    :raises PositionNotFound: one of them is not open.
    :raises PositionsDoNotMatch: they are not opposite positions on one symbol.
    """
    held, opposite = desk.position(command.position_id), desk.position(command.opposite_id)
    if held.symbol != opposite.symbol or held.side is opposite.side:
        raise PositionsDoNotMatch("A position is closed by an opposite one on the same symbol.")
    lots = min(held.volume, opposite.volume)
    order = desk.closing_order(held, lots=lots, reason=REASONS[command.actor.kind], now=now)
    order.client_order_id = command.client_order_id
    terms = desk.terms_of(held.symbol, market, is_held=True)
    reason = (
        checks.permission(
            status=desk.account.status,
            terms=terms,
            side=order.side,
            reduces=True,
            actor=command.actor.kind,
        )
        or queue_jumped(desk, held, market=market, actor=command.actor)
        or queue_jumped(desk, opposite, market=market, actor=command.actor)
        or checks.tradable(held.symbol, market=market)
    )
    if reason:
        return desk.rejected(order, reason)
    filled = _both_deals(desk, order, held, opposite, market=market)
    if filled is None:
        return desk.rejected(order, RejectReason.OFF_QUOTES)
    order.move(OrderStatus.FILLED)
    payload = {
        "order": journal.order_payload(order),
        "positions": [journal.position_payload(one.position) for one in filled if one.position],
        **desk.money(),
        "house": {str(one.deal.id): journal.house_payload(one.deal) for one in filled},
    }
    lines = [line for one in filled for line in one.lines]
    return desk.outcome("positions_closed_by", payload, orders=[order], lines=lines)


def _both_deals(
    desk: Desk, order: Order, held: Position, opposite: Position, *, market: MarketView
) -> list[Filled] | None:
    terms = desk.terms_of(held.symbol, market, is_held=True)
    price = opposite.cost / opposite.volume  # exact, so that the second deal books nothing
    currency = desk.account.currency
    first = desk.draft(
        order,
        held=held,
        price=price,
        terms=terms,
        market=market,
        entry=Entry.OUT_BY,
        exits_paid=2,
    )
    mirror = Order(
        id=order.id,
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=opposite.side.opposite,
        type=order.type,
        volume=order.volume,
        status=order.status,
        created_at=order.created_at,
    )
    second = desk.draft(
        mirror,
        held=opposite,
        price=price,
        terms=terms,
        market=market,
        entry=Entry.OUT_BY,
        exits_paid=0,
    )
    if first is None or second is None:
        return None
    filled = []
    for deal, position in ((first, held), (second, opposite)):
        result = deals.settle(deal, position=position, currency=currency)
        lines = desk.book_deal(deal, result)
        order.deals.append(deal)
        filled.append(Filled(deal, result.position, lines))
    order.filled_volume, order.average_price = order.volume, price
    return filled


def _close_each(
    desk: Desk, command: CloseAll, market: MarketView, now: datetime
) -> tuple[list[tuple[Order, Filled]], list[journal.Payload]]:
    """Close what a command names, and return what was closed and what was not."""
    closed: list[tuple[Order, Filled]] = []
    failed: list[journal.Payload] = []
    for held in sorted(desk.positions.values(), key=_by_age):
        if command.symbol is not None and held.symbol != command.symbol:
            continue
        order = desk.closing_order(held, lots=held.volume, reason=REASONS[command.actor.kind], now=now)
        result = _close_one(desk, order, held, market=market, actor=command.actor)
        if isinstance(result, RejectReason):
            desk.made.discard(order.id)  # no order comes of it
            failed.append({"position_id": held.id, "reject_reason": result.value})
        else:
            closed.append((order, result))
    return closed, failed


def close_all(desk: Desk, command: CloseAll, market: MarketView, now: datetime) -> Outcome:
    """
    Close every position, or those on one symbol, oldest first; one that cannot close now is told so.

    :raises SymbolNotOffered: the group does not know the symbol.
    """
    if command.symbol is not None:
        desk.terms_of(command.symbol, market, is_held=True)
    with desk.margins_at_the_end():
        closed, failed = _close_each(desk, command, market, now)
    payload = {
        "orders": [journal.order_payload(order) for order, _ in closed],
        "failed": failed,
        **desk.money(),
        "house": {str(one.deal.id): journal.house_payload(one.deal) for _, one in closed},
    }
    return desk.outcome(
        "positions_closed",
        payload,
        orders=[order for order, _ in closed],
        lines=[line for _, one in closed for line in one.lines],
    )


def tickets_needed(desk: Desk, command: CloseAll) -> int:
    """Return how many numbers closing everything may take: an order and a deal for each position."""
    return 2 * len(desk.positions)
