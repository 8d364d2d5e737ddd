"""
Second factors of staff: authenticator apps (TOTP), recovery codes, and passkeys as far as the library has
them.

A code is good once: the counter of the last one is kept in the database, beside the secret, so that neither a
restart of the cache nor a quick repeat makes it good again. Wrong codes pause the person's codes, ever
longer, wherever they come from; axes counts them as failed sign-ins as well (see `sign_in`).
"""

import time
from typing import Any

from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from allauth.mfa.utils import decrypt, encrypt
from django.db import transaction

from apps.accounts.models import User
from rtx.kernel.errors import NotAuthenticated, TooManyRequests

FREE_FAILURES = 5
PAUSE_S = 60
PAUSE_MAX_S = 3_600
BY_CODE = (Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES)
OWN = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


class InvalidOtp(NotAuthenticated):
    """The code is wrong, or was used before."""

    code = "invalid_otp"
    title = "Invalid code"


def is_enrolled(user_id: int) -> bool:
    """Tell whether a person has a second factor; recovery codes alone are none."""
    return bool(Authenticator.objects.filter(user_id=user_id, type__in=OWN).exists())


def kinds(user_id: int) -> set[str]:
    """Return what a person can prove themselves with: `totp`, `webauthn`, `recovery_codes`."""
    return set(Authenticator.objects.filter(user_id=user_id).values_list("type", flat=True))


def use_code(*, user_id: int, code: str) -> Authenticator:
    """
    Use up one code of a person's authenticator app, or one of their recovery codes.

    :raises InvalidOtp: it is wrong, or was used before.
    :raises TooManyRequests: too many wrong ones came before.
    """
    wait_s = 0
    with transaction.atomic():
        rows = list(
            Authenticator.objects.select_for_update()
            .filter(user_id=user_id, type__in=BY_CODE)
            .order_by("-type", "pk")
        )
        now_s = int(time.time())
        found = None
        if rows:
            wait_s = int(rows[0].data.get("paused_until_s", 0)) - now_s
        if rows and wait_s <= 0:
            found = next((row for row in rows if _matches(row, code.strip())), None)
            _count(rows[0], now_s=now_s, is_good=found is not None)
    if wait_s > 0:
        raise TooManyRequests("Too many wrong codes.", retry_after_s=wait_s)
    if found is None:
        raise InvalidOtp
    return found


def enroll_totp(*, user: User, secret: str | None = None) -> str:
    """Give a person an authenticator app in place of the one they have; return its secret (base32)."""
    chosen = secret or totp.generate_totp_secret()
    with transaction.atomic():
        Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.TOTP).delete()
        Authenticator.objects.create(
            user_id=user.pk, type=Authenticator.Type.TOTP, data={"secret": encrypt(chosen)}
        )
    return chosen


def reset(*, user_id: int) -> int:
    """Take all second factors of a person away, so that they enroll anew; return how many there were."""
    deleted, _ = Authenticator.objects.filter(user_id=user_id).delete()
    return deleted


def rewrap_secrets() -> int:
    """Encrypt every stored secret by the newest master key; return how many were encrypted anew."""
    rows = Authenticator.objects.filter(type__in=BY_CODE)
    for row in rows:
        with transaction.atomic():
            held = Authenticator.objects.select_for_update().get(pk=row.pk)
            name = "secret" if held.type == Authenticator.Type.TOTP else "seed"
            held.data[name] = encrypt(decrypt(held.data[name]))
            held.save(update_fields=["data"])
    return len(rows)


def matching_counter(*, secret: str, code: str, after: int = 0) -> int | None:
    """Return the newest time step whose code this is, later than `after`; None: it is none of them."""
    for counter in totp.yield_hotp_counters_from_time():
        expected = totp.format_hotp_value(totp.hotp_value(secret, counter))
        if counter > after and compare_user_code(actual=code, expected=expected):
            return counter
    return None


def remember_counter(*, user_id: int, counter: int) -> None:
    """Note that the code of a time step was used: the one that an authenticator app was set up with."""
    row = Authenticator.objects.filter(user_id=user_id, type=Authenticator.Type.TOTP).first()
    if row is not None:
        row.data["last_counter"] = counter
        row.save(update_fields=["data"])


def _matches(row: Authenticator, code: str) -> bool:
    if row.type == Authenticator.Type.RECOVERY_CODES:
        return bool(RecoveryCodes(row).validate_code(code)) and _taken_over(row)
    counter = matching_counter(
        secret=decrypt(row.data["secret"]), code=code, after=int(row.data.get("last_counter", 0))
    )
    if counter is None:
        return False
    row.data["last_counter"] = counter
    row.save(update_fields=["data"])
    return True


def _taken_over(row: Authenticator) -> bool:
    row.refresh_from_db()  # the library marks the code as used on a row of its own
    return True


def _count(row: Authenticator, *, now_s: int, is_good: bool) -> None:
    """Forget the wrong codes before a good one; after `FREE_FAILURES` wrong ones pause, each time longer."""
    data: dict[str, Any] = row.data
    if is_good:
        data.pop("failures", None)
        data.pop("paused_until_s", None)
    else:
        data["failures"] = int(data.get("failures", 0)) + 1
        over = data["failures"] - FREE_FAILURES
        if over >= 0:
            data["paused_until_s"] = now_s + min(PAUSE_S * 2 ** min(over, 10), PAUSE_MAX_S)
    row.save(update_fields=["data"])
