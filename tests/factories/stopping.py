"""Accounts that traded for real, to be brought down and stopped out, and what to look at afterwards."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import orjson

from apps.accounts.domain.ledger import BalanceKind, Ledger
from apps.groups.domain.terms import GroupSpec, Override, resolve
from apps.market.domain.quotes import Quote
from apps.market.domain.symbols import TradeMode
from apps.trading.domain import commands as c
from apps.trading.domain import deals
from apps.trading.domain.book import AccountBook
from apps.trading.domain.holdings import Holdings
from apps.trading.domain.orders import OrderReason, OrderStatus
from apps.trading.domain.pricing import ConversionTable, MarketView
from apps.trading.domain.replaying import Replay
from rtx.kernel.money import ZERO, booked
from tests.factories.books import NEVER, stop_out
from tests.factories.stopping_opinion import CLOSED, DISABLED, STALE, AccountBookOf, Opinion, read
from tests.factories.walks import Walk

D = Decimal
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
        assert read(self.told["before"]) == opinion.told(shadow)
        for step in self.steps:
            assert opinion.is_below(shadow), "a step was taken above the level"
            assert read(step["before"]) == opinion.told(shadow)
            if step["action"] == "cancel":
                opinion.check_cancel(shadow, step)
                shadow.drop_order(next(canceled).id)
            else:
                opinion.check_close(shadow, step)
                [deal] = next(closes).deals
                held = shadow.positions[deal.position_id]
                shadow.book_deal(deal, deals.settle(deal, position=held, currency=self.stage.group.currency))
            assert read(step["after"]) == opinion.told(shadow)
        assert next(closes, None) is None
        assert next(canceled, None) is None
        self._check_end(shadow, opinion)
        self._check_money()
        self._check_journal()

    def _check_end(self, shadow: AccountBook, opinion: Opinion) -> None:
        book = self.stage.book
        assert shadow.positions == book.positions
        assert set(shadow.orders) == set(book.orders)
        assert read(self.told["after"]) == opinion.told(shadow)
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
