"""
What each kind of limit measures of an order, and when it refuses. Pure, exact.

Sizes may reach the limit: an order is refused when it would exceed it, and only if it makes the measure
larger, so that nothing that reduces it is ever refused. Loss of the day and drawdown refuse once the limit
is reached. What cannot be measured for want of a price is refused as `off_quotes`, which leaves a working
order waiting. Totals count other symbols at their latest price, at cost where nobody knows one.

Most limits are an account's own and are asked for every order: what they measure is told apart from totals
once, when limits are read (`steps`).
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from apps.risk.domain import order_exposure as exposure
from apps.risk.domain.limit_cases import Case
from apps.risk.domain.limits import REFUSALS, Limit, LimitKind
from apps.risk.domain.order_exposure import NOTHING, STILL, Lots, Swing
from apps.trading.domain.orders import RejectReason
from rtx.kernel.money import ZERO

HUNDRED = Decimal(100)
OFF_QUOTES = RejectReason.OFF_QUOTES  # members are bound once: looking them up costs more than comparing

Measure = Callable[[Case, Limit], RejectReason | None]
Step = tuple[Measure, Limit]


def steps(limits: Iterable[Limit]) -> tuple[Step, ...]:
    """Return what is to be measured for limits, in their order."""
    return tuple((MEASURES[limit.kind][0 if limit.is_own else 1], limit) for limit in limits)


def refusal(case: Case, steps: Iterable[Step]) -> RejectReason | None:
    """Return the word of the first limit that refuses the order, of those that concern it."""
    for measure, limit in steps:
        reason = measure(case, limit)
        if reason is not None:
            return reason
    return None


def _refused(limit: Limit, measured: Decimal | int) -> RejectReason | None:
    return REFUSALS[limit.kind] if measured > limit.value else None


def _grown(limit: Limit, before: Decimal | None, after: Decimal | None) -> RejectReason | None:
    """Refuse what exceeds the limit and is more than before."""
    if before is None or after is None:
        return OFF_QUOTES
    return REFUSALS[limit.kind] if after > limit.value and after > before else None


def _order_volume(case: Case, limit: Limit) -> RejectReason | None:
    return REFUSALS[limit.kind] if case.asked.volume > limit.value else None


# -- lots, positions, orders


def _open_volume(case: Case, limit: Limit) -> RejectReason | None:
    was, will = case.open_lots()
    if will <= was:
        return None
    if limit.symbol is None:
        for lots in case.others.values():
            will += lots.open_lots(is_netting=case.is_netting)
    return REFUSALS[limit.kind] if will > limit.value else None


def _open_volume_together(case: Case, limit: Limit) -> RejectReason | None:
    grows_by = case.after.open_lots(is_netting=False) - case.before.open_lots(is_netting=False)
    return None if grows_by <= 0 else _refused(limit, case.view(limit).open_lots + grows_by)


def _positions_added(case: Case) -> int:
    return case.filled.positions - case.before.positions if case.asked.is_new or case.asked.fills else 0


def _positions(case: Case, limit: Limit) -> RejectReason | None:
    added = _positions_added(case)
    if added <= 0:
        return None
    return _refused(limit, added + (case.before.positions if limit.symbol else len(case.book.positions)))


def _positions_together(case: Case, limit: Limit) -> RejectReason | None:
    added = _positions_added(case)
    return None if added <= 0 else _refused(limit, case.view(limit).positions + added)


def _orders_per_minute(case: Case, limit: Limit) -> RejectReason | None:
    if not case.asked.is_new:
        return None
    orders = case.facts.placed.get(case.book.account.id)
    return _refused(limit, 1 + (orders.count(case.facts.now, symbol=limit.symbol) if orders else 0))


def _orders_per_minute_together(case: Case, limit: Limit) -> RejectReason | None:
    return _refused(limit, 1 + case.facts.placed_totals.get(limit.id, 0)) if case.asked.is_new else None


# -- exposure


def _symbol_exposure(case: Case, limit: Limit) -> RejectReason | None:
    was, will = case.worst
    return None if will <= was else _exposed(case, limit, will)


def _symbol_exposure_together(case: Case, limit: Limit) -> RejectReason | None:
    held = case.view(limit).by_symbol.get(case.asked.symbol, NOTHING)
    will = held.plus(case.after, minus=case.before).net_worst
    return None if will <= held.net_worst else _exposed(case, limit, will)


def _exposed(case: Case, limit: Limit, lots: Decimal) -> RejectReason | None:
    """Refuse lots of the order's symbol that are worth more than the limit."""
    value = case.prices.lot_value(case.asked.symbol, limit.currency)
    return OFF_QUOTES if value is None else _refused(limit, lots * value)


