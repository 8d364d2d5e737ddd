"""
Stop-outs of accounts that traded for real: a stage to bring an account down on, and a second opinion on every
step that a stop-out took. The second opinion books closes as they would be booked; it ranks by itself.
"""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import count
from typing import Any

import orjson

from apps.accounts.domain.ledger import BalanceKind, Ledger
from apps.groups.domain.terms import GroupSpec, Override, StopOutRule, resolve
from apps.market.domain.quotes import Quote
from apps.market.domain.symbols import TradeMode
from apps.trading.domain import checks, deals, margin, profit
from apps.trading.domain import commands as c
from apps.trading.domain.book import AccountBook
from apps.trading.domain.holdings import Holdings
from apps.trading.domain.orders import Order, OrderReason, OrderStatus, Position, RejectReason
from apps.trading.domain.pricing import ConversionTable, MarketView
from apps.trading.domain.replaying import Replay
from rtx.kernel.money import ZERO, booked
from tests.factories.books import NEVER, stop_out
from tests.factories.walks import Walk, new_account

D = Decimal
CLOSED, STALE, DISABLED = "market_closed", "off_quotes", "trade_disabled"
STALE_MS = 3_600_000


class Stage(Walk):
    """A walk whose terms can change and whose symbols can close, before the account is stopped out."""

    def __init__(
        self,
        group: GroupSpec,
        *,
        reserve: str = "0",
        leverage: int = 100,
        symbols: Mapping[str, dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(group, reserve=reserve)
        self.account.leverage = leverage
        self._fresh = replace(self.account)
        self._symbols = {
            name: replace(spec, **(symbols or {}).get(name, {})) for name, spec in self._symbols.items()
        }
        self.states: dict[str, str] = {}
        self.caps: dict[str, D] = {}

    def market(self) -> MarketView:
        """Return the present prices under the present terms."""
        specs = {
            name: replace(spec, calendar=NEVER) if self.states.get(name) == CLOSED else spec
            for name, spec in self._symbols.items()
        }
        terms = {
            name: resolve(symbol=spec, group=self.group, override=self._override(name), version=1)
            for name, spec in specs.items()
        }
        now_ms = int(self.now.timestamp() * 1000)
        ages = {name: STALE_MS if state == STALE else 0 for name, state in self.states.items()}
        return MarketView(
            quotes={
                name: Quote(name, bid, ask, now_ms - ages.get(name, 0))
                for name, (bid, ask) in self.prices.items()
            },
            terms=terms,
            symbols=specs,
            conversions=ConversionTable(specs.values()),
            now=self.now,
            now_ms=now_ms,
            version=1,
        )

    def _override(self, name: str) -> Override:
        is_disabled = self.states.get(name) == DISABLED
        return Override(
            trade_mode=TradeMode.DISABLED.value if is_disabled else "", volume_max=self.caps.get(name)
        )

    def run(self, command: c.Command) -> c.Outcome:
        """Apply a command that must succeed and keep its event."""
        outcome = self.apply(command)
        assert outcome.refusal is None, (command, outcome.refusal)
        self.outcomes.append(outcome)
        return outcome

    def money(self, kind: BalanceKind, amount: D) -> None:
        """Book an amount, if it is one."""
        amount = booked(amount, self.group.currency)
        if amount:
            self.run(self.command("money", kind, amount * 100))

    def equity(self) -> D:
        """Return the equity at the present prices."""
        found = self.book.valuation(self.market())
        assert found is not None
        return found.equity

    def bring_equity_to(self, amount: D) -> None:
        """Take or give money until equity is at most `amount`, within one unit of the currency."""
        unit = booked(D("0.5"), self.group.currency) if self.group.currency == "JPY" else D("0.01")
        due = amount - self.equity()
        down = due // unit * unit
        self.money(BalanceKind.ADJUSTMENT, down - unit if down > due else down)

    def replayed(self) -> Replay:
        """Derive the account from its journal, as text kept it."""
        again = Replay(account=replace(self._fresh))
        for outcome in self.outcomes:
            payload = orjson.loads(orjson.dumps(outcome.payload))
            again.replay(seq=outcome.seq, type_=outcome.type, payload=payload)
        return again

    def stopped(self, **more: Any) -> "Stopped":
        """
        Stop the account out and return what there is to look at.

        :raises StopOutVoid, StopOutStuck: as the book does.
        """
        before = deepcopy(self.book)
        market = self.market()
        outcome = self.book.apply(stop_out(**more), market=market, now=self.now)
        held_before = self.replayed()
        self.outcomes.append(outcome)
        return Stopped(self, before, held_before, market, outcome)


@dataclass
class Stopped:
    """One stop-out: the account before it, as the book and as the journal had it; the market; the outcome."""

    stage: Stage
    before: AccountBook
    held_before: Holdings
    market: MarketView
    outcome: c.Outcome

    @property
    def steps(self) -> list[dict[str, Any]]:
        """What was done, one after another."""
        found: list[dict[str, Any]] = self.told["steps"]
        return found

    @property
    def told(self) -> dict[str, Any]:
        """The dossier."""
        assert self.outcome.dossier is not None
        return self.outcome.dossier

    @property
    def closes(self) -> list[tuple[str, str]]:
        """Symbol and lots of each close."""
        return [(step["symbol"], step["volume"]) for step in self.steps if step["action"] == "close"]

    def check(self) -> None:
        """Look at every step with a second opinion, then at the end, the money and the journal."""
        shadow, orders = AccountBookOf(self.before), iter(self.outcome.orders)
        closes = iter([order for order in self.outcome.orders if order.deals])
        canceled = iter([order for order in orders if order.status is OrderStatus.CANCELED])
        opinion = Opinion(self.market, self.stage.group)
        assert _read(self.told["before"]) == opinion.told(shadow)
        for step in self.steps:
            assert opinion.is_below(shadow), "a step was taken above the level"
            assert _read(step["before"]) == opinion.told(shadow)
            if step["action"] == "cancel":
                opinion.check_cancel(shadow, step)
                shadow.drop_order(next(canceled).id)
            else:
                opinion.check_close(shadow, step)
                [deal] = next(closes).deals
                held = shadow.positions[deal.position_id]
                shadow.book_deal(deal, deals.settle(deal, position=held, currency=self.stage.group.currency))
            assert _read(step["after"]) == opinion.told(shadow)
        assert next(closes, None) is None
        assert next(canceled, None) is None
        self._check_end(shadow, opinion)
        self._check_money()
        self._check_journal()

    def _check_end(self, shadow: AccountBook, opinion: "Opinion") -> None:
        book = self.stage.book
        assert shadow.positions == book.positions
        assert set(shadow.orders) == set(book.orders)
        assert _read(self.told["after"]) == opinion.told(shadow)
        left = {row["position_id"]: row["reason"] for row in self.told["left"]}
        if opinion.is_below(shadow):
            assert not opinion.cancelable(shadow)
            assert left == {key: opinion.why_not(held) for key, held in book.positions.items()}
            assert None not in left.values(), "something closable was left below the level"
        else:
            assert left == {}
        for order in self.outcome.orders:
            assert order.status in (OrderStatus.FILLED, OrderStatus.CANCELED)
            assert order.status is OrderStatus.CANCELED or order.reason is OrderReason.STOP_OUT

    def _check_money(self) -> None:
        lines, account, was = self.outcome.lines, self.stage.account, self.before.account
        currency = account.currency
        assert sum((line.amount for line in lines), ZERO) == 0
        assert all(line.amount == booked(line.amount, currency) for line in lines)
        moved = {
            ledger: sum((line.amount for line in lines if line.ledger is ledger), ZERO) for ledger in Ledger
        }
        assert account.balance == was.balance + moved[Ledger.CLIENT]
        assert account.credit == was.credit + moved[Ledger.CREDIT]
        assert account.credit >= min(was.credit, ZERO)
        every = [line for outcome in self.stage.outcomes for line in outcome.lines]
        assert account.balance == sum((line.amount for line in every if line.ledger is Ledger.CLIENT), ZERO)
        paid = -moved[Ledger.COMPENSATION]
        if paid or moved[Ledger.CREDIT]:
            assert self.stage.group.protects_balance
            assert not self.stage.book.positions
            assert account.balance == 0
            assert paid == 0 or account.credit <= 0, "the house pays only once the credit is used up"
        if self.stage.group.protects_balance and not self.stage.book.positions:
            assert account.balance >= 0
        assert account.margin == self.stage.book.margin_with("EURUSD")

    def _check_journal(self) -> None:
        again = self.stage.replayed()
        assert again.account == self.stage.account
        assert again.positions == self.stage.book.positions
        assert again.orders == self.stage.book.orders


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

    def is_below(self, book: Holdings) -> bool:
        """Say whether the account is at or below its stop-out level."""
        equity, needed = self.figures(book)
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
        trial = AccountBookOf(book)  # type: ignore[arg-type]
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
        ranked = sorted(closable, key=self._rank(book.account.currency))
        assert held == ranked[0]
        assert lots == self.cap(held)
        following = ranked[1].id if len(ranked) > 1 else None
        assert (step["runner_up"] or {}).get("id") == following

    def _rank(self, currency: str) -> Callable[[Position], tuple[Any, ...]]:
        match self.group.stop_out_rule:
            case StopOutRule.LARGEST_LOSS:
                return lambda held: (self.result(held, currency), held.opened_at, held.id)
            case StopOutRule.LARGEST_MARGIN:
                return lambda held: (-margin.of_symbol([held]), held.opened_at, held.id)
        return lambda held: (held.opened_at, held.id)

    def _check_smart(
        self, book: AccountBook, held: Position, lots: D, closable: list[Position], step: dict[str, Any]
    ) -> None:
        restores = self.closing_restores(book, held, lots)
        single = [
            (one, volume)
            for one in closable
            for volume in self._tries(one)
            if self.closing_restores(book, one, volume)
        ]
        if single:
            assert restores, f"one close was enough: {single[0]}"
            terms = self.market.terms(held.symbol)
            assert terms is not None
            fewer = lots - terms.symbol.volume_step if not lots % terms.symbol.volume_step else ZERO
            if fewer >= terms.volume_min:
                assert not self.closing_restores(book, held, fewer), "a step less was enough"
        else:
            assert not restores
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

    def closing_restores(self, book: AccountBook, held: Position, lots: D) -> bool:
        """Try a close on a copy, as it would be booked."""
        trial = AccountBookOf(book)
        order = trial.closing_order(held, lots=lots, reason=OrderReason.STOP_OUT, now=self.market.now)
        quote, terms = self.market.client(held.symbol), self.market.terms(held.symbol)
        assert quote is not None
        assert terms is not None
        price = checks.closing_price(held.side, quote)
        done = trial.fill(order, held=held, price=price, terms=terms, market=self.market)
        assert not isinstance(done, RejectReason)
        return not self.is_below(trial)


def _read(standing: dict[str, Any]) -> dict[str, str | None]:
    """Return a dossier's standing without the trailing zeros of its margin."""
    return {**standing, "margin": _told(D(standing["margin"]))}


def _told(amount: D) -> str:
    shown = format(amount.quantize(D("1E-8"), rounding="ROUND_HALF_UP"), "f").rstrip("0").rstrip(".")
    return "0" if shown in ("-0", "") else shown


__all__ = ["CLOSED", "DISABLED", "STALE", "Opinion", "Stage", "Stopped", "new_account"]
