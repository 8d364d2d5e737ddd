"""
What a deal does to its position, and what it costs. Pure: positions are values, a new one replaces the
old.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from apps.accounts.domain import ledger
from apps.groups.domain.terms import Commission, Terms
from apps.market.domain.symbols import MarginMode
from apps.trading.domain import profit
from apps.trading.domain.orders import Deal, Entry, Position, Side
from rtx.kernel.money import ZERO, booked, text

ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Settlement:
    """A deal's outcome: the position afterwards (None: closed), profit and swap as booked."""

    position: Position | None
    profit: Decimal
    swap: Decimal


def settle(deal: Deal, *, position: Position | None, currency: str) -> Settlement:
    """
    Return what a deal makes of a position: IN adds, OUT and OUT_BY reduce, INOUT closes it and opens the
    rest the other way.

    :raises ValueError: the deal does not fit the position (a broken invariant, never a caller's mistake).
    """
    if deal.entry is Entry.IN:
        nothing = booked(ZERO, currency)
        return Settlement(_added(deal, position), nothing, nothing)
    if position is None or position.side is deal.side:
        raise ValueError(f"deal {deal.id} closes nothing")
    closed = min(position.volume, deal.volume)
    if deal.entry in (Entry.OUT, Entry.OUT_BY) and deal.volume > position.volume:
        raise ValueError(f"deal {deal.id} closes more than position {position.id} holds")
    full = closed == position.volume
    cost = position.cost if full else position.cost * closed / position.volume
    swap = position.swap if full else booked(position.swap * closed / position.volume, currency)
    earned = profit.gross(
        side=position.side, volume=closed, cost=cost, close_price=deal.price, terms=position.terms
    )
    rest: Position | None
    if deal.entry is Entry.INOUT:
        rest = _opened(deal, volume=deal.volume - closed)
    elif full:
        rest = None
    else:
        rest = replace(
            position,
            volume=position.volume - closed,
            cost=position.cost - cost,
            swap=position.swap - swap,
            commission=position.commission + deal.commission,
            last_deal_id=deal.id,
        )
    return Settlement(rest, booked(earned * deal.profit_rate, currency), swap)


def _opened(deal: Deal, *, volume: Decimal) -> Position:
    return Position(
        id=deal.position_id,
        symbol=deal.symbol,
        side=deal.side,
        volume=volume,
        cost=volume * deal.price,
        margin_rate=deal.margin_rate,
        terms=deal.terms,
        book=deal.book,
        last_deal_id=deal.id,
        opened_at=deal.at,
        stop_loss=deal.stop_loss,
        take_profit=deal.take_profit,
        trailing_points=deal.trailing_points,
        commission=deal.commission,
    )


def _added(deal: Deal, position: Position | None) -> Position:
    if position is None:
        return _opened(deal, volume=deal.volume)
    if position.side is not deal.side:
        raise ValueError(f"deal {deal.id} adds against position {position.id}")
    return replace(
        position,
        volume=position.volume + deal.volume,
        cost=position.cost + deal.volume * deal.price,
        margin_rate=deal.margin_rate,
        terms=deal.terms,
        last_deal_id=deal.id,
        stop_loss=deal.stop_loss or position.stop_loss,
        take_profit=deal.take_profit or position.take_profit,
        trailing_points=deal.trailing_points or position.trailing_points,
        commission=position.commission + deal.commission,
    )


def lines(deal: Deal) -> list[ledger.Line]:
    """Return the ledger lines of a settled deal."""
    return ledger.deal_lines(
        profit=deal.profit, commission=deal.commission, swap=deal.swap, markup=deal.markup
    )


def commission_due(
    rule: Commission,
    *,
    entering: Decimal,
    leaving: Decimal,
    notional_per_lot: Decimal,
    currency: str,
    exits_paid: int = 1,
) -> tuple[Decimal, str]:
    """
    Return the booked commission of one deal that opens `entering` lots and closes `leaving` lots (a positive
    amount), and the rule as it was applied: mode, value, charge and, when it counted, the minimum.

    The lots that the rule charges are taken together: they find the tier, and a per-deal fee or the minimum
    is paid once. Where positions close each other, one deal pays for both exits (`exits_paid` 2) and the
    other for none (0).
    """
    lots = (entering if rule.charges(is_entry=True) else ZERO) + (
        leaving if rule.charges(is_entry=False) and exits_paid else ZERO
    )
    if not lots:
        return booked(ZERO, currency), f"{rule.mode}:{text(rule.value)}:{rule.charge}"
    notional = lots * notional_per_lot
    value = rule.value_for(volume_lots=lots, notional=notional)
    due = rule.due(value=value, volume_lots=lots, notional=notional)
    applied = f"{rule.mode}:{text(value)}:{rule.charge}"
    if due < rule.minimum:
        due, applied = rule.minimum, f"{applied}:min {text(rule.minimum)}"
    if exits_paid > 1:
        applied = f"{applied}:x{exits_paid}"
    return booked(due, currency) * max(exits_paid, 1), applied


def lot_notional(terms: Terms, *, price: Decimal, rate: Decimal) -> Decimal:
    """Return what one lot is worth at a price, in the currency that `rate` leads to."""
    return terms.symbol.contract_size * price * _tick_factor(terms) * rate


def _tick_factor(terms: Terms) -> Decimal:
    symbol = terms.symbol
    is_index = symbol.margin_mode is MarginMode.INDEX and symbol.tick_size
    return symbol.tick_price / symbol.tick_size if is_index else ONE


def markup_earned(*, terms: Terms, side: Side, volume: Decimal, rate: Decimal, currency: str) -> Decimal:
    """
    Return what the markup of one deal is worth to the house, booked: points x point x lots x contract x rate.
    """
    points = terms.markup_ask_points if side is Side.BUY else terms.markup_bid_points
    if not points:
        return ZERO
    symbol = terms.symbol
    return booked(
        points * symbol.point * volume * symbol.contract_size * _tick_factor(terms) * rate, currency
    )
