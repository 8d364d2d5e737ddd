"""Users: creating, passwords, disabling. Who may not log in any more has no tokens any more."""

from django.contrib.auth.models import Permission
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest

from apps.accounts.models import User
from apps.accounts.permissions import RANKS, VIEW_PERSONAL_DATA, may_manage
from apps.accounts.selectors.tokens import TokenUser
from apps.accounts.services import second_factors, sign_in, sign_in_log, staff_sessions, tokens
from rtx.kernel import clock
from rtx.kernel.errors import Conflict, Forbidden, Invalid, NotFound

STAFF_ROLES = frozenset(set(User.Role) - {User.Role.TRADER})


class WeakPassword(Invalid):
    """The new password is not good enough."""

    code = "weak_password"
    title = "Password not accepted"


def create_user(
    *, email: str, password: str | None, role: str = User.Role.TRADER, display_name: str = ""
) -> User:
    """
    Create a user of a role; staff may open the admin, super administrators may do everything there.

    :raises Conflict: the e-mail address is taken.
    """
    with transaction.atomic():
        if User.objects.filter(email=email).exists():
            raise Conflict("This e-mail address is taken.", code="email_taken")
        return User.objects.create_user(
            email,
            password,
            role=role,
            display_name=display_name,
            is_staff=role in STAFF_ROLES,
            is_superuser=role == User.Role.SUPERADMIN,
        )


def change_password(*, caller: TokenUser, current: str, new: str, request: HttpRequest) -> None:
    """
    Replace a password by a new one, knowing the present one; every token and session of the user ends. Staff
    do it as they do everything: with a second factor, from an allowed address.

    :raises SecondFactorRequired, AddressNotAllowed: see `sign_in.require_proof`.
    :raises InvalidCredentials: the present password is wrong.
    :raises TooManyRequests: it was wrong too often.
    :raises WeakPassword: the new one is too weak.
    """
    user = User.objects.get(pk=caller.pk)
    if user.is_staff:
        sign_in.require_proof(user=user, proved_at_s=caller.claims.proved_at_s, request=request)
    sign_in.check_present_password(request=request, user=user, password=current)
    with transaction.atomic():
        set_password(user_id=user.pk, password=new)
        if user.is_staff:
            sign_in_log.note("change_own_password", user=user, request=request, by="rest")


def set_password(*, user_id: int, password: str, keeps_sessions: bool = False) -> None:
    """
    Set a password without knowing the present one; every token and session of the user ends. With
    `keeps_sessions` the caller ends those sessions that shall not go on.

    :raises WeakPassword: it is too weak.
    """
    with transaction.atomic():
        user = locked(user_id)
        try:
            validate_password(password, user)
        except ValidationError as error:
            raise WeakPassword(" ".join(error.messages), errors={"new": error.messages}) from error
        user.set_password(password)
        user.password_changed_at = clock.now()
        tokens.end_all(user=user)
        if not keeps_sessions:
            staff_sessions.end_all(user_id=user_id)
        user.save(update_fields=["password", "password_changed_at", "token_version"])


def change_email(*, user_id: int, email: str) -> None:
    """
    Change the address that a user logs in with; every token of the user ends.

    :raises Conflict: the address is taken.
    """
    with transaction.atomic():
        user = locked(user_id)
        if User.objects.filter(email=email).exclude(pk=user_id).exists():
            raise Conflict("This e-mail address is taken.", code="email_taken")
        user.email = email
        tokens.end_all(user=user)
        user.save(update_fields=["email", "token_version"])


def disable(*, user_id: int) -> None:
    """Take the right to log in away; tokens and open sockets end within seconds. Nothing is erased."""
    with transaction.atomic():
        user = locked(user_id)
        user.is_active = False
        tokens.end_all(user=user)
        staff_sessions.end_all(user_id=user_id)
        user.save(update_fields=["is_active", "token_version"])


def end_logins(*, user_id: int) -> None:
    """End every session and token of a user within seconds; they may log in again."""
    with transaction.atomic():
        user = locked(user_id)
        tokens.end_all(user=user)
        staff_sessions.end_all(user_id=user_id)
        user.save(update_fields=["token_version"])


def change_role(*, user_id: int, role: str) -> None:
    """
    Give a member of staff another role; their sessions and tokens end. What was given to the person besides
    (personal data, staff groups) is not kept by a lower role: it was given to somebody of the higher one.
    """
    with transaction.atomic():
        user = locked(user_id)
        if RANKS[role] < RANKS[user.role]:
            user.user_permissions.remove(_personal_data())
            user.groups.clear()
        user.role = role
        user.is_staff = role in STAFF_ROLES
        user.is_superuser = role == User.Role.SUPERADMIN
        user.save(update_fields=["role", "is_staff", "is_superuser"])
        end_logins(user_id=user_id)


def set_personal_data(*, user_id: int, is_granted: bool, by_role: str) -> None:
    """
    Give one member of staff the right to see personal data, or take it away.

    :raises Forbidden: it is staff of the giver's rank or above.
    """
    with transaction.atomic():
        user = _managed(user_id, by_role)
        if is_granted:
            user.user_permissions.add(_personal_data())
        else:
            user.user_permissions.remove(_personal_data())


def reset_second_factors(*, user_id: int, by_role: str) -> None:
    """
    Take a member of staff's second factors away, so that they enroll anew; their logins end.

    :raises Forbidden: it is staff of the giver's rank or above.
    """
    with transaction.atomic():
        user = _managed(user_id, by_role)
        second_factors.reset(user_id=user.pk)
        end_logins(user_id=user.pk)


def enable(*, user_id: int) -> None:
    """Give the right to log in back; tokens from before stay invalid."""
    with transaction.atomic():
        user = locked(user_id)
        user.is_active = True
        user.save(update_fields=["is_active"])


def _personal_data() -> Permission:
    app, codename = VIEW_PERSONAL_DATA.split(".")
    return Permission.objects.get(content_type__app_label=app, codename=codename)


def _managed(user_id: int, by_role: str) -> User:
    user = locked(user_id)
    if not user.is_staff or not may_manage(by_role, user.role):
        raise Forbidden("This person is not for you to manage.")
    return user


def locked(user_id: int) -> User:
    """
    Return a user whose row is locked until the transaction ends.

    :raises NotFound: there is none.
    """
    user = User.objects.select_for_update(no_key=True).filter(pk=user_id).first()
    if user is None:
        raise NotFound("There is no such user.", code="user_not_found")
    return user
