"""
Margin of positions and working orders. Pure; formulas are those of the MetaTrader 5 help ("Margin
calculation") and, for leverage by notional, of the cTrader help ("Dynamic leverage").

A position's margin depends on its volume, its cost and the conversion rate and terms of its last deal, so
it does not move with the market. Opposite positions on one symbol are covered (hedged margin, basic
calculation). A working order reserves the share of a position's margin that its symbol asks for. A margin
schedule makes all of a symbol (or of a pool of symbols) dearer with its size.
"""

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from apps.groups.domain.schedules import MarginSchedule, ScheduleKind
from apps.market.domain.symbols import MarginMode
from apps.trading.domain.orders import ContractTerms, Order, Position, Side
from rtx.kernel.money import ZERO

HUNDRED = Decimal(100)
ONE = 1
Age = tuple[datetime, int]
NEVER: Age = (datetime.min.replace(tzinfo=UTC), 0)
HAS_LEVERAGE = frozenset({MarginMode.FOREX, MarginMode.CFD_LEVERAGE})


@dataclass(frozen=True, slots=True)
class Need:
    """
    What one symbol needs, in the account's currency, unrounded.

    With a schedule, `amount` is before it: without leverage when the schedule sets the leverage. `size` is
    what the schedule's bands measure: lots, or notional in the account's currency. `newest` tells since when
    its newest position or order stands.
    """

    amount: Decimal
    size: Decimal = ZERO
    schedule: MarginSchedule | None = None
    leverage_max: int = 1
    newest: Age = NEVER


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
    """Fill one pool together, by the bands of whoever traded last (an edited schedule has two versions)."""
    if pool is None:
        return need
    latest = max(pool, need, key=_newest)
    return Need(
        pool.amount + need.amount,
        pool.size + need.size,
        latest.schedule,
        min(pool.leverage_max, need.leverage_max),
        latest.newest,
    )


def _scheduled(need: Need) -> Decimal:
    assert need.schedule is not None
    if not need.size:
        return need.amount
    if need.schedule.kind is ScheduleKind.VOLUME:
        scaled = need.schedule.rated_lots(need.size)
    else:
        scaled = need.schedule.margined(need.size, leverage_max=need.leverage_max)
    return need.amount * scaled / need.size  # divided last, so that half a cent stays half a cent


def of_symbol(positions: Iterable[Position], orders: Iterable[Order] = ()) -> Decimal:
    """Return the margin of one symbol's positions and working orders by themselves, unrounded."""
    return total([need_of(positions, orders)])


def need_of(positions: Iterable[Position], orders: Iterable[Order] = ()) -> Need:
    """
    Return what one symbol's positions and working orders need.

    Positions follow the terms of the newest one: by time, because numbers come from a block for each process,
    and a part that closes brings no new terms. Working orders come on top, each under its own terms, and set
    the schedule only where nothing is held; those that reserve nothing do not count towards the bands either.
    """
    held = list(positions)
    waiting = [order for order in orders if order.terms is not None and order.terms.rate_pending]
    newest, terms = _newest_terms(held, waiting)
    if terms is None:
        return Need(ZERO)
    schedule = terms.schedule
    if schedule is not None and schedule.kind is ScheduleKind.NOTIONAL and terms.mode not in HAS_LEVERAGE:
        schedule = None
    by_notional = schedule is not None and schedule.kind is ScheduleKind.NOTIONAL
    leverage = ONE if by_notional else terms.leverage
    buys, sells = _side_of(held, Side.BUY), _side_of(held, Side.SELL)
    amount = _of_positions(buys, sells, terms, leverage)
    for order in waiting:
        amount += _of_order(order, by_notional=by_notional)
    if schedule is None:
        return Need(amount)
    if by_notional:
        size = max(_notional(side, terms) for side in (buys, sells))
        size += sum((_notional(_waiting_side(order), _terms_of(order)) for order in waiting), ZERO)
    else:
        size = max(buys.volume, sells.volume) + sum((order.volume for order in waiting), ZERO)
    return Need(amount, size, schedule, terms.leverage, newest)


def _newest_terms(held: list[Position], waiting: list[Order]) -> tuple[Age, ContractTerms | None]:
    """Return since when the newest position stands, or without one the newest order, and its terms."""
    newest = max(held, key=_opened, default=None)
    if newest is not None:
        return _opened(newest), newest.terms
    latest = max(waiting, key=_waits_since, default=None)
    return (_waits_since(latest), latest.terms) if latest else (NEVER, None)


