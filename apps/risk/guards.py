"""
Pre-trade guards, named in `TRADING_GUARDS`: kill switches, circuit breakers, trading hours, limits.

They are asked only about commands that add exposure (guarding.py), so what reduces risk is never refused. All
share one look at the controls' version per batch, a tiny prepared statement inside the batch's transaction;
controls are read anew only when it has moved. The rules are pure (domain/): nothing is decided here.
"""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Cursor

from apps.risk.domain import limit_checks
from apps.risk.domain.limit_cases import Case
from apps.risk.domain.limit_plans import Plan
from apps.risk.domain.limits import Facts
from apps.risk.domain.order_exposure import asked_of, lots_of
from apps.risk.domain.switches import Probe
from apps.risk.selectors import controls as stored
from apps.risk.selectors.batch_facts import FactsReader, Plans
from apps.risk.selectors.controls import Controls
from apps.trading.domain import checks
from apps.trading.domain.book import AccountBook
from apps.trading.domain.commands import (
    ChangeBalance,
    Command,
    ModifyOrder,
    Outcome,
    PlaceMarket,
    PlacePending,
    ReversePosition,
    TriggerOrder,
)
from apps.trading.domain.orders import IMMEDIATE, Entry, OrderType, RejectReason
from apps.trading.domain.pricing import MarketView
from apps.trading.selectors.markets import Markets
from apps.trading.services.guarding import Asked
from rtx.kernel.money import ZERO

PROVIDERS_KEPT = timedelta(seconds=1)

NEW = (PlaceMarket, PlacePending)
WORKING = (TriggerOrder, ModifyOrder)
PASSING = (PlaceMarket, PlacePending, TriggerOrder, ReversePosition)
RATE_LIMIT = RejectReason.RATE_LIMIT
ENTERS = (Entry.IN, Entry.INOUT)


class _Reader(threading.local):
    """The controls of this thread's batch, read once for all guards, and kept while the version stands."""

    def __init__(self) -> None:
        self._kept = Controls()
        self._read_at = datetime.min.replace(tzinfo=UTC)
        self._batch: tuple[int, datetime] | None = None  # which cursor, when; no cursor outlives its batch

    def controls(self, cursor: Cursor[Any], now: datetime) -> Controls:
        """Return the controls as of the batch that uses this cursor at this instant."""
        if self._batch != (id(cursor), now):
            version = stored.controls_version(cursor)
            is_old = self._kept.follows_providers and now - self._read_at >= PROVIDERS_KEPT
            if version != self._kept.version or is_old:
                self._kept, self._read_at = stored.read_controls(cursor, version), now
            self._batch = (id(cursor), now)
        return self._kept

    def forget(self) -> None:
        """Read everything again."""
        self.__init__()  # type: ignore[misc]


_reader = _Reader()


class ControlsGuard:
    """What the guards have in common: the controls of the batch."""

    def __init__(self) -> None:
        self.controls = Controls()
        self._forgotten = threading.Event()  # forget() may come from another thread than the executor's

    def begin(self, cursor: Cursor[Any], asked: Sequence[Asked], views: Markets, now: datetime) -> None:
        """Take the controls as they are now."""
        if self._forgotten.is_set():
            self._forgotten.clear()
            _reader.forget()
            self.reset()
        self.controls = _reader.controls(cursor, now)

    def refusal(self, command: Command, book: AccountBook, market: MarketView) -> RejectReason | None:
        """Object to nothing."""
        return None

    def note(self, command: Command, book: AccountBook, outcome: Outcome) -> None:
        """Learn nothing."""

    def forget(self) -> None:
        """Read everything again with the next batch."""
        self._forgotten.set()

    def reset(self) -> None:
        """Drop what this guard keeps by itself."""


def symbol_of(command: Command, book: AccountBook) -> str | None:
    """Return the symbol of a guarded command; None: it names what is no longer there."""
    if isinstance(command, NEW):
        return command.symbol
    if isinstance(command, ReversePosition):
        held = book.positions.get(command.position_id)
        return None if held is None else held.symbol
    order = book.orders.get(command.order_id) if isinstance(command, WORKING) else None
    return None if order is None else order.symbol


