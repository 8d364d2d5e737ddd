"""
Base classes of every admin page. Know nothing of any app: reach is a path to a trading group, given by the
subclass.

Two kinds: configuration is edited in forms (`ConfiguredModelAdmin`); money, orders and the journal are only
operated through actions that call services (`OperatedModelAdmin`). Lists stay fast on millions of rows: they
are bounded (`admin_lists`), only chosen columns sort, and a search asks indexes instead of scanning text.
"""

import re
from functools import cache
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import DataError, IntegrityError, transaction
from django.db.models import Model, ProtectedError, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from unfold.admin import ModelAdmin, TabularInline, checkbox
from unfold.decorators import display

from rtx.kernel import recent_login, staff_log
from rtx.kernel.actor import Actor
from rtx.kernel.admin_lists import BoundedChangeList, CappedPaginator
from rtx.kernel.errors import RtxError
from rtx.kernel.fields import ExactDecimalField

BOX_KEY = "key-of-the-row"
BIGGEST_ID = 2**63 - 1
LINKED = frozenset({"account", "account__id__exact", "symbol__id__exact", "event__id__exact", "position_id"})
ASKED = re.compile(
    r"(?:__(?:id|pk))?(?:__(?:exact|in|isempty|icontains|gte?|lte?|range))?|_(?:from|to)(?:_[01])?"
)
DECIMAL = re.compile(r"-?\d+\.\d+")


@cache
def _box() -> str:
    shown = checkbox.render(ACTION_CHECKBOX_NAME, BOX_KEY)
    return str(shown).replace("{", "{{").replace("}", "}}").replace(BOX_KEY, "{}")


def reachable_groups(user: Any) -> frozenset[int] | None:
    """Return the ids of the trading groups a member of staff may operate; None: all of them (superusers)."""
    if user.is_superuser:
        return None
    known: frozenset[int] | None = user.__dict__.get("_reachable_groups")
    if known is None:
        known = user.__dict__["_reachable_groups"] = import_string(settings.REACH)(user)
    return known


def as_id(term: str) -> int | None:
    """Return a search term as a row id or number, or None when it is no such thing."""
    text = term.strip().lstrip("#")
    if not (text.isascii() and text.isdecimal()):
        return None
    number = int(text)
    return number if number <= BIGGEST_ID else None


def exact_numbers(model: type[Model]) -> dict[str, Any]:
    """Return for each exact column of a table how its text is shown: without the zeros that fill it up."""
    columns = [field.name for field in model._meta.fields if isinstance(field, ExactDecimalField)]
    return dict.fromkeys(columns, without_filling_zeros)


def without_filling_zeros(shown: Any) -> str:
    """Return a number's text without trailing zeros after the point; anything else as it is."""
    text = str(shown)
    return text.rstrip("0").rstrip(".") if DECIMAL.fullmatch(text) else text


