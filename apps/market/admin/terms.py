"""
Base of the pages of symbols, groups and terms: a reason for every change, the what-if before it is saved, its
versions with restore. Decides nothing: what stands in the way of a change is the services' business.
"""

import hashlib
from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth import get_user_model
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import Model, ProtectedError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import pluralize
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.decorators import action

from apps.audit.services import actions
from apps.market.domain.impacts import Impact
from apps.market.selectors.versions import Parts, Version, versions_of
from apps.market.services import restoring, terms_changes
from apps.market.services.terms_changes import NOTHING, Confirmed, TermsChange, TermsNeedConfirmation
from rtx.kernel.actor import Actor
from rtx.kernel.admin import ConfiguredModelAdmin, reachable_groups
from rtx.kernel.admin_display import link
from rtx.kernel.errors import RtxError
from rtx.kernel.staff_log import REASON_FIELD

CONFIRMED = "terms_confirmed"
CONFIRMED_FOR_S = 900
SALT = "rtx.terms"
LISTED_MAX = 200
REASON_MIN = 3


def confirmed_by(request: HttpRequest) -> Confirmed:
    """Return what the person has seen and confirmed of exactly this form; nothing, when it is another one."""
    try:
        told = signing.loads(request.POST.get(CONFIRMED, ""), salt=SALT, max_age=CONFIRMED_FOR_S)
    except signing.BadSignature:
        return NOTHING
    is_this = told["of"] == _fingerprint(request)
    return Confirmed(int(told["called"]), int(told["closed"])) if is_this else NOTHING


def confirmation(request: HttpRequest, impact: Impact, *, title: str) -> HttpResponse:
    """Show whom the change would push, and ask to confirm it; the whole form is sent again then."""
    token = signing.dumps(
        {"of": _fingerprint(request), "called": impact.called, "closed": impact.closed}, salt=SALT
    )
    sent = [(name, value) for name, values in request.POST.lists() for value in values if not _is_ours(name)]
    context = {
        **admin.site.each_context(request),
        "title": title,
        "impact": impact,
        "hits": [hit.as_json() | {"id": hit.account_id} for hit in impact.hits[:LISTED_MAX]],
        "sent": sent,
        "token": token,
        "token_name": CONFIRMED,
        "is_repeated": CONFIRMED in request.POST,
        "back_url": request.get_full_path(),
    }
    answer = TemplateResponse(request, "admin/terms/confirm.html", context)
    answer["Cache-Control"] = "no-store"
    return answer


def _is_ours(name: str) -> bool:
    return name in (CONFIRMED, "csrfmiddlewaretoken")


def _fingerprint(request: HttpRequest) -> str:
    """Return what a confirmation is bound to: who sends which values to which address."""
    sent = sorted((name, values) for name, values in request.POST.lists() if not _is_ours(name))
    text = repr((request.user.pk, request.path, sent))
    return hashlib.sha256(text.encode()).hexdigest()