_newest = operator.attrgetter("newest")
_opened = operator.attrgetter("opened_at", "id")


def _waits_since(order: Order) -> Age:
    return (order.activated_at or order.created_at, order.id)


@dataclass(slots=True)
class _Side:
    """One direction of a symbol added up: lots, lots x price, both also x conversion rate."""

    volume: Decimal = ZERO
    cost: Decimal = ZERO
    converted_volume: Decimal = ZERO
    converted_cost: Decimal = ZERO


def _side_of(held: list[Position], side: Side) -> _Side:
    added = _Side()
    for position in held:
        if position.side is side:
            rate = position.margin_rate
            added.volume += position.volume
            added.cost += position.cost
            added.converted_volume += position.volume * rate
            added.converted_cost += position.cost * rate
    return added


def _waiting_side(order: Order) -> _Side:
    """Return a working order as if it were filled at the price it waits for."""
    price, rate = order.waits_for, order.margin_rate
    assert price is not None
    assert rate is not None
    cost = order.volume * price
    return _Side(order.volume, cost, order.volume * rate, cost * rate)


def unit_value(*, terms: ContractTerms, contract_size: Decimal, price: Decimal, leverage: int) -> Decimal:
    """
    Return the margin of one lot in the margin currency before margin rate and conversion, unrounded.

    forex: contract / leverage; cfd: contract x price; cfd_leverage: contract x price / leverage;
    fixed: the initial amount; index: contract x price x tick price / tick size.
    """
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


def _of_side(side: _Side, terms: ContractTerms, leverage: int) -> Decimal:
    """Return the margin of one direction in the account's currency before margin rate, unrounded."""
    if not side.volume:
        return ZERO
    if terms.mode in (MarginMode.FOREX, MarginMode.FIXED):
        unit = unit_value(terms=terms, contract_size=terms.contract_size, price=ZERO, leverage=leverage)
        return unit * side.converted_volume
    return unit_value(
        terms=terms, contract_size=terms.contract_size, price=side.converted_cost, leverage=leverage
    )


def _notional(side: _Side, terms: ContractTerms) -> Decimal:
    """Return the notional of one direction in the account's currency."""
    return _of_side(side, terms, ONE)


def _of_positions(buys: _Side, sells: _Side, terms: ContractTerms, leverage: int) -> Decimal:
    """
    Return the margin of one symbol's positions before any schedule.

    Covered volume is charged once, at the volume-weighted price and conversion of all positions, the hedged
    contract and the mean of both margin rates; the uncovered rest at its own side's.
    """
    covered = min(buys.volume, sells.volume)
    if not covered:
        return (
            _of_side(buys, terms, leverage) * terms.rate_buy
            + _of_side(sells, terms, leverage) * terms.rate_sell
        )
    need = covered * _covered_unit(buys, sells, terms, leverage)
    larger, rate = (buys, terms.rate_buy) if buys.volume > sells.volume else (sells, terms.rate_sell)
    uncovered = larger.volume - covered
    if uncovered:
        need += _of_side(larger, terms, leverage) * rate * uncovered / larger.volume
    return need


def _covered_unit(buys: _Side, sells: _Side, terms: ContractTerms, leverage: int) -> Decimal:
    """Return the margin of one covered lot, in the account's currency."""
    if not terms.hedged_contract_size:
        return ZERO
    volume = buys.volume + sells.volume
    price = (buys.cost + sells.cost) / volume
    conversion = (buys.converted_volume + sells.converted_volume) / volume
    unit = unit_value(terms=terms, contract_size=terms.hedged_contract_size, price=price, leverage=leverage)
    return unit * conversion * (terms.rate_buy + terms.rate_sell) / 2


def _terms_of(order: Order) -> ContractTerms:
    assert order.terms is not None  # it reserves
    return order.terms


def _of_order(order: Order, *, by_notional: bool) -> Decimal:
    """Return what a working order reserves under its own terms, at the price it waits for."""
    terms = _terms_of(order)
    leverage = ONE if by_notional else terms.leverage
    rate = terms.rate_buy if order.side is Side.BUY else terms.rate_sell
    return _of_side(_waiting_side(order), terms, leverage) * rate * terms.rate_pending


def level_pct(*, equity: Decimal, margin: Decimal) -> Decimal | None:
    """Return equity / margin x 100; None without margin."""
    return equity / margin * HUNDRED if margin else None
