"""The filters that a person sees above a list. `context` is named in the settings as a context processor."""

from typing import Any

from django.db.models import Q
from django.http import HttpRequest

from apps.accounts.models import User
from apps.console.models import SavedFilter

LIST_SUFFIX = "_changelist"


def of_list(user: Any, page: str) -> list[SavedFilter]:
    """Return a person's own filters of a list and those shared with their role, by name."""
    rows = SavedFilter.objects.filter(Q(owner=user) | (Q(shared_with=user.role) & ~Q(shared_with="")))
    return list(rows.filter(page=page).order_by("name", "pk"))


def context(request: HttpRequest) -> dict[str, Any]:
    """Give the pages of lists their saved filters, read once a request; every other page nothing."""
    kept: Any = request
    if not hasattr(kept, "rtx_saved_filters"):
        kept.rtx_saved_filters = _of_request(request)
    found: dict[str, Any] = kept.rtx_saved_filters
    return found


def _of_request(request: HttpRequest) -> dict[str, Any]:
    match, user = request.resolver_match, getattr(request, "user", None)
    name = (match.url_name or "") if match is not None and match.app_name == "admin" else ""
    if user is None or not user.is_authenticated or not name.endswith(LIST_SUFFIX):
        return {}
    page = name.removesuffix(LIST_SUFFIX)
    return {
        "saved_filters": {
            "page": page,
            "rows": [
                {"id": row.pk, "name": row.name, "query": row.query, "is_own": row.owner_id == user.pk}
                for row in of_list(user, page)
            ],
            "query": request.GET.urlencode(),
            "roles": [role for role in User.Role if role.value != "trader"]
            if user.has_perm("console.share_savedfilter")
            else [],
        }
    }
