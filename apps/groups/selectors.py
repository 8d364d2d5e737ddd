"""Reads of groups: all terms in one immutable book, kept per process until the terms version moves."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Model

from apps.groups.domain.schedules import MarginSchedule, ScheduleKind
from apps.groups.domain.terms import (
    AdminFee,
    Commission,
    CommissionCharge,
    CommissionMode,
    GroupSpec,
    Override,
    PositionMode,
    Rollover,
    StopOutRule,
    Terms,
    client_quote,
    price_profiles,
    resolve,
)
from apps.groups.models import CommissionTier, GroupSymbol, MarginBand, TradingGroup
from apps.groups.models import MarginSchedule as ScheduleRow
from apps.market.domain.quotes import Quote
from apps.market.domain.symbols import SymbolSpec
from apps.market.selectors import history
from apps.market.selectors.symbols import symbol_specs
from rtx.kernel.money import plain, rounded, text

OVERRIDES = (
    "is_offered",
    "book",
    "trade_mode",
    "markup_bid_points",
    "markup_ask_points",
    "commission_mode",
    "commission_value",
    "commission_charge",
    "leverage_max",
    "volume_min",
    "volume_max",
    "commission_minimum",
    "stop_level_points",
    "freeze_level_points",
    "swap_mode",
    "swap_long",
    "swap_short",
)


@dataclass(frozen=True, slots=True)
class TermsBook:
    """All symbols, groups and terms as of one version. `terms` is group id -> symbol name -> Terms."""

    version: int
    symbols: dict[str, SymbolSpec]
    groups: dict[int, GroupSpec]
    terms: dict[int, dict[str, Terms]]
    profiles: dict[int, int]


_lock = threading.Lock()
_current: TermsBook | None = None


def terms_version() -> int:
    """Return the number of the present state of all terms."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT version FROM market_termsversion WHERE id = 1")
        row = cursor.fetchone()
    return row[0] if row else 0


def terms_book(version: int | None = None) -> TermsBook:
    """
    Return the terms as of `version` (read from the database when not given), loading them when they moved.
    """
    global _current
    wanted = terms_version() if version is None else version
    known = _current
    if known is not None and known.version == wanted:
        return known
    with _lock:
        while _current is None or _current.version != wanted:
            loaded = load_terms()
            wanted = terms_version()  # what changed while it was read is read again
            _current = loaded
        return _current


def terms_book_at(at: datetime) -> TermsBook:
    """
    Return the terms as of an instant.

    When they have changed since, they are read back from the history and carry the version 0: the instant
    names them.
    """
    version = terms_version()
    present = terms_book(version)
    if not history.has_changed_since(at):
        return present
    return load_terms(at)


def load_terms(at: datetime | None = None) -> TermsBook:
    """
    Read all terms, the present ones or those of an instant.

    The version is read first: what changes meanwhile is seen again at the next version.
    """
    version = terms_version() if at is None else 0
    symbols = symbol_specs() if at is None else history.symbol_specs_at(at)
    schedules = _schedules(at)
    tiers = _commission_tiers(at)
    groups = {row.pk: _group_spec(row, schedules, tiers) for row in _rows(TradingGroup, at)}
    names = {spec.id: name for name, spec in symbols.items()}
    overrides = {
        (row.group_id, names[row.symbol_id]): _override(row, schedules, tiers)
        for row in _rows(GroupSymbol, at)
        if row.symbol_id in names
    }
    for (group_id, symbol_id), own in tiers.items():  # tiers of a symbol without other terms of its own
        if symbol_id is not None and symbol_id in names:
            overrides.setdefault((group_id, names[symbol_id]), Override(commission_tiers=own))
    terms: dict[int, dict[str, Terms]] = {}
    for group in groups.values():
        resolved = (
            resolve(symbol=spec, group=group, override=overrides.get((group.id, name)), version=version)
            for name, spec in symbols.items()
        )
        terms[group.id] = {found.symbol.name: found for found in resolved}
    return TermsBook(
        version=version,
        symbols=symbols,
        groups=groups,
        terms=terms,
        profiles=price_profiles({group_id: offered.values() for group_id, offered in terms.items()}),
    )


