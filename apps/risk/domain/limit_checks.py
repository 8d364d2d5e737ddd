"""
What each kind of limit measures of an order, and when it refuses. Pure, exact.

Sizes may reach the limit: an order is refused when it would exceed it, and only if it makes the measure
larger, so that nothing that reduces it is ever refused. Loss of the day and drawdown refuse once the limit
is reached. What cannot be measured for want of a price is refused as `off_quotes`, which leaves a working
order waiting.
"""

from collections.abc import Callable
from decimal import Decimal
from functools import cached_property

from apps.groups.domain.terms import PositionMode
from apps.risk.domain import order_exposure as exposure
from apps.risk.domain.limits import REFUSALS, Facts, Limit, LimitKind
from apps.risk.domain.order_exposure import NOTHING, Asked, Holding, Lots
from apps.trading.domain.book import AccountBook
from apps.trading.domain.orders import ContractTerms, Position, RejectReason, Side
from apps.trading.domain.pricing import MarketView
from rtx.kernel.money import ZERO

HUNDRED = Decimal(100)


class Case:
    """One order of one account held against limits; what several of them need is computed once."""

    def __init__(self, *, asked: Asked, book: AccountBook, market: MarketView, facts: Facts) -> None:
        self.asked = asked
        self.book = book
        self.market = market
        self.facts = facts
        self.is_netting = book.account.position_mode is PositionMode.NETTING

    def refusal(self, limit: Limit) -> RejectReason | None:
        """Say whether a limit that concerns the order refuses it."""
        return MEASURES[limit.kind](self, limit)

    # -- what is held

    @cached_property
    def own_before(self) -> Lots:
        """What the account holds on the order's symbol."""
        return exposure.lots_of(self.book, self.asked.symbol)

    @cached_property
    def own_after(self) -> Lots:
        """What it would hold with the order."""
        return self.own_before.after(self.asked, is_netting=self.is_netting)

    @cached_property
    def own_filled(self) -> Lots:
        """What it would hold if the order were filled, also one that waits."""
        return self.own_before.after(self.asked, is_netting=self.is_netting, filled=True)

    @cached_property
    def _own_holding(self) -> dict[str, Lots]:
        held = {symbol: exposure.lots_of(self.book, symbol) for symbol in exposure.symbols_of(self.book)}
        return {**held, self.asked.symbol: self.own_before}

    def holding(self, limit: Limit) -> dict[str, Lots]:
        """Return what a limit counts, without the order; it holds the order's symbol in any case."""
        if limit.is_own:
            return {self.asked.symbol: self.own_before} if limit.symbol else self._own_holding
        found: dict[str, Lots] = {self.asked.symbol: NOTHING}
        for (group_id, symbol), lots in (self.facts.totals or {}).items():
            if limit.counts(group_id=group_id, symbol=symbol):
                found[symbol] = found.get(symbol, NOTHING).plus(lots)
        return found

    def with_order(self, holding: Holding, *, filled: bool = False) -> dict[str, Lots]:
        """Return a holding with what the order changes."""
        symbol = self.asked.symbol
        after = self.own_filled if filled else self.own_after
        return {**holding, symbol: holding[symbol].plus(after, minus=self.own_before)}

    # -- what money stands behind it

    @cached_property
    def equity(self) -> Decimal | None:
        """The account's equity now; None without a price."""
        value = self.book.valuation(self.market)
        return None if value is None else value.equity

    def used_credit(self, margin: Decimal) -> Decimal | None:
        """Return the part of the credit that a margin, or a loss, needs."""
        if self.equity is None:
            return None
        credit = self.book.account.credit
        return min(credit, max(ZERO, margin - (self.equity - credit)))

    @cached_property
    def margin_after(self) -> Decimal | None:
        """The account's margin if the order were filled; None without a price or a conversion."""
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

    @cached_property
    def credit_use_added(self) -> tuple[Decimal, Decimal] | None:
        """The credit in use before and after the order, in the account's currency."""
        if not self.book.account.credit:
            return ZERO, ZERO
        before = self.used_credit(self.book.account.margin)
        if before is None or self.margin_after is None:
            return None
        after = self.used_credit(self.margin_after)
        return None if after is None else (before, after)

    def told_in(self, amount: Decimal, source: str, target: str) -> Decimal | None:
        """Return an amount in another currency, at the dearer side; None without a rate."""
        rate = self.market.rate(source, target, selling=amount < 0)
        return None if rate is None else amount * rate


