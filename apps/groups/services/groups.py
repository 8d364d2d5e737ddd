"""
Writes of trading groups and of their terms per symbol, for the pages, REST and restores alike: one change of
terms each, validated, logged. Checks no right and no reach.
"""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models
from guardian.shortcuts import assign_perm

from apps.audit.services import actions
from apps.groups.models import GroupSymbol, MarginSchedule, TradingGroup
from apps.groups.services import stop_out
from apps.market.models import Symbol
from apps.market.services.terms_changes import TermsChange
from rtx.kernel.errors import Conflict, Invalid, NotFound
from rtx.kernel.money import plain

Values = Mapping[str, Any]


class TermsInvalid(Invalid):
    """The terms do not fit together; `errors` names the fields."""

    code = "terms_invalid"
    title = "Terms not accepted"


class SymbolUnknown(NotFound):
    """There is no such symbol."""

    code = "symbol_not_found"
    title = "Symbol not found"


class GroupInUse(Conflict):
    """Accounts that may still trade belong to it."""

    code = "group_in_use"
    title = "The group is in use"


def save(change: TermsChange, group: TradingGroup) -> None:
    """Save a group; levels that accounts stand under wait for a second person instead."""
    is_new = group.pk is None
    stop_out.hold_back(change, group)
    group.save()
    if is_new:
        give_reach(change, group)


def create(change: TermsChange, *, values: Values, symbols: Mapping[str, Values | None]) -> TradingGroup:
    """
    Make a group with its terms per symbol.

    :raises TermsInvalid: they do not fit.
    :raises SymbolUnknown: a symbol is not there.
    """
    group = TradingGroup()
    _assign(group, values)
    _checked(group)
    save(change, group)
    _log(change, "groups.add_tradinggroup", group, group.pk, {}, _plain(values))
    _set_symbols(change, group, symbols)
    return group


def give_reach(change: TermsChange, group: TradingGroup) -> None:
    """Let whoever makes a group operate it; others are given reach by hand."""
    user_id = change.actor.user_id
    if user_id is None:
        return
    maker = get_user_model().objects.filter(pk=user_id, is_superuser=False).first()
    if maker is not None:
        assign_perm("groups.manage_group", maker, group)


def update(
    change: TermsChange, group: TradingGroup, *, values: Values, symbols: Mapping[str, Values | None]
) -> TradingGroup:
    """
    Change a group and its terms per symbol (None: the symbol inherits everything again).

    :raises TermsInvalid: they do not fit.
    :raises SymbolUnknown: a symbol is not there.
    """
    before = {name: getattr(group, name) for name in values}
    _assign(group, values)
    _checked(group)
    save(change, group)
    after = {name: getattr(group, name) for name in values}
    changed = {name for name in values if before[name] != after[name]}
    if changed:
        told = ({name: side[name] for name in changed} for side in (before, after))
        _log(change, "groups.change_tradinggroup", group, group.pk, *map(_plain, told))
    _set_symbols(change, group, symbols)
    return group


def deactivate(change: TermsChange, group: TradingGroup) -> None:
    """
    Switch a group off: it opens no accounts and no positions any more. Nothing is erased.

    :raises GroupInUse: it has accounts that may still trade.
    """
    open_accounts = group.trading_accounts.exclude(status="disabled").count()
    if open_accounts:
        raise GroupInUse(f"{open_accounts} accounts of {group.name} are open: move or disable them first.")
    if group.is_active:
        update(change, group, values={"is_active": False}, symbols={})


def save_terms(change: TermsChange, row: GroupSymbol, *, before: Values) -> None:
    """
    Save what a group sets for a symbol; `before` is what it set.

    :raises TermsInvalid: it does not fit.
    """
    deed = "change" if row.pk else "add"
    _checked(row)
    row.save()
    after = own_values(row)
    told = [
        {name: side.get(name) for name in after if before.get(name) != after[name]}
        for side in (before, after)
    ]
    _log(change, f"groups.{deed}_groupsymbol", row, row.group_id, _plain(told[0]), _plain(told[1]))


def own_values(row: GroupSymbol) -> dict[str, Any]:
    """Return what a group sets for a symbol, by column."""
    keys = ("id", "group_id", "symbol_id")
    return {
        one.attname: getattr(row, one.attname)
        for one in GroupSymbol._meta.concrete_fields
        if one.attname not in keys
    }


def schedule_named(name: str | None) -> MarginSchedule | None:
    """
    Return the margin schedule of a name.

    :raises TermsInvalid: there is none.
    """
    if not name:
        return None
    found = MarginSchedule.objects.filter(name=name).first()
    if found is None:
        raise TermsInvalid(
            f"There is no margin schedule {name[:40]}.", errors={"margin_schedule": ["unknown"]}
        )
    return found


def _set_symbols(change: TermsChange, group: TradingGroup, symbols: Mapping[str, Values | None]) -> None:
    known = {row.name: row for row in Symbol.objects.filter(name__in=symbols)}
    for name, values in symbols.items():
        if name not in known:
            raise SymbolUnknown(f"There is no symbol {name[:32]}.")
        row = GroupSymbol.objects.filter(group=group, symbol=known[name]).first()
        if values is None:
            if row is not None:
                gone = _plain(own_values(row))
                _log(change, "groups.delete_groupsymbol", row, group.pk, gone, {})
                row.delete()
            continue
        row = row or GroupSymbol(group=group, symbol=known[name])
        before = own_values(row) if row.pk else {}
        _assign(row, values)
        save_terms(change, row, before=before)


def _assign(row: models.Model, values: Values) -> None:
    for name, value in values.items():
        setattr(row, name, schedule_named(value) if name == "margin_schedule" else value)


def _checked(row: models.Model) -> None:
    try:
        row.full_clean()
    except ValidationError as error:
        errors = {
            "terms" if name == NON_FIELD_ERRORS else name: found for name, found in error.message_dict.items()
        }
        told = "; ".join(f"{name}: {' '.join(found)}" for name, found in errors.items())
        raise TermsInvalid(f"{row}: {told}"[:400], errors=errors) from None


def _plain(values: Values) -> dict[str, Any]:
    return {
        name: value if value is None or isinstance(value, bool | int | str) else _written(value)
        for name, value in values.items()
    }


def _written(value: Any) -> str:
    return plain(value) if hasattr(value, "quantize") else str(value)


def _log(
    change: TermsChange,
    operation: str,
    row: models.Model,
    group_id: int,
    before: dict[str, Any],
    after: dict[str, Any],
) -> None:
    actions.record(
        actor=change.actor, operation=operation, target=row, group_id=group_id, before=before, after=after
    )
