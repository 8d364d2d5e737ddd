"""
What each kind of limit measures of an order, and when it refuses. Pure, exact.

Sizes may reach the limit: an order is refused when it would exceed it, and only if it makes the measure
larger, so that nothing that reduces it is ever refused. Loss of the day and drawdown refuse once the limit
is reached. What cannot be measured for want of a price is refused as `off_quotes`, which leaves a working
order waiting. Totals count other symbols at their latest price, at cost where nobody knows one.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal

from apps.groups.domain.terms import PositionMode
from apps.risk.domain import order_exposure as exposure
from apps.risk.domain.limits import REFUSALS, Facts, Limit, LimitKind
from apps.risk.domain.order_exposure import NOTHING, STILL, Asked, Lots, Swing
from apps.risk.domain.totals import View
from apps.trading.domain.book import AccountBook
from apps.trading.domain.orders import ContractTerms, Position, RejectReason, Side
from apps.trading.domain.pricing import MarketView
from rtx.kernel.money import ZERO

HUNDRED = Decimal(100)
OFF_QUOTES = RejectReason.OFF_QUOTES  # members are bound once: looking them up costs more than comparing
NETTING = PositionMode.NETTING


class Case:
    """
    One order of one account held against limits. What several of them need is computed once: `before` is
    what the account holds on the order's symbol, `after` with the order, `filled` with the order filled in
    any case.
    """

    __slots__ = (
        "_credit",
        "_equity",
        "_others",
        "after",
        "asked",
        "before",
        "book",
        "facts",
        "filled",
        "is_netting",
        "market",
    )

    def __init__(self, *, asked: Asked, book: AccountBook, market: MarketView, facts: Facts) -> None:
        self.asked = asked
        self.book = book
        self.market = market
        self.facts = facts
        self.is_netting = book.account.position_mode is NETTING
        self.before = exposure.lots_of(book, asked.symbol)
        self.after = self.before.after(asked, is_netting=self.is_netting)
        self.filled = (
            self.after if asked.fills else self.before.after(asked, is_netting=self.is_netting, filled=True)
        )
        self._others: dict[str, Lots] | None = None
        self._equity: Decimal | None = None
        self._credit: tuple[Decimal, Decimal] | None = None

    def refusal(self, limits: Iterable[Limit]) -> RejectReason | None:
        """Return the word of the first limit that refuses the order, of those that concern it."""
        for limit in limits:
            reason = MEASURES[limit.kind](self, limit)
            if reason is not None:
                return reason
        return None

    # -- what is held

    @property
    def others(self) -> dict[str, Lots]:
        """What the account holds on other symbols."""
        if self._others is None:
            book = self.book
            is_all = not book.orders and self.before.positions == len(book.positions)
            symbols = set() if is_all else exposure.symbols_of(book)
            symbols.discard(self.asked.symbol)
            self._others = {symbol: exposure.lots_of(book, symbol) for symbol in symbols}
        return self._others

    def counted(self, limit: Limit) -> tuple[Lots, Lots, dict[str, Lots]]:
        """
        Return what a limit counts of the order's symbol before and after, and of other symbols, where neither
        changes.
        """
        if limit.is_own:
            return self.before, self.after, {} if limit.symbol else self.others
        view = self.view(limit)
        mine = view.by_symbol.get(self.asked.symbol, NOTHING)
        others = {name: lots for name, lots in view.by_symbol.items() if name != self.asked.symbol}
        return mine, mine.plus(self.after, minus=self.before), others

    def view(self, limit: Limit) -> View:
        """Return what a total counts."""
        assert self.facts.totals is not None  # read for whatever has such a limit
        return self.facts.totals.view(group_id=limit.group_id, symbol=limit.symbol)

    def lot_value(self, symbol: str, currency: str, *, at_cost: bool = False) -> Decimal | None:
        """Return the notional of one lot, looked up once per batch and market."""
        key = (id(self.market), symbol, currency, at_cost)
        known = self.facts.lot_values
        if key not in known:
            if at_cost:
                cost = self.facts.costs.get(symbol)
                known[key] = exposure.lot_value_at_cost(
                    symbol, currency=currency, market=self.market, cost=cost
                )
            else:
                known[key] = exposure.lot_value(symbol, currency=currency, market=self.market)
        return known[key]

    def legs(self, symbol: str, *, at_cost: bool = False) -> exposure.Legs | None:
        """Return what one lot bought means in currencies, looked up once per batch and market."""
        key = (id(self.market), symbol, at_cost)
        known = self.facts.legs
        if key not in known:
            cost = self.facts.costs.get(symbol) if at_cost else None
            known[key] = exposure.legs(symbol, market=self.market, cost=cost)
        return known[key]

    # -- what money stands behind it

    @property
    def equity(self) -> Decimal | None:
        """The account's equity now; None without a price."""
        if self._equity is None:
            value = self.book.valuation(self.market)
            self._equity = None if value is None else value.equity
        return self._equity

    def used_credit(self, margin: Decimal) -> Decimal | None:
        """Return the part of the credit that a margin, or a loss, needs."""
        if self.equity is None:
            return None
        credit = self.book.account.credit
        return min(credit, max(ZERO, margin - (self.equity - credit)))

    def margin_after(self) -> Decimal | None:
        """Return the account's margin if the order were filled; None without a price or a conversion."""
        asked, book, market = self.asked, self.book, self.market
        terms, quote = market.terms(asked.symbol), market.client(asked.symbol)
        if terms is None or quote is None:
            return None
        rate = market.rate(
            terms.symbol.margin_currency, book.account.currency, selling=asked.side is Side.SELL
        )
        if rate is None:
            return None
        held = book.of_symbol(asked.symbol)
        volume = asked.volume
        if self.is_netting and held and held[0].side is not asked.side:
            volume, held = volume - held[0].volume, []
        if volume > 0:
            price = quote.ask if asked.side is Side.BUY else quote.bid
            held.append(
                Position(
                    id=0,
                    symbol=asked.symbol,
                    side=asked.side,
                    volume=volume,
                    cost=price * volume,
                    margin_rate=rate,
                    terms=ContractTerms.of(terms, account_leverage=book.account.leverage),
                    book="",
                    last_deal_id=0,
                    opened_at=self.facts.now,
                )
            )
        return book.margin_with(asked.symbol, positions=held, without=asked.order_id)

    def credit_use(self) -> tuple[Decimal, Decimal] | None:
        """Return the credit in use before and after the order, in the account's currency; None: no price."""
        if not self.book.account.credit:
            return ZERO, ZERO
        if self._credit is None:
            margin = self.margin_after()
            before = self.used_credit(self.book.account.margin)
            after = None if margin is None else self.used_credit(margin)
            self._credit = None if before is None or after is None else (before, after)
        return self._credit

    def told_in(self, amount: Decimal, source: str, target: str) -> Decimal | None:
        """Return an amount in another currency, at the dearer side; None without a rate."""
        rate = self.market.rate(source, target, selling=amount < 0)
        return None if rate is None else amount * rate


