"""Saved filters: kept and dropped from above a list; all of them as a table."""

from http import HTTPStatus
from typing import Any

from django.apps import apps
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from apps.accounts.models import User
from apps.console.models import SavedFilter
from apps.console.services import saved_filters
from rtx.kernel.admin import ReadOnlyModelAdmin
from rtx.kernel.errors import RtxError

SHARE = "console.share_savedfilter"
STAFF_ROLES = frozenset(role.value for role in User.Role) - {"trader"}


@admin.register(SavedFilter)
class SavedFilterAdmin(ReadOnlyModelAdmin):
    """Filters that staff keep. Made and dropped above the lists they belong to."""

    list_display = ["name", "page", "owner", "shared_with", "created_at"]
    list_select_related = ["owner"]
    list_filter = ["page"]
    search_fields = ["name", "page"]
    search_help_text = "Name or list"
    sortable_by: list[str] = []

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Show everybody their own; all of them to superusers."""
        rows = super().get_queryset(request)
        return rows if request.user.is_superuser else rows.filter(owner_id=request.user.pk)


def _list_of(request: HttpRequest) -> tuple[str, Any]:
    """Return the list that a form is about, if this person may open it."""
    page = request.POST.get("page", "")
    app, _underscore, model = page.rpartition("_")
    try:
        shown = admin.site._registry.get(apps.get_model(app, model))
    except (LookupError, ValueError):
        shown = None
    if shown is None:
        raise Http404("there is no such list")
    if not shown.has_view_permission(request):
        raise PermissionDenied
    return page, shown


@require_POST
def keep(request: HttpRequest) -> HttpResponse:
    """Keep the present filter and order of a list, and return to it."""
    page, _shown = _list_of(request)
    role = request.POST.get("shared_with", "")
    if role and (role not in STAFF_ROLES or not request.user.has_perm(SHARE)):
        raise PermissionDenied
    query = request.POST.get("query", "")
    try:
        row = saved_filters.keep(
            owner=request.user,
            page=page,
            name=request.POST.get("name", ""),
            query=query,
            shared_with=role,
        )
    except RtxError as error:
        messages.error(request, error.detail)
    else:
        query = row.query
        messages.success(request, f"The filter {row.name} is kept.")
    url = reverse(f"admin:{page}_changelist")
    return HttpResponseRedirect(f"{url}?{saved_filters.cleaned(query)}", status=HTTPStatus.FOUND)


@require_POST
def drop(request: HttpRequest, filter_id: int) -> HttpResponse:
    """Drop one of one's own filters."""
    page, _shown = _list_of(request)
    if not saved_filters.drop(owner=request.user, filter_id=filter_id):
        raise Http404("you have no such filter")
    messages.success(request, "The filter is dropped.")
    return HttpResponseRedirect(reverse(f"admin:{page}_changelist"))
