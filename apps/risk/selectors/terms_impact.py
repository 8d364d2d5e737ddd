"""
Whom a change of terms would call or close, at the present prices: all accounts of the groups it touches,
before and after. Changes nothing.

Levels and markups hold for open positions at once. Margin does not move by itself: positions keep the terms
of their last deal, so a change of leverage, margin rates or schedules is shown as it will be once margin is
set again. Double precision finds the candidates, each one is then computed in Decimal from its rows.
"""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np

from apps.groups.domain.schedules import MarginSchedule, ScheduleKind
from apps.groups.domain.terms import Terms
from apps.groups.selectors import TermsBook
from apps.market.domain.impacts import VERDICTS, Hit, Impact
from apps.market.services.board import board
from apps.risk.domain.rates import Rates
from apps.risk.selectors.snapshot import Floats, Integers, Snapshot
from apps.risk.selectors.what_if_arrays import (
    CALLED,
    CLOSED,
    FREE,
    Cell,
    Estimate,
    Reach,
    Side,
    compared,
    unit_needs,
)
from apps.risk.selectors.what_if_checks import Checked, figures
from apps.trading.domain.holdings import Account, Holdings
from apps.trading.domain.margin import HAS_LEVERAGE
from apps.trading.domain.orders import ContractTerms
from apps.trading.domain.pricing import ConversionTable
from apps.trading.selectors.books import holdings
from apps.trading.selectors.markets import Markets
from rtx.kernel import clock

LISTED_MAX = 500
EXACT_MAX = 500
NEAR = 1.2  # x the margin call: so near, an estimated margin does not decide
WITHOUT_BOUND = 10_000_000  # more than any leverage
LEVELS = ("margin_call_pct", "stop_out_pct")
MARGIN = (
    "hedged_contract_size",
    "leverage",
    "rate_buy",
    "rate_sell",
    "initial",
    "rate_pending",
    "schedule",
)
MARGIN_NOTE = (
    "Open positions keep the margin of their last deal: these figures hold once margin is set again, by the "
    "next deal or a change of leverage."
)


def impact_of(before: TermsBook, after: TermsBook, *, reach: Reach) -> Impact:
    """Return whom the difference between two books of terms pushes; those within reach are listed."""
    groups = touched_groups(before, after)
    if not groups:
        return Impact()
    sides = _sides(before, after)
    found = compared(
        sides, reach=groups, margins=lambda house, cells, cell: _margins(house, cells, cell, sides)
    )
    candidates, rest = _candidates(found)
    rows = [row for row in _exact(candidates, sides) if _is_pushed(row)]
    notes = []
    if any(row.before.margin != row.after.margin for row in rows):
        notes.append(MARGIN_NOTE)
    if rest:
        notes.append(f"Beyond {EXACT_MAX} accounts the rest is counted by estimate and not listed.")
    unpriced = int(np.count_nonzero(found.within & np.isnan(found.standings[1].equity)))
    if unpriced:
        notes.append(f"{unpriced} accounts cannot be valued: a price or a conversion is missing.")
    within = [row for row in rows if reach is None or row.account.group_id in reach]
    if len(within) < len(rows):
        notes.append(f"{len(rows) - len(within)} of them are outside your reach and not listed.")
    within.sort(key=_level_after)
    return Impact(
        called=sum(row.after.state == CALLED for row in rows) + rest.count(CALLED),
        closed=sum(row.after.state == CLOSED for row in rows) + rest.count(CLOSED),
        hits=tuple(_hit(row, after) for row in within[:LISTED_MAX]),
        notes=tuple(notes),
    )


def touched_groups(before: TermsBook, after: TermsBook) -> frozenset[int]:
    """Return the groups whose accounts may stand otherwise under the other terms."""
    return frozenset(
        group_id
        for group_id, group in after.groups.items()
        if group_id in before.groups
        and (
            any(getattr(group, name) != getattr(before.groups[group_id], name) for name in LEVELS)
            or any(
                symbol in before.terms[group_id] and _differ(before.terms[group_id][symbol], terms)
                for symbol, terms in after.terms[group_id].items()
            )
        )
    )