def _held_together(case: Case, limit: Limit) -> tuple[Lots, Mapping[str, Lots]]:
    """Return what a total counts of the order's symbol, and of others."""
    view = case.view(limit)
    mine = view.by_symbol.get(case.asked.symbol, NOTHING)
    return mine, {name: lots for name, lots in view.by_symbol.items() if name != case.asked.symbol}


def _currency_exposure(case: Case, limit: Limit) -> RejectReason | None:
    if not limit.symbol and case.others:
        return _currency_swing(case, limit, case.before, case.after, case.others)
    return _currency_alone(case, limit, *case.worst)


def _currency_exposure_together(case: Case, limit: Limit) -> RejectReason | None:
    before, others = _held_together(case, limit)
    after = before.plus(case.after, minus=case.before)
    if not others:
        return _currency_alone(case, limit, before.net_worst, after.net_worst)
    return _currency_swing(case, limit, before, after, others)


def _currency_alone(case: Case, limit: Limit, was: Decimal, will: Decimal) -> RejectReason | None:
    """Measure where nothing but the order's symbol counts."""
    values = case.prices.leg_values(case.asked.symbol, limit.currency, exposed=limit.exposed_currency)
    if values is None:
        return OFF_QUOTES
    if will <= was:
        return None
    for value in values:
        if value is None:
            return OFF_QUOTES
        if will * value > limit.value:
            return REFUSALS[limit.kind]
    return None


def _currency_swing(
    case: Case, limit: Limit, before: Lots, after: Lots, others: Mapping[str, Lots]
) -> RejectReason | None:
    touched = case.prices.legs(case.asked.symbol)
    if touched is None:
        return OFF_QUOTES
    for name, per_lot in touched:
        if limit.exposed_currency not in ("", name):
            continue
        rest = _swing(case, others.items(), name, at_cost=not limit.is_own)
        if rest is None or per_lot is None:
            return OFF_QUOTES
        worst = rest.plus(after, per_lot).worst
        if worst <= rest.plus(before, per_lot).worst:
            continue
        rate = case.market.rate(name, limit.currency, selling=False)
        if rate is None:
            return OFF_QUOTES
        if worst * rate > limit.value:
            return REFUSALS[limit.kind]
    return None


def _swing(case: Case, holding: Iterable[tuple[str, Lots]], currency: str, *, at_cost: bool) -> Swing | None:
    """Return what symbols bring of a currency; None: one of them brings some and has no price."""
    swing = STILL
    for symbol, lots in holding:
        if lots == NOTHING:
            continue
        for name, per_lot in case.prices.legs(symbol, at_cost=at_cost) or ():
            if name == currency:
                if per_lot is None:
                    return None
                swing = swing.plus(lots, per_lot)
    return swing


def _correlated_exposure(case: Case, limit: Limit) -> RejectReason | None:
    before, after = case.before.net, case.filled.net
    if not limit.symbol and case.others:
        return _correlated(case, limit, before, after, case.others)
    return _correlated_alone(case, limit, before, after)


def _correlated_exposure_together(case: Case, limit: Limit) -> RejectReason | None:
    held, others = _held_together(case, limit)
    before, after = held.net, held.plus(case.filled, minus=case.before).net
    if others:
        return _correlated(case, limit, before, after, others)
    return _correlated_alone(case, limit, before, after)


def _correlated_alone(case: Case, limit: Limit, before: Decimal, after: Decimal) -> RejectReason | None:
    """Measure where nothing but the order's symbol counts."""
    return None if abs(after) <= abs(before) else _exposed(case, limit, abs(after))


def _correlated(
    case: Case, limit: Limit, before: Decimal, after: Decimal, others: Mapping[str, Lots]
) -> RejectReason | None:
    mine = case.prices.lot_value(case.asked.symbol, limit.currency)
    if mine is None:
        return OFF_QUOTES
    exposures = []
    for symbol, lots in others.items():
        net = lots.net
        if net:
            value = case.prices.lot_value(symbol, limit.currency, at_cost=not limit.is_own)
            if value is None:
                return OFF_QUOTES
            exposures.append((symbol, net * value))
    was, will = (
        exposure.correlated([*exposures, (case.asked.symbol, net * mine)], case.facts.correlations)
        for net in (before, after)
    )
    return _grown(limit, was, will)