class KillSwitchGuard(ControlsGuard):
    """Refuses whatever adds exposure where trading was stopped."""

    def refusal(self, command: Command, book: AccountBook, market: MarketView) -> RejectReason | None:
        """Refuse `kill_switch`."""
        symbol, account = symbol_of(command, book), book.account
        if symbol and self.controls.switches.stops(
            account_id=account.id, group_id=account.group_id, symbol=symbol
        ):
            return RejectReason.KILL_SWITCH
        return None


class BreakerGuard(ControlsGuard):
    """Refuses while a circuit breaker is open, and lets its probe orders through while it is half-open."""

    def __init__(self) -> None:
        super().__init__()
        self._left: dict[int, int] = {}
        self._counted: set[int] = set()

    def begin(self, cursor: Cursor[Any], asked: Sequence[Asked], views: Markets, now: datetime) -> None:
        """Count how many probes half-open breakers still let through, of those that these orders meet."""
        super().begin(cursor, asked, views, now)
        self._left = {}
        if not self.controls.half_open:
            return
        symbols = [(symbol_of(command, book), book) for command, book in asked]
        is_unclear = any(symbol is None for symbol, _ in symbols)  # of an order this batch places
        met = {probe.state_id for symbol, book in symbols if symbol for probe in self._probes(symbol, book)}
        for one in self.controls.half_open:
            if is_unclear or one.probe.state_id in met:
                self._left[one.probe.state_id] = one.probe.orders - stored.probed(cursor, one)

    def refusal(self, command: Command, book: AccountBook, market: MarketView) -> RejectReason | None:
        """Refuse `circuit_breaker`."""
        symbol, account = symbol_of(command, book), book.account
        if symbol is None:
            return None
        if self.controls.broken.stops(account_id=account.id, group_id=account.group_id, symbol=symbol):
            return RejectReason.CIRCUIT_BREAKER
        if self._left and any(self._left.get(probe.state_id, 0) <= 0 for probe in self._probes(symbol, book)):
            return RejectReason.CIRCUIT_BREAKER
        return None

    def note(self, command: Command, book: AccountBook, outcome: Outcome) -> None:
        """Count a probe that passed."""
        is_probe = isinstance(command, PASSING) and outcome.refusal is None
        if self._left and is_probe and outcome.orders:
            for probe in self._probes(outcome.orders[0].symbol, book):
                self._left[probe.state_id] = self._left.get(probe.state_id, 0) - 1

    def _probes(self, symbol: str, book: AccountBook) -> list[Probe]:
        return [
            one.probe
            for one in self.controls.half_open
            if one.probe.concerns(account_id=book.account.id, symbol=symbol)
        ]


class TradingHoursGuard(ControlsGuard):
    """
    Refuses outside the hours that staff set. An order that will wait may be placed and changed at any time,
    as outside the symbol's session; its fill is held to the hours.
    """

    def refusal(self, command: Command, book: AccountBook, market: MarketView) -> RejectReason | None:
        """Refuse `market_closed`."""
        if not self.controls.times.calendars or isinstance(command, ModifyOrder):
            return None
        symbol, account = symbol_of(command, book), book.account
        if symbol is None or self.controls.times.is_open(
            account_id=account.id, group_id=account.group_id, symbol=symbol, now=market.now
        ):
            return None
        if isinstance(command, PlacePending) and not _fills_at_once(command, market):
            return None
        return RejectReason.MARKET_CLOSED


def _fills_at_once(command: PlacePending, market: MarketView) -> bool:
    """Say whether an order would not wait: it must fill at once, or the market is there already."""
    if command.time_in_force in IMMEDIATE:
        return True
    quote = market.client(command.symbol)
    if command.type is not OrderType.LIMIT or quote is None:
        return False
    return checks.reached(waits_as=command.type, side=command.side, price=command.price, quote=quote)


class Weighed(NamedTuple):
    """What an account's own limits say to an order; it stands while the account's `seq` does."""

    command: Command
    seq: int
    case: Case
    reason: RejectReason | None


