"""
The admin's gate: what every page asks before it answers. Named by dotted path among the middleware.

Behind it are only live sessions of active staff, from an allowed address, opened with a second factor. Who
has none yet gets no further than setting one up.
"""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth import logout
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode

from apps.accounts.models import StaffSession
from apps.accounts.services import second_factors, staff_sessions
from rtx.kernel.recent_login import RecentLoginNeeded

ENROLLMENT = frozenset(
    {
        "mfa_index",
        "mfa_activate_totp",
        "mfa_add_webauthn",
        "mfa_view_recovery_codes",
        "account_logout",
        "admin:logout",
        "admin:jsi18n",
    }
)
OVER = "Your session has ended. Please sign in again."


class StaffGate:
    """Lets a request of somebody signed in pass, or sends them where they have to go first."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Go on; the check needs the view, which is known a step later."""
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: list[Any], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        """Check the session of whoever is signed in."""
        user: Any = getattr(request, "user", None)  # none at an API call, which carries a token
        if user is None or not user.is_authenticated:
            return None
        session = None
        if user.is_active and user.is_staff:
            session = staff_sessions.current(
                session_key=request.session.session_key or "",
                ip=request.META.get("REMOTE_ADDR", ""),
                is_active=not getattr(view, "is_passive", False),
            )
        if session is None:
            return _sign_in_again(request)
        request.staff_session = session  # type: ignore[attr-defined]
        if session.proved_at is not None:
            return None
        return _enroll_first(request, session)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Lead whoever proved too long ago who they are to the proof, and back to the page afterwards."""
        if not isinstance(error, RecentLoginNeeded):
            return None
        if request.method == "POST":
            messages.info(request, "Then do it again: nothing was done yet.")
        return HttpResponseRedirect(f"{reverse('mfa_reauthenticate')}?{urlencode({'next': request.path})}")


def has_proved_recently(request: HttpRequest) -> bool:
    """Tell whether the person behind a page has lately proved who they are. Named in the settings."""
    return staff_sessions.has_proved_recently(session_key=request.session.session_key or "")


def _sign_in_again(request: HttpRequest) -> HttpResponse | None:
    logout(request)
    match = request.resolver_match
    if match is not None and match.view_name == "account_login":
        return None
    if request.headers.get("Accept", "").startswith("application/json"):
        raise PermissionDenied("the session has ended")
    messages.warning(request, OVER)
    return HttpResponseRedirect(f"{reverse('account_login')}?{urlencode({'next': request.path})}")


def _enroll_first(request: HttpRequest, session: StaffSession) -> HttpResponse | None:
    if second_factors.is_enrolled(session.user_id):  # set up elsewhere meanwhile: sign in with it
        staff_sessions.end(session)
        return _sign_in_again(request)
    match = request.resolver_match
    if match is not None and match.view_name in ENROLLMENT:
        return None
    if request.method != "GET":
        raise PermissionDenied("a second factor comes first")
    return HttpResponseRedirect(reverse("mfa_index"))