class RtxModelAdmin(ModelAdmin):
    """What all pages share: reach, a capped count, 404 for what is not there or out of reach."""

    reach_path: ClassVar[str] = (
        ""  # lookup of the trading group, such as "account__group"; empty: not limited
    )
    unlogged_fields: ClassVar[frozenset[str]] = frozenset()  # masked in the staff log
    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # counting each choice of each filter reads the table as often
    list_per_page = 50
    list_max_show_all = 200
    list_filter_submit = True
    list_fullwidth = True
    list_disable_select_all = True
    list_before_template = "admin/saved_filters.html"
    compressed_fields = False

    def __init__(self, model: type[Model], admin_site: Any) -> None:
        super().__init__(model, admin_site)
        self.readonly_preprocess_fields = exact_numbers(model)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Limit the rows to the trading groups within the staff member's reach."""
        rows = super().get_queryset(request)
        groups = reachable_groups(request.user) if self.reach_path else None
        return rows if groups is None else self.limit_to(rows, groups, request)

    def get_ordering(self, request: HttpRequest) -> Any:
        """Return an order for every list, pages of autocompletion included: none means any."""
        return super().get_ordering(request) or self.opts.ordering or ["-pk"]

    def limit_to(self, rows: QuerySet[Any], groups: frozenset[int], request: HttpRequest) -> QuerySet[Any]:
        """Keep the rows of these trading groups."""
        return rows.filter(**{f"{self.reach_path}__in": groups})

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer, and accept, only trading groups within reach where a row names its group."""
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        page = self.admin_site._registry.get(db_field.remote_field.model)
        names_group = isinstance(page, RtxModelAdmin) and page.reach_path == "pk"
        groups = reachable_groups(request.user) if names_group else None
        if field is not None and groups is not None:
            field.queryset = field.queryset.filter(pk__in=groups)
        return field

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Return the condition for a search term, made of indexed columns; None: search as Django does."""
        return None

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search through `search` where the page defines it."""
        condition = self.search(search_term.strip(), request) if search_term.strip() else None
        if condition is not None:
            return queryset.filter(condition), False
        found: tuple[QuerySet[Any], bool] = super().get_search_results(request, queryset, search_term)
        return found

    @display(description=ModelAdmin.action_checkbox.short_description)  # type: ignore[untyped-decorator]
    def action_checkbox(self, obj: Model) -> SafeString:
        """Write the box that chooses a row: the same each time but for the key, so it is rendered once."""
        return format_html(_box(), obj.pk)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[BoundedChangeList]:
        """Return the kind of list: one that stays fast on millions of rows."""
        return BoundedChangeList

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """
        Build the list and tell which filter cannot be read. A list that is neither searched nor filtered
        shows everything already.
        """
        changelist = super().get_changelist_instance(request)
        if changelist.unread:
            told = "The list cannot be filtered like that, so it has no rows."
            messages.error(request, f"{told} {changelist.unread}")
        if not changelist.query and not changelist.has_active_filters:
            changelist.full_result_count = changelist.result_count
        return changelist

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """
        Offer the actions that the staff member has the right to; chosen rows are deleted together with their
        entries in the staff log, or not at all.
        """
        offered: dict[str, Any] = super().get_actions(request)
        if "delete_selected" in offered:
            delete, *rest = offered["delete_selected"]
            offered["delete_selected"] = (transaction.atomic(delete), *rest)
        return {name: entry for name, entry in offered.items() if _is_allowed(entry[0], request)}

    def _filter_unfold_actions_by_permissions(
        self, request: HttpRequest, actions: list[Any], object_id: Any = None
    ) -> list[Any]:
        kept = super()._filter_unfold_actions_by_permissions(request, actions, object_id)
        return [action for action in kept if _is_allowed(action.method, request)]

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """Keep what changes for the staff log."""
        staff_log.note_change(request, form, formsets, self.unlogged_fields)
        return super().construct_change_message(request, form, formsets, add)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write into the staff log that a row was added, in the transaction that adds it."""
        return self._log(request, obj, "add", changes=staff_log.noted_change(request))

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write into the staff log how a row changed, in the transaction that changes it."""
        detail = message if isinstance(message, str) else ""
        return self._log(request, obj, "change", changes=staff_log.noted_change(request), detail=detail)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """
        Write into the staff log which rows are deleted, and why, just before they are.

        :raises Invalid: `reason_required`: no way of deleting does without one.
        """
        why = staff_log.reason_to_delete(request)
        told = ({}, {}, why)  # type: tuple[dict[str, Any], dict[str, Any], str]
        return [self._log(request, row, "delete", changes=told) for row in queryset]

    def _log(
        self,
        request: HttpRequest,
        row: Any,
        deed: str,
        *,
        changes: tuple[dict[str, Any], dict[str, Any], str] = ({}, {}, ""),
        detail: str = "",
    ) -> Any:
        before, after, reason = changes
        return staff_log.record(
            actor=Actor.of(request, reason=reason),
            operation=f"{self.opts.app_label}.{deed}_{self.opts.model_name}",
            before=before,
            after=after,
            detail=detail,
            **staff_log.about(row, self.reach_path),
        )

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show what happened to a row: what the staff log and the change log tell about it."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if not self.has_view_or_change_permission(request, row):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": f"History: {row}",
            "object": row,
            "opts": self.opts,
            "entries": import_string(settings.ROW_HISTORY)(row),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/row_history.html", context)

    def _get_obj_does_not_exist_redirect(
        self, request: HttpRequest, opts: Any, object_id: str
    ) -> HttpResponse:
        raise Http404(f"{opts.verbose_name} {object_id} is not there")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """
        Allow what the list's own filters ask, and links between pages that filter by account or symbol.

        Anything else could be asked a letter at a time: `?user__password__startswith=`, `?email_hash__gt=`.
        """
        if lookup in LINKED:
            return True
        for entry in self.get_list_filter(request) if request is not None else self.list_filter:
            kind = entry[1] if isinstance(entry, tuple) else entry
            own = getattr(kind, "parameter_name", None)
            if own is not None and lookup == own:
                return True
            field = entry[0] if isinstance(entry, tuple) else entry
            if isinstance(field, str) and lookup.startswith(field) and ASKED.fullmatch(lookup[len(field) :]):
                return True
        return False


class ConfiguredModelAdmin(RtxModelAdmin):
    """
    Configuration: edited in validated forms. What the database refuses comes back as a message, never as a
    500.
    """

    is_deletable: ClassVar[bool] = True
    needs_recent_login: ClassVar[bool] = False  # before anything is saved or deleted
    warn_unsaved_form = True

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse to delete what is switched off instead."""
        return self.is_deletable and bool(super().has_delete_permission(request, obj))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """
        Show the form; a refusal by the database or a service sends the person back to it with the reason.
        """
        self._require_recent_login(request)
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except (IntegrityError, DataError, ProtectedError, RtxError) as error:
            return self._back_with(request, error)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Delete after a confirmation; a refusal by the database is shown."""
        self._require_recent_login(request)
        try:
            return super().delete_view(request, object_id, extra_context)
        except (IntegrityError, ProtectedError, RtxError) as error:
            return self._back_with(request, error, deed="delete")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the list; what is done to chosen rows asks for what the form asks for."""
        self._require_recent_login(request)
        try:
            return super().changelist_view(request, extra_context)
        except RtxError as error:
            is_deleting = request.POST.get("action") == "delete_selected"
            return self._back_with(request, error, deed="delete" if is_deleting else "change")

    def _require_recent_login(self, request: HttpRequest) -> None:
        if self.needs_recent_login and request.method == "POST":
            recent_login.require(request)

    def _back_with(self, request: HttpRequest, error: Exception, *, deed: str = "change") -> HttpResponse:
        if isinstance(error, RtxError):
            staff_log.record_refusal(
                actor=Actor.of(request, reason=staff_log.given_reason(request)),
                operation=f"{self.opts.app_label}.{deed}_{self.opts.model_name}",
                detail=error.code,
                target_type=self.opts.label_lower,
            )
        messages.error(request, f"Nothing was saved. {_refusal_text(error)}")
        return HttpResponseRedirect(request.get_full_path())