class LimitsGuard(ControlsGuard):
    """
    Holds orders against the limits of their account, group and symbol, and of the platform.

    What an account has for itself is weighed for the whole batch in one go, which is much quicker than in
    between all that happens to an order; totals are held against when an order's turn comes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        """Forget what was counted."""
        self._reader = FactsReader()
        self._facts: Facts | None = None
        self._weighed: dict[UUID, Weighed] = {}
        self._passed: dict[UUID, tuple[Case, Decimal]] = {}

    def begin(self, cursor: Cursor[Any], asked: Sequence[Asked], views: Markets, now: datetime) -> None:
        """Read what the limits of these orders need, and weigh those that are an account's own."""
        super().begin(cursor, asked, views, now)
        self._weighed, self._passed = {}, {}
        if not self.controls.limits:
            self._facts = None
            self._reader.count_nothing()
            return
        plans: Plans = {}
        symbols: set[str] = set()
        for command, book in asked:
            symbol = symbol_of(command, book)
            if symbol is not None:
                symbols.add(symbol)
                plans.setdefault(self._plan(book, symbol), {})[book.account.id] = book
        self._facts = self._reader.read(
            cursor,
            plans=plans,
            symbols=symbols,
            views=views,
            group_id=asked[0].book.account.group_id,
            version=self.controls.version,
        )
        for command, book in asked:
            if book.grows_risk(command):
                self._weigh(command, book, views.of_group(book.account.group_id))

    def refusal(self, command: Command, book: AccountBook, market: MarketView) -> RejectReason | None:
        """Refuse with the word of the first limit that objects, an account's own before totals."""
        facts = self._facts
        if facts is None:
            return None
        known = self._weighed.get(command.command_id)
        if known is None or known.command is not command or known.seq != book.account.seq:
            known = self._weigh(command, book, market)
            if known is None:
                return None
        if known.reason is not None:
            return known.reason
        case = known.case
        reason = limit_checks.refusal(case, self._plan(book, case.asked.symbol).together)
        if reason is None and (facts.totals is not None or facts.marks_totals):
            used = case.credit_use() if facts.marks_totals else None
            self._passed[command.command_id] = (case, used[1] - used[0] if used else ZERO)
        return reason

    def note(self, command: Command, book: AccountBook, outcome: Outcome) -> None:
        """Add what an order brought to the totals, and count it as placed."""
        if isinstance(command, ChangeBalance):
            self._reader.forget_mark(book.account.id)
            return
        facts = self._facts
        if facts is None:
            return
        if isinstance(command, NEW) and outcome.refusal is not RATE_LIMIT and _is_new(outcome):
            self._reader.count(book, command.symbol, at=facts.now)
            if facts.placed_totals:
                for limit in self._plan(book, command.symbol).order_totals:
                    facts.placed_totals[limit.id] += 1
        passed = self._passed.pop(command.command_id, None)
        if passed is None or outcome.refusal is not None:
            return
        case, credit = passed
        account, symbol = book.account, case.asked.symbol
        if facts.totals is not None:
            as_asked = case.asked.fills and outcome.type == "order_filled"
            after = case.after if as_asked else lots_of(book, symbol)
            facts.totals.change(group_id=account.group_id, symbol=symbol, before=case.before, after=after)
        if credit:
            place = (account.group_id, account.currency)
            facts.credit_added[place] = facts.credit_added.get(place, ZERO) + credit

    def _weigh(self, command: Command, book: AccountBook, market: MarketView) -> Weighed | None:
        """Hold an order against its account's own limits; None: no limit concerns it."""
        assert self._facts is not None
        asked = asked_of(command, book)
        if asked is None:
            return None
        plan = self._plan(book, asked.symbol)
        if not plan.limits:
            return None
        if isinstance(command, TriggerOrder):
            market = market.at(command.raw)  # what it would fill at
        case = Case(asked=asked, book=book, market=market, facts=self._facts)
        weighed = Weighed(command, book.account.seq, case, limit_checks.refusal(case, plan.own))
        self._weighed[command.command_id] = weighed
        return weighed

    def _plan(self, book: AccountBook, symbol: str) -> Plan:
        account = book.account
        return self.controls.plan(account_id=account.id, group_id=account.group_id, symbol=symbol)


def _is_new(outcome: Outcome) -> bool:
    """Say whether an order did not just close what a netting account held, as the journal tells it."""
    deals = [deal for order in outcome.orders for deal in order.deals]
    return not deals or deals[0].entry in ENTERS