def _differ(was: Terms, becomes: Terms) -> bool:
    return was.profile != becomes.profile or bool(_changes(was, becomes, leverage=WITHOUT_BOUND))


def _changes(was: Terms, becomes: Terms, *, leverage: int) -> dict[str, Any]:
    """Return what a position's margin depends on and the change sets anew, for an account's leverage."""
    old = ContractTerms.of(was, account_leverage=leverage)
    new = ContractTerms.of(becomes, account_leverage=leverage)
    return {name: getattr(new, name) for name in MARGIN if getattr(new, name) != getattr(old, name)}


def _sides(before: TermsBook, after: TermsBook) -> tuple[Side, Side]:
    now, quotes = clock.now(), dict(board().latest)
    rates = Rates(quotes=quotes, table=ConversionTable(before.symbols.values()))
    first, second = (
        Side(Markets(book=book, now=now, quotes=quotes), quotes, rates) for book in (before, after)
    )
    return first, second


def _margins(house: Snapshot, cells: list[Cell], cell: Any, sides: tuple[Side, Side]) -> Floats:
    """Return each account's margin afterwards: scaled by what its changed positions would need."""
    names = {spec.id: name for name, spec in sides[0].book.symbols.items()}
    weights = [_weights(one, names.get(one[1].symbol_id, ""), sides) for one in cells]
    rows = np.array(weights, dtype=np.float64).reshape(len(cells), 7)
    lots_now, cost_now, lots_then, cost_then, leverage, was_max, max_then = (
        np.ascontiguousarray(column)[cell] for column in rows.T
    )
    own = house.leverages[house.account]
    allowed, allowed_then = np.minimum(own, was_max), np.minimum(own, max_then)
    levered = np.where(allowed != allowed_then, leverage / np.maximum(allowed_then, 1), 1.0)
    need = house.lots * lots_now + house.cost * cost_now
    then = (house.lots * lots_then + house.cost * cost_then) * np.where(leverage > 0, levered, 1.0)
    count = len(house.account_ids)
    now_, later = (np.bincount(house.account, part, count) for part in (need, then))
    scale = np.where(now_ > 0, later / np.where(now_ > 0, now_, 1.0), 1.0)
    return np.asarray(house.margins * scale, dtype=np.float64)


def _weights(one: Cell, symbol: str, sides: tuple[Side, Side]) -> tuple[float, ...]:
    """
    Return margin per lot and per cost, now and then, at the position's own leverage; that leverage (0: has
    none) and the most that the terms allow, now and then. A changed schedule counts at its worst.
    """
    (group_id, currency), kind = one
    views = [side.markets.of_group(group_id) for side in sides]
    rate = views[0].rate(kind.terms.margin_currency, currency, selling=not kind.is_buy)
    now = unit_needs(kind.terms, is_buy=kind.is_buy, rate=rate)
    was, becomes = (view.terms(symbol) for view in views)
    if was is None or becomes is None:
        return *now, *now, 0.0, 1.0, 1.0
    changed = _changes(was, becomes, leverage=WITHOUT_BOUND)
    changed.pop("leverage", None)
    then = unit_needs(replace(kind.terms, **changed), is_buy=kind.is_buy, rate=rate)
    worst = 1.0
    if "schedule" in changed:
        worst = _worst(kind.terms.schedule, changed["schedule"], kind.terms.leverage)
    return (
        *now,
        *(need * worst for need in then),
        float(kind.terms.leverage) if kind.terms.mode in HAS_LEVERAGE else 0.0,
        float(was.leverage_max),
        float(becomes.leverage_max),
    )


def _worst(was: MarginSchedule | None, becomes: MarginSchedule | None, leverage: int) -> float:
    """Return how much dearer another schedule can make a lot at most."""
    least, _ = _factors(was, leverage)
    _, most = _factors(becomes, leverage)
    return most / least


