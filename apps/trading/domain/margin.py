"""
Margin of positions and working orders. Pure; formulas are those of the MetaTrader 5 help ("Margin
calculation") and, for leverage by notional, of the cTrader help ("Dynamic leverage").

A position's margin depends on its volume, its cost and the conversion rate and terms of its last deal, so
it does not move with the market. Opposite positions on one symbol are covered (hedged margin, basic
calculation). A working order reserves the share of a position's margin that its symbol asks for. A margin
schedule makes all of a symbol (or of a pool of symbols) dearer with its size.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from apps.groups.domain.schedules import MarginSchedule, ScheduleKind
from apps.market.domain.symbols import MarginMode
from apps.trading.domain.orders import ContractTerms, Order, Position, Side
from rtx.kernel.money import ZERO

HUNDRED = Decimal(100)
ONE = 1
HAS_LEVERAGE = frozenset({MarginMode.FOREX, MarginMode.CFD_LEVERAGE})


@dataclass(frozen=True, slots=True)
class Need:
    """
    What one symbol needs, in the account's currency, unrounded.

    With a schedule, `amount` is before it: without leverage when the schedule sets the leverage. `size` is
    what the schedule's bands measure: lots, or notional in the account's currency.
    """

    amount: Decimal
    size: Decimal = ZERO
    schedule: MarginSchedule | None = None
    leverage_max: int = 1


def total(needs: Iterable[Need]) -> Decimal:
    """Return what needs come to, unrounded: those of one pool fill its bands together."""
    amount = ZERO
    pools: dict[str, Need] = {}
    for need in needs:
        if need.schedule is None:
            amount += need.amount
        elif need.schedule.is_pooled:
            pools[need.schedule.name] = _joined(pools.get(need.schedule.name), need)
        else:
            amount += _scheduled(need)
    return amount + sum((_scheduled(need) for need in pools.values()), ZERO)


def _joined(pool: Need | None, need: Need) -> Need:
    if pool is None:
        return need
    return Need(
        pool.amount + need.amount,
        pool.size + need.size,
        need.schedule,
        min(pool.leverage_max, need.leverage_max),
    )


def _scheduled(need: Need) -> Decimal:
    assert need.schedule is not None
    if not need.size:
        return need.amount
    if need.schedule.kind is ScheduleKind.VOLUME:
        return need.amount * need.schedule.mean_rate(need.size)
    return need.amount * need.schedule.mean_inverse_leverage(need.size, leverage_max=need.leverage_max)


def of_symbol(positions: Iterable[Position], orders: Iterable[Order] = ()) -> Decimal:
    """Return the margin of one symbol's positions and working orders by themselves, unrounded."""
    return total([need_of(positions, orders)])


def need_of(positions: Iterable[Position], orders: Iterable[Order] = ()) -> Need:
    """
    Return what one symbol's positions and working orders need.

    The terms are those of the newest deal or order. Working orders come on top of the positions; those that
    reserve nothing do not count towards the bands either.
    """
    held = list(positions)
    waiting = [order for order in orders if order.terms is not None and order.terms.rate_pending]
    terms = _newest_terms(held, waiting)
    if terms is None:
        return Need(ZERO)
    schedule = terms.schedule
    if schedule is not None and schedule.kind is ScheduleKind.NOTIONAL and terms.mode not in HAS_LEVERAGE:
        schedule = None
    by_notional = schedule is not None and schedule.kind is ScheduleKind.NOTIONAL
    leverage = ONE if by_notional else None
    amount = _of_positions(held, terms, leverage) + sum(
        (_of_order(order, terms, leverage) for order in waiting), ZERO
    )
    if schedule is None:
        return Need(amount)
    sizes = [_size(side, terms, by_notional=by_notional) for side in _sides(held)]
    size = max(sizes, default=ZERO) + sum(
        (
            order.volume * (_value(terms, order.waits_for, order.margin_rate) if by_notional else ONE)
            for order in waiting
        ),
        ZERO,
    )
    return Need(amount, size, schedule, terms.leverage)


def _newest_terms(held: list[Position], waiting: list[Order]) -> ContractTerms | None:
    newest = max(held, key=lambda position: position.last_deal_id, default=None)
    latest = max(waiting, key=lambda order: order.id, default=None)
    if newest is None:
        return latest.terms if latest else None
    if latest is None or newest.last_deal_id > latest.id:
        return newest.terms
    return latest.terms


