"""Reads of groups: all terms in one immutable book, kept per process until the terms version moves."""

import threading
from collections.abc import Mapping
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
    price_profiles,
    resolve,
)
from apps.groups.models import CommissionTier, GroupSymbol, MarginBand, TradingGroup
from apps.groups.models import MarginSchedule as ScheduleRow
from apps.market.domain.symbols import SymbolSpec
from apps.market.selectors import history
from apps.market.selectors.symbols import symbol_specs

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
