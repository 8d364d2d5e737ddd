"""
Operator actions of admin pages: a right, a confirmation with a reason, one service call per row, every result
shown.

The decorated method makes the service call and returns a sentence about its result (or None). A typed error
of the service becomes a message. The same method serves the list (`actions`) and the detail page
(`actions_detail`). It runs in one transaction with its entry in the staff log; an action that `runs_commands`
waits for the executor, which must not happen inside a transaction and writes the entry itself. With a
`preview` there is a step between form and deed: what would happen is shown first (dry_runs.py).
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin import helpers
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextareaWidget

from rtx.kernel import clock, dry_runs, recent_login, staff_log
from rtx.kernel.actor import Actor
from rtx.kernel.dry_runs import DryRun
from rtx.kernel.errors import Conflict, RtxError

ROWS_MAX = 50
CONFIRMED = "operator_confirmed"
LAST = ("reason", "request_key")
LOOK_FIRST = "Show the effect"


class OperatorForm(forms.Form):
    """The confirmation: a reason, and a key that makes a repeated submission the same request."""

    reason = forms.CharField(
        max_length=200,
        min_length=3,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Written into the staff log together with your name.",
    )
    request_key = forms.UUIDField(widget=forms.HiddenInput)
    unlogged: ClassVar[frozenset[str]] = (
        frozenset()
    )  # of these values the staff log tells only that they came

    def __init__(self, *args: Any, row: Any = None, asks_reason: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.row = row
        self.order_fields([*(name for name in self.fields if name not in LAST), *LAST])
        if not asks_reason:
            del self.fields["reason"]

    @classmethod
    def initial_of(cls, row: Any) -> dict[str, Any]:
        """Return what the form shows at first for the row that the action is about."""
        return {}

    def offer_to(self, user: Any) -> None:
        """Offer only what this person may choose (their reach); called before the form is shown or read."""

    @property
    def values(self) -> dict[str, Any]:
        """What a valid form asks for, besides the reason and the key."""
        return {name: value for name, value in self.cleaned_data.items() if name not in LAST}

    @property
    def notes(self) -> list[str]:
        """What whoever sent a valid form should know besides its result."""
        return []


@dataclass(frozen=True, kw_only=True)
class Operation:
    """
    Who asked for what: handed to the decorated method. `values` are those of the action's own form; `may`
    tells whether the person has a right besides the action's own.
    """

    actor: Actor
    may: Callable[[str], bool]
    reason: str
    request_key: uuid.UUID
    values: Mapping[str, Any] = field(default_factory=dict)
    unlogged: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Told:
    """A result whose entry in the staff log says more than that it is done: what was before, what waits."""

    said: str
    before: Mapping[str, Any] = field(default_factory=dict)
    is_waiting: bool = False


Result = Told | str | None
Preview = Callable[[Any, Any, Operation], DryRun | None]


def operator_action(
    label: str,
    *,
    permission: str,
    asks_reason: bool = True,
    warning: str = "",
    icon: str = "",
    form: type[OperatorForm] = OperatorForm,
    variant: ActionVariant = ActionVariant.DANGER,
    runs_commands: bool = False,
    preview: Preview | None = None,
    needs_recent_login: bool = False,
) -> Callable[[Callable[..., Result]], Callable[..., HttpResponse]]:
    """
    Turn `method(self, row, operation) -> sentence` into an action of a list and of a detail page.
    What only waits for a second person, or has a state before to tell of, returns `Told`.

    An action whose `form` asks for more than a reason belongs to the detail page: its form shows one row.
    `preview(self, row, operation)` tells what the method would do; it is then done only once that was seen.
    None: there is nothing to see before.
    What the form asks for travels through the page of the dry run: no files and no secrets there.
    What moves money or positions `needs_recent_login`: who signed in long ago proves that it is still them.
    """

    def decorate(method: Callable[..., Result]) -> Callable[..., HttpResponse]:
        @wraps(method)
        def run(
            model_admin: Any, request: HttpRequest, queryset: Any = None, *, object_id: str | None = None
        ) -> HttpResponse:
            if not request.user.has_perm(permission):
                raise PermissionDenied
            if needs_recent_login:
                recent_login.require(request)
            rows = _rows(model_admin, request, queryset, object_id)
            is_confirmed = CONFIRMED in request.POST
            asked = _form(form, request, rows, asks_reason=asks_reason)
            shown_as = {"name": method.__name__, "label": label, "warning": warning, "variant": variant}
            step = label if preview is None else LOOK_FIRST
            if is_confirmed and asked.is_valid() and dry_runs.EDIT not in request.POST:
                reason = asked.cleaned_data.get("reason", "")
                operation = Operation(
                    actor=Actor.of(request, reason=reason),
                    may=request.user.has_perm,
                    reason=reason,
                    request_key=asked.cleaned_data["request_key"],
                    values=asked.values,
                    unlogged=asked.unlogged,
                )
                tried = {} if preview is None else _try(model_admin, rows, preview, operation)
                if tried:
                    doubts = dry_runs.doubts(request, tried, rows, now=clock.now())
                    if dry_runs.SEAL not in request.POST or doubts:
                        return _show(model_admin, request, rows, tried, doubts=doubts, **shown_as)
                for note in asked.notes:
                    messages.warning(request, note)
                look = preview if tried and len(rows) > 1 else None
                _perform(model_admin, request, rows, method, operation, look, runs_commands=runs_commands)
                return HttpResponseRedirect(_url_after(model_admin, request, object_id))
            return _ask(model_admin, request, rows, asked, back=object_id, step=step, **shown_as)

        shown: Any = run
        shown.short_description = label
        shown.operator_permission = permission
        shown.attrs = {}
        shown.icon = icon or None
        shown.variant = variant
        shown.original_function_name = method.__name__
        return run

    return decorate


def list_action(
    label: str, *, permission: str, icon: str = "", variant: ActionVariant = ActionVariant.DEFAULT
) -> Callable[[Callable[..., HttpResponse]], Callable[..., HttpResponse]]:
    """Turn `method(self, request) -> response` into a button above a list, for those who have the right."""

    def decorate(method: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(method)
        def run(model_admin: Any, request: HttpRequest) -> HttpResponse:
            if not request.user.has_perm(permission):
                raise PermissionDenied
            return method(model_admin, request)

        shown: Any = run
        shown.short_description = label
        shown.operator_permission = permission
        shown.attrs = {}
        shown.icon = icon or None
        shown.variant = variant
        return run

    return decorate


def _form(
    form: type[OperatorForm], request: HttpRequest, rows: list[Any], *, asks_reason: bool
) -> OperatorForm:
    """Return the form as it was filled in, or as it is shown at first."""
    data, files = (request.POST, request.FILES) if CONFIRMED in request.POST else (None, None)
    row = rows[0] if len(rows) == 1 else None
    initial = {"request_key": uuid.uuid4(), **(form.initial_of(row) if row is not None else {})}
    asked = form(data, files, row=row, asks_reason=asks_reason, initial=initial)
    asked.offer_to(request.user)
    return asked


def _rows(model_admin: Any, request: HttpRequest, queryset: Any, object_id: str | None) -> list[Any]:
    if object_id is not None:
        row = model_admin.get_object(request, unquote(object_id))
        if row is None:
            raise Http404(f"{model_admin.opts.verbose_name} {object_id} is not there")
        return [row]
    related = model_admin.list_select_related
    if isinstance(related, list | tuple) and related:
        queryset = queryset.select_related(*related)
    rows = list(queryset[: ROWS_MAX + 1])
    if len(rows) > ROWS_MAX:
        messages.warning(request, f"Only the first {ROWS_MAX} are taken at a time.")
    return rows[:ROWS_MAX]


def _perform(
    model_admin: Any,
    request: HttpRequest,
    rows: list[Any],
    method: Callable[..., Result],
    operation: Operation,
    preview: Preview | None,
    *,
    runs_commands: bool,
) -> None:
    """Do it to each row; with a `preview`, to those alone of which it tells what was shown."""
    if not rows:
        messages.warning(request, "Nothing was done: the selected rows are no longer there.")
    for row in rows:
        name = str(row)
        entry = {
            "actor": operation.actor,
            "operation": f"{model_admin.opts.app_label}.{method.__name__}",
            **staff_log.about(row, model_admin.reach_path),
        }
        try:
            if preview is not None:
                _require_as_shown(model_admin, request, preview, operation, row)
            if runs_commands:
                told = _told(method(model_admin, row, operation))
            else:
                with transaction.atomic():
                    told = _told(method(model_admin, row, operation))
                    outcome = {"outcome": staff_log.REQUESTED} if told.is_waiting else {}
                    staff_log.record(
                        **entry, **outcome, before=told.before, after=_asked(operation), detail=told.said
                    )
        except RtxError as error:
            messages.error(request, f"{name}: {error.detail}")
            if not error.is_logged:
                staff_log.record_refusal(**entry, after=_asked(operation), detail=error.detail)
        else:
            messages.success(request, f"{name}: {told.said}")


def _require_as_shown(
    model_admin: Any, request: HttpRequest, preview: Preview, operation: Operation, row: Any
) -> None:
    run = _try(model_admin, [row], preview, operation).get(str(row.pk), DryRun())
    why = dry_runs.why_left(request, str(row.pk), run)
    if why:
        raise Conflict(f"Left as it is. {why}", code="not_as_shown")


def _told(result: Result) -> Told:
    return result if isinstance(result, Told) else Told(said=result or "done")


def _try(model_admin: Any, rows: list[Any], preview: Preview, operation: Operation) -> dict[str, DryRun]:
    """
    Return what would become of each row, nothing when no row has anything to show; one that cannot even be
    tried is told with the reason.
    """
    tried: dict[str, DryRun | None] = {}
    for row in rows:
        try:
            tried[str(row.pk)] = preview(model_admin, row, operation)
        except RtxError as error:
            tried[str(row.pk)] = DryRun(refusal=error.detail)
    if not any(tried.values()):
        return {}
    return {key: run or DryRun() for key, run in tried.items()}


def _show(
    model_admin: Any,
    request: HttpRequest,
    rows: list[Any],
    tried: dict[str, DryRun],
    *,
    name: str,
    label: str,
    warning: str,
    variant: ActionVariant,
    doubts: Sequence[str],
) -> HttpResponse:
    """Show what would happen, with the way back to the form and the one to its confirmation."""
    context = {
        **model_admin.admin_site.each_context(request),
        "title": label,
        "opts": model_admin.opts,
        "action_name": name,
        "runs": [(row, tried[str(row.pk)]) for row in rows],
        "doubts": doubts if dry_runs.SEAL in request.POST else (),
        "may_confirm": any(not run.refusal for run in tried.values()),
        "warning": warning,
        "reason": request.POST.get("reason", ""),
        "content": dry_runs.content_of(request),
        "seal": dry_runs.seal(request, tried, now=clock.now()),
        "seal_name": dry_runs.SEAL,
        "edit_name": dry_runs.EDIT,
        "max_age_s": dry_runs.MAX_AGE_S,
        "variant": "danger" if variant is ActionVariant.DANGER else "primary",
    }
    return TemplateResponse(request, "admin/operator_preview.html", context)


def _asked(operation: Operation) -> dict[str, Any]:
    """Return what the action's form asked for, as text."""
    return {
        name: staff_log.MASKED if name in operation.unlogged else str(value)
        for name, value in operation.values.items()
        if value not in (None, "")
    }


