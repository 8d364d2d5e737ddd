"""
Pre-trade guards, named in `TRADING_GUARDS`: kill switches, circuit breakers, trading hours, limits.

They are asked only about commands that add exposure (guarding.py), so what reduces risk is never refused. All
share one look at the controls' version per batch, a tiny prepared statement inside the batch's transaction;
controls are read anew only when it has moved. The rules are pure (domain/): nothing is decided here.
"""

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg import Cursor

from apps.risk.domain.limit_checks import Case
from apps.risk.domain.limits import HELD, MARKED, MINUTE, Facts, Limit, LimitKind, Mark
from apps.risk.domain.minutes import LastMinute
from apps.risk.domain.order_exposure import NOTHING, Lots, asked_of, lots_of
from apps.risk.domain.order_exposure import Asked as Order
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
    PlacePending,
    TriggerOrder,
)
from apps.trading.domain.orders import IMMEDIATE, OrderType, RejectReason
from apps.trading.domain.pricing import MarketView
from apps.trading.selectors.markets import Markets
from apps.trading.services.guarding import Asked
from rtx.kernel.money import ZERO

CORRELATIONS_KEPT = timedelta(seconds=30)
MARKS_KEPT = timedelta(seconds=1)
ACCOUNTS_KEPT = 4_096  # as many as the executor keeps books


