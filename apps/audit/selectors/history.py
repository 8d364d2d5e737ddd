"""
The history of one row for its page: what staff did to it, and how its configuration changed. Named by
`ROW_HISTORY`, because the kernel's pages know no app. Reads only.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from auditlog.models import LogEntry
from django.contrib.auth import get_user_model
from django.db.models import Model, Q

from apps.audit.domain.differences import Difference, differences
from apps.audit.models import StaffAction

ENTRIES_MAX = 100
ACCOUNT = "accounts.tradingaccount"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One thing that happened to a row. `action_id` is its entry in the staff log; None: a change alone."""

    at: datetime
    who: str
    what: str
    outcome: str = ""
    reason: str = ""
    detail: str = ""
    changes: list[Difference] = field(default_factory=list)
    action_id: int | None = None


def of_row(row: Model) -> list[Told]:
    """Return the newest entries about a row, newest first."""
    kind = row._meta.label_lower
    about = Q(target_type=kind, target_id=str(row.pk))
    if kind == ACCOUNT:
        about |= Q(account_id=row.pk)
    acted = list(StaffAction.objects.filter(about).order_by("-id")[:ENTRIES_MAX])
    changed = list(_changes(row)[:ENTRIES_MAX])
    names = staff_names({one.user_id for one in acted} | {one.actor_id for one in changed})
    told = [_acted(one, names) for one in acted] + [_changed(one, names) for one in changed]
    return sorted(told, key=lambda one: one.at, reverse=True)[:ENTRIES_MAX]


def staff_names(user_ids: set[int | None]) -> dict[int, str]:
    """Return how members of staff are called, by id; a trader is named by number."""
    known = get_user_model().objects.filter(pk__in={one for one in user_ids if one is not None})
    return dict(known.filter(is_staff=True).values_list("pk", "email"))


def _changes(row: Model) -> Any:
    return LogEntry.objects.get_for_object(row).order_by("-id")


def _is_relation(value: Any) -> bool:
    """Tell whether the change log noted a list of other rows (`trading.Order.None`) instead of a value."""
    return isinstance(value, str) and value.endswith(".None")


def _who(user_id: int | None, names: dict[int, str]) -> str:
    return "system" if user_id is None else names.get(user_id, f"user {user_id}")


def _acted(one: StaffAction, names: dict[int, str]) -> Told:
    return Told(
        at=one.at,
        who=_who(one.user_id, names),
        what=one.operation,
        outcome=one.outcome,
        reason=one.reason,
        detail=one.detail,
        changes=_told_changes(one),
        action_id=one.pk,
    )


def _told_changes(one: StaffAction) -> list[Difference]:
    before, after = (one.before, one.after) if one.after else ({}, one.before)
    return [found for found in differences(before, after) if found.is_changed]


def in_words(kept: Any) -> str:
    """Return a value of the change log, which keeps everything as Python writes it, in words."""
    return {"None": "", "True": "yes", "False": "no"}.get(str(kept), str(kept))


def _changed(one: Any, names: dict[int, str]) -> Told:
    changes = [
        Difference(name, in_words(pair[0]), in_words(pair[1]))
        for name, pair in (one.changes_dict or {}).items()
        if isinstance(pair, list | tuple) and len(pair) == 2 and not _is_relation(pair[1])
    ]
    return Told(
        at=one.timestamp, who=_who(one.actor_id, names), what=one.get_action_display(), changes=changes
    )
