"""
The same edit for several symbols of groups at once: first planned and shown, then saved as one change of
terms. Sets only what a group sets for a symbol; levels of groups are never touched here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.db import models

from apps.groups.models import GroupSymbol, TradingGroup
from apps.groups.selectors import terms_book
from apps.groups.services import groups
from apps.groups.services.groups import TermsInvalid
from apps.market.models import Symbol
from apps.market.selectors.versions import Difference, differences
from apps.market.services.terms_changes import TermsChange

Pairs = Iterable[tuple[int, int]]  # group, symbol
ADDABLE = ("markup_bid_points", "markup_ask_points", "swap_long", "swap_short", "commission_value")


class How(StrEnum):
    """What is done with one value."""

    SET = "set"
    ADD = "add"
    INHERIT = "inherit"


@dataclass(frozen=True, slots=True)
class Edit:
    """What is done with one value of every chosen symbol."""

    how: How
    value: Any = None


@dataclass(frozen=True, slots=True)
class Planned:
    """One symbol of a group as it would be; `before` is what the group set for it (empty: nothing)."""

    row: GroupSymbol
    before: dict[str, Any]

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What changes."""
        blank = groups.own_values(GroupSymbol(group_id=self.row.group_id, symbol_id=self.row.symbol_id))
        return differences(GroupSymbol, self.before or blank, groups.own_values(self.row))


def planned(pairs: Pairs, edits: Mapping[str, Edit], *, reach: frozenset[int] | None) -> list[Planned]:
    """
    Return what the edits make of each chosen symbol that they change; pairs out of reach are left out.

    :raises TermsInvalid: nothing was chosen, or nothing is changed.
    """
    wanted = {pair for pair in pairs if reach is None or pair[0] in reach}
    group_rows = TradingGroup.objects.in_bulk({pair[0] for pair in wanted})
    symbols = Symbol.objects.in_bulk({pair[1] for pair in wanted})
    rows = {
        (row.group_id, row.symbol_id): row
        for row in GroupSymbol.objects.filter(group__in=group_rows).select_related("group", "symbol")
    }
    found = []
    for group_id, symbol_id in sorted(wanted):
        if group_id not in group_rows or symbol_id not in symbols:
            continue
        row = rows.get((group_id, symbol_id))
        if row is None:
            row = GroupSymbol(group=group_rows[group_id], symbol=symbols[symbol_id])
        before = groups.own_values(row) if row.pk else {}
        for name, edit in edits.items():
            setattr(row, name, _edited(row, name, edit))
        plan = Planned(row, before)
        if plan.differences:
            found.append(plan)
    if not found:
        raise TermsInvalid("This changes nothing.")
    return found


def save(change: TermsChange, plans: Iterable[Planned]) -> int:
    """
    Save what was planned, within a change of terms; return how many symbols changed.

    :raises TermsInvalid: a symbol's terms would not fit.
    """
    count = 0
    for plan in plans:
        groups.save_terms(change, plan.row, before=plan.before)
        count += 1
    return count


def _edited(row: GroupSymbol, name: str, edit: Edit) -> Any:
    if edit.how is How.INHERIT:
        column: Any = GroupSymbol._meta.get_field(name)
        return "" if isinstance(column, models.CharField) else None
    if edit.how is How.ADD:
        return _effective(row, name) + edit.value
    return edit.value


def _effective(row: GroupSymbol, name: str) -> Decimal:
    """Return what holds now, the group's own or what it inherits."""
    own = getattr(row, name)
    if own is not None:
        return Decimal(own)
    terms = terms_book().terms[row.group_id][row.symbol.name]
    found = {
        "markup_bid_points": terms.markup_bid_points,
        "markup_ask_points": terms.markup_ask_points,
        "swap_long": terms.swap.long,
        "swap_short": terms.swap.short,
        "commission_value": terms.commission.value,
    }
    return found[name]