def _grown(limit: Limit, before: Decimal | None, after: Decimal | None) -> RejectReason | None:
    """Refuse what exceeds the limit and is more than before."""
    if before is None or after is None:
        return OFF_QUOTES
    return REFUSALS[limit.kind] if after > limit.value and after > before else None


def _order_volume(case: Case, limit: Limit) -> RejectReason | None:
    return REFUSALS[limit.kind] if case.asked.volume > limit.value else None


def _open_volume(case: Case, limit: Limit) -> RejectReason | None:
    is_netting = case.is_netting and limit.is_own
    was, will = case.before.open_lots(is_netting=is_netting), case.after.open_lots(is_netting=is_netting)
    if will <= was:
        return None
    if not limit.is_own:
        will += case.view(limit).open_lots - was
    elif limit.symbol is None:
        for lots in case.others.values():
            will += lots.open_lots(is_netting=is_netting)
    return REFUSALS[limit.kind] if will > limit.value else None


def _positions(case: Case, limit: Limit) -> RejectReason | None:
    added = case.filled.positions - case.before.positions
    if added <= 0 or not (case.asked.is_new or case.asked.fills):
        return None
    if not limit.is_own:
        count = case.view(limit).positions
    else:
        count = case.before.positions if limit.symbol else len(case.book.positions)
    return REFUSALS[limit.kind] if count + added > limit.value else None


def _orders_per_minute(case: Case, limit: Limit) -> RejectReason | None:
    if not case.asked.is_new:
        return None
    if limit.is_own:
        orders = case.facts.placed.get(case.book.account.id)
        placed = orders.count(case.facts.now, symbol=limit.symbol) if orders else 0
    else:
        placed = case.facts.placed_totals.get(limit.id, 0)
    return REFUSALS[limit.kind] if placed + 1 > limit.value else None


