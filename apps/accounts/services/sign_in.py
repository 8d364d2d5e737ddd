"""
Signing in: password, and for staff the second factor. Pages and REST share these checks, and so one count of
failures: a wrong code is a failed sign-in as a wrong password is, and only a whole sign-in clears them.
"""

from axes.handlers.proxy import AxesProxyHandler
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.signals import user_login_failed
from django.db import transaction
from django.http import HttpRequest

from apps.accounts.models import User
from apps.accounts.selectors import networks
from apps.accounts.selectors.tokens import TokenUser
from apps.accounts.services import second_factors, sign_in_log, tokens
from rtx.kernel import clock
from rtx.kernel.errors import Forbidden, NotAuthenticated, TooManyRequests


class InvalidCredentials(NotAuthenticated):
    """E-mail and password do not belong together, or the user is disabled: both look the same."""

    code = "invalid_credentials"
    title = "Invalid e-mail or password"


class OtpRequired(NotAuthenticated):
    """E-mail and password are right; the code of the second factor is missing."""

    code = "otp_required"
    title = "Code required"


class NotEnrolled(Forbidden):
    """The person has no second factor yet: they set one up in the admin first."""

    code = "second_factor_missing"
    title = "No second factor"


class AddressNotAllowed(Forbidden):
    """Staff may not come from this address."""

    code = "address_not_allowed"
    title = "Address not allowed"


class SecondFactorRequired(Forbidden):
    """The token comes from the trader's login: it proves a password, not the person."""

    code = "second_factor_required"
    title = "Second factor required"


def check_password(*, request: HttpRequest, email: str, password: str, staff_only: bool = False) -> User:
    """
    Return whose e-mail and password these are. An unknown address costs as much work as a known one.

    :raises InvalidCredentials: wrong, unknown or disabled; with `staff_only` also a trader's.
    :raises TooManyRequests: too many failures for this address from this place.
    """
    email = email.strip().lower()
    _require_unlocked(request, email)
    user = authenticate(request, username=email, password=password)
    if isinstance(user, User) and staff_only and not user.is_staff:
        _count_failure(request, email)
        user = None
    if not isinstance(user, User):
        _require_unlocked(request, email)
        raise InvalidCredentials
    return user


def check_code(*, request: HttpRequest, user: User, code: str) -> second_factors.Authenticator:
    """
    Use up a code of a person whose password was right.

    :raises InvalidOtp: it is wrong, or was used before.
    :raises TooManyRequests: too many failures.
    """
    _require_unlocked(request, user.email)
    try:
        return second_factors.use_code(user_id=user.pk, code=code)
    except second_factors.InvalidOtp:
        _count_failure(request, user.email)
        _require_unlocked(request, user.email)
        raise


def check_present_password(*, request: HttpRequest, user: User, password: str) -> None:
    """
    Let somebody who is signed in prove the password; a wrong one is a failed sign-in like any other.

    :raises InvalidCredentials: it is wrong.
    :raises TooManyRequests: too many failures for this address from this place.
    """
    _require_unlocked(request, user.email)
    if not user.check_password(password):
        _count_failure(request, user.email)
        _require_unlocked(request, user.email)
        raise InvalidCredentials("The present password is wrong.")


def require_address(*, user: User, request: HttpRequest) -> None:
    """
    Go on only from where this member of staff may come from; who is turned away is in the staff log.

    :raises AddressNotAllowed: they may not come from there.
    """
    if not networks.lets_in(user_id=user.pk, ip=request.META.get("REMOTE_ADDR", "")):
        sign_in_log.note_failure(email=user.email, request=request, detail="address not allowed")
        raise AddressNotAllowed("Staff may not sign in from this address.")


def require_proof(*, user: User, proved_at_s: int, request: HttpRequest) -> None:
    """
    Go on only with a token that a member of staff got by a second factor, and from where they may come from.

    :raises SecondFactorRequired: the token is one of the trader's interface.
    :raises AddressNotAllowed: they may not come from there.
    """
    if not proved_at_s:
        raise SecondFactorRequired("Sign in at /api/admin/auth/login with the code of your second factor.")
    require_address(user=user, request=request)


def log_in(*, request: HttpRequest, email: str, password: str) -> tokens.TokenPair:
    """
    Start a login to the trader's interface. That of staff is in the staff log, and opens nothing of theirs.

    :raises InvalidCredentials: wrong, unknown or disabled.
    :raises AddressNotAllowed: a member of staff may not come from there.
    :raises TooManyRequests: too many failures for this address from this place.
    """
    user = check_password(request=request, email=email, password=password)
    if user.is_staff:  # they have proved only half of what a whole sign-in takes: no failure is forgotten
        require_address(user=user, request=request)
    else:
        _clear_failures(request, user)
    with transaction.atomic():
        User.objects.filter(pk=user.pk).update(last_login=clock.now())
        if user.is_staff:
            sign_in_log.note("sign_in", user=user, request=request, by="rest", proved_by=["password"])
        return tokens.issue(user_id=user.pk)


def log_in_staff(*, request: HttpRequest, email: str, password: str, otp: str | None) -> tokens.TokenPair:
    """
    Start a login to the admin's REST interface with password and second factor.

    :raises InvalidCredentials: wrong, unknown, disabled, or a trader's.
    :raises OtpRequired: the code is missing.
    :raises InvalidOtp: the code is wrong, or was used before.
    :raises NotEnrolled: the person has no second factor.
    :raises AddressNotAllowed: they may not come from there.
    :raises TooManyRequests: too many failures.
    """
    user = check_password(request=request, email=email, password=password, staff_only=True)
    require_address(user=user, request=request)
    if not second_factors.is_enrolled(user.pk):
        raise NotEnrolled("Sign in to the admin once and set up a second factor.")
    if not otp:
        raise OtpRequired("Send the code of your authenticator app, or a recovery code, as `otp`.")
    check_code(request=request, user=user, code=otp)
    _clear_failures(request, user)
    now = clock.now()
    with transaction.atomic():
        User.objects.filter(pk=user.pk).update(last_login=now)
        sign_in_log.note("sign_in", user=user, request=request, by="rest")
        return tokens.issue(user_id=user.pk, proved_at=now)


def log_out(*, caller: TokenUser, request: HttpRequest) -> None:
    """End the login that an access token belongs to."""
    with transaction.atomic():
        tokens.end_family(user_id=caller.claims.user_id, family=caller.claims.family)
        user = User.objects.filter(pk=caller.pk, is_staff=True).first()
        if user is not None:
            sign_in_log.note("sign_out", user=user, request=request, by="rest")


def _require_unlocked(request: HttpRequest, email: str) -> None:
    if not AxesProxyHandler.is_allowed(request, {"username": email}):
        wait_s = int(settings.AXES_COOLOFF_TIME.total_seconds())
        raise TooManyRequests("Too many failed attempts.", retry_after_s=wait_s)


def _count_failure(request: HttpRequest, email: str) -> None:
    user_login_failed.send(sender=__name__, credentials={"username": email}, request=request)


def _clear_failures(request: HttpRequest, user: User) -> None:
    AxesProxyHandler.reset_attempts(username=user.email, ip_address=request.axes_ip_address)  # type: ignore[attr-defined]
