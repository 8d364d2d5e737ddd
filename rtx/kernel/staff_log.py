"""
Where pages write what staff did: the writer is named by dotted path in `STAFF_LOG`, the kernel knows no app.

Turns rows and forms into entries; masks what a page says must not be logged.
"""

from collections.abc import Collection, Iterable
from typing import Any

from django.conf import settings
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.module_loading import import_string

from rtx.kernel.errors import Invalid

MASKED = "****"
REQUESTED = "requested"  # the outcome of what waits for a second person
REASON_FIELD = "change_reason"
REASON_MIN_CHARS = 3
REASON_MAX_CHARS = 200
Told = dict[str, Any]


def record(**entry: Any) -> Any:
    """Write one entry, in the present transaction (see the writer's `record`)."""
    return import_string(f"{settings.STAFF_LOG}.record")(**entry)


def record_refusal(**entry: Any) -> Any:
    """Write that somebody was refused, in a transaction of its own (see the writer's `record_refusal`)."""
    return import_string(f"{settings.STAFF_LOG}.record_refusal")(**entry)


def about(row: Model, reach_path: str) -> Told:
    """Return what an entry says about the row that it concerns: what it is, and whose."""
    return {
        "target_type": row._meta.label_lower,
        "target_id": str(row.pk),
        "target_label": str(row),
        "group_id": _group_of(row, reach_path),
        "account_id": getattr(row, "account_id", None),
    }


def _group_of(row: Any, reach_path: str) -> int | None:
    if not reach_path:
        return None
    *steps, last = reach_path.split("__")
    for step in steps:
        row = getattr(row, step, None)
        if row is None:
            return None
    found = row.pk if last == "pk" else getattr(row, f"{last}_id", getattr(row, last, None))
    return found if isinstance(found, int) else None


def note_change(
    request: HttpRequest, form: Any, formsets: Iterable[Any] | None, masked: Collection[str]
) -> None:
    """Keep what a form changes, before and after, until its entry is written."""
    before, after = _difference(form, masked)
    for formset in formsets or ():
        for inline in formset.forms:
            if not inline.has_changed() and inline not in getattr(formset, "deleted_forms", ()):
                continue
            name = f"{inline.instance._meta.verbose_name} {inline.instance}"
            was, becomes = _difference(inline, masked)
            before[name], after[name] = was, becomes
            if inline in getattr(formset, "deleted_forms", ()):
                after[name] = None
    kept: Any = request
    kept.rtx_change = (before, after, str(form.cleaned_data.get(REASON_FIELD) or ""))


def noted_change(request: HttpRequest) -> tuple[Told, Told, str]:
    """Return what `note_change` kept: before, after, and the reason that was given."""
    found: tuple[Told, Told, str] = getattr(request, "rtx_change", ({}, {}, ""))
    return found


def given_reason(request: HttpRequest) -> str:
    """Return the reason that a page without a form of its own was sent with."""
    return request.POST.get(REASON_FIELD, "").strip()[:REASON_MAX_CHARS]


def reason_to_delete(request: HttpRequest) -> str:
    """
    Return why rows are deleted.

    :raises Invalid: `reason_required`.
    """
    given = given_reason(request)
    if len(given) < REASON_MIN_CHARS:
        raise Invalid("Nothing was deleted: say why it is to be.", code="reason_required")
    return given


def _difference(form: Any, masked: Collection[str]) -> tuple[Told, Told]:
    before: Told = {}
    after: Told = {}
    for name in form.changed_data:
        if name == REASON_FIELD:
            continue
        if name in masked or "password" in name or name not in form.fields:
            before[name] = after[name] = MASKED
            continue
        before[name] = _plain(form.get_initial_for_field(form.fields[name], name))
        after[name] = _plain(form.cleaned_data.get(name))
    return before, after


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Model):
        return f"{value.pk} {value}"
    if isinstance(value, QuerySet | list | tuple | set):
        return [_plain(one) for one in value]
    return str(value)
