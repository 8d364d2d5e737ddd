"""Random histories of one account, made by its book: the events as the journal would keep them."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

import orjson
from hypothesis import strategies as st

from apps.accounts.domain.ledger import BalanceKind, Ledger, Line
from apps.groups.domain.terms import Commission, CommissionCharge, CommissionMode, PositionMode, resolve
from apps.market.domain.quotes import Quote
from apps.trading.domain.book import AccountBook
from apps.trading.domain.commands import (
    CancelOrder,
    ChangeBalance,
    ChargeSwaps,
    CloseAll,
    CloseBy,
    ClosePosition,
    Command,
    PlaceMarket,
    PlacePending,
    SwapDue,
)
from apps.trading.domain.holdings import Account
from apps.trading.domain.orders import OrderType, Side
from apps.trading.domain.pricing import ConversionTable, MarketView
from apps.trading.domain.statements import JournalEvent
from rtx.kernel.errors import RtxError
from rtx.kernel.money import booked
from tests.factories.books import GROUP, QUOTES, SYMBOLS, TRADER

D = Decimal
BEGIN = datetime.fromisoformat("2026-01-05T00:00:00+00:00")
CHARGED = replace(GROUP, commission=Commission(CommissionMode.PER_LOT, D("3.5"), CommissionCharge.BOTH))

_lots = st.integers(1, 200).map(lambda steps: D(steps) / 100)
_symbols = st.sampled_from(sorted(SYMBOLS))
_sides = st.sampled_from(list(Side))
steps = st.lists(
    st.tuples(
        st.integers(-1, 40_000),  # seconds that pass; -1: another machine's clock
        st.one_of(
            st.tuples(st.just("order"), _symbols, _sides, _lots),
            st.tuples(st.just("pending"), _symbols, _sides, _lots),
            st.tuples(st.just("cancel"), st.integers(0, 3)),
            st.tuples(st.just("close"), st.integers(0, 5), st.none() | _lots),
            st.tuples(st.just("close_by"), st.integers(0, 5), st.integers(0, 5)),
            st.tuples(st.just("close_all")),
            st.tuples(st.just("quote"), _symbols, st.integers(-300, 300), st.integers(1, 30)),
            st.tuples(st.just("money"), st.sampled_from(list(BalanceKind)), st.integers(-90_000, 90_000)),
            st.tuples(st.just("night"), st.integers(-500, 200)),
        ),
    ),
    min_size=1,
    max_size=25,
)
modes = st.sampled_from(list(PositionMode))


class History:
    """What happens to an account that random steps drive, in order."""

    def __init__(self, *, mode: PositionMode = PositionMode.HEDGING) -> None:
        self.group = replace(CHARGED, position_mode=mode)
        self.account = self.fresh()
        self.account.seq = 1
        self.book = AccountBook(account=self.account, tickets=count(1))
        self.now = BEGIN
        self.prices = {name: (D(bid), D(ask)) for name, (bid, ask) in QUOTES.items()}
        opened = {"login": 100001, "currency": "USD", "position_mode": mode.value, "leverage": 100}
        self.events = [JournalEvent(1, "account_opened", BEGIN, opened)]
        self._numbers = count(1)
        self._held: list[int] = []  # every position there ever was
        self._terms = {
            name: resolve(symbol=spec, group=self.group, override=None, version=1)
            for name, spec in SYMBOLS.items()
        }
        self._conversions = ConversionTable(SYMBOLS.values())

    def fresh(self) -> Account:
        """Return the account as it was opened."""
        return Account(
            id=1,
            login=100001,
            group_id=1,
            currency="USD",
            position_mode=self.group.position_mode,
            leverage=100,
        )

    def market(self, at: datetime) -> MarketView:
        """Return the present prices as of an instant."""
        now_ms = int(at.timestamp() * 1000)
        return MarketView(
            quotes={name: Quote(name, bid, ask, now_ms) for name, (bid, ask) in self.prices.items()},
            terms=self._terms,
            symbols=SYMBOLS,
            conversions=self._conversions,
            now=at,
            now_ms=now_ms,
            version=1,
        )

    def run(self, given: list[Any]) -> "History":
        """Deposit money, then do the steps; a caller's mistake leaves no event."""
        for seconds, step in [(60, ("money", BalanceKind.DEPOSIT, 2_000_000)), *given]:
            self.now += timedelta(seconds=seconds)
            if step[0] == "quote":
                self._move(*step[1:])
            elif (command := self._command(*step)) is not None:
                self._do(command)
        return self

    def _do(self, command: Command) -> None:
        try:
            outcome = self.book.apply(command, market=self.market(self.now), now=self.now)
        except RtxError:
            return
        self._held += [found for found in self.book.positions if found not in self._held]
        payload = orjson.loads(orjson.dumps(outcome.payload))
        client, credit = (_sum(outcome.lines, ledger) for ledger in (Ledger.CLIENT, Ledger.CREDIT))
        self.events.append(JournalEvent(outcome.seq, outcome.type, self.now, payload, client, credit))

    def _move(self, name: str, points: int, spread: int) -> None:
        point = SYMBOLS[name].point
        bid = self.prices[name][0] + points * point
        self.prices[name] = (bid, bid + spread * point)

    def _command(self, kind: str, *values: Any) -> Command | None:
        number = next(self._numbers)
        base: dict[str, Any] = {"account_id": 1, "command_id": UUID(int=number), "actor": TRADER}
        named = {**base, "client_order_id": str(number)}
        positions, orders = list(self.book.positions), list(self.book.orders)
        if kind == "order":
            symbol, side, lots = values
            return PlaceMarket(**named, symbol=symbol, side=side, volume=lots)
        if kind == "pending":
            symbol, side, lots = values
            away = D("0.9") if side is Side.BUY else D("1.1")
            price = (self.prices[symbol][0] * away).quantize(SYMBOLS[symbol].point)
            return PlacePending(
                **named, symbol=symbol, side=side, volume=lots, type=OrderType.LIMIT, price=price
            )
        if kind == "cancel":
            return CancelOrder(**base, order_id=orders[values[0] % len(orders)]) if orders else None
        if kind == "money":
            amount = booked(D(values[1]) / 100, "USD")
            return ChangeBalance(**base, kind=values[0], amount=amount, reference=str(number))
        if kind == "close_all":
            return CloseAll(**named)
        if kind == "night":
            return self._night(base, values[0])
        if not positions:
            return None
        held = positions[values[0] % len(positions)]
        if kind == "close":
            return ClosePosition(**named, position_id=held, volume=values[1])
        return CloseBy(**named, position_id=held, opposite_id=positions[values[1] % len(positions)])

    def _night(self, base: dict[str, Any], cents: int) -> ChargeSwaps | None:
        """Charge the last positions there were: those closed meanwhile pay at once."""
        due = [
            SwapDue(
                position_id=held,
                symbol="EURUSD",
                kind="swap" if held % 2 else "admin_fee",
                side=Side.BUY,
                volume=D("0.10"),
                mode="money",
                value=D(cents) / 100,
                multiplier=1,
                price=None,
                rate=D(1),
                amount=D(cents) / 100,
                terms_version=1,
            )
            for held in self._held[-3:]
        ]
        if not due:
            return None
        return ChargeSwaps(**base, date=self.now.date(), rolled_at=self.now, charges=tuple(due))


def _sum(lines: list[Line], ledger: Ledger) -> Decimal:
    return sum((line.amount for line in lines if line.ledger is ledger), D(0))