def _sides(held: list[Position]) -> list[list[Position]]:
    buys = [position for position in held if position.side is Side.BUY]
    sells = [position for position in held if position.side is Side.SELL]
    return [side for side in (buys, sells) if side]


def _size(side: list[Position], terms: ContractTerms, *, by_notional: bool) -> Decimal:
    """Return the lots of one side, or its notional in the account's currency."""
    if not by_notional:
        return sum((position.volume for position in side), ZERO)
    return sum(
        (p.volume * _value(terms, p.cost / p.volume, p.margin_rate) for p in side),
        ZERO,
    )


def _value(terms: ContractTerms, price: Decimal | None, margin_rate: Decimal | None) -> Decimal:
    """Return the notional of one lot in the account's currency."""
    assert price is not None
    unit = unit_value(terms=terms, contract_size=terms.contract_size, price=price, leverage=ONE)
    return unit * (margin_rate or ZERO)


def unit_value(
    *, terms: ContractTerms, contract_size: Decimal, price: Decimal, leverage: int | None = None
) -> Decimal:
    """
    Return the margin of one lot in the margin currency before margin rate and conversion, unrounded.

    forex: contract / leverage; cfd: contract x price; cfd_leverage: contract x price / leverage;
    fixed: the initial amount; index: contract x price x tick price / tick size. `leverage` replaces the
    terms' own.
    """
    leverage = leverage or terms.leverage
    match terms.mode:
        case MarginMode.FOREX:
            return contract_size / leverage
        case MarginMode.CFD:
            return contract_size * price
        case MarginMode.CFD_LEVERAGE:
            return contract_size * price / leverage
        case MarginMode.FIXED:
            return terms.initial
        case MarginMode.INDEX:
            return contract_size * price * terms.tick_factor
    raise AssertionError(terms.mode)


def _of_positions(held: list[Position], terms: ContractTerms, leverage: int | None) -> Decimal:
    """
    Return the margin of one symbol's positions before any schedule.

    Covered volume is charged once, at the volume-weighted price and conversion of all positions, the hedged
    contract and the mean of both margin rates; the uncovered rest at its own side's.
    """
    sides = _sides(held)
    if len(sides) < 2:
        return _of_side(sides[0], terms, leverage) if sides else ZERO
    bought, sold = (sum((p.volume for p in side), ZERO) for side in sides)
    covered = min(bought, sold)
    larger, larger_volume = (sides[0], bought) if bought > sold else (sides[1], sold)
    need = covered * _covered_unit(held, terms, bought + sold, leverage)
    uncovered = larger_volume - covered
    if uncovered:
        need += _of_side(larger, terms, leverage) * uncovered / larger_volume
    return need


def _covered_unit(
    held: list[Position], terms: ContractTerms, volume: Decimal, leverage: int | None
) -> Decimal:
    """Return the margin of one covered lot, in the account's currency."""
    if not terms.hedged_contract_size:
        return ZERO
    price = sum((p.cost for p in held), ZERO) / volume
    conversion = sum((p.margin_rate * p.volume for p in held), ZERO) / volume
    mean_rate = (terms.rate_buy + terms.rate_sell) / 2
    unit = unit_value(terms=terms, contract_size=terms.hedged_contract_size, price=price, leverage=leverage)
    return unit * conversion * mean_rate


def _of_side(held: list[Position], terms: ContractTerms, leverage: int | None) -> Decimal:
    """Return the margin of positions that all point the same way."""
    need = ZERO
    for position in held:
        price = position.cost / position.volume
        unit = unit_value(terms=terms, contract_size=terms.contract_size, price=price, leverage=leverage)
        need += unit * position.volume * position.margin_rate
    return need * (terms.rate_buy if held[0].side is Side.BUY else terms.rate_sell)


def _of_order(order: Order, terms: ContractTerms, leverage: int | None) -> Decimal:
    """Return what a working order reserves, at the price it waits for."""
    price = order.waits_for
    assert price is not None
    assert order.margin_rate is not None
    unit = unit_value(terms=terms, contract_size=terms.contract_size, price=price, leverage=leverage)
    rate = terms.rate_buy if order.side is Side.BUY else terms.rate_sell
    return unit * order.volume * order.margin_rate * rate * terms.rate_pending


def level_pct(*, equity: Decimal, margin: Decimal) -> Decimal | None:
    """Return equity / margin x 100; None without margin."""
    return equity / margin * HUNDRED if margin else None