def _symbol_exposure(case: Case, limit: Limit) -> RejectReason | None:
    before, after = case.before, case.after
    if not limit.is_own:
        held = case.view(limit).by_symbol.get(case.asked.symbol, NOTHING)
        before, after = held, held.plus(after, minus=before)
    worst = after.net_worst
    if worst <= before.net_worst:
        return None
    value = case.lot_value(case.asked.symbol, limit.currency)
    if value is None:
        return OFF_QUOTES
    return REFUSALS[limit.kind] if worst * value > limit.value else None


def _currency_exposure(case: Case, limit: Limit) -> RejectReason | None:
    touched = case.legs(case.asked.symbol)
    if touched is None:
        return OFF_QUOTES
    before, after, others = case.counted(limit)
    if not others and after.net_worst <= before.net_worst:
        return None
    for name, per_lot in touched:
        if limit.exposed_currency not in ("", name):
            continue
        if others:
            rest = _swing(case, others.items(), name, at_cost=not limit.is_own)
            if rest is None or per_lot is None:
                return OFF_QUOTES
            worst = rest.plus(after, per_lot).worst
            if worst <= rest.plus(before, per_lot).worst:
                continue
        elif per_lot is None:
            return OFF_QUOTES
        else:
            worst = after.net_worst * abs(per_lot)
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
        for name, per_lot in case.legs(symbol, at_cost=at_cost) or ():
            if name == currency:
                if per_lot is None:
                    return None
                swing = swing.plus(lots, per_lot)
    return swing


def _correlated_exposure(case: Case, limit: Limit) -> RejectReason | None:
    before, _, others = case.counted(limit)
    after = case.filled if limit.is_own else before.plus(case.filled, minus=case.before)
    if not others and abs(after.net) <= abs(before.net):
        return None
    exposures = []
    for symbol, net in ((case.asked.symbol, None), *((name, lots.net) for name, lots in others.items())):
        if net is None or net:
            value = case.lot_value(symbol, limit.currency, at_cost=net is not None and not limit.is_own)
            if value is None:
                return OFF_QUOTES
            exposures.append((symbol, value if net is None else net * value))
    (symbol, value), *rest = exposures
    was, will = (
        exposure.correlated([*rest, (symbol, lots.net * value)], case.facts.correlations)
        for lots in (before, after)
    )
    return _grown(limit, was, will)


def _credit_use(case: Case, limit: Limit) -> RejectReason | None:
    used = case.credit_use()
    if used is None:
        return OFF_QUOTES
    if used[1] <= used[0]:
        return None
    currency = case.book.account.currency
    before, after = (case.told_in(amount, currency, limit.currency) for amount in used)
    if before is None or after is None:
        return OFF_QUOTES
    if not limit.is_own:
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


def _stands(case: Case, limit: Limit, name: str) -> tuple[Decimal, Decimal] | None:
    """Return a mark and the equity of an account, or of all accounts of the scope; None without a price."""
    if limit.is_own:
        mark = case.facts.marks.get(case.book.account.id)
        if mark is None or case.equity is None:
            return None
        return getattr(mark, name), case.equity
    start, equity = (_marked_total(case, limit, which) for which in (name, "equity"))
    return None if start is None or equity is None else (start, equity)


def _daily_loss(case: Case, limit: Limit) -> RejectReason | None:
    stands = _stands(case, limit, "day_start")
    if stands is None:
        return OFF_QUOTES
    loss: Decimal | None = stands[0] - stands[1]
    assert loss is not None
    if limit.is_own:
        loss = case.told_in(loss, case.book.account.currency, limit.currency)
    if loss is None:
        return OFF_QUOTES
    return REFUSALS[limit.kind] if loss > 0 and loss >= limit.value else None


def _drawdown(case: Case, limit: Limit) -> RejectReason | None:
    stands = _stands(case, limit, "peak")
    if stands is None:
        return OFF_QUOTES
    peak, equity = stands
    fall = peak - equity
    return REFUSALS[limit.kind] if fall > 0 and fall * HUNDRED >= limit.value * peak else None


MEASURES: dict[LimitKind, Callable[[Case, Limit], RejectReason | None]] = {
    LimitKind.ORDER_VOLUME: _order_volume,
    LimitKind.OPEN_VOLUME: _open_volume,
    LimitKind.POSITIONS: _positions,
    LimitKind.ORDERS_PER_MINUTE: _orders_per_minute,
    LimitKind.SYMBOL_EXPOSURE: _symbol_exposure,
    LimitKind.CURRENCY_EXPOSURE: _currency_exposure,
    LimitKind.CORRELATED_EXPOSURE: _correlated_exposure,
    LimitKind.CREDIT_USE: _credit_use,
    LimitKind.DAILY_LOSS: _daily_loss,
    LimitKind.DRAWDOWN: _drawdown,
}
