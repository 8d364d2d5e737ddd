"""
Pre-trade guards, named in `TRADING_GUARDS`: kill switches, circuit breakers, trading hours, limits.

They are asked only about commands that add exposure (guarding.py), so what reduces risk is never refused. All
share one look at the controls' version per batch, a tiny prepared statement inside the batch's transaction;
controls are read anew only when it has moved. The rules are pure (domain/): nothing is decided here.
"""

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg import Cursor

from apps.market.domain.symbols import SymbolSpec
from apps.risk.domain.limit_checks import Case
from apps.risk.domain.limits import Facts, Limit, LimitKind, Mark, Plan
from apps.risk.domain.minutes import MINUTE, LastMinute
from apps.risk.domain.order_exposure import asked_of, lots_of
from apps.risk.domain.switches import Probe
from apps.risk.selectors import controls as stored
from apps.risk.selectors import limit_facts
from apps.risk.selectors.controls import Controls
from apps.risk.selectors.correlations import correlations
from apps.trading.domain import checks
from apps.trading.domain.book import AccountBook
from apps.trading.domain.commands import (
    ChangeBalance,
    Command,
    ModifyOrder,
    Outcome,
    PlaceMarket,
    PlacePending,
    TriggerOrder,
)
from apps.trading.domain.orders import IMMEDIATE, Entry, OrderType, RejectReason
from apps.trading.domain.pricing import MarketView
from apps.trading.selectors.markets import Markets
from apps.trading.services.guarding import Asked
from rtx.kernel.money import ZERO

MARKS_KEPT = timedelta(seconds=1)
PROVIDERS_KEPT = timedelta(seconds=1)
ACCOUNTS_KEPT = 4_096  # as many as the executor keeps books
AT_COST = frozenset({LimitKind.CURRENCY_EXPOSURE, LimitKind.CORRELATED_EXPOSURE})

NEW = (PlaceMarket, PlacePending)
WORKING = (TriggerOrder, ModifyOrder)
PASSING = (PlaceMarket, PlacePending, TriggerOrder)
RATE_LIMIT = RejectReason.RATE_LIMIT
ENTERS = (Entry.IN, Entry.INOUT)
Plans = dict[Plan, dict[int, AccountBook]]


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
    """Return the symbol of a guarded command; None: it names an order that does not work any more."""
    if isinstance(command, NEW):
        return command.symbol
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
        """Count how many probes half-open breakers still let through."""
        super().begin(cursor, asked, views, now)
        self._left = {
            one.probe.state_id: one.probe.orders - stored.probed(cursor, one)
            for one in self.controls.half_open
        }

    def refusal(self, command: Command, book: AccountBook, market: MarketView) -> RejectReason | None:
        """Refuse `circuit_breaker`."""
        symbol, account = symbol_of(command, book), book.account
        if symbol is None:
            return None
        if self.controls.broken.stops(account_id=account.id, group_id=account.group_id, symbol=symbol):
            return RejectReason.CIRCUIT_BREAKER
        if any(self._left[probe.state_id] <= 0 for probe in self._probes(symbol, book)):
            return RejectReason.CIRCUIT_BREAKER
        return None

    def note(self, command: Command, book: AccountBook, outcome: Outcome) -> None:
        """Count a probe that passed."""
        is_probe = isinstance(command, PASSING) and outcome.refusal is None
        if self._left and is_probe and outcome.orders:
            for probe in self._probes(outcome.orders[0].symbol, book):
                self._left[probe.state_id] -= 1

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