def with_values(book: TermsBook, values: Mapping[int, Mapping[str, Any]]) -> TermsBook:
    """Return the terms as if groups had these values of their own levels (group id -> field -> value)."""
    groups = {
        group_id: replace(group, **values[group_id]) if group_id in values else group
        for group_id, group in book.groups.items()
    }
    return replace(book, groups=groups) if values else book


Schedules = dict[int, MarginSchedule | None]
Tiers = dict[tuple[int, int | None], tuple[tuple[Decimal, Decimal], ...]]


Row = TypeVar("Row", bound=Model)


def _rows(model: type[Row], at: datetime | None) -> list[Row]:
    """Return all rows of a table, as they are or as they were."""
    return list(model._default_manager.all()) if at is None else history.rows_as_of(model, at=at)


def _schedules(at: datetime | None) -> Schedules:
    bands: dict[int, list[tuple[Decimal | None, Decimal]]] = {}
    for band in _rows(MarginBand, at):
        bands.setdefault(band.schedule_id, []).append((band.up_to, band.value))
    return {
        row.pk: MarginSchedule.of(
            name=row.name,
            kind=ScheduleKind(row.kind),
            is_pooled=row.is_pooled,
            bands=bands.get(row.pk, ()),
        )
        for row in _rows(ScheduleRow, at)
    }


def _commission_tiers(at: datetime | None) -> Tiers:
    found: Tiers = {}
    for row in sorted(_rows(CommissionTier, at), key=lambda tier: tier.from_size):
        key = (row.group_id, row.symbol_id)
        found[key] = (*found.get(key, ()), (row.from_size, row.value))
    return found


def _override(row: GroupSymbol, schedules: Schedules, tiers: Tiers) -> Override:
    return Override(
        **{name: getattr(row, name) for name in OVERRIDES},
        commission_tiers=tiers.get((row.group_id, row.symbol_id), ()),
        margin_schedule=schedules[row.margin_schedule_id] if row.margin_schedule_id else None,
    )


def _group_spec(group: TradingGroup, schedules: Schedules, tiers: Tiers) -> GroupSpec:
    return GroupSpec(
        id=group.pk,
        name=group.name,
        currency=group.currency,
        position_mode=PositionMode(group.position_mode),
        leverage_max=group.leverage_max,
        margin_call_pct=group.margin_call_pct,
        stop_out_pct=group.stop_out_pct,
        markup_bid_points=group.markup_bid_points,
        markup_ask_points=group.markup_ask_points,
        commission=Commission(
            mode=CommissionMode(group.commission_mode),
            value=group.commission_value,
            charge=CommissionCharge(group.commission_charge),
            minimum=group.commission_minimum,
            tiers=tiers.get((group.pk, None), ()),
        ),
        positions_max=group.positions_max,
        is_active=group.is_active,
        orders_max=group.orders_max,
        allows_hedging=group.allows_hedging,
        closes_fifo=group.closes_fifo,
        rollover=Rollover(time=group.rollover_time, timezone=group.rollover_timezone),
        swap_free=group.swap_free,
        admin_fee=AdminFee(per_lot=group.admin_fee_per_lot, after_nights=group.admin_fee_after_nights),
        margin_schedule=schedules[group.margin_schedule_id] if group.margin_schedule_id else None,
        margin_call_reset_pct=group.margin_call_reset_pct,
        stop_out_rule=StopOutRule(group.stop_out_rule),
        protects_balance=group.protects_balance,
    )


# What a person sees of one symbol in one group: each value, where it comes from and what it would inherit.

OWN, OF_GROUP, OF_SYMBOL = "override", "group", "symbol"
FROM_GROUP = (
    "markup_bid_points",
    "markup_ask_points",
    "commission_mode",
    "commission_value",
    "commission_charge",
    "commission_minimum",
    "leverage_max",
    "margin_schedule",
)
FROM_SYMBOL = (
    "trade_mode",
    "volume_min",
    "volume_max",
    "stop_level_points",
    "freeze_level_points",
    "swap_mode",
    "swap_long",
    "swap_short",
)


