"""
What accounts do when somebody signs in or out, or changes their second factors. Connected by the app's
configuration; each receiver makes one service call.
"""

from typing import Any

from allauth.account.authentication import get_authentication_records
from django.db import transaction

from apps.accounts.models import StaffSession
from apps.accounts.services import sign_in_log, staff_sessions
from apps.audit.services import actions
from rtx.kernel.actor import Actor


def open_session(sender: Any, request: Any, user: Any, **kwargs: Any) -> None:
    """Note a sign-in of staff; it counts as proved when a second factor was part of it."""
    if not user.is_staff:
        return
    records = get_authentication_records(request, user)
    staff_sessions.begin(
        user=user,
        session_key=request.session.session_key,
        ip=request.META.get("REMOTE_ADDR", ""),
        user_agent=request.META.get("HTTP_USER_AGENT", ""),
        is_proved=any(record.get("method") == "mfa" for record in records),
    )


def close_session(sender: Any, request: Any, user: Any, **kwargs: Any) -> None:
    """Note that somebody signed out."""
    key = getattr(getattr(request, "session", None), "session_key", None)
    has_ended = key and staff_sessions.end_by_key(session_key=key, reason=StaffSession.End.SIGNED_OUT)
    if has_ended and user is not None and user.is_staff:
        sign_in_log.note("sign_out", user=user, request=request)


def log_sign_in(sender: Any, request: Any, user: Any, **kwargs: Any) -> None:
    """Log that a member of staff has signed in by the pages."""
    if user.is_staff:
        methods = [str(record.get("method")) for record in get_authentication_records(request, user)]
        sign_in_log.note("sign_in", user=user, request=request, proved_by=methods)


def log_failure(sender: Any, credentials: Any, request: Any = None, **kwargs: Any) -> None:
    """Log a failed sign-in of staff, by whatever way: all are told by the one signal that is counted."""
    email = credentials.get("username") or credentials.get("email") or ""
    sign_in_log.note_failure(email=str(email), request=request)


def note_proof(sender: Any, request: Any, user: Any, method: str, **kwargs: Any) -> None:
    """Note that a person who is signed in has proved again who they are."""
    if method == "mfa" and request.user.is_authenticated and request.user.pk == user.pk:
        staff_sessions.prove(session_key=request.session.session_key)


def note_enrollment(sender: Any, request: Any, user: Any, authenticator: Any, **kwargs: Any) -> None:
    """Let a session go on with the second factor that was just set up in it."""
    if authenticator.type != authenticator.Type.RECOVERY_CODES and request.user.is_authenticated:
        staff_sessions.prove(session_key=request.session.session_key)
    _log(request, user, "accounts.add_second_factor", authenticator)


def note_removal(sender: Any, request: Any, user: Any, authenticator: Any, **kwargs: Any) -> None:
    """Log that somebody took a second factor away."""
    _log(request, user, "accounts.remove_second_factor", authenticator)


def note_new_codes(sender: Any, request: Any, user: Any, authenticator: Any, **kwargs: Any) -> None:
    """Log that somebody replaced their recovery codes."""
    _log(request, user, "accounts.replace_recovery_codes", authenticator)


def _log(request: Any, user: Any, operation: str, authenticator: Any) -> None:
    with transaction.atomic():
        actions.record(
            actor=Actor.of(request), operation=operation, target=user, after={"kind": str(authenticator.type)}
        )
