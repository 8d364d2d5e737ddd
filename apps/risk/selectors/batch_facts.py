"""
Gathers what the limits of one batch need, and keeps between batches what nobody else can have changed. Reads
only.

What is kept of an account belongs to the very book that the executor keeps: as long as that is the same
object, nobody else has changed the account and nothing was rolled back.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from psycopg import Cursor

from apps.market.domain.symbols import SymbolSpec
from apps.risk.domain.limit_plans import Plan
from apps.risk.domain.limits import Facts, Limit, LimitKind, Mark
from apps.risk.domain.minutes import MINUTE, LastMinute
from apps.risk.selectors import limit_facts
from apps.risk.selectors.correlations import correlations
from apps.trading.domain.book import AccountBook
from apps.trading.domain.pricing import MarketView
from apps.trading.selectors.markets import Markets

MARKS_KEPT = timedelta(seconds=1)
ACCOUNTS_KEPT = 4_096  # as many as the executor keeps books
AT_COST = frozenset({LimitKind.CURRENCY_EXPOSURE, LimitKind.CORRELATED_EXPOSURE})

Plans = dict[Plan, dict[int, AccountBook]]  # whose orders a plan holds for


class FactsReader:
    """What one executor's limits are held against. Not thread safe."""

    def __init__(self) -> None:
        self._placed: dict[int, tuple[AccountBook, LastMinute]] = {}
        self._marks: dict[int, tuple[AccountBook, datetime, Mark]] = {}
        self._correlated_as_of: int | None = None  # version of the controls, which overrides move too
        self._correlations: dict[tuple[str, str], Decimal] = {}
        self._costs: dict[str, Decimal] = {}
        self._facts = Facts(now=datetime.min.replace(tzinfo=UTC))

    def read(
        self,
        cursor: Cursor[Any],
        *,
        plans: Plans,
        symbols: set[str],
        views: Markets,
        group_id: int,
        version: int,
    ) -> Facts:
        """
        Read what the limits of a batch need: orders on `symbols`, prices as a group sees them, controls as of
        `version`.
        """
        self._facts = facts = Facts(now=views.now)
        self._read_totals(cursor, plans, symbols, views.book.symbols)
        self._read_costs(cursor, plans, views.of_group(group_id))
        self._read_marks(cursor, plans)
        self._read_placed(cursor, plans)
        if any(limit.kind is LimitKind.CORRELATED_EXPOSURE for plan in plans for limit in plan.limits):
            if self._correlated_as_of != version:
                self._correlations, self._correlated_as_of = correlations(), version
            facts.correlations = self._correlations
        return facts

    def count(self, book: AccountBook, symbol: str, *, at: datetime) -> None:
        """Count a new order along."""
        kept = self._placed.get(book.account.id)
        if kept is not None and kept[0] is book:
            kept[1].add(at, symbol)

    def count_nothing(self) -> None:
        """Forget orders: nobody counts them along while there are no limits."""
        self._placed.clear()

    def forget_mark(self, account_id: int) -> None:
        """Read an account's marks again: they move by what was paid in or out."""
        self._marks.pop(account_id, None)

    def _read_totals(
        self, cursor: Cursor[Any], plans: Plans, symbols: set[str], specs: Mapping[str, SymbolSpec]
    ) -> None:
        """Read what all accounts hold, of the symbols and groups that total limits count."""
        wanted = [limit for plan in plans for limit in plan.totals]
        if not wanted:
            return
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


def _groups(limits: list[Limit]) -> list[int] | None:
    """Return the groups that totals count; None: all of them."""
    groups = {limit.group_id for limit in limits}
    return None if None in groups else sorted(group for group in groups if group is not None)
