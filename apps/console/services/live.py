"""
The live dashboard for a person: what they may see, the figures, and the ticket that lets a page of theirs
open a socket. A ticket stands for the admin session; a socket ends with it and never keeps it alive.
"""

import hashlib
import secrets
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import msgspec
import redis
from django.conf import settings

from apps.accounts.models import User
from apps.accounts.services import staff_sessions
from apps.console.adapters.processes import probe
from apps.console.selectors import dashboard
from rtx.kernel.admin import reachable_groups
from rtx.kernel.errors import Unavailable

RIGHTS = {
    "accounts": "accounts.view_tradingaccount",
    "exposure": "trading.view_position",
    "house": "accounts.view_ledgerline",
    "orders": "trading.view_order",
    "risk": "risk.view_accountrisk",
    "approvals": "audit.view_approval",
    "reviews": "accounts.view_kycreview",
    "requests": "funds.view_fundoperation",
    "letters": "crm.view_deadletter",
    "connections": "crm.view_connection",
}
LIFETIME_S = 30
TIMEOUT_S = 1.0
PREFIX = "rtx:dashboard-ticket:"
TICKET_MAX_CHARS = 64

View = tuple[frozenset[int] | None, frozenset[str]]


class Pass(msgspec.Struct, frozen=True):
    """What a ticket stands for: a session of a member of staff, and where it was used from."""

    session_key: str
    ip: str


def view_of(user: User) -> View:
    """Return a person's reach and the parts of the dashboard that they may see: who shares both shares it."""
    return reachable_groups(user), frozenset(part for part, right in RIGHTS.items() if user.has_perm(right))


def figures(view: View) -> dict[str, Any]:
    """Return everything the dashboard shows to whoever has this view."""
    reach, may = view
    return {**dashboard.dashboard(reach=reach, may=may), "processes": asdict(probe.latest())}


def issue(*, session_key: str, ip: str) -> str:
    """
    Return a ticket for one socket, to be used within half a minute.

    :raises Unavailable: Redis cannot be reached.
    """
    ticket = secrets.token_urlsafe(24)
    kept = msgspec.json.encode(Pass(session_key, ip))
    try:
        _redis(settings.REDIS_URL).set(_key(ticket), kept, ex=LIFETIME_S)
    except (redis.RedisError, OSError) as error:
        raise Unavailable("Tickets are not available right now.") from error
    return ticket


def redeem(ticket: str) -> Pass | None:
    """
    Return what a ticket stands for and use it up; None: unknown, used before or too old.

    :raises Unavailable: Redis cannot be reached.
    """
    if not ticket or len(ticket) > TICKET_MAX_CHARS:
        return None
    try:
        found = _redis(settings.REDIS_URL).getdel(_key(ticket))
    except (redis.RedisError, OSError) as error:
        raise Unavailable("Tickets are not available right now.") from error
    return msgspec.json.decode(found, type=Pass) if isinstance(found, bytes) else None


def present_view(held: Pass) -> View | None:
    """Return the view of the person behind a session as it is now; None: the session or the person is out."""
    session = staff_sessions.current(session_key=held.session_key, ip=held.ip, is_active=False)
    if session is None or session.proved_at is None:
        return None
    user = User.objects.filter(pk=session.user_id, is_active=True, is_staff=True).first()
    return None if user is None else view_of(user)


def _key(ticket: str) -> str:
    return PREFIX + hashlib.sha256(ticket.encode()).hexdigest()


@lru_cache(maxsize=4)
def _redis(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