def _grown(limit: Limit, before: Decimal | None, after: Decimal | None) -> RejectReason | None:
    """Refuse what exceeds the limit and is more than before."""
    if before is None or after is None:
        return RejectReason.OFF_QUOTES
    return REFUSALS[limit.kind] if after > limit.value and after > before else None


def _order_volume(case: Case, limit: Limit) -> RejectReason | None:
    return REFUSALS[limit.kind] if case.asked.volume > limit.value else None


def _open_volume(case: Case, limit: Limit) -> RejectReason | None:
    is_netting = case.is_netting and limit.is_own
    holding = case.holding(limit)
    before, after = (
        sum((lots.open_lots(is_netting=is_netting) for lots in counted.values()), ZERO)
        for counted in (holding, case.with_order(holding))
    )
    return _grown(limit, before, after)


def _positions(case: Case, limit: Limit) -> RejectReason | None:
    if not (case.asked.is_new or case.asked.fills):
        return None
    if limit.is_own and limit.symbol is None:
        before = len(case.book.positions)
    else:
        before = sum(lots.positions for lots in case.holding(limit).values())
    added = case.own_filled.positions - case.own_before.positions
    return _grown(limit, Decimal(before), Decimal(before + added))


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
    symbol = case.asked.symbol
    value = exposure.lot_value(symbol, currency=limit.currency, market=case.market)
    if value is None:
        return RejectReason.OFF_QUOTES
    holding = {symbol: case.own_before} if limit.is_own else case.holding(limit)
    before, after = holding[symbol], case.with_order(holding)[symbol]
    return _grown(limit, before.net_worst * value, after.net_worst * value)


def _currency_exposure(case: Case, limit: Limit) -> RejectReason | None:
    touched = exposure.legs(case.asked.symbol, market=case.market)
    if touched is None:
        return RejectReason.OFF_QUOTES
    before = case.holding(limit)
    after = case.with_order(before)
    for name, _ in touched:
        if limit.exposed_currency in ("", name):
            was, will = (
                exposure.currency_exposure(counted, exposed=name, currency=limit.currency, market=case.market)
                for counted in (before, after)
            )
            reason = _grown(limit, was, will)
            if reason:
                return reason
    return None


def _correlated_exposure(case: Case, limit: Limit) -> RejectReason | None:
    holding = case.holding(limit)
    was, will = (
        exposure.correlated_exposure(
            counted, currency=limit.currency, market=case.market, correlations=case.facts.correlations
        )
        for counted in (holding, case.with_order(holding, filled=True))
    )
    return _grown(limit, was, will)


def _credit_use(case: Case, limit: Limit) -> RejectReason | None:
    used = case.credit_use_added
    if used is None:
        return RejectReason.OFF_QUOTES
    currency = case.book.account.currency
    before, after = (case.told_in(amount, currency, limit.currency) for amount in used)
    if before is None or after is None:
        return RejectReason.OFF_QUOTES
    if not limit.is_own:
        others = _marked_total(case, limit, "used_credit")
        if others is None:
            return RejectReason.OFF_QUOTES
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
        return RejectReason.OFF_QUOTES
    loss: Decimal | None = stands[0] - stands[1]
    assert loss is not None
    if limit.is_own:
        loss = case.told_in(loss, case.book.account.currency, limit.currency)
    if loss is None:
        return RejectReason.OFF_QUOTES
    return REFUSALS[limit.kind] if loss > 0 and loss >= limit.value else None


def _drawdown(case: Case, limit: Limit) -> RejectReason | None:
    stands = _stands(case, limit, "peak")
    if stands is None:
        return RejectReason.OFF_QUOTES
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