@dataclass(frozen=True, slots=True)
class Value:
    """One effective value: `source` is override, group or symbol; `inherited` holds without the override."""

    shown: str
    source: str
    inherited: str

    @property
    def is_own(self) -> bool:
        """Whether the group sets it for the symbol."""
        return self.source == OWN


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveTerms:
    """What one group makes of one symbol. `row_id` is its override's, None without one."""

    group_id: int
    group: str
    symbol_id: int
    symbol: str
    row_id: int | None
    is_offered: bool
    book: str
    tiers: str
    values: dict[str, Value]


def effective_terms(*, group_ids: Iterable[int], symbol: str | None = None) -> list[EffectiveTerms]:
    """Return the terms of groups for every symbol, or for one, as they result and from where."""
    book = terms_book()
    wanted = [group_id for group_id in group_ids if group_id in book.groups]
    rows = {
        (row.group_id, row.symbol_id): row
        for row in GroupSymbol.objects.filter(group__in=wanted).select_related("margin_schedule")
    }
    return [
        _effective(terms, rows.get((group_id, terms.symbol.id)))
        for group_id in sorted(wanted, key=lambda one: book.groups[one].name)
        for name, terms in sorted(book.terms[group_id].items())
        if symbol is None or name == symbol
    ]


def _effective(terms: Terms, row: GroupSymbol | None) -> EffectiveTerms:
    bare = resolve(symbol=terms.symbol, group=terms.group, override=None, version=terms.version)
    now, without = _flat(terms), _flat(bare)
    values = {}
    for names, source in ((FROM_GROUP, OF_GROUP), (FROM_SYMBOL, OF_SYMBOL)):
        for name in names:
            is_own = row is not None and getattr(row, name) not in (None, "")
            values[name] = Value(now[name], OWN if is_own else source, without[name])
    return EffectiveTerms(
        group_id=terms.group.id,
        group=terms.group.name,
        symbol_id=terms.symbol.id,
        symbol=terms.symbol.name,
        row_id=None if row is None else row.pk,
        is_offered=terms.is_offered,
        book=terms.book,
        tiers=", ".join(f"from {plain(size)}: {plain(value)}" for size, value in terms.commission.tiers),
        values=values,
    )


def _flat(terms: Terms) -> dict[str, str]:
    """Return every value as text."""
    rule, swap = terms.commission, terms.swap
    found: dict[str, Any] = {
        "markup_bid_points": terms.markup_bid_points,
        "markup_ask_points": terms.markup_ask_points,
        "commission_mode": rule.mode,
        "commission_value": rule.value,
        "commission_charge": rule.charge,
        "commission_minimum": rule.minimum,
        "leverage_max": terms.leverage_max,
        "margin_schedule": terms.margin_schedule.name if terms.margin_schedule else "",
        "trade_mode": terms.trade_mode,
        "volume_min": terms.volume_min,
        "volume_max": terms.volume_max,
        "stop_level_points": terms.stop_level_points,
        "freeze_level_points": terms.freeze_level_points,
        "swap_mode": swap.mode,
        "swap_long": swap.long,
        "swap_short": swap.short,
    }
    return {name: plain(value) if isinstance(value, Decimal) else str(value) for name, value in found.items()}


def live_prices(*, group_ids: Iterable[int], quotes: Mapping[str, Quote]) -> list[dict[str, Any]]:
    """Return the raw price and each group's own, per symbol that has one; spreads in points."""
    book = terms_book()
    return [
        _live(terms, quotes[name])
        for group_id in group_ids
        for name, terms in sorted(book.terms.get(group_id, {}).items())
        if name in quotes
    ]


def _live(terms: Terms, raw: Quote) -> dict[str, Any]:
    client, symbol = client_quote(raw=raw, terms=terms), terms.symbol
    shown = {
        f"{name}{side}": text(rounded(getattr(quote, side), symbol.digits))
        for name, quote in (("raw_", raw), ("", client))
        for side in ("bid", "ask")
    }
    return {
        "key": f"{terms.group.id}-{symbol.id}",
        "symbol": symbol.name,
        "group": terms.group.name,
        **shown,
        "raw_spread_points": plain((raw.ask - raw.bid) / symbol.point),
        "spread_points": plain((client.ask - client.bid) / symbol.point),
        "time_ms": raw.time_ms,
    }