class TermsModelAdmin(ConfiguredModelAdmin):
    """
    Terms: a change says why, is checked against all accounts before it is committed, and can be undone.

    `parts` are the tables whose rows belong to a row and are versioned with it.
    """

    needs_recent_login = True
    parts: ClassVar[Parts] = ()
    actions_detail = ["versions"]

    # -- saving

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Ask for a reason below everything else."""
        shown = list(super().get_fieldsets(request, obj))
        named = {name for _, options in shown for row in options["fields"] for name in _flat(row)}
        may_save = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        if may_save and REASON_FIELD in self.form.declared_fields and REASON_FIELD not in named:
            shown.append(("Reason", {"fields": [REASON_FIELD]}))
        return shown

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Begin the change of terms that this form is."""
        reason = str(form.cleaned_data.get(REASON_FIELD) or "")
        kept: Any = request
        kept.rtx_terms = self._begin(request, reason)
        self.save_row(kept.rtx_terms, obj)

    def save_row(self, change: TermsChange, row: Any) -> None:
        """Save the row itself."""
        row.save()

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save what belongs to the row, then look at all of it."""
        super().save_related(request, form, formsets, change)
        self._finish(request)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete a row, and look at what that changes."""
        self._deleting(request, lambda: super(TermsModelAdmin, self).delete_model(request, obj))

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        """Delete rows, and look at what that changes."""
        self._deleting(request, lambda: super(TermsModelAdmin, self).delete_queryset(request, queryset))

    def _deleting(self, request: HttpRequest, delete: Callable[[], None]) -> None:
        with transaction.atomic():
            kept: Any = request
            kept.rtx_terms = self._begin(request, "")
            delete()
            self._finish(request)

    def _begin(self, request: HttpRequest, reason: str) -> TermsChange:
        return terms_changes.begin(
            actor=Actor.of(request, reason=reason),
            reach=reachable_groups(request.user),
            confirmed=confirmed_by(request),
        )

    def _finish(self, request: HttpRequest) -> None:
        kept: Any = request
        change: TermsChange = kept.rtx_terms
        terms_changes.finish(change)
        tell(request, change)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the list; deleting chosen rows needs a fresh sign-in and may need a confirmation."""
        if request.POST.get("action") == "delete_selected":
            self._require_recent_login(request)
        try:
            return super().changelist_view(request, extra_context)
        except (IntegrityError, ProtectedError) as error:
            return self._back_with(request, error, deed="delete")

    def _back_with(self, request: HttpRequest, error: Exception, *, deed: str = "change") -> HttpResponse:
        if isinstance(error, TermsNeedConfirmation):
            return confirmation(request, error.impact, title="Accounts would be called or closed")
        return super()._back_with(request, error, deed=deed)

    # -- versions

    @action(description="Versions", icon="history", permissions=["view"])
    def versions(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the versions of a row; restore one of them, with a reason."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        if not self.has_view_or_change_permission(request, row):
            raise PermissionDenied
        change_id = _number(request.POST.get("restore") or request.GET.get("restore"))
        if request.method == "POST":
            if not self.has_change_permission(request, row):
                raise PermissionDenied
            self._require_recent_login(request)
            return self._restore(request, row, change_id)
        try:
            steps = restoring.steps_to(row, parts=self.parts, change_id=change_id) if change_id else None
        except RtxError as error:
            messages.error(request, error.detail)
            return HttpResponseRedirect(request.path)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Versions of {self.opts.verbose_name} {row}",
            "row": row,
            "versions": _with_authors(versions_of(row, parts=self.parts)),
            "may_restore": self.has_change_permission(request, row),
            "change_id": change_id,
            "steps": steps,
            "here": request.path,
            "back_url": self._url_of(row),
        }
        return TemplateResponse(request, "admin/terms/versions.html", context)

    def _restore(self, request: HttpRequest, row: Any, change_id: int) -> HttpResponse:
        reason = request.POST.get(REASON_FIELD, "").strip()[:200]
        here = HttpResponseRedirect(f"{request.path}?restore={change_id}")
        if len(reason) < REASON_MIN:
            messages.error(request, "Say why it is restored.")
            return here
        try:
            with transaction.atomic():
                change = self._begin(request, reason)
                steps = restoring.restore(
                    row,
                    parts=self.parts,
                    change_id=change_id,
                    save=lambda restored: self.save_row(change, restored),
                )
                terms_changes.finish(change)
                if steps:
                    _log_restore(change, row, self._group_id(row), change_id, steps)
        except TermsNeedConfirmation as error:
            return confirmation(request, error.impact, title=f"Restoring {row} would push accounts")
        except RtxError as error:
            messages.error(request, f"Nothing was restored. {error.detail}")
            return here
        if steps:
            done = "is restored but for what waits" if change.held_back else "is as it was then"
            rows = f"{len(steps)} row{pluralize(len(steps))}"
            messages.success(request, f"{row} {done}: {rows} changed.")
        tell(request, change)
        return HttpResponseRedirect(self._url_of(row))

    def _group_id(self, row: Any) -> int | None:
        if self.reach_path == "pk":
            return int(row.pk)
        found = getattr(row, f"{self.reach_path}_id", None) if self.reach_path else None
        return int(found) if found is not None else None

    def _url_of(self, row: Model) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[row.pk])


def tell(request: HttpRequest, change: TermsChange) -> None:
    """Say what of a change waits for a second person."""
    for sentence in change.waiting:
        messages.warning(request, sentence)


def _log_restore(
    change: TermsChange, row: Model, group_id: int | None, change_id: int, steps: list[restoring.Step]
) -> None:
    told = [(step, step.differences) for step in steps]
    left = " but for what waits for a second person" if change.held_back else ""
    actions.record(
        actor=change.actor,
        operation=f"{row._meta.app_label}.restore_{row._meta.model_name}",
        target=row,
        group_id=group_id,
        before={step.label: {one.name: one.before for one in found} for step, found in told},
        after={step.label: {one.name: one.after for one in found} or step.deed for step, found in told},
        detail=f"Restored to what it was after change {change_id}{left}.",
    )


def _with_authors(versions: list[Version]) -> list[tuple[Version, Any]]:
    """Return versions, each with a link to who made it."""
    users = get_user_model().objects.in_bulk({one.user_id for one in versions if one.user_id is not None})
    return [
        (one, link(users[one.user_id]) if one.user_id in users else one.actor or "an import or a command")
        for one in versions
    ]


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 19 else 0


def _flat(row: Any) -> tuple[str, ...]:
    return (row,) if isinstance(row, str) else tuple(row)
