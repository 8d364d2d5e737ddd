"""
What would happen if prices, spreads or terms were others: which accounts would be called or closed, and what
the house would make or lose. Nothing is changed by it.

All accounts are counted in double precision on a snapshot a second old at most; accounts within a cent
of a boundary and all that are listed are computed in Decimal from their rows. What stays an estimate is named
in the answer: after another leverage, an account's margin is scaled by what its positions would need without
hedging, schedules and working orders (listed accounts are exact); and the clients' result is that of the
shocked prices, before a liquidation moves them or skips one.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np

from apps.accounts.models import TradingAccount
from apps.market.domain.quotes import Quote
from apps.risk.domain.rates import SHOWN_CURRENCY
from apps.risk.domain.shocks import Shock
from apps.risk.selectors.what_if_arrays import (
    CALLED,
    CLOSED,
    FREE,
    STATES,
    Bools,
    Estimate,
    Floats,
    Reach,
    Standing,
    amounts_shown,
    estimate,
)
from apps.risk.selectors.what_if_checks import Checked, Figures, checked
from rtx.kernel import clock
from rtx.kernel.money import booked, rounded, text

Payload = dict[str, Any]
Amounts = list[tuple[float, float]]  # before and after
LISTED = 100
LISTED_MAX = 500
NEAR_MAX = 2_000
DIGITS = 6
BOUNDS_PCT = (0, 50, 100, 150, 200, 500, 1000)
LEVERAGE_NOTE = (
    "Margin after another leverage is scaled by what the positions need alone; listed accounts are exact."
)
UNPRICED_NOTE = "Sums count what has a price on both sides; `unpriced` names the rest; null: nothing is."
RESULT_NOTE = "Results are those of the shocked prices, before any liquidation."


def what_if(
    shock: Shock, *, reach: Reach, limit: int = LISTED, quotes: Mapping[str, Quote] | None = None
) -> Payload:
    """
    Return the accounts within reach before and after a shock; the worst `limit` of those it concerns, listed.

    Amounts are in USD where they are sums, in the account's currency where they are an account's.
    """
    found = estimate(shock, reach=reach, quotes=quotes)
    before, after = found.standings
    listed = _listed(found, limit)
    ids = found.house.account_ids
    near = found.near[:NEAR_MAX]
    exact = checked([int(ids[place]) for place in np.union1d(listed, near)], sides=found.sides, shock=shock)
    for place in np.union1d(listed, near):
        known = exact.get(int(ids[place]))
        if known is not None and known.before.equity is not None and known.after.equity is not None:
            before.state[place], after.state[place] = known.before.state, known.after.state
    rows = [exact[int(ids[place])] for place in listed if int(ids[place]) in exact]
    rows = [row for row in rows if _concerns(row)]
    unpriced = _unpriced(found)
    notes = [RESULT_NOTE, *([LEVERAGE_NOTE] if shock.leverages else [])]
    return {
        "at": clock.rfc3339(found.house.at),
        "currency": SHOWN_CURRENCY,
        "accounts": int(found.within.sum()),
        "positions": int(found.within[found.house.account].sum()),
        "before": _counts(found, before, 0),
        "after": _counts(found, after, 1),
        "newly_called": _count(found.within & (before.state == FREE) & (after.state == CALLED)),
        "newly_closed": _count(found.within & (before.state != CLOSED) & (after.state == CLOSED)),
        "relieved": _count(found.within & (before.state > after.state)),
        **_house(found),
        "protection": _protection(found),
        "levels": _levels(found),
        "unpriced": unpriced,
        "worst": _worst(rows, found),
        "estimated": [*notes, *([UNPRICED_NOTE] if unpriced["accounts"] or unpriced["symbols"] else [])],
    }


def _listed(found: Estimate, limit: int) -> Any:
    """Return the places of the accounts that the shock concerns, worst first; of equal ones the older."""
    before, after = found.standings
    concerned = (after.state > FREE) | (before.state > FREE) | (after.equity < 0)
    places = np.flatnonzero(found.within & concerned & ~np.isnan(after.equity))
    level = np.where(
        after.margin[places] > 0,
        after.level_pct[places],
        np.where(after.equity[places] < 0, -np.inf, np.inf),
    )
    # Rounded: in what order a house's positions are added up must not decide who is listed.
    order = np.lexsort((np.round(after.equity[places], DIGITS), np.round(level, DIGITS)))
    return places[order[: max(0, min(limit, LISTED_MAX))]]


def _concerns(row: Checked) -> bool:
    """Say whether an account that double precision or an estimate listed really is called, closed or owes."""
    equity = row.after.equity
    return row.before.state != FREE or row.after.state != FREE or (equity is not None and equity < 0)


def _count(mask: Bools) -> int:
    return int(np.count_nonzero(mask))


def _counts(found: Estimate, standing: Standing, side: int) -> Payload:
    rates = found.sides[side].rates
    floating = amounts_shown(standing.floating, found.house.currency, found.house.currencies, rates)
    return {
        "called": _count(found.within & (standing.state == CALLED)),
        "closed": _count(found.within & (standing.state == CLOSED)),
        "negative": _count(found.within & (standing.equity < 0)),
        "clients_floating": _money(floating[found.within], counted=_valued(found)[found.within]),
    }


def _house(found: Estimate) -> Payload:
    """Return what the house would make (or lose) on what it keeps, and what goes to LPs, per symbol too."""
    house = found.house
    width = max(len(house.currencies), 1)
    code = house.kind * width + house.currency[house.account]
    counted = found.within[house.account]
    priced = counted & ~np.isnan(found.results[0]) & ~np.isnan(found.results[1])
    sums = []
    for side, result in zip(found.sides, found.results, strict=True):
        by_code = np.bincount(code[priced], result[priced], max(len(house.kinds) * width, 1))
        currency = np.arange(len(by_code), dtype=np.int64) % width
        shown = amounts_shown(
            by_code.astype(np.float64), currency, house.currencies or [SHOWN_CURRENCY], side.rates
        )
        sums.append(-shown)
    present = np.bincount(code[counted], minlength=len(sums[0])) > 0
    known = np.bincount(code[priced], minlength=len(sums[0])) > 0
    known &= ~np.isnan(sums[0]) & ~np.isnan(sums[1])
    names = {spec.id: name for name, spec in found.sides[0].book.symbols.items()}
    symbols: dict[str, dict[str, Amounts]] = {}
    for place in np.flatnonzero(present):
        kind = house.kinds[place // width]
        name = names.get(kind.symbol_id, str(kind.symbol_id))
        of_symbol = symbols.setdefault(name, {}).setdefault(kind.book, [])
        if known[place]:
            of_symbol.append((float(sums[0][place]), float(sums[1][place])))
    rows = [_symbol_row(name, books, found) for name, books in symbols.items()]
    totals = {book: [books[book] for books in symbols.values() if book in books] for book in ("b", "a")}
    return {
        "house": _change(*totals["b"]),
        "passed_on": _change(*totals["a"]),
        "symbols": sorted(rows, key=lambda row: abs(Decimal(row["change"] or 0)), reverse=True),
    }


def _symbol_row(name: str, books: dict[str, Amounts], found: Estimate) -> Payload:
    row: Payload = {"symbol": name, **_change(*(books[book] for book in ("b",) if book in books))}
    row["passed_on_change"] = _change(*(books[book] for book in ("a",) if book in books))["change"]
    for word, side in zip(("price_before", "price_after"), found.sides, strict=True):
        quote = side.quotes.get(name)
        row[word] = None if quote is None else text(quote.bid)
    return row


def _change(*parts: Amounts) -> Payload:
    """Add amounts before and after up; null where something is held and none of it can be valued."""
    if parts and not any(parts):
        return {"before": None, "after": None, "change": None}
    before, after = (sum(amounts[side] for part in parts for amounts in part) for side in (0, 1))
    return {"before": _text(before), "after": _text(after), "change": _text(after - before)}


def _protection(found: Estimate) -> Payload:
    """Return what making good the debts of protected accounts would cost, and what stays owed elsewhere."""
    house, after = found.house, found.standings[1]
    groups = found.sides[1].book.groups
    protecting = [group_id for group_id, group in groups.items() if group.protects_balance]
    protected = np.isin(house.group_ids, protecting)
    debts = np.where(after.equity < 0, -after.equity, 0.0)
    shown = amounts_shown(debts, house.currency, house.currencies, found.sides[1].rates)
    owes = found.within & (after.equity < 0)
    return {
        "accounts": _count(owes & protected),
        "cost": _money(shown[owes & protected]),
        "unprotected_accounts": _count(owes & ~protected),
        "unprotected_debt": _money(shown[owes & ~protected]),
    }


def _levels(found: Estimate) -> list[Payload]:
    """Return how many accounts stand at which margin level before and after; `up_to_pct` null: above."""
    edges = np.array([-np.inf, *BOUNDS_PCT, np.inf])
    counts = []
    for standing in found.standings:
        levels = standing.level_pct[found.within & ~np.isnan(standing.level_pct)]
        counts.append(
            np.bincount(np.searchsorted(edges[1:-1], levels, side="left"), minlength=len(edges) - 1)
        )
    bounds: list[int | None] = [*BOUNDS_PCT, None]
    return [
        {"up_to_pct": bound, "before": int(counts[0][place]), "after": int(counts[1][place])}
        for place, bound in enumerate(bounds)
    ]


def _unpriced(found: Estimate) -> Payload:
    """Return how many accounts cannot be valued, and the symbols that have no price or conversion."""
    unknown = np.isnan(found.standings[1].equity) | np.isnan(found.standings[0].equity)
    missing = np.isnan(found.results[1]) | np.isnan(found.results[0])
    missing &= found.within[found.house.account]
    names = {spec.id: name for name, spec in found.sides[0].book.symbols.items()}
    kinds = {found.house.kinds[int(place)].symbol_id for place in np.unique(found.house.kind[missing])}
    return {
        "accounts": _count(found.within & unknown),
        "symbols": sorted(names.get(symbol_id, str(symbol_id)) for symbol_id in kinds),
    }


def _worst(rows: list[Checked], found: Estimate) -> list[Payload]:
    """Return the listed accounts, exactly, worst first."""
    groups = found.sides[0].book.groups
    ids = [row.account.id for row in rows]
    logins = dict(TradingAccount.objects.filter(pk__in=ids).values_list("pk", "login"))
    ordered = sorted(rows, key=lambda row: _badness(row.after))
    return [
        {
            "id": row.account.id,
            "account": logins.get(row.account.id, row.account.login),
            "group": groups[row.account.group_id].name,
            "currency": row.account.currency,
            "before": _figures(row.before, row.account.currency),
            "after": _figures(row.after, row.account.currency),
        }
        for row in ordered
    ]


def _badness(figures: Figures) -> tuple[Decimal, Decimal]:
    equity = figures.equity if figures.equity is not None else Decimal("Infinity")
    if figures.level_pct is not None:
        return figures.level_pct, equity
    return Decimal("-Infinity") if equity < 0 else Decimal("Infinity"), equity


def _figures(figures: Figures, currency: str) -> Payload:
    equity, level = figures.equity, figures.level_pct
    return {
        "state": STATES[figures.state],
        "equity": None if equity is None else text(booked(equity, currency)),
        "margin": text(booked(figures.margin, currency)),
        "level_pct": None if level is None else text(rounded(level, 2)),
    }


def _valued(found: Estimate) -> Bools:
    """Return which accounts can be valued on both sides."""
    before, after = found.standings
    return np.asarray(~np.isnan(before.equity) & ~np.isnan(after.equity))


def _money(amounts: Floats, *, counted: Bools | None = None) -> str | None:
    """Add up what is known; null where there is something and nothing of it is."""
    known = ~np.isnan(amounts) if counted is None else counted & ~np.isnan(amounts)
    return None if len(amounts) and not known.any() else _text(float(amounts[known].sum()))


def _text(amount: float) -> str | None:
    return None if np.isnan(amount) else text(rounded(Decimal(repr(float(amount))), 2))
