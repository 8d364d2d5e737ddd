"""
What the admin site adds to Django's: the dashboard with its live figures, the person's own password, the
lockout page.

`show_dashboard`, `price_mark` and `locked_out` are named by dotted path in the settings.
"""

from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from apps.accounts.forms import OwnPasswordForm
from apps.accounts.services import staff_sessions
from apps.console import selectors
from apps.console.adapters.processes import probe
from apps.console.admin import seals
from apps.market.services.board import board
from apps.risk.admin import pages as risk_pages
from rtx.kernel.admin import reachable_groups
from rtx.kernel.recent_login import passive

RIGHTS = {
    "accounts": "accounts.view_tradingaccount",
    "exposure": "trading.view_position",
    "house": "accounts.view_ledgerline",
    "orders": "trading.view_order",
}
LIVE_EVERY_MS = 1000


def figures(request: HttpRequest) -> dict[str, Any]:
    """Return the dashboard's figures as far as this person may see them."""
    user: Any = request.user
    may = frozenset(part for part, right in RIGHTS.items() if user.has_perm(right))
    shown = selectors.dashboard(reach=reachable_groups(user), may=may)
    return {**shown, "processes": asdict(probe.latest())}


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


def show_dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Give the index page its first figures and where to ask for the next."""
    context["dashboard"] = {
        "figures": figures(request),
        "every_ms": LIVE_EVERY_MS,
        "live_url": reverse("admin:live"),
        "account_url": reverse("admin:accounts_tradingaccount_change", args=[0]),
        "order_url": reverse("admin:trading_order_change", args=[0]),
    }
    return context


def own_password(request: HttpRequest) -> HttpResponseBase:
    """Show and take the form for one's own password; the person's other sessions end with the old one."""
    before = request.session.session_key or ""
    view = PasswordChangeView.as_view(
        form_class=OwnPasswordForm,
        success_url=reverse("admin:password_change_done"),
        extra_context=admin.site.each_context(request),
    )
    answer = view(request)
    if request.session.session_key != before:  # a new key comes with a new password
        staff_sessions.rename(before=before, after=request.session.session_key or "")
        staff_sessions.end_all(user_id=request.user.pk or 0, but=request.session.session_key or "")
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
        path("live/", view(live), name="live"),
        path("password_change/", view(own_password, cacheable=True), name="password_change"),
        *risk_pages.urls(),
        *seals.urls(),
    ]


admin.site.extra_urls = extra_urls  # type: ignore[attr-defined]
admin.site.enable_nav_sidebar = True
