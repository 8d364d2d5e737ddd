"""
Sessions of staff in the admin: opened at sign-in, kept alive by what a person does, ended by idleness, age,
or somebody's hand.

The row here and Django's own session live and end together; the admin's gate asks `current` on each request.
"""

from datetime import datetime, timedelta
from importlib import import_module
from ipaddress import ip_address
from typing import Any

from django.conf import settings
from django.db import transaction

from apps.accounts.models import StaffSession, User
from apps.accounts.selectors import networks
from rtx.kernel import clock

TOUCH_EVERY = timedelta(seconds=30)
AGENT_MAX_CHARS = 200


def begin(*, user: User, session_key: str, ip: str, user_agent: str, is_proved: bool) -> StaffSession:
    """Note that a person has just signed in; `is_proved` says that it was with a second factor."""
    now = clock.now()
    return StaffSession.objects.create(
        session_key=session_key,
        user=user,
        ip=_address(ip),
        user_agent=user_agent[:AGENT_MAX_CHARS],
        started_at=now,
        seen_at=now,
        proved_at=now if is_proved else None,
    )


def current(*, session_key: str, ip: str, is_active: bool = True) -> StaffSession | None:
    """
    Return the live session of that key, or None when there is none any more.

    It is ended here when it was idle for `STAFF_IDLE_S`, is older than `STAFF_SESSION_MAX_S`, or the address
    is no longer allowed. `is_active` is off for what a page asks by itself: that keeps nothing alive.
    """
    row = StaffSession.objects.filter(session_key=session_key, ended_at=None).first()
    if row is None:
        return None
    now = clock.now()
    reason = _why_over(row, now=now, ip=ip)
    if reason is not None:
        end(row, reason=reason)
        return None
    if is_active and now - row.seen_at >= TOUCH_EVERY:
        StaffSession.objects.filter(pk=row.pk).update(seen_at=now)
    return row


def prove(*, session_key: str) -> None:
    """Note that the person behind a session has just proved who they are."""
    StaffSession.objects.filter(session_key=session_key, ended_at=None).update(proved_at=clock.now())


def has_proved_recently(*, session_key: str) -> bool:
    """Tell whether the person proved who they are within `RECENT_LOGIN_S`."""
    since = clock.now() - timedelta(seconds=settings.RECENT_LOGIN_S)
    return StaffSession.objects.filter(session_key=session_key, ended_at=None, proved_at__gte=since).exists()


def open_of(*, user_id: int) -> list[StaffSession]:
    """Return a person's sessions that go on, the newest first."""
    rows = StaffSession.objects.filter(user_id=user_id, ended_at=None).order_by("-started_at")
    now = clock.now()
    return [row for row in rows if _why_over(row, now=now, ip=row.ip or "") is None]


def person_behind(*, session_key: str, ip: str) -> User | None:
    """
    Return the member of staff whose live session that is, opened with a second factor; None: nobody's.

    For sockets, which ask again every few seconds; asking keeps no session alive.
    """
    row = current(session_key=session_key, ip=ip, is_active=False)
    if row is None or row.proved_at is None:
        return None
    return User.objects.filter(pk=row.user_id, is_active=True, is_staff=True).first()


def rename(*, before: str, after: str) -> None:
    """Go on with a session whose key has changed, as it does with a new password of one's own."""
    StaffSession.objects.filter(session_key=before, ended_at=None).update(session_key=after)


def end(row: StaffSession, *, reason: str = StaffSession.End.REVOKED) -> None:
    """End one session at once. Repeating it changes nothing."""
    with transaction.atomic():
        _store().delete(row.session_key)
        StaffSession.objects.filter(pk=row.pk, ended_at=None).update(ended_at=clock.now(), end=reason)


def end_by_key(*, session_key: str, reason: str) -> bool:
    """End the session of that key; tell whether there was one."""
    rows = list(StaffSession.objects.filter(session_key=session_key, ended_at=None))
    for row in rows:
        end(row, reason=reason)
    return bool(rows)


def end_all(*, user_id: int, but: str = "", reason: str = StaffSession.End.REVOKED) -> int:
    """End every session of a person but the one of the key `but`; return how many."""
    rows = list(StaffSession.objects.filter(user_id=user_id, ended_at=None).exclude(session_key=but))
    for row in rows:
        end(row, reason=reason)
    return len(rows)


def purge() -> int:
    """Delete sessions that ended, or began, 90 days ago or earlier; return how many."""
    limit = clock.now() - timedelta(days=90)
    deleted, _ = StaffSession.objects.filter(started_at__lt=limit).delete()
    return deleted


def _why_over(row: StaffSession, *, now: datetime, ip: str) -> str | None:
    if now - row.seen_at > timedelta(seconds=settings.STAFF_IDLE_S):
        return StaffSession.End.IDLE
    if now - row.started_at > timedelta(seconds=settings.STAFF_SESSION_MAX_S):
        return StaffSession.End.TOO_OLD
    if not networks.lets_in(user_id=row.user_id, ip=ip):
        return StaffSession.End.ADDRESS
    return None


def _store() -> Any:
    return import_module(settings.SESSION_ENGINE).SessionStore()


def _address(ip: str) -> str | None:
    try:
        return str(ip_address(ip))
    except ValueError:
        return None
