"""
The pages of signing in and of one's own second factors: django-allauth's views in the look of the admin.

`StaffAccountAdapter` is named by dotted path in the settings. Only staff sign in here; there is no signing
up, no social login, no e-mail.
"""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.stagekit import clear_login
from allauth.account.views import LoginView
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base.views import AuthenticateView, IndexView, ReauthenticateView
from allauth.mfa.recovery_codes.views import GenerateRecoveryCodesView, ViewRecoveryCodesView
from allauth.mfa.totp.views import ActivateTOTPView, DeactivateTOTPView
from allauth.mfa.webauthn.views import (
    AddWebAuthnView,
    ReauthenticateWebAuthnView,
    RemoveWebAuthnView,
)
from axes.helpers import get_lockout_response
from django.contrib import admin, messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST
from django.views.generic import RedirectView

from apps.accounts.services import second_factors, sign_in, sign_in_log, staff_sessions
from apps.console.forms import SignInForm
from rtx.kernel.admin_display import browser
from rtx.kernel.errors import TooManyRequests


class StaffAccountAdapter(DefaultAccountAdapter):
    """Who may sign in, by what, and when they prove it again."""

    def authenticate(self, request: HttpRequest, **credentials: Any) -> Any:
        """Return the member of staff whose e-mail and password these are."""
        try:
            return sign_in.check_password(
                request=request,
                email=credentials.get("email", ""),
                password=credentials.get("password", ""),
                staff_only=True,
            )
        except sign_in.InvalidCredentials:
            return None
        except TooManyRequests:
            raise ImmediateHttpResponse(get_lockout_response(request)) from None

    def pre_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> Any:
        """Turn away who comes from an address that is not allowed."""
        try:
            sign_in.require_address(user=user, request=request)
        except sign_in.AddressNotAllowed as error:
            clear_login(request)
            messages.error(request, error.detail)
            return HttpResponseRedirect(reverse("account_login"))
        return super().pre_login(request, user, **kwargs)

    def get_login_stages(self) -> list[str]:
        """After the password comes the second factor, and nothing else."""
        return ["allauth.mfa.stages.AuthenticateStage"]

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """A code or a passkey proves it again; a password alone does not."""
        kinds = second_factors.kinds(user.pk) if user.is_authenticated else set()
        found = []
        if kinds & set(second_factors.BY_CODE):
            found.append(_method("mfa_reauthenticate", "Use a code", sorted(kinds)))
        if second_factors.Authenticator.Type.WEBAUTHN in kinds:
            found.append(_method("mfa_reauthenticate_webauthn", "Use a passkey", sorted(kinds)))
        return found

    def is_reauthentication_required(self, app: str) -> bool:
        """Whoever has a second factor proves it again before changing their second factors."""
        request = context.request
        key = request.session.session_key or ""
        return second_factors.is_enrolled(request.user.pk) and not staff_sessions.has_proved_recently(
            session_key=key
        )

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Nobody signs up here."""
        return False

    def add_message(self, request: HttpRequest, level: int, *args: Any, **kwargs: Any) -> None:
        """Say nothing of the library's own; each page here says what happened."""


def _method(name: str, description: str, types: list[str]) -> dict[str, Any]:
    return {"id": name, "description": description, "url": reverse(name), "types": types}


class AdminPage:
    """A page of the library with what the admin's frame needs."""

    request: HttpRequest
    title = ""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the frame's context."""
        found: dict[str, Any] = super().get_context_data(**kwargs)  # type: ignore[misc]
        return {**admin.site.each_context(self.request), "title": self.title, **found}


class SignIn(AdminPage, LoginView):
    """The first step: e-mail and password."""

    title = "Sign in"
    template_name = "admin/login.html"

    def get_form_class(self) -> type[SignInForm]:
        """The form in the admin's look."""
        return SignInForm


class SignInCode(AdminPage, AuthenticateView):
    """The second step: a code or a passkey."""

    title = "Second factor"
    template_name = "admin/sign_in/code.html"


class ProveAgain(AdminPage, ReauthenticateView):
    """The same person again, by a code."""

    title = "Is it still you?"
    template_name = "admin/sign_in/prove.html"


class ProveAgainByPasskey(AdminPage, ReauthenticateWebAuthnView):
    """The same person again, by a passkey."""

    title = "Is it still you?"
    template_name = "admin/sign_in/prove_passkey.html"

    def form_invalid(self, form: Any) -> HttpResponse:
        """Let them try again."""
        messages.error(self.request, "This passkey was not accepted.")
        return HttpResponseRedirect(self.request.get_full_path())