class _Reader(threading.local):
    """The controls of this thread's batch, read once for all guards, and kept while the version stands."""

    def __init__(self) -> None:
        self._kept = Controls()
        self._batch: tuple[Cursor[Any] | None, datetime | None] = (None, None)

    def controls(self, cursor: Cursor[Any], now: datetime) -> Controls:
        """Return the controls as of the batch that uses this cursor at this instant."""
        if self._batch[0] is not cursor or self._batch[1] != now:
            version = stored.controls_version(cursor)
            if version != self._kept.version:
                self._kept = stored.read_controls(cursor, version)
            self._batch = (cursor, now)
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
    if isinstance(command, TriggerOrder | ModifyOrder):
        order = book.orders.get(command.order_id)
        return None if order is None else order.symbol
    return getattr(command, "symbol", None)


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
        if self._left and outcome.refusal is None and outcome.orders:
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
        self._correlated_at: datetime | None = None
        self._correlations: dict[tuple[str, str], Decimal] = {}
        self._before: dict[UUID, tuple[Order, Lots, Decimal]] = {}

    def begin(self, cursor: Cursor[Any], asked: Sequence[Asked], views: Markets, now: datetime) -> None:
        """Read what the limits of these orders need."""
        super().begin(cursor, asked, views, now)
        self._facts = facts = Facts(now=now)
        self._before = {}
        if not self.controls.limits:
            return
        concerned: dict[LimitKind, dict[int, Limit]] = {}
        accounts: dict[LimitKind, set[int]] = {}
        symbols: set[str] = set()
        for command, book in asked:
            symbol = symbol_of(command, book)
            if symbol is None:
                continue
            symbols.add(symbol)
            for limit in self._limits_of(book, symbol):
                concerned.setdefault(limit.kind, {})[limit.id] = limit
                if limit.is_own:
                    accounts.setdefault(limit.kind, set()).add(book.account.id)
        self._read_totals(cursor, concerned, symbols)
        books = {book.account.id: book for _, book in asked}
        self._read_marks(cursor, concerned, accounts, books)
        self._read_placed(cursor, concerned, accounts, books)
        if LimitKind.CORRELATED_EXPOSURE in concerned:
            if self._correlated_at is None or now - self._correlated_at > CORRELATIONS_KEPT:
                self._correlations, self._correlated_at = correlations(), now
            facts.correlations = self._correlations

    def refusal(self, command: Command, book: AccountBook, market: MarketView) -> RejectReason | None:
        """Refuse with the word of the first limit that objects."""
        if not self.controls.limits or self._facts is None:
            return None
        asked = asked_of(command, book)
        if asked is None:
            return None
        if isinstance(command, TriggerOrder):
            market = market.at(command.raw)  # what it would fill at
        case = Case(asked=asked, book=book, market=market, facts=self._facts)
        for limit in self._limits_of(book, asked.symbol):
            reason = case.refusal(limit)
            if reason:
                return reason
        if self._facts.totals is not None or self._facts.marks_totals:
            used = case.credit_use() if self._facts.marks_totals else None
            added = used[1] - used[0] if used else ZERO
            self._before[command.command_id] = (asked, case.before, added)
        return None

    def note(self, command: Command, book: AccountBook, outcome: Outcome) -> None:
        """Add what an order brought to the totals, and count it as placed."""
        facts = self._facts
        if isinstance(command, ChangeBalance):
            self._marks.pop(book.account.id, None)  # they move by what was paid in or out
            return
        if facts is None or not self.controls.limits:
            return
        if not isinstance(command, TriggerOrder | ModifyOrder) and (
            outcome.refusal is not RejectReason.RATE_LIMIT
        ):
            self._count(book, str(getattr(command, "symbol", "")))
        kept = self._before.pop(command.command_id, None)
        if kept is None or outcome.refusal is not None:
            return
        asked, before, credit = kept
        group_id = book.account.group_id
        if facts.totals is not None:
            after, key = lots_of(book, asked.symbol), (group_id, asked.symbol)
            facts.totals[key] = facts.totals.get(key, NOTHING).plus(after, minus=before)
        if credit:
            place = (group_id, book.account.currency)
            facts.credit_added[place] = facts.credit_added.get(place, ZERO) + credit

    def _count(self, book: AccountBook, symbol: str) -> None:
        facts = self._facts
        assert facts is not None
        kept = self._placed.get(book.account.id)
        if kept is not None and kept[0] is book:
            kept[1].add(facts.now, symbol)
        for limit in self._limits_of(book, symbol) if facts.placed_totals else ():
            if limit.id in facts.placed_totals:
                facts.placed_totals[limit.id] += 1

    def _limits_of(self, book: AccountBook, symbol: str) -> tuple[Limit, ...]:
        account = book.account
        return self.controls.limits_of(account_id=account.id, group_id=account.group_id, symbol=symbol)

    def _read_totals(
        self, cursor: Cursor[Any], concerned: dict[LimitKind, dict[int, Limit]], symbols: set[str]
    ) -> None:
        """Read what all accounts hold, of the symbols and groups that total limits count."""
        wanted = [limit for kind in HELD for limit in concerned.get(kind, {}).values() if not limit.is_own]
        if not wanted:
            return
        assert self._facts is not None
        every_symbol = any(
            limit.symbol is None and limit.kind is not LimitKind.SYMBOL_EXPOSURE for limit in wanted
        )
        self._facts.totals = limit_facts.read_totals(
            cursor, symbols=None if every_symbol else sorted(symbols), groups=_groups(wanted)
        )

    def _read_marks(
        self,
        cursor: Cursor[Any],
        concerned: dict[LimitKind, dict[int, Limit]],
        accounts: dict[LimitKind, set[int]],
        books: dict[int, AccountBook],
    ) -> None:
        """
        Read marks; an account's are kept for a moment while nobody else changes it (see `_read_placed`).
        """
        assert self._facts is not None
        now, own = self._facts.now, {one for kind in MARKED for one in accounts.get(kind, ())}
        known = {}
        for account_id in own:
            kept = self._marks.get(account_id)
            if kept and kept[0] is books[account_id] and now - kept[1] < MARKS_KEPT:
                known[account_id] = kept[2]
        if len(known) < len(own):
            if len(self._marks) > ACCOUNTS_KEPT:
                self._marks.clear()
            for account_id, mark in limit_facts.read_marks(cursor, own - known.keys(), now=now).items():
                self._marks[account_id] = (books[account_id], now, mark)
                known[account_id] = mark
        self._facts.marks = known
        kinds = (*MARKED, LimitKind.CREDIT_USE)
        totals = [limit for kind in kinds for limit in concerned.get(kind, {}).values() if not limit.is_own]
        if totals:
            self._facts.marks_totals = limit_facts.read_marks_totals(
                cursor, groups=_groups(totals), now=self._facts.now
            )

    def _read_placed(
        self,
        cursor: Cursor[Any],
        concerned: dict[LimitKind, dict[int, Limit]],
        accounts: dict[LimitKind, set[int]],
        books: dict[int, AccountBook],
    ) -> None:
        """
        Read the new orders of the last minute. An account's are read once and then counted along: as long
        as the executor keeps the very same book, nobody else has changed the account and nothing was rolled
        back.
        """
        facts = self._facts
        assert facts is not None
        since = facts.now - MINUTE
        wanted = accounts.get(LimitKind.ORDERS_PER_MINUTE, set())
        unknown = {
            account_id: books[account_id].account.seq
            for account_id in wanted
            if account_id not in self._placed or self._placed[account_id][0] is not books[account_id]
        }
        if unknown:
            if len(self._placed) + len(unknown) > ACCOUNTS_KEPT:
                self._placed.clear()
                unknown = {account_id: books[account_id].account.seq for account_id in wanted}
            for account_id in unknown:
                self._placed[account_id] = (books[account_id], LastMinute())
            for account_id, at, symbol in limit_facts.read_placed(cursor, unknown, since=since):
                self._placed[account_id][1].add(at, symbol)
        facts.placed = {account_id: self._placed[account_id][1] for account_id in wanted}
        for limit in concerned.get(LimitKind.ORDERS_PER_MINUTE, {}).values():
            if not limit.is_own:
                facts.placed_totals[limit.id] = limit_facts.read_placed_total(cursor, limit, since=since)


def _groups(limits: list[Limit]) -> list[int] | None:
    """Return the groups that totals count; None: all of them."""
    groups = {limit.group_id for limit in limits}
    return None if None in groups else sorted(group for group in groups if group is not None)