def _factors(schedule: MarginSchedule | None, leverage: int) -> tuple[float, float]:
    if schedule is None:
        return 1.0, 1.0
    values = [float(band.value) for band in schedule.bands]
    if schedule.kind is ScheduleKind.NOTIONAL:
        values = [leverage / min(value, leverage) for value in values]
    return min(values), max(values)


def _candidates(found: Estimate) -> tuple[list[int], list[int]]:
    """
    Return the accounts to compute exactly, those within a cent of a level first, then by level; and what the
    rest would come to.
    """
    before, after = found.standings
    worse = after.state > before.state
    moved = (after.margin != before.margin) & (after.margin > 0)
    call = np.full(len(worse), np.inf)
    for group_id, group in found.sides[1].book.groups.items():
        call[found.house.group_ids == group_id] = float(group.margin_call_pct) * NEAR
    near = np.zeros(len(worse), dtype=bool)
    near[found.near] = True
    asked = found.within & (worse | near | (moved & (after.level_pct <= call)))
    places: Integers = np.flatnonzero(asked)
    places = places[np.lexsort((after.level_pct[places], ~near[places]))]
    ids = [int(one) for one in found.house.account_ids[places[:EXACT_MAX]]]
    rest = places[EXACT_MAX:]
    return ids, after.state[rest[worse[rest]]].tolist()


def _exact(account_ids: list[int], sides: tuple[Side, Side]) -> Iterable[Checked]:
    changes = _Changes(sides)
    for held in holdings(account_ids) if account_ids else ():
        group_id = held.account.group_id
        if any(group_id not in side.book.groups for side in sides):
            continue
        before = figures(held, sides[0])
        _remargin(held, changes)
        yield Checked(held.account, before, figures(held, sides[1]))


class _Changes:
    """What margins depend on and the change sets anew, found out once per group, leverage and symbol."""

    def __init__(self, sides: tuple[Side, Side]) -> None:
        self._views = [side.markets.of_group for side in sides]
        self._known: dict[tuple[int, int, str], dict[str, Any]] = {}

    def of(self, account: Account, symbol: str) -> dict[str, Any]:
        """Return the fields of the contract terms that change for an account's positions in a symbol."""
        key = (account.group_id, account.leverage, symbol)
        found = self._known.get(key)
        if found is None:
            was, becomes = (view(account.group_id).terms(symbol) for view in self._views)
            found = {}
            if was is not None and becomes is not None:
                found = _changes(was, becomes, leverage=account.leverage)
            self._known[key] = found
        return found


def _remargin(held: Holdings, changes: _Changes) -> None:
    """Margin what is held as the changed terms say; what they leave alone stays as it was dealt."""
    account = held.account
    positions = {
        row.id: replace(row.terms, **changed)
        for row in held.positions.values()
        if (changed := changes.of(account, row.symbol))
    }
    orders = {
        row.id: replace(row.terms, **changed)
        for row in held.orders.values()
        if row.terms is not None and (changed := changes.of(account, row.symbol))
    }
    if positions or orders:
        held.set_leverage(account.leverage, positions, orders)


def _is_pushed(row: Checked) -> bool:
    is_valued = row.before.equity is not None and row.after.equity is not None
    return is_valued and row.after.state > row.before.state >= FREE


def _level_after(row: Checked) -> Decimal:
    level = row.after.level_pct
    return Decimal("-Infinity") if level is None else level


def _hit(row: Checked, book: TermsBook) -> Hit:
    assert row.before.equity is not None
    assert row.after.equity is not None
    return Hit(
        account_id=row.account.id,
        login=row.account.login,
        group=book.groups[row.account.group_id].name,
        currency=row.account.currency,
        before=VERDICTS[row.before.state],
        after=VERDICTS[row.after.state],
        equity_before=row.before.equity,
        equity_after=row.after.equity,
        margin_before=row.before.margin,
        margin_after=row.after.margin,
        level_before_pct=row.before.level_pct,
        level_after_pct=row.after.level_pct,
    )
