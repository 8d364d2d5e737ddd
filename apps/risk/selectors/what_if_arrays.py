"""
The arithmetic of a what-if on a snapshot of all accounts, in double precision. Finds and counts; what is
listed, and who stands within a cent of a boundary, is decided in Decimal (what_if_checks.py).

Before and after are each account's equity and margin level at its own group's prices, as the account book
values it: a buy at bid, a sell at ask, a profit converted as sold and a loss as bought.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.groups.domain.terms import GroupSpec, Terms
from apps.groups.models import GroupSymbol
from apps.groups.selectors import TermsBook, terms_book
from apps.market.domain.quotes import Quote
from apps.market.domain.symbols import MarginMode
from apps.market.services.board import board
from apps.risk.domain.rates import SHOWN_CURRENCY, Rates
from apps.risk.domain.shocks import Shock
from apps.risk.selectors.snapshot import Floats, Integers, Kind, Snapshot, snapshot
from apps.trading.domain.margin import HAS_LEVERAGE
from apps.trading.domain.orders import ContractTerms
from apps.trading.selectors.markets import Markets, conversions
from rtx.kernel import clock

Reach = frozenset[int] | None
Bools = NDArray[np.bool_]
Pool = tuple[int, str]  # group and currency
Cell = tuple[Pool, Kind]
MarginsAfter = Callable[[Snapshot, list[Cell], Any], Floats]
NAN = float("nan")
CENT = 0.01
FREE, CALLED, CLOSED = 0, 1, 2
STATES = ("free", "called", "closed")


@dataclass(frozen=True, slots=True)
class Side:
    """The house before or after: the terms, the markets and the rates to the reporting currency."""

    markets: Markets
    quotes: Mapping[str, Quote]
    rates: Rates

    @property
    def book(self) -> TermsBook:
        """The terms."""
        return self.markets.book


@dataclass(frozen=True, slots=True)
class Standing:
    """Every account at one side, by its place in the snapshot; NaN where something has no price."""

    floating: Floats
    equity: Floats
    margin: Floats
    level_pct: Floats
    state: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A what-if in arrays: what the view is made of."""

    house: Snapshot
    sides: tuple[Side, Side]
    standings: tuple[Standing, Standing]
    within: Bools
    results: tuple[Floats, Floats]
    near: Integers


def sides_of(
    shock: Shock, *, now: datetime | None = None, quotes: Mapping[str, Quote] | None = None
) -> tuple[Side, Side]:
    """Return the house's prices and terms as they are, and as they would be."""
    at = now or clock.now()
    book = terms_book()
    raw = dict(board().latest) if quotes is None else quotes
    moved = {
        name: shock.quote(quote, digits=book.symbols[name].digits) if name in book.symbols else quote
        for name, quote in raw.items()
    }
    table = conversions(book)
    return (
        Side(Markets(book=book, now=at, quotes=raw), raw, Rates(quotes=raw, table=table)),
        Side(
            Markets(book=drafted(book, shock), now=at, quotes=moved), moved, Rates(quotes=moved, table=table)
        ),
    )


def drafted(book: TermsBook, shock: Shock) -> TermsBook:
    """Return the terms as they would be: what a symbol sets for itself in a group stays."""
    drafts = {group_id: draft for group_id, draft in shock.groups.items() if group_id in book.groups}
    if not any(draft.changes for draft in drafts.values()):
        return book
    fields = ("leverage_max", "markup_bid_points", "markup_ask_points")
    rows = GroupSymbol.objects.filter(group__in=drafts).values_list("group_id", "symbol__name", *fields)
    own: dict[tuple[int, str], set[str]] = {
        (group_id, symbol): {name for name, value in zip(fields, values, strict=True) if value is not None}
        for group_id, symbol, *values in rows
    }
    groups, terms = dict(book.groups), dict(book.terms)
    for group_id, draft in drafts.items():
        group = groups[group_id] = draft.of(book.groups[group_id])
        changed = {name: value for name, value in draft.changes.items() if name in fields}
        terms[group_id] = {
            symbol: _redrafted(offered, group, changed, own.get((group_id, symbol), set()))
            for symbol, offered in book.terms[group_id].items()
        }
    return replace(book, groups=groups, terms=terms)


def _redrafted(offered: Terms, group: GroupSpec, changed: dict[str, Any], own: set[str]) -> Terms:
    inherited = {name: value for name, value in changed.items() if name not in own}
    return replace(offered, group=group, **inherited)


