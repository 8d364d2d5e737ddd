"""
WebSocket tickets: opened by a token, used once, within 30 seconds. They live in Redis alone: losing one is
harmless.
"""

import hashlib
import secrets
from functools import lru_cache

import msgspec
import redis
from django.conf import settings

from apps.accounts.selectors.tokens import Claims, InvalidToken, still_valid
from rtx.kernel.errors import Unavailable

LIFETIME_S = 30
TIMEOUT_S = 1.0
PREFIX = "rtx:ws-ticket:"
TICKET_MAX_CHARS = 64


def issue(*, claims: Claims) -> str:
    """
    Return a ticket that stands for an access token's claims.

    :raises Unavailable: Redis cannot be reached.
    """
    ticket = secrets.token_urlsafe(24)
    try:
        _redis(settings.REDIS_URL).set(_key(ticket), msgspec.json.encode(claims), ex=LIFETIME_S)
    except (redis.RedisError, OSError) as error:
        raise Unavailable("Tickets are not available right now.") from error
    return ticket


def redeem(*, ticket: str) -> Claims:
    """
    Return the claims behind a ticket, and use it up.

    :raises InvalidToken: unknown, used before, too old, or what it stands for has ended.
    :raises Unavailable: Redis cannot be reached.
    """
    if not ticket or len(ticket) > TICKET_MAX_CHARS:
        raise InvalidToken("The ticket is not valid.", code="invalid_ticket")
    try:
        found = _redis(settings.REDIS_URL).getdel(_key(ticket))
    except (redis.RedisError, OSError) as error:
        raise Unavailable("Tickets are not available right now.") from error
    if not isinstance(found, bytes):
        raise InvalidToken("The ticket is not valid.", code="invalid_ticket")
    claims = msgspec.json.decode(found, type=Claims)
    if not still_valid(claims):
        raise InvalidToken("The login behind this ticket has ended.", code="token_revoked")
    return claims


def _key(ticket: str) -> str:
    return PREFIX + hashlib.sha256(ticket.encode()).hexdigest()


@lru_cache(maxsize=4)
def _redis(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
