"""
What the admin site adds to Django's: the dashboard with its live figures, the person's own password, the
lockout page.

`show_dashboard`, `price_mark` and `locked_out` are named by dotted path in the settings.
"""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import PasswordChangeView
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from apps.accounts.forms import OwnPasswordForm
from apps.accounts.services import sign_in_log, staff_sessions
from apps.console.admin import saved_filters, seals, search
from apps.console.services import live as live_figures
from apps.market.services.board import board
from apps.risk.admin import pages as risk_pages
from rtx.kernel.errors import Unavailable
from rtx.kernel.recent_login import passive

LIVE_EVERY_MS = 1000
QUEUES = {
    "approvals": ("wait for a second person", "audit_approval"),
    "reviews": ("clients to be verified", "accounts_kycreview"),
    "requests": ("fund requests", "funds_fundoperation"),
    "letters": ("CRM dead letters", "crm_deadletter"),
    "connections": ("CRM connections in trouble", "crm_connection"),
}
WAITING = {"audit_approval": "?status__exact=pending", "crm_deadletter": "?status__exact=open"}


def figures(request: HttpRequest) -> dict[str, Any]:
    """Return the dashboard's figures as far as this person may see them."""
    user: Any = request.user
    return live_figures.figures(live_figures.view_of(user))


def price_mark(request: HttpRequest) -> list[str] | None:
    """Name simulated prices in the header of every page: wherever a person may see one."""
    if not request.user.is_authenticated or not board().simulated:
        return None
    return ["simulated prices", "warning"]


@passive
def live(request: HttpRequest) -> HttpResponse:
    """Answer with the present figures; polled by the dashboard."""
    response = JsonResponse(figures(request))
    response["Cache-Control"] = "no-store"
    return response


@passive
@require_POST
def live_ticket(request: HttpRequest) -> HttpResponse:
    """Answer with a ticket for one socket of the dashboard."""
    key = request.session.session_key or ""
    try:
        ticket = live_figures.issue(session_key=key, ip=request.META.get("REMOTE_ADDR", ""))
    except Unavailable:
        return JsonResponse({"ticket": None}, status=HTTPStatus.SERVICE_UNAVAILABLE)
    response = JsonResponse({"ticket": ticket})
    response["Cache-Control"] = "no-store"
    return response


def show_dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Give the index page its first figures and where to ask for the next."""
    context["dashboard"] = {
        "figures": figures(request),
        "every_ms": LIVE_EVERY_MS,
        "live_url": reverse("admin:live"),
        "ticket_url": reverse("admin:live_ticket"),
        "socket_url": settings.STREAM_URL,
        "account_url": reverse("admin:accounts_tradingaccount_change", args=[0]),
        "order_url": reverse("admin:trading_order_change", args=[0]),
    }
    context["dashboard_queues"] = list(_queues(request))
    return context


def _queues(request: HttpRequest) -> Iterator[dict[str, str]]:
    """Yield what waits, as far as this person may see it."""
    user: Any = request.user
    for name, (label, page) in QUEUES.items():
        app, _underscore, model = page.partition("_")
        if user.has_perm(live_figures.RIGHTS[name]) and apps.get_model(app, model) in admin.site._registry:
            url = reverse(f"admin:{page}_changelist") + WAITING.get(page, "")
            yield {"name": name, "label": label, "url": url}


def own_password(request: HttpRequest) -> HttpResponseBase:
    """Show and take the form for one's own password; the person's other sessions end with the old one."""
    before = request.session.session_key or ""
    view = PasswordChangeView.as_view(
        form_class=OwnPasswordForm,
        success_url=reverse("admin:password_change_done"),
        extra_context=admin.site.each_context(request),
    )
    with transaction.atomic():
        answer = view(request)
        if request.session.session_key != before:  # a new key comes with a new password
            staff_sessions.rename(before=before, after=request.session.session_key or "")
            staff_sessions.end_all(user_id=request.user.pk or 0, but=request.session.session_key or "")
            person: Any = request.user
            sign_in_log.note("change_own_password", user=person, request=request)
    return answer


def locked_out(request: HttpRequest, original_response: Any = None, credentials: Any = None) -> HttpResponse:
    """Answer a sign-in after too many failed ones."""
    minutes = round(settings.AXES_COOLOFF_TIME.total_seconds() / 60)
    context = {**admin.site.each_context(request), "title": "Sign-in locked", "minutes": minutes}
    answer = TemplateResponse(
        request, "admin/locked_out.html", context, status=HTTPStatus.TOO_MANY_REQUESTS
    ).render()
    answer["Retry-After"] = str(minutes * 60)
    return answer


def extra_urls() -> list[URLPattern]:
    """Return the routes that come before Django's own."""
    view = admin.site.admin_view
    return [
        path("find/", view(search.find), name="find"),
        path("saved-filters/keep/", view(saved_filters.keep), name="saved_filter_keep"),
        path("saved-filters/<int:filter_id>/drop/", view(saved_filters.drop), name="saved_filter_drop"),
        path("live/", view(live), name="live"),
        path("live/ticket/", view(live_ticket), name="live_ticket"),
        path("password_change/", view(own_password, cacheable=True), name="password_change"),
        *risk_pages.urls(),
        *seals.urls(),
    ]


admin.site.extra_urls = extra_urls  # type: ignore[attr-defined]
admin.site.enable_nav_sidebar = True