def estimate(shock: Shock, *, reach: Reach, quotes: Mapping[str, Quote] | None = None) -> Estimate:
    """Compute every account before and after, in double precision."""
    sides = sides_of(shock, quotes=quotes)
    return compared(
        sides, reach=reach, margins=lambda house, cells, cell: _margins(house, cells, cell, sides[1], shock)
    )


def compared(sides: tuple[Side, Side], *, reach: Reach, margins: MarginsAfter) -> Estimate:
    """Compute every account at both sides, in double precision; `margins` says what is held afterwards."""
    house = snapshot()
    within = _within(house, sides[0].book, reach)
    pools, pool = _pools(house)
    pair = pool[house.account] * max(len(house.kinds), 1) + house.kind
    used, cell = _used(pair, len(pools) * len(house.kinds))
    cells = [
        (pools[int(code) // len(house.kinds)], house.kinds[int(code) % len(house.kinds)]) for code in used
    ]
    floats, standings = [], []
    for side, margin in zip(sides, (house.margins, margins(house, cells, cell)), strict=True):
        result = _results(house, cells, cell, side)
        floats.append(result)
        standings.append(_standing(house, result, margin, side.book))
    near = _near(house, standings, sides, within)
    return Estimate(house, sides, (standings[0], standings[1]), within, (floats[0], floats[1]), near)


def _used(codes: Integers, count: int) -> tuple[Integers, Integers]:
    """Return which of the numbers below `count` occur, ascending, and each one's place among them."""
    used = np.flatnonzero(np.bincount(codes, minlength=count))
    places = np.empty(max(count, 1), dtype=np.int64)
    places[used] = np.arange(len(used))
    return used, places[codes]


def _within(house: Snapshot, book: TermsBook, reach: Reach) -> Bools:
    known = np.isin(house.group_ids, list(book.groups))
    return known if reach is None else known & np.isin(house.group_ids, list(reach))


def _pools(house: Snapshot) -> tuple[list[Pool], Integers]:
    """Return the groups with their accounts' currencies, and each account's place among them."""
    codes = house.group_ids * max(len(house.currencies), 1) + house.currency
    found, place = np.unique(codes, return_inverse=True)
    width = max(len(house.currencies), 1)
    return [(int(code) // width, house.currencies[int(code) % width]) for code in found], place


def _results(house: Snapshot, cells: list[Cell], cell: Any, side: Side) -> Floats:
    """Return each position's floating profit with its swap in the account's currency."""
    names = {spec.id: name for name, spec in side.book.symbols.items()}
    priced = np.array([_priced(one, names, side) for one in cells], dtype=np.float64).reshape(len(cells), 4)
    price, unit, gain, loss = (np.ascontiguousarray(column)[cell] for column in priced.T)
    moved = (price * house.lots - house.cost) * unit
    return np.asarray(moved * np.where(moved > 0, gain, loss) + house.swap, dtype=np.float64)


def _priced(one: Cell, names: Mapping[int, str], side: Side) -> tuple[float, float, float, float]:
    """Return closing price, value of a move by one (signed), and the rates of a profit and of a loss."""
    (group_id, currency), kind = one
    view = side.markets.of_group(group_id)
    quote = view.client(names.get(kind.symbol_id, ""))
    if quote is None:
        return NAN, NAN, NAN, NAN
    profit_currency = kind.terms.profit_currency
    gain = view.rate(profit_currency, currency, selling=True)
    loss = view.rate(profit_currency, currency, selling=False)
    unit = float(kind.terms.contract_size * kind.terms.tick_factor)
    return (
        float(quote.bid if kind.is_buy else quote.ask),
        unit if kind.is_buy else -unit,
        NAN if gain is None else float(gain),
        NAN if loss is None else float(loss),
    )


def _margins(house: Snapshot, cells: list[Cell], cell: Any, after: Side, shock: Shock) -> Floats:
    """Return each account's margin after: as it is, scaled where its group's leverage would change."""
    if not shock.leverages:
        return house.margins
    names = {spec.id: name for name, spec in after.book.symbols.items()}
    weights = [_weight(one, names, after, shock) for one in cells]
    rows = np.array(weights, dtype=np.float64).reshape(len(cells), 4)
    by_lots, by_cost, leverage, leverage_max = (np.ascontiguousarray(column)[cell] for column in rows.T)
    need = house.lots * by_lots + house.cost * by_cost
    allowed = np.minimum(house.leverages[house.account], leverage_max)
    then = need * np.where(leverage > 0, leverage / np.maximum(allowed, 1), 1.0)
    count = len(house.account_ids)
    now_ = np.bincount(house.account, need, count)
    later = np.bincount(house.account, then, count)
    scale = np.where((now_ > 0) & (later > 0), later / np.where(now_ > 0, now_, 1.0), 1.0)
    return np.asarray(house.margins * scale, dtype=np.float64)


def _weight(
    one: Cell, names: Mapping[int, str], after: Side, shock: Shock
) -> tuple[float, float, float, float]:
    """Return margin per lot and per cost, the leverage it was at (0: has none), and the one allowed then."""
    (group_id, currency), kind = one
    terms = kind.terms
    view = after.markets.of_group(group_id)
    rate = view.rate(terms.margin_currency, currency, selling=not kind.is_buy)
    offered = view.terms(names.get(kind.symbol_id, ""))
    is_levered = terms.mode in HAS_LEVERAGE and group_id in shock.leverages and offered is not None
    by_lots, by_cost = unit_needs(terms, is_buy=kind.is_buy, rate=rate)
    if not is_levered or offered is None:
        return by_lots, by_cost, 0.0, 1.0
    return by_lots, by_cost, float(terms.leverage), float(offered.leverage_max)


def unit_needs(terms: ContractTerms, *, is_buy: bool, rate: Decimal | None) -> tuple[float, float]:
    """Return the margin of one lot and that of one unit of cost under these terms, without schedules."""
    share = float((rate or 1) * (terms.rate_buy if is_buy else terms.rate_sell))
    if terms.mode in HAS_LEVERAGE:
        share /= terms.leverage
    if terms.mode is MarginMode.FIXED:
        return float(terms.initial) * share, 0.0
    if terms.mode is MarginMode.FOREX:
        return float(terms.contract_size) * share, 0.0
    factor = terms.tick_factor if terms.mode is MarginMode.INDEX else Decimal(1)
    return 0.0, float(terms.contract_size * factor) * share


def _standing(house: Snapshot, result: Floats, margin: Floats, book: TermsBook) -> Standing:
    count = len(house.account_ids)
    floating = np.bincount(house.account, result, count).astype(np.float64)
    holds = np.bincount(house.account, minlength=count) > 0
    equity = house.funds + floating
    with np.errstate(divide="ignore", invalid="ignore"):
        level = np.where(margin > 0, equity / margin * 100, np.nan)
    call, stop = _levels(house, book)
    state = np.zeros(count, dtype=np.int8)
    state[(margin > 0) & (equity <= margin * call / 100)] = CALLED
    state[np.where(margin > 0, equity <= margin * stop / 100, holds & (equity <= 0))] = CLOSED
    return Standing(floating, equity, margin, level, state)


def _levels(house: Snapshot, book: TermsBook) -> tuple[Floats, Floats]:
    """Return each account's margin-call and stop-out level in percent."""
    found, place = np.unique(house.group_ids, return_inverse=True)
    groups = [book.groups.get(int(group_id)) for group_id in found]
    call = np.array([float(group.margin_call_pct) if group else 0.0 for group in groups])
    stop = np.array([float(group.stop_out_pct) if group else 0.0 for group in groups])
    return call[place], stop[place]


def _near(house: Snapshot, standings: list[Standing], sides: tuple[Side, Side], within: Bools) -> Integers:
    """Return the places of accounts so near a boundary that double precision does not decide."""
    found = np.zeros(len(house.account_ids), dtype=bool)
    for standing, side in zip(standings, sides, strict=True):
        for level in _levels(house, side.book):
            found |= np.abs(standing.equity - standing.margin * level / 100) < CENT
    return np.flatnonzero(found & within & (house.margins > 0))


def amounts_shown(amounts: Floats, currency: Integers, currencies: list[str], rates: Rates) -> Floats:
    """Convert amounts at mid to the reporting currency; NaN without a rate."""
    found = [rates.convert(Decimal(1), name, SHOWN_CURRENCY) for name in currencies]
    factors = np.array([NAN if rate is None else float(rate) for rate in found])
    return np.asarray(amounts * factors[currency], dtype=np.float64)