def _ask(
    model_admin: Any,
    request: HttpRequest,
    rows: list[Any],
    form: OperatorForm,
    *,
    name: str,
    label: str,
    warning: str,
    variant: ActionVariant,
    back: str | None,
    step: str,
) -> HttpResponse:
    context = {
        **model_admin.admin_site.each_context(request),
        "title": label,
        "opts": model_admin.opts,
        "rows": rows,
        "form": form,
        "warning": warning,
        "action_name": name,
        "confirmed_name": CONFIRMED,
        "checkbox_name": helpers.ACTION_CHECKBOX_NAME,
        "variant": "danger" if variant is ActionVariant.DANGER and step == label else "primary",
        "step": step,
        "back_url": _list_url(model_admin) if back is None else _url_after(model_admin, request, back),
    }
    return TemplateResponse(request, "admin/operator_action.html", context)


def _url_after(model_admin: Any, request: HttpRequest, object_id: str | None) -> str:
    """Return to the row's page while the row is there, else to the list."""
    if object_id is None or model_admin.get_object(request, unquote(object_id)) is None:
        return _list_url(model_admin)
    meta = model_admin.opts
    name = f"{model_admin.admin_site.name}:{meta.app_label}_{meta.model_name}_change"
    return reverse(name, args=[object_id])


def _list_url(model_admin: Any) -> str:
    meta = model_admin.opts
    return reverse(f"{model_admin.admin_site.name}:{meta.app_label}_{meta.model_name}_changelist")
