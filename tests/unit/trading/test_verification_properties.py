"""Whatever commands come in whatever order: the ledger balances, margin holds, the journal replays."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.accounts.domain.ledger import BalanceKind, Ledger
from apps.groups.domain.terms import Commission, CommissionCharge, CommissionMode, PositionMode, resolve
from apps.market.domain.quotes import Quote
from apps.trading.domain import margin
from apps.trading.domain.book import AccountBook
from apps.trading.domain.commands import (
    ChangeAccount,
    ChangeBalance,
    ClosePosition,
    Command,
    Outcome,
    PlaceMarket,
)
from apps.trading.domain.filling import PositionNotFound
from apps.trading.domain.holdings import Account
from apps.trading.domain.operations import AmountInvalid
from apps.trading.domain.orders import Side
from apps.trading.domain.pricing import ConversionTable, MarketView
from apps.trading.domain.replaying import Replay
from rtx.kernel.money import ZERO, booked
from tests.factories.books import GROUP, NOON, NOON_MS, QUOTES, SYMBOLS, TRADER

D = Decimal
CURRENCIES = ["USD", "EUR", "GBP", "JPY"]

_commissions = st.builds(
    Commission,
    st.sampled_from(list(CommissionMode)),
    st.decimals("0", "20", places=2),
    st.sampled_from(list(CommissionCharge)),
)
_groups = st.builds(
    lambda mode, currency, commission, bid, ask, leverage: replace(
        GROUP,
        position_mode=mode,
        currency=currency,
        commission=commission,
        markup_bid_points=D(bid),
        markup_ask_points=D(ask),
        leverage_max=leverage,
    ),
    st.sampled_from(list(PositionMode)),
    st.sampled_from(CURRENCIES),
    _commissions,
    st.integers(0, 9),
    st.integers(0, 9),
    st.sampled_from([30, 100, 500]),
)
_lots = st.integers(1, 300).map(lambda steps: D(steps) / 100)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("order"), st.sampled_from(sorted(SYMBOLS)), st.sampled_from(list(Side)), _lots),
        st.tuples(st.just("close"), st.integers(0, 5), st.none() | _lots),
        st.tuples(
            st.just("quote"), st.sampled_from(sorted(QUOTES)), st.integers(-300, 300), st.integers(1, 30)
        ),
        st.tuples(st.just("money"), st.sampled_from(list(BalanceKind)), st.integers(-900_000, 900_000)),
        st.tuples(st.just("leverage"), st.sampled_from([10, 50, 200])),
    ),
    min_size=1,
    max_size=25,
)


class Run:
    """A book driven by random steps, with everything that it said."""

    def __init__(self, group: Any) -> None:
        self.group = group
        self.account = Account(
            id=1,
            login=100001,
            group_id=1,
            currency=group.currency,
            position_mode=group.position_mode,
            leverage=100,
        )
        self.book = AccountBook(account=self.account, tickets=count(1))
        self.prices = {name: (D(bid), D(ask)) for name, (bid, ask) in QUOTES.items()}
        self.outcomes: list[Outcome] = []
        self._numbers = count(1)
        self._terms = {
            name: resolve(symbol=spec, group=group, override=None, version=1)
            for name, spec in SYMBOLS.items()
        }
        self._conversions = ConversionTable(SYMBOLS.values())

    def market(self) -> MarketView:
        """The present prices."""
        return MarketView(
            quotes={name: Quote(name, bid, ask, NOON_MS) for name, (bid, ask) in self.prices.items()},
            terms=self._terms,
            symbols=SYMBOLS,
            conversions=self._conversions,
            now=NOON,
            now_ms=NOON_MS,
            version=1,
        )

    def commands(self, steps: list[Any]) -> Iterator[tuple[Command, Outcome, Decimal]]:
        """Apply steps; yield each command with its outcome and the margin before it."""
        deposit = ("money", BalanceKind.DEPOSIT, 2_000_000)
        for step in [deposit, *steps]:
            if step[0] == "quote":
                self._move(*step[1:])
                continue
            command = self._command(*step)
            before = self.account.margin
            try:
                outcome = self.book.apply(command, market=self.market(), now=NOON)
            except (PositionNotFound, AmountInvalid):
                continue  # a caller's mistake: no event
            self.outcomes.append(outcome)
            yield command, outcome, before

    def _move(self, name: str, points: int, spread: int) -> None:
        point = SYMBOLS[name].point
        bid = self.prices[name][0] + points * point
        self.prices[name] = (bid, bid + spread * point)

    def _command(self, kind: str, *values: Any) -> Command:
        number = next(self._numbers)
        base: dict[str, Any] = {"account_id": 1, "command_id": UUID(int=number), "actor": TRADER}
        if kind == "order":
            symbol, side, lots = values
            return PlaceMarket(**base, client_order_id=str(number), symbol=symbol, side=side, volume=lots)
        if kind == "close":
            index, lots = values
            held = sorted(self.book.positions)
            position = held[index % len(held)] if held else 0
            return ClosePosition(**base, client_order_id=str(number), position_id=position, volume=lots)
        if kind == "money":
            sort, cents = values
            amount = booked(D(cents) / 100, self.group.currency)
            return ChangeBalance(**base, kind=sort, amount=amount, reference=str(number))
        return ChangeAccount(**base, leverage=values[0])


def _margin_again(book: AccountBook) -> Decimal:
    symbols = {position.symbol for position in book.positions.values()}
    need = sum((margin.of_symbol(book.of_symbol(symbol)) for symbol in symbols), ZERO)
    return booked(need, book.account.currency)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_groups, _steps)
def test_money_adds_up_after_every_command(group, steps):
    run = Run(group)
    totals = dict.fromkeys(Ledger, ZERO)
    for command, outcome, margin_before in run.commands(steps):
        assert sum((line.amount for line in outcome.lines), ZERO) == 0
        for line in outcome.lines:
            totals[line.ledger] += line.amount
            assert line.amount == booked(line.amount, group.currency)
        account = run.account
        assert account.balance == totals[Ledger.CLIENT]
        assert account.credit == totals[Ledger.CREDIT]
        assert account.margin == _margin_again(run.book)
        assert outcome.seq == account.seq == len(run.outcomes)
        if outcome.refusal:
            assert not outcome.lines
        elif isinstance(command, PlaceMarket) and account.margin > margin_before:
            assert run.book.valuation(run.market()).free_margin >= 0
        if group.position_mode is PositionMode.NETTING:
            held = [position.symbol for position in run.book.positions.values()]
            assert len(held) == len(set(held))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_groups, _steps)
def test_the_journal_replays_to_the_same_account(group, steps):
    run = Run(group)
    for _ in run.commands(steps):
        pass
    again = Replay(
        account=Account(
            id=1,
            login=100001,
            group_id=1,
            currency=group.currency,
            position_mode=group.position_mode,
            leverage=100,
        )
    )

    lines = []
    for outcome in run.outcomes:
        payload = orjson.loads(orjson.dumps(outcome.payload))
        lines.append(again.replay(seq=outcome.seq, type_=outcome.type, payload=payload))

    assert again.account == run.account
    assert again.positions == run.book.positions
    assert lines == [outcome.lines for outcome in run.outcomes]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_groups, _steps)
def test_the_same_commands_give_the_same_events(group, steps):
    first, second = Run(group), Run(group)
    for run in (first, second):
        for _ in run.commands(steps):
            pass

    assert [o.payload for o in first.outcomes] == [o.payload for o in second.outcomes]


def test_random_steps_do_trade():
    """The properties above would hold for books that never fill anything; these steps do."""
    run = Run(GROUP)
    steps: list[Any] = [
        ("order", "EURUSD", Side.BUY, D(1)),
        ("quote", "EURUSD", 50, 10),
        ("order", "EURGBP", Side.SELL, D(1)),
        ("close", 0, D("0.5")),
        ("leverage", 50),
        ("close", 0, None),
    ]

    types = [outcome.type for _, outcome, _ in run.commands(steps)]

    assert types == ["balance_changed", *["order_filled"] * 3, "account_changed", "order_filled"]
