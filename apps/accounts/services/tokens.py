"""
Issuing and ending tokens. Refresh tokens are opaque, stored as hashes, and used once.

The successor of a refresh token is derived from it with a server key: a client that repeats a refresh within
`REPEAT_WINDOW_S` gets the same pair again, without the database ever holding a usable token. A later repeat
means that somebody else has the token too, and ends the whole family. All writes to a user's tokens hold that
user's lock.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import jwt
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from apps.accounts.models import RefreshToken, User
from apps.accounts.selectors import tokens as selectors
from rtx.kernel import clock
from rtx.kernel.errors import NotAuthenticated

REPEAT_WINDOW_S = 10
TOKEN_BYTES = 32
TOKEN_MAX_CHARS = 128


class InvalidRefreshToken(NotAuthenticated):
    """The refresh token is unknown, expired, revoked, or was used before."""

    code = "invalid_refresh_token"
    title = "Invalid refresh token"


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a login or a refresh answers. `expires_in` is the access token's remaining life in seconds."""

    access: str
    refresh: str
    expires_in: int


def issue(*, user_id: int, proved_at: datetime | None = None) -> TokenPair:
    """
    Start a new family of tokens for a user who has just proved who they are. `proved_at` says when a second
    factor was used; without it the tokens open nothing that is for staff.
    """
    token = base64.urlsafe_b64encode(secrets.token_bytes(TOKEN_BYTES)).decode().rstrip("=")
    with transaction.atomic():
        user = _locked(user_id)
        row = _store(token, user=user, family=uuid4(), parent=None, now=clock.now(), proved_at=proved_at)
    return _pair(token, row, version=user.token_version)


def refresh(*, token: str) -> TokenPair:
    """
    Exchange a refresh token for its successor and a new access token. A quick repeat gets the same pair.

    :raises InvalidRefreshToken: it is good for nothing any more, or a late repeat has just ended its family.
    """
    digest = _digest(token)
    owner = RefreshToken.objects.filter(token_hash=digest).values_list("user_id", flat=True).first()
    if owner is None:
        raise InvalidRefreshToken
    with transaction.atomic():
        user = _locked(owner)
        now = clock.now()
        row = RefreshToken.objects.filter(token_hash=digest).first()
        if row is None or row.revoked_at is not None or row.expires_at <= now or not user.is_active:
            raise InvalidRefreshToken
        following = _successor(token)
        if row.used_at is None:
            row.used_at = now
            row.save(update_fields=["used_at"])
            successor: RefreshToken | None = _store(
                following, user=user, family=row.family, parent=row, now=now, proved_at=row.proved_at
            )
        elif now - row.used_at <= timedelta(seconds=REPEAT_WINDOW_S):
            successor = RefreshToken.objects.filter(token_hash=_digest(following)).first()
        else:
            successor = None
        if successor is None:
            _revoke(RefreshToken.objects.filter(family=row.family), user_id=user.pk, now=now)
    if successor is None:
        raise InvalidRefreshToken("This refresh token was used before; its login has been ended.")
    return _pair(following, successor, version=user.token_version)


def end_family(*, user_id: int, family: str) -> None:
    """End one login: its refresh tokens at once, its access tokens within seconds."""
    with transaction.atomic():
        _locked(user_id)
        rows = RefreshToken.objects.filter(user_id=user_id, family=family)
        _revoke(rows, user_id=user_id, now=clock.now())


def end_by_refresh(*, token: str) -> None:
    """End the login that a refresh token belongs to; an unknown token changes nothing."""
    row = RefreshToken.objects.filter(token_hash=_digest(token)).first()
    if row is not None:
        end_family(user_id=row.user_id, family=str(row.family))


def end_all(*, user: User) -> None:
    """End every token of a user, whose row the caller has locked and saves afterwards."""
    user.token_version += 1
    _revoke(RefreshToken.objects.filter(user=user), user_id=user.pk, now=clock.now())


def purge_expired() -> int:
    """Delete refresh tokens that expired a day ago or earlier; return how many."""
    limit = clock.now() - timedelta(days=1)
    deleted, _ = RefreshToken.objects.filter(expires_at__lt=limit).delete()
    return deleted


def _locked(user_id: int) -> User:
    return User.objects.select_for_update(no_key=True).get(pk=user_id)


def _store(
    token: str,
    *,
    user: User,
    family: UUID,
    parent: RefreshToken | None,
    now: datetime,
    proved_at: datetime | None,
) -> RefreshToken:
    expires_at = now + timedelta(seconds=settings.REFRESH_TOKEN_LIFETIME_S)
    if proved_at is not None:  # staff sign in anew after as long as in the admin
        expires_at = min(expires_at, proved_at + timedelta(seconds=settings.STAFF_SESSION_MAX_S))
    return RefreshToken.objects.create(
        family=family,
        user=user,
        token_hash=_digest(token),
        parent=parent,
        issued_at=now,
        expires_at=expires_at,
        proved_at=proved_at,
    )


def _revoke(rows: QuerySet[RefreshToken], *, user_id: int, now: datetime) -> None:
    rows.filter(revoked_at__isnull=True).update(revoked_at=now)
    transaction.on_commit(lambda: selectors.forget(user_id))


def _pair(token: str, row: RefreshToken, *, version: int) -> TokenPair:
    issued_s = int(row.issued_at.timestamp())
    expires_s = issued_s + settings.ACCESS_TOKEN_LIFETIME_S
    claims = {
        "typ": selectors.KIND,
        "sub": str(row.user_id),
        "ver": version,
        "fam": str(row.family),
        "iat": issued_s,
        "exp": expires_s,
        "jti": str(row.pk),
    }
    if row.proved_at is not None:
        claims["mfa"] = int(row.proved_at.timestamp())
    access = jwt.encode(claims, settings.TOKEN_SIGNING_KEY, algorithm=selectors.ALGORITHM)
    return TokenPair(access=access, refresh=token, expires_in=expires_s - int(clock.now().timestamp()))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _successor(token: str) -> str:
    key = settings.TOKEN_SIGNING_KEY.encode()
    derived = hmac.new(key, b"rtx refresh successor\0" + token.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(derived).decode().rstrip("=")
