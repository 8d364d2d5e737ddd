"""
What access tokens say and whether they still hold: the signature, then the user and the login they belong to.

The truth stands in PostgreSQL; each process keeps what it read for `TOKEN_STATE_CACHE_S` seconds, so that a
request costs no query and a disabled user, a changed password or a logout still ends tokens within seconds.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jwt
from django.conf import settings
from django.db import connection
from django.db.models import Exists, OuterRef

from apps.accounts.models import RefreshToken, User
from rtx.kernel import clock
from rtx.kernel.errors import NotAuthenticated

ALGORITHM = "HS256"
KIND = "access"
REQUIRED_CLAIMS = ["exp", "iat", "sub", "ver", "fam", "typ"]
KEPT_MAX = 50_000


class InvalidToken(NotAuthenticated):
    """The access token is malformed, expired, or no longer valid."""

    code = "invalid_token"
    title = "Invalid access token"


@dataclass(frozen=True, slots=True)
class Claims:
    """
    What a genuine access token says. `family` names its login; instants are in epoch seconds. `proved_at_s`
    is when a second factor was used, 0 without one.
    """

    user_id: int
    version: int
    family: str
    expires_at_s: int
    proved_at_s: int = 0


@dataclass(frozen=True, slots=True)
class TokenUser:
    """The caller of an API request, without a query. `pk` leads to the full user where one is needed."""

    pk: int
    role: str
    is_staff: bool
    claims: Claims

    is_authenticated = True
    is_anonymous = False
    is_active = True

    @property
    def id(self) -> int:
        """The user's id, under Django's other name for it."""
        return self.pk


@dataclass(frozen=True, slots=True)
class _State:
    is_active: bool
    version: int
    role: str
    is_staff: bool
    is_family_live: bool


_genuine: dict[str, Claims] = {}
_states: dict[tuple[str, int, str], tuple[float, _State | None]] = {}


def read_access(token: str) -> Claims:
    """
    Return the claims of a genuine, unexpired access token. Says nothing about revocation.

    :raises InvalidToken: not genuine, not an access token, or expired.
    """
    claims = _genuine.get(token)
    if claims is None:
        claims = _decode(token)
        if len(_genuine) >= KEPT_MAX:
            _genuine.clear()
        _genuine[token] = claims
    if claims.expires_at_s <= time.time():
        raise InvalidToken("The access token has expired.", code="token_expired")
    return claims


def _decode(token: str) -> Claims:
    try:
        found: dict[str, Any] = jwt.decode(
            token, settings.TOKEN_SIGNING_KEY, algorithms=[ALGORITHM], options={"require": REQUIRED_CLAIMS}
        )
        if found["typ"] != KIND:
            raise InvalidToken
        return Claims(
            user_id=int(found["sub"]),
            version=int(found["ver"]),
            family=str(UUID(found["fam"])),
            expires_at_s=int(found["exp"]),
            proved_at_s=int(found.get("mfa", 0)),
        )
    except jwt.ExpiredSignatureError:
        raise InvalidToken("The access token has expired.", code="token_expired") from None
    except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError):
        raise InvalidToken("The access token is not valid.") from None


def caller(token: str) -> TokenUser:
    """
    Return who sent an access token.

    :raises InvalidToken: not genuine, expired, or ended by a logout, a new password or a disabled user.
    """
    claims = read_access(token)
    state = _state(claims)
    if state is None or not _holds(state, claims):
        raise InvalidToken("The access token is no longer valid.", code="token_revoked")
    return TokenUser(pk=claims.user_id, role=state.role, is_staff=state.is_staff, claims=claims)


def still_valid(claims: Claims) -> bool:
    """Tell whether what a token says still holds, as of a few seconds ago."""
    state = _state(claims)
    return state is not None and _holds(state, claims) and claims.expires_at_s > time.time()


def revoked(claims: Iterable[Claims]) -> set[Claims]:
    """Return those of many claims that no longer hold, asking the database with two statements."""
    asked = list(claims)
    if not asked:
        return set()
    now = clock.now()
    versions = dict(
        User.objects.filter(pk__in={one.user_id for one in asked}, is_active=True).values_list(
            "pk", "token_version"
        )
    )
    live = {
        str(family)
        for family in RefreshToken.objects.filter(
            family__in={one.family for one in asked}, revoked_at__isnull=True, expires_at__gt=now
        ).values_list("family", flat=True)
    }
    return {one for one in asked if versions.get(one.user_id) != one.version or one.family not in live}


def forget(user_id: int | None = None) -> None:
    """Drop what this process keeps about a user's tokens, or about everybody's."""
    for key in [key for key in list(_states) if user_id is None or key[1] == user_id]:
        _states.pop(key, None)


def _holds(state: _State, claims: Claims) -> bool:
    return state.is_active and state.is_family_live and state.version == claims.version


def _state(claims: Claims) -> _State | None:
    key = (connection.settings_dict["NAME"], claims.user_id, claims.family)
    kept = _states.get(key)
    now_s = time.monotonic()
    if kept is not None and now_s - kept[0] < settings.TOKEN_STATE_CACHE_S:
        return kept[1]
    if kept is not None:
        _states[key] = (now_s, kept[1])  # others go on with the old state while this one asks
    elif len(_states) >= KEPT_MAX:
        _states.clear()
    try:
        state = _read(claims)
    except Exception:
        _states.pop(key, None)
        raise
    _states[key] = (now_s, state)
    return state


def _read(claims: Claims) -> _State | None:
    family = RefreshToken.objects.filter(
        family=claims.family, user=OuterRef("pk"), revoked_at__isnull=True, expires_at__gt=clock.now()
    )
    row = (
        User.objects.filter(pk=claims.user_id)
        .values_list("is_active", "token_version", "role", "is_staff", Exists(family))
        .first()
    )
    return None if row is None else _State(*row)