# -- money


def _credit_use(case: Case, limit: Limit) -> RejectReason | None:
    return _credit(case, limit, others=ZERO)


def _credit_use_together(case: Case, limit: Limit) -> RejectReason | None:
    return _credit(case, limit, others=None)


def _credit(case: Case, limit: Limit, *, others: Decimal | None) -> RejectReason | None:
    """Measure the credit in use; `others` None: of all accounts of the scope."""
    used = case.credit_use()
    if used is None:
        return OFF_QUOTES
    if used[1] <= used[0]:
        return None
    currency = case.book.account.currency
    before, after = (case.told_in(amount, currency, limit.currency) for amount in used)
    if before is None or after is None:
        return OFF_QUOTES
    if others is None:
        others = _marked_total(case, limit, "used_credit")
        if others is None:
            return OFF_QUOTES
        before, after = others, others + after - before
    return _grown(limit, before, after)


def _marked_total(case: Case, limit: Limit, name: str) -> Decimal | None:
    """Return a mark of all accounts of a limit's scope in the limit's currency, with what the batch added."""
    total = ZERO
    for marks in case.facts.marks_totals:
        if limit.group_id in (None, marks.group_id):
            amount: Decimal = getattr(marks, name)
            if name == "used_credit":
                amount += case.facts.credit_added.get((marks.group_id, marks.currency), ZERO)
            told = case.told_in(amount, marks.currency, limit.currency)
            if told is None:
                return None
            total += told
    return total


def _daily_loss(case: Case, limit: Limit) -> RejectReason | None:
    mark, equity = case.mark, case.equity
    if mark is None or equity is None:
        return OFF_QUOTES
    loss = case.told_in(mark.day_start - equity, case.book.account.currency, limit.currency)
    return OFF_QUOTES if loss is None else _lost(limit, loss)


def _daily_loss_together(case: Case, limit: Limit) -> RejectReason | None:
    start, equity = (_marked_total(case, limit, name) for name in ("day_start", "equity"))
    return OFF_QUOTES if start is None or equity is None else _lost(limit, start - equity)


def _lost(limit: Limit, loss: Decimal) -> RejectReason | None:
    return REFUSALS[limit.kind] if loss > 0 and loss >= limit.value else None


def _drawdown(case: Case, limit: Limit) -> RejectReason | None:
    mark, equity = case.mark, case.equity
    return OFF_QUOTES if mark is None or equity is None else _fallen(limit, mark.peak, equity)


def _drawdown_together(case: Case, limit: Limit) -> RejectReason | None:
    peak, equity = (_marked_total(case, limit, name) for name in ("peak", "equity"))
    return OFF_QUOTES if peak is None or equity is None else _fallen(limit, peak, equity)


def _fallen(limit: Limit, peak: Decimal, equity: Decimal) -> RejectReason | None:
    fall = peak - equity
    return REFUSALS[limit.kind] if fall > 0 and fall * HUNDRED >= limit.value * peak else None


# What is measured of an account by itself, and of all accounts of a limit's scope together.
MEASURES: dict[LimitKind, tuple[Measure, Measure]] = {
    LimitKind.ORDER_VOLUME: (_order_volume, _order_volume),
    LimitKind.OPEN_VOLUME: (_open_volume, _open_volume_together),
    LimitKind.POSITIONS: (_positions, _positions_together),
    LimitKind.ORDERS_PER_MINUTE: (_orders_per_minute, _orders_per_minute_together),
    LimitKind.SYMBOL_EXPOSURE: (_symbol_exposure, _symbol_exposure_together),
    LimitKind.CURRENCY_EXPOSURE: (_currency_exposure, _currency_exposure_together),
    LimitKind.CORRELATED_EXPOSURE: (_correlated_exposure, _correlated_exposure_together),
    LimitKind.CREDIT_USE: (_credit_use, _credit_use_together),
    LimitKind.DAILY_LOSS: (_daily_loss, _daily_loss_together),
    LimitKind.DRAWDOWN: (_drawdown, _drawdown_together),
}