class SecondFactors(AdminPage, IndexView):
    """One's own second factors."""

    title = "Second factors and sessions"
    template_name = "admin/sign_in/factors.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add one's own open sessions."""
        key = self.request.session.session_key or ""
        mine = staff_sessions.open_of(user_id=self.request.user.pk or 0)
        sessions = [
            {"row": row, "is_this": row.session_key == key, "browser": browser(row.user_agent)}
            for row in mine
        ]
        return {**super().get_context_data(**kwargs), "sessions": sessions}


class ActivateApp(AdminPage, ActivateTOTPView):
    """Set an authenticator app up."""

    title = "Set up an authenticator app"
    template_name = "admin/sign_in/activate_app.html"

    def form_valid(self, form: Any) -> HttpResponse:
        """Keep the secret, and use up the code that was entered."""
        response: HttpResponse = super().form_valid(form)
        second_factors.remember_counter(user_id=self.request.user.pk or 0, counter=form.counter)
        return response


class RemoveApp(AdminPage, DeactivateTOTPView):
    """Take the authenticator app away."""

    title = "Remove the authenticator app"
    template_name = "admin/sign_in/remove.html"


class AddPasskey(AdminPage, AddWebAuthnView):
    """Register a passkey or security key."""

    title = "Add a passkey"
    template_name = "admin/sign_in/add_passkey.html"


class RemovePasskey(AdminPage, RemoveWebAuthnView):
    """Take a passkey away."""

    title = "Remove a passkey"
    template_name = "admin/sign_in/remove.html"

    def form_valid(self, form: Any) -> HttpResponse:
        """Keep the last second factor."""
        if not get_adapter().can_delete_authenticator(self.get_object()):
            messages.error(self.request, "This is your last second factor: add another one first.")
            return HttpResponseRedirect(reverse("mfa_index"))
        response: HttpResponse = super().form_valid(form)
        return response


class RecoveryCodesPage(AdminPage, ViewRecoveryCodesView):
    """The recovery codes that are left."""

    title = "Recovery codes"
    template_name = "admin/sign_in/recovery_codes.html"


class NewRecoveryCodes(AdminPage, GenerateRecoveryCodesView):
    """Replace the recovery codes."""

    title = "New recovery codes"
    template_name = "admin/sign_in/new_recovery_codes.html"


@require_POST
def cancel(request: HttpRequest) -> HttpResponse:
    """Give a half-done sign-in up."""
    clear_login(request)
    return HttpResponseRedirect(reverse("account_login"))


@require_POST
def end_sessions(request: HttpRequest) -> HttpResponse:
    """End one of one's own other sessions, or all of them."""
    key = request.session.session_key or ""
    chosen = request.POST.get("session", "")
    for row in staff_sessions.open_of(user_id=request.user.pk or 0):
        if row.session_key != key and chosen in ("all", str(row.pk)):
            with transaction.atomic():
                staff_sessions.end(row)
                sign_in_log.note("end_own_session", user=row.user, request=request, session=row.pk)
    return HttpResponseRedirect(reverse("mfa_index"))


def urls() -> list[URLPattern]:
    """Return the routes, which come before the admin site's own; names are the library's."""
    return [
        path("login/", SignIn.as_view(), name="account_login"),
        path("login/code/", SignInCode.as_view(), name="mfa_authenticate"),
        path("login/cancel/", cancel, name="account_logout"),
        path("prove/", ProveAgain.as_view(), name="mfa_reauthenticate"),
        path("prove/passkey/", ProveAgainByPasskey.as_view(), name="mfa_reauthenticate_webauthn"),
        path("second-factor/", SecondFactors.as_view(), name="mfa_index"),
        path("second-factor/sessions/", login_required(end_sessions), name="end_own_sessions"),
        path("second-factor/app/", ActivateApp.as_view(), name="mfa_activate_totp"),
        path("second-factor/app/remove/", RemoveApp.as_view(), name="mfa_deactivate_totp"),
        path("second-factor/passkey/", AddPasskey.as_view(), name="mfa_add_webauthn"),
        path(
            "second-factor/passkeys/",
            RedirectView.as_view(pattern_name="mfa_index"),
            name="mfa_list_webauthn",
        ),
        path("second-factor/passkey/<int:pk>/remove/", RemovePasskey.as_view(), name="mfa_remove_webauthn"),
        path("second-factor/recovery-codes/", RecoveryCodesPage.as_view(), name="mfa_view_recovery_codes"),
        path(
            "second-factor/recovery-codes/new/",
            NewRecoveryCodes.as_view(),
            name="mfa_generate_recovery_codes",
        ),
    ]
