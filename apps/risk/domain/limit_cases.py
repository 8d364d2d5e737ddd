"""
One order of one account as limits see it: what is held before and after it, what lots are worth, what money
stands behind it. Each is computed once, and only when a limit asks. Pure, exact; decides nothing.
"""

from collections.abc import Mapping
from decimal import Decimal

from apps.groups.domain.terms import PositionMode
from apps.risk.domain import order_exposure as exposure
from apps.risk.domain.limits import Facts, Limit, Mark
from apps.risk.domain.order_exposure import Asked, Lots
from apps.risk.domain.totals import View
from apps.trading.domain.book import AccountBook
from apps.trading.domain.orders import ContractTerms, Position, Side
from apps.trading.domain.pricing import MarketView
from rtx.kernel.money import ZERO

NETTING = PositionMode.NETTING  # members are bound once: looking them up costs more than comparing
BUY = Side.BUY
NO_OTHERS: Mapping[str, Lots] = {}


class Case:
    """
    One order of one account held against limits. `before` is what the account holds on the order's symbol,
    `after` with the order, `filled` with the order filled in any case.
    """

    __slots__ = (
        "_credit",
        "_equity",
        "_others",
        "_worst",
        "after",
        "asked",
        "before",
        "book",
        "facts",
        "filled",
        "is_netting",
        "market",
        "prices",
    )

    def __init__(self, *, asked: Asked, book: AccountBook, market: MarketView, facts: Facts) -> None:
        is_netting = book.account.position_mode is NETTING
        before = exposure.lots_of(book, asked.symbol)
        after = before.after(asked, is_netting=is_netting)
        self.asked = asked
        self.book = book
        self.market = market
        self.facts = facts
        self.prices = facts.prices_of(market)
        self.is_netting = is_netting
        self.before = before
        self.after = after
        self.filled = after if asked.fills else before.after(asked, is_netting=is_netting, filled=True)
        self._others: Mapping[str, Lots] | None = None
        self._worst: tuple[Decimal, Decimal] | None = None
        self._equity: Decimal | None = None
        self._credit: tuple[Decimal, Decimal] | None = None

    # -- what is held

    @property
    def others(self) -> Mapping[str, Lots]:
        """What the account holds on other symbols."""
        if self._others is None:
            book = self.book
            if not book.orders and self.before.positions == len(book.positions):
                self._others = NO_OTHERS
            else:
                symbols = exposure.symbols_of(book)
                symbols.discard(self.asked.symbol)
                self._others = {symbol: exposure.lots_of(book, symbol) for symbol in symbols}
        return self._others

    @property
    def worst(self) -> tuple[Decimal, Decimal]:
        """The largest net lots that can come of the order's symbol, before and after."""
        if self._worst is None:
            self._worst = self.before.net_worst, self.after.net_worst
        return self._worst

    def open_lots(self) -> tuple[Decimal, Decimal]:
        """Return the lots of the order's symbol that are open or may become so, before and after."""
        if self.is_netting:
            return self.worst
        return self.before.open_lots(is_netting=False), self.after.open_lots(is_netting=False)

    def view(self, limit: Limit) -> View:
        """Return what a total counts."""
        assert self.facts.totals is not None  # read for whatever has such a limit
        return self.facts.totals.view(group_id=limit.group_id, symbol=limit.symbol)

    # -- what money stands behind it

    @property
    def mark(self) -> Mark | None:
        """What the account's losses are measured against."""
        return self.facts.marks.get(self.book.account.id)

    @property
    def equity(self) -> Decimal | None:
        """The account's equity now; None without a price."""
        if self._equity is None:
            book = self.book
            floating = book.floating(book.positions.values(), self.market)
            if floating is not None:
                self._equity = book.account.balance + book.account.credit + floating
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
        rate = market.rate(terms.symbol.margin_currency, book.account.currency, selling=asked.side is not BUY)
        if rate is None:
            return None
        held = [p for p in book.of_symbol(asked.symbol) if p is not asked.closes]
        volume = asked.volume
        if self.is_netting and held and held[0].side is not asked.side:
            volume, held = volume - held[0].volume, []
        if volume > 0:
            price = quote.ask if asked.side is BUY else quote.bid
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
        if source == target:
            return amount
        rate = self.market.rate(source, target, selling=amount < 0)
        return None if rate is None else amount * rate
