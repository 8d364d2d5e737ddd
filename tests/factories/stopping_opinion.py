"""A second opinion on every step of a stop-out: it ranks by itself and books trial closes on copies."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Any

from apps.groups.domain.terms import GroupSpec, StopOutRule
from apps.market.domain.symbols import TradeMode
from apps.trading.domain import checks, margin, profit
from apps.trading.domain.book import AccountBook
from apps.trading.domain.holdings import Holdings
from apps.trading.domain.orders import Order, OrderReason, Position, RejectReason
from apps.trading.domain.pricing import MarketView
from rtx.kernel.money import ZERO, booked, digits, quantum

D = Decimal
CLOSED, STALE, DISABLED = "market_closed", "off_quotes", "trade_disabled"


class AccountBookOf(AccountBook):
    """A copy of a book that can be tried things on."""

    def __init__(self, book: AccountBook) -> None:
        super().__init__(
            account=replace(book.account),
            positions=book.positions.values(),
            orders=book.orders.values(),
            tickets=count(10**9),
        )


class Opinion:
    """What another reader of the rules says of one account at one market."""

    def __init__(self, market: MarketView, group: GroupSpec) -> None:
        self.market, self.group = market, group

    # -- standing

    def figures(self, book: Holdings) -> tuple[D, D]:
        """Return equity and margin, added up anew."""
        account = book.account
        floating = ZERO
        for held in sorted(book.positions.values(), key=lambda one: one.id):
            floating += self.result(held, account.currency)
        symbols = sorted({one.symbol for one in (*book.positions.values(), *book.orders.values())})
        needs = [
            margin.need_of(
                [one for one in book.positions.values() if one.symbol == symbol],
                [one for one in book.orders.values() if one.symbol == symbol],
            )
            for symbol in symbols
        ]
        needed = booked(margin.total(needs), account.currency)
        return account.balance + account.credit + floating, needed

    def result(self, held: Position, currency: str) -> D:
        """Return what closing a position would bring, unrounded."""
        amount = profit.floating(held, market=self.market, currency=currency)
        assert amount is not None
        return amount + held.swap

    def told(self, book: Holdings) -> dict[str, str | None]:
        """Return the standing as a dossier tells it."""
        equity, needed = self.figures(book)
        return {
            "equity": _told(equity),
            "margin": _told(needed),
            "level_pct": _told(equity / needed * 100) if needed else None,
        }

    def is_below(self, book: Holdings, *, slack: D = ZERO) -> bool:
        """Say whether the account is at or below its stop-out level, or would be with `slack` less."""
        equity, needed = self.figures(book)
        equity -= slack
        if needed:
            return equity * 100 <= needed * self.group.stop_out_pct
        return bool(book.positions) and equity <= 0

    # -- what can go

    def why_not(self, held: Position) -> str | None:
        """Return why a position cannot be closed now; None: it can."""
        symbol, terms = held.symbol, self.market.terms(held.symbol)
        assert terms is not None
        if not self.market.in_session(symbol):
            return CLOSED
        if not self.market.is_usable(symbol):
            return STALE
        if terms.trade_mode is TradeMode.DISABLED:
            return DISABLED
        for source in (terms.symbol.profit_currency, terms.symbol.margin_currency):
            path = self.market.path(source, self.group.currency)
            if path is None or not all(self.market.is_usable(leg.symbol) for leg in path):
                return STALE
        return None

    def cancelable(self, book: Holdings) -> list[Order]:
        """Return the working orders whose cancellation lowers the margin, the dearest first."""
        freeing = [order for order in book.orders.values() if self._freed(book, order) > 0]
        return sorted(freeing, key=lambda order: (-margin.of_symbol([], [order]), order.created_at, order.id))

    def _freed(self, book: Holdings, order: Order) -> D:
        trial = AccountBookOf(book)
        trial.drop_order(order.id)
        return book.account.margin - trial.account.margin

    def _closable(self, book: Holdings) -> list[Position]:
        return [held for held in book.positions.values() if self.why_not(held) is None]

    def cap(self, held: Position) -> D:
        """Return the lots that one close may take."""
        terms = self.market.terms(held.symbol)
        assert terms is not None
        most = terms.volume_max
        return held.volume if held.volume <= most else most - most % terms.symbol.volume_step

    # -- each step

    def check_cancel(self, book: AccountBook, step: dict[str, Any]) -> None:
        """Check that the dearest order went, and that the next one is told."""
        ranked = self.cancelable(book)
        assert step["order_id"] == ranked[0].id
        assert step["value"] == _told(margin.of_symbol([], [ranked[0]]))
        if len(ranked) > 1:
            assert step["runner_up"] is not None

    def check_close(self, book: AccountBook, step: dict[str, Any]) -> None:
        """Check that a close was the rule's, and no smaller or earlier one would have done."""
        assert not self.cancelable(book), "an order with margin waits while positions are closed"
        closable = self._closable(book)
        held = book.positions[step["position_id"]]
        lots = D(step["volume"])
        assert held in closable
        assert D(step["of_volume"]) == held.volume
        assert lots <= self.cap(held)
        if self.group.stop_out_rule is StopOutRule.SMART:
            self._check_smart(book, held, lots, closable, step)
            return
        ranked = sorted(closable, key=self._rank(book))
        assert held == ranked[0]
        assert lots == self.cap(held)
        following = ranked[1].id if len(ranked) > 1 else None
        assert (step["runner_up"] or {}).get("id") == following

    def _rank(self, book: AccountBook) -> Callable[[Position], tuple[Any, ...]]:
        match self.group.stop_out_rule:
            case StopOutRule.LARGEST_LOSS:
                currency = book.account.currency
                return lambda held: (self.result(held, currency), held.opened_at, held.id)
            case StopOutRule.LARGEST_MARGIN:
                return lambda held: (*self._margin_rank(book, held), held.opened_at, held.id)
        return lambda held: (held.opened_at, held.id)

    def _margin_rank(self, book: AccountBook, held: Position) -> tuple[D, ...]:
        """Return the margin of what nothing covers, what does not fit into that, then the whole margin."""
        same = sum((one.volume for one in book.of_symbol(held.symbol) if one.side is held.side), ZERO)
        other = sum((one.volume for one in book.of_symbol(held.symbol) if one.side is not held.side), ZERO)
        bare = min(held.volume, same - other) if same > other else ZERO
        alone = margin.of_symbol([held])
        return (-alone * bare / held.volume, held.volume - bare if bare else ZERO, -alone)

    def _check_smart(
        self, book: AccountBook, held: Position, lots: D, closable: list[Position], step: dict[str, Any]
    ) -> None:
        restores = self.closing_restores(book, held, lots)
        unit = quantum(digits(book.account.currency))  # what rounding may give is not a reason
        single = [
            (one, volume)
            for one in closable
            for volume in self._tries(one)
            if self.closing_restores(book, one, volume, slack=unit)
        ]
        if single:
            assert restores, f"one close was enough: {single[0]}"
        if restores:
            terms = self.market.terms(held.symbol)
            assert terms is not None
            fewer = lots - terms.symbol.volume_step if not lots % terms.symbol.volume_step else ZERO
            if fewer >= terms.volume_min:
                assert not self.closing_restores(book, held, fewer), "a step less was enough"
        if step["runner_up"] is not None:
            assert step["runner_up"]["id"] in {one.id for one in closable} - {held.id}

    def _tries(self, held: Position) -> Iterator[D]:
        """Yield the volumes that one close may take, a dozen of them, the smallest and all included."""
        terms = self.market.terms(held.symbol)
        assert terms is not None
        step, most = terms.symbol.volume_step, self.cap(held)
        steps = int((most - terms.volume_min) // step)
        for number in sorted({steps * part // 8 for part in range(9)} if steps > 0 else ()):
            yield terms.volume_min + number * step
        yield most

    def closing_restores(self, book: AccountBook, held: Position, lots: D, *, slack: D = ZERO) -> bool:
        """Try a close on a copy, as it would be booked; `slack` asks for so much equity more."""
        trial = AccountBookOf(book)
        order = trial.closing_order(held, lots=lots, reason=OrderReason.STOP_OUT, now=self.market.now)
        quote, terms = self.market.client(held.symbol), self.market.terms(held.symbol)
        assert quote is not None
        assert terms is not None
        price = checks.closing_price(held.side, quote)
        done = trial.fill(order, held=held, price=price, terms=terms, market=self.market)
        assert not isinstance(done, RejectReason)
        return not self.is_below(trial, slack=slack)


def read(standing: dict[str, Any]) -> dict[str, str | None]:
    """Return a dossier's standing without the trailing zeros of its margin."""
    return {**standing, "margin": _told(D(standing["margin"]))}


def _told(amount: D) -> str:
    shown = format(amount.quantize(D("1E-8"), rounding="ROUND_HALF_UP"), "f").rstrip("0").rstrip(".")
    return "0" if shown in ("-0", "") else shown