class ReadOnlyModelAdmin(RtxModelAdmin):
    """Rows that nobody edits here, not even a superuser: everything is shown, nothing can be saved."""

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse."""
        return False


class OperatedModelAdmin(ReadOnlyModelAdmin):
    """Rows that change only through actions, each one service call (see `rtx.kernel.admin_actions`)."""


class ReadOnlyTabularInline(TabularInline):
    """Rows of a parent shown for reading."""

    extra = 0
    max_num = 0
    can_delete = False
    show_change_link = True

    def __init__(self, parent_model: type[Model], admin_site: Any) -> None:
        super().__init__(parent_model, admin_site)
        self.readonly_preprocess_fields = exact_numbers(self.model)

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse."""
        return False


def _is_allowed(action: Any, request: HttpRequest) -> bool:
    """
    Tell whether the staff member has the right that an action declares. One that declares none is nobody's;
    `permissions=` of Django's or unfold's own decorator were asked before.
    """
    permission = getattr(action, "operator_permission", None)
    if permission is None:
        return bool(getattr(action, "allowed_permissions", ()))
    return bool(request.user.has_perm(permission))


def _refusal_text(error: Exception) -> str:
    if isinstance(error, RtxError):
        return error.detail
    if isinstance(error, ProtectedError):
        used_by = sorted({str(row._meta.verbose_name_plural) for row in error.protected_objects})
        return f"It is still used by {', '.join(used_by)}."
    cause = error.__cause__
    diagnosis = getattr(cause, "diag", None)
    said = getattr(diagnosis, "message_detail", None) or getattr(diagnosis, "message_primary", None)
    return capfirst(str(said or "the database refused the values").rstrip(".")) + "."
