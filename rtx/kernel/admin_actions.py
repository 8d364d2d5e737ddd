"""
Operator actions of admin pages: a right, a confirmation with a reason, one service call per row, every result
shown.

The decorated method makes the service call and returns a sentence about its result (or None). A typed error
of the service becomes a message. The same method serves the list (`actions`) and the detail page
(`actions_detail`). Must not run inside a transaction: services wait for the executor.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import helpers
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextareaWidget

from rtx.kernel.actor import Actor
from rtx.kernel.errors import RtxError

ROWS_MAX = 50
CONFIRMED = "operator_confirmed"


class OperatorForm(forms.Form):
    """The confirmation: a reason, and a key that makes a repeated submission the same request."""

    reason = forms.CharField(
        max_length=200,
        min_length=3,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Written into the staff log together with your name.",
    )
    request_key = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, asks_reason: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not asks_reason:
            del self.fields["reason"]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """Who asked for what: handed to the decorated method."""

    actor: Actor
    reason: str
    request_key: uuid.UUID


def operator_action(
    label: str, *, permission: str, asks_reason: bool = True, warning: str = "", icon: str = ""
) -> Callable[[Callable[..., str | None]], Callable[..., HttpResponse]]:
    """Turn `method(self, row, operation) -> sentence` into an action of a list and of a detail page."""

    def decorate(method: Callable[..., str | None]) -> Callable[..., HttpResponse]:
        @wraps(method)
        def run(
            model_admin: Any, request: HttpRequest, queryset: Any = None, *, object_id: str | None = None
        ) -> HttpResponse:
            if not request.user.has_perm(permission):
                raise PermissionDenied
            rows = _rows(model_admin, request, queryset, object_id)
            is_confirmed = CONFIRMED in request.POST
            data = request.POST if is_confirmed else None
            form = OperatorForm(data, asks_reason=asks_reason, initial={"request_key": uuid.uuid4()})
            if is_confirmed and form.is_valid():
                operation = Operation(
                    actor=Actor.of(request),
                    reason=form.cleaned_data.get("reason", ""),
                    request_key=form.cleaned_data["request_key"],
                )
                _perform(model_admin, request, rows, method, operation, label)
                return HttpResponseRedirect(_list_url(model_admin))
            return _ask(model_admin, request, rows, form, name=method.__name__, label=label, warning=warning)

        shown: Any = run
        shown.short_description = label
        shown.operator_permission = permission
        shown.attrs = {}
        shown.icon = icon or None
        shown.variant = ActionVariant.DANGER
        shown.original_function_name = method.__name__
        return run

    return decorate


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
    method: Callable[..., str | None],
    operation: Operation,
    label: str,
) -> None:
    if not rows:
        messages.warning(request, "Nothing was done: the selected rows are no longer there.")
    for row in rows:
        name = str(row)
        try:
            said = method(model_admin, row, operation)
        except RtxError as error:
            messages.error(request, f"{name}: {error.detail}")
            outcome = f"refused: {error.detail}"
        else:
            outcome = said or "done"
            messages.success(request, f"{name}: {outcome}")
        reason = f" Reason: {operation.reason}" if operation.reason else ""
        model_admin.log_change(request, row, f"{label}: {outcome}.{reason}")


def _ask(
    model_admin: Any,
    request: HttpRequest,
    rows: list[Any],
    form: OperatorForm,
    *,
    name: str,
    label: str,
    warning: str,
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
        "back_url": _list_url(model_admin),
    }
    return TemplateResponse(request, "admin/operator_action.html", context)


def _list_url(model_admin: Any) -> str:
    meta = model_admin.opts
    return reverse(f"{model_admin.admin_site.name}:{meta.app_label}_{meta.model_name}_changelist")