class LimitsGuard(ControlsGuard):
    """Holds orders against the limits of their account, group and symbol, and of the platform."""

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        """Forget what was counted."""
        self._facts: Facts | None = None
        self._placed: dict[int, tuple[AccountBook, LastMinute]] = {}
        self._marks: dict[int, tuple[AccountBook, datetime, Mark]] = {}
        self._correlated_as_of: int | None = None  # version of the controls, which overrides move too
        self._correlations: dict[tuple[str, str], Decimal] = {}
        self._passed: dict[UUID, tuple[Case, Decimal]] = {}
        self._costs: dict[str, Decimal] = {}

    def begin(self, cursor: Cursor[Any], asked: Sequence[Asked], views: Markets, now: datetime) -> None:
        """Read what the limits of these orders need."""
        super().begin(cursor, asked, views, now)
        self._facts = Facts(now=now)
        self._passed = {}
        if not self.controls.limits:
            self._placed.clear()  # nothing counts along
            return
        plans: dict[Plan, dict[int, AccountBook]] = {}
        symbols: set[str] = set()
        for command, book in asked:
            symbol = symbol_of(command, book)
            if symbol is not None:
                symbols.add(symbol)
                plans.setdefault(self._plan(book, symbol), {})[book.account.id] = book
        self._read_totals(cursor, plans, symbols, views.book.symbols)
        self._read_costs(cursor, plans, views.of_group(asked[0].book.account.group_id))
        self._read_marks(cursor, plans)
        self._read_placed(cursor, plans)
        if any(limit.kind is LimitKind.CORRELATED_EXPOSURE for plan in plans for limit in plan.limits):
            if self._correlated_as_of != self.controls.version:
                self._correlations, self._correlated_as_of = correlations(), self.controls.version
            self._facts.correlations = self._correlations

    def refusal(self, command: Command, book: AccountBook, market: MarketView) -> RejectReason | None:
        """Refuse with the word of the first limit that objects."""
        facts = self._facts
        if facts is None or not self.controls.limits:
            return None
        asked = asked_of(command, book)
        if asked is None:
            return None
        limits = self._plan(book, asked.symbol).limits
        if not limits:
            return None
        if isinstance(command, TriggerOrder):
            market = market.at(command.raw)  # what it would fill at
        case = Case(asked=asked, book=book, market=market, facts=facts)
        reason = case.refusal(limits)
        if reason is None and (facts.totals is not None or facts.marks_totals):
            used = case.credit_use() if facts.marks_totals else None
            self._passed[command.command_id] = (case, used[1] - used[0] if used else ZERO)
        return reason

    def note(self, command: Command, book: AccountBook, outcome: Outcome) -> None:
        """Add what an order brought to the totals, and count it as placed."""
        facts = self._facts
        if isinstance(command, ChangeBalance):
            self._marks.pop(book.account.id, None)  # they move by what was paid in or out
            return
        if facts is None or not self.controls.limits:
            return
        if isinstance(command, NEW) and outcome.refusal is not RATE_LIMIT and _is_new(outcome):
            self._count(book, command.symbol)
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

    def _count(self, book: AccountBook, symbol: str) -> None:
        facts = self._facts
        assert facts is not None
        kept = self._placed.get(book.account.id)
        if kept is not None and kept[0] is book:
            kept[1].add(facts.now, symbol)
        if facts.placed_totals:
            for limit in self._plan(book, symbol).order_totals:
                facts.placed_totals[limit.id] += 1

    def _plan(self, book: AccountBook, symbol: str) -> Plan:
        account = book.account
        return self.controls.plan(account_id=account.id, group_id=account.group_id, symbol=symbol)

    def _read_totals(
        self, cursor: Cursor[Any], plans: Plans, symbols: set[str], specs: Mapping[str, SymbolSpec]
    ) -> None:
        """Read what all accounts hold, of the symbols and groups that total limits count."""
        wanted = [limit for plan in plans for limit in plan.totals]
        if not wanted:
            return
        assert self._facts is not None
        every_symbol = any(
            limit.symbol is None and limit.kind is not LimitKind.SYMBOL_EXPOSURE for limit in wanted
        )
        self._facts.totals = limit_facts.read_totals(
            cursor,
            symbols=None if every_symbol else sorted(specs[name].id for name in symbols if name in specs),
            groups=_groups(wanted),
            by_group=any(limit.group_id is not None for limit in wanted),
        )

    def _read_costs(self, cursor: Cursor[Any], plans: Plans, market: MarketView) -> None:
        """Read what those symbols cost that totals count and nobody has a price of; it moves no more then."""
        facts = self._facts
        assert facts is not None
        kinds = {limit.kind for plan in plans for limit in plan.totals}
        if facts.totals is None or not kinds & AT_COST:
            return
        unpriced = {symbol for symbol in facts.totals.symbols if market.raw(symbol) is None}
        if unpriced - self._costs.keys():
            self._costs.update(limit_facts.read_costs(cursor, sorted(unpriced - self._costs.keys())))
        facts.costs = self._costs

    def _read_marks(self, cursor: Cursor[Any], plans: Plans) -> None:
        """
        Read marks; an account's are kept for a moment while nobody else changes it (see `_read_placed`).
        """
        facts = self._facts
        assert facts is not None
        now, missing = facts.now, {}
        for plan, books in plans.items():
            for account_id, book in books.items() if plan.own_marks else ():
                kept = self._marks.get(account_id)
                if kept is not None and kept[0] is book and now - kept[1] < MARKS_KEPT:
                    facts.marks[account_id] = kept[2]
                else:
                    missing[account_id] = book
        if missing:
            if len(self._marks) > ACCOUNTS_KEPT:
                self._marks.clear()
            for account_id, mark in limit_facts.read_marks(cursor, missing, now=now).items():
                self._marks[account_id] = (missing[account_id], now, mark)
                facts.marks[account_id] = mark
        totals = [limit for plan in plans for limit in plan.marked]
        if totals:
            facts.marks_totals = limit_facts.read_marks_totals(cursor, groups=_groups(totals), now=now)

    def _read_placed(self, cursor: Cursor[Any], plans: Plans) -> None:
        """
        Read the new orders of the last minute. An account's are read once and then counted along: as long
        as the executor keeps the very same book, nobody else has changed the account and nothing was rolled
        back.
        """
        facts = self._facts
        assert facts is not None
        since, unknown = facts.now - MINUTE, {}
        if len(self._placed) > ACCOUNTS_KEPT:
            self._placed.clear()
        for plan, books in plans.items():
            for account_id, book in books.items() if plan.counts_orders else ():
                kept = self._placed.get(account_id)
                if kept is None or kept[0] is not book:
                    unknown[account_id] = book.account.seq
                    kept = self._placed[account_id] = (book, LastMinute())
                facts.placed[account_id] = kept[1]
        if unknown:
            for account_id, at, symbol in limit_facts.read_placed(cursor, unknown, since=since):
                self._placed[account_id][1].add(at, symbol)
        for limit in {limit for plan in plans for limit in plan.order_totals}:
            facts.placed_totals[limit.id] = limit_facts.read_placed_total(cursor, limit, since=since)


def _is_new(outcome: Outcome) -> bool:
    """Say whether an order did not just close what a netting account held, as the journal tells it."""
    deals = [deal for order in outcome.orders for deal in order.deals]
    return not deals or deals[0].entry in ENTERS


def _groups(limits: list[Limit]) -> list[int] | None:
    """Return the groups that totals count; None: all of them."""
    groups = {limit.group_id for limit in limits}
    return None if None in groups else sorted(group for group in groups if group is not None)
