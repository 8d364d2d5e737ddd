"""
Forms of signing in and of second factors. What a code is worth is decided by `accounts.services`; the
passkeys' forms are the library's own.
"""

from typing import Any

from allauth.account.forms import LoginForm
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.totp.internal.auth import get_totp_secret
from allauth.mfa.webauthn.forms import AddWebAuthnForm
from axes.helpers import get_lockout_response
from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from apps.accounts.services import second_factors, sign_in
from rtx.kernel.errors import TooManyRequests

CODE_CHARS = 16
WRONG_CODE = "Wrong code. A code is good once: wait for the next one."


def code_field(label: str) -> forms.CharField:
    """Return the field of a code from an authenticator app, or a recovery code."""
    attrs = {"autocomplete": "one-time-code", "autofocus": True, "inputmode": "numeric"}
    return forms.CharField(label=label, max_length=CODE_CHARS, widget=UnfoldAdminTextInputWidget(attrs=attrs))


class SignInForm(LoginForm):
    """E-mail and password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].label = "E-mail"
        self.fields["login"].widget = UnfoldAdminEmailInputWidget(
            attrs={"autocomplete": "username", "autofocus": True}
        )
        self.fields["password"].widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "current-password"})
        self.fields["password"].help_text = ""


class CodeMixin:
    """A code that is used up where it is checked."""

    user: Any
    cleaned_data: dict[str, Any]

    def clean_code(self) -> str:
        """Use the code up, and count a wrong one as a failed sign-in."""
        code = str(self.cleaned_data["code"])
        try:
            self.authenticator = sign_in.check_code(request=context.request, user=self.user, code=code)
        except second_factors.InvalidOtp:
            raise ValidationError(WRONG_CODE) from None
        except TooManyRequests:
            raise ImmediateHttpResponse(get_lockout_response(context.request)) from None
        return code


class CodeForm(CodeMixin, AuthenticateForm):
    """The second step of signing in."""

    code = code_field("Code of your authenticator app, or a recovery code")


class CodeAgainForm(CodeMixin, ReauthenticateForm):
    """The proof that it is still the same person."""

    code = code_field("Code of your authenticator app, or a recovery code")


class ActivateAppForm(forms.Form):
    """The first code of a new authenticator app."""

    code = code_field("Code that the app shows")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.user = kwargs.pop("user")
        super().__init__(*args, **kwargs)
        self.secret = get_totp_secret(regenerate=not self.is_bound)
        self.counter = 0

    def clean_code(self) -> str:
        """A code of the secret that the page shows; it is used up by this."""
        code = str(self.cleaned_data["code"])
        counter = second_factors.matching_counter(secret=self.secret, code=code)
        if counter is None:
            raise ValidationError("Wrong code. Compare the time of your device, then enter the next one.")
        self.counter = counter
        return code


class AddPasskeyForm(AddWebAuthnForm):
    """A new passkey or security key, by a name of its own."""

    name = forms.CharField(
        max_length=60, required=False, widget=UnfoldAdminTextInputWidget, help_text="Such as: blue key"
    )
