"""
What production refuses to start with: numbered Django checks, one test each. They read settings, never the
database.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured

from apps.audit.domain.signing import SigningKey, public_keys
from rtx.kernel import encryption

SECRET_CHARS_MIN = 32
DEMO_MARKS = ("dev-only", "change-me", "changeme", "insecure")
DEMO_FEEDS = frozenset({"simulated", "replay"})
OWNER_ROLES = frozenset({"postgres", "rtx_owner"})


def _weak(secret: str) -> bool:
    return len(secret) < SECRET_CHARS_MIN or len(set(secret)) < 8 or any(m in secret for m in DEMO_MARKS)


def debug_is_off() -> list[CheckMessage]:
    """E001: a debug page shows settings and personal data."""
    return [Error("DEBUG is on.", id="rtx.E001")] if settings.DEBUG else []


def hosts_are_named() -> list[CheckMessage]:
    """E002: any host name would be believed."""
    if not settings.ALLOWED_HOSTS or "*" in settings.ALLOWED_HOSTS:
        return [Error("ALLOWED_HOSTS must name the hosts.", id="rtx.E002")]
    return []


def secret_key_is_strong() -> list[CheckMessage]:
    """E003: sessions and password links are signed with it."""
    if _weak(settings.SECRET_KEY):
        return [Error("SECRET_KEY is missing, short, or a development key.", id="rtx.E003")]
    return []


def token_key_is_strong() -> list[CheckMessage]:
    """E004: access tokens are signed with it."""
    if _weak(settings.TOKEN_SIGNING_KEY) or settings.TOKEN_SIGNING_KEY == settings.SECRET_KEY:
        return [Error("RTX_TOKEN_SIGNING_KEY is missing, weak, or the SECRET_KEY.", id="rtx.E004")]
    return []


def encryption_keys_are_valid() -> list[CheckMessage]:
    """E005: personal data is encrypted with them; E006: a development key is no secret."""
    try:
        keys = encryption.parse_keys(settings.ENCRYPTION_KEYS)
    except ValueError as error:
        return [Error(f"RTX_ENCRYPTION_KEYS: {error}.", id="rtx.E005")]
    if not keys:
        return [Error("RTX_ENCRYPTION_KEYS is empty.", id="rtx.E005")]
    if any(len(set(key)) < 16 or key.isascii() for key in keys.values()):
        return [Error("RTX_ENCRYPTION_KEYS holds a key that is not random.", id="rtx.E006")]
    return []


def search_key_is_strong() -> list[CheckMessage]:
    """E007: search hashes could be guessed with it."""
    if _weak(settings.SEARCH_HASH_KEY):
        return [Error("RTX_SEARCH_HASH_KEY is missing, short, or a development key.", id="rtx.E007")]
    return []


def feeds_are_real() -> list[CheckMessage]:
    """E008: nobody may trade real money on recorded or invented prices."""
    chosen = {settings.FEED_DEFAULT, *settings.FEED_BY_SYMBOL.values()}
    if found := sorted(chosen & DEMO_FEEDS):
        return [Error(f"The feed {', '.join(found)} must not run in production.", id="rtx.E008")]
    return []


def role_is_not_the_owner() -> list[CheckMessage]:
    """E009: the tables' owner could take the append-only triggers away; only `migrate` runs as owner."""
    if sys.argv[1:2] == ["migrate"]:
        return []
    user = settings.DATABASES["default"].get("USER", "")
    if not user or user in OWNER_ROLES or user != settings.DATABASE_APP_ROLE:
        return [Error("DATABASE_URL must use the application's role (DATABASE_APP_ROLE).", id="rtx.E009")]
    return []


def cookies_are_secure() -> list[CheckMessage]:
    """E010: a staff session must not travel unencrypted."""
    if not (settings.SESSION_COOKIE_SECURE and settings.CSRF_COOKIE_SECURE):
        return [Error("SESSION_COOKIE_SECURE and CSRF_COOKIE_SECURE must be on.", id="rtx.E010")]
    return []


def redis_is_protected() -> list[CheckMessage]:
    """E011: whoever can write to Redis can set prices."""
    if not urlsplit(settings.REDIS_URL).password:
        return [Error("REDIS_URL has no password.", id="rtx.E011")]
    return []


def sessions_are_real() -> list[CheckMessage]:
    """E012: an always-open market is for demonstrations."""
    if settings.SESSIONS_ALWAYS_OPEN:
        return [Error("RTX_SESSIONS_ALWAYS_OPEN must be off.", id="rtx.E012")]
    return []


def token_lives_are_bounded() -> list[CheckMessage]:
    """E013: a lost token must end soon, and a disabled user within 5 seconds."""
    if not 0 < settings.ACCESS_TOKEN_LIFETIME_S <= 3600 or not 0 <= settings.TOKEN_STATE_CACHE_S <= 4:
        return [
            Error(
                "RTX_ACCESS_TOKEN_LIFETIME_S is at most 3600, RTX_TOKEN_STATE_CACHE_S at most 4.",
                id="rtx.E013",
            )
        ]
    return []


def passwords_are_hashed_slowly() -> list[CheckMessage]:
    """E014: fast hashes are for tests."""
    if "Argon2" not in settings.PASSWORD_HASHERS[0]:
        return [Error("The first of PASSWORD_HASHERS must be Argon2.", id="rtx.E014")]
    return []


def audit_key_is_valid() -> list[CheckMessage]:
    """E020: checkpoints are signed with it; whoever knows a development key can rewrite the logs."""
    try:
        key = SigningKey.parsed(settings.AUDIT_SIGNING_KEY)
        public_keys([*settings.AUDIT_PUBLIC_KEYS, key.public_text])
    except ValueError as error:
        return [Error(f"RTX_AUDIT_SIGNING_KEY: {error}.", id="rtx.E020")]
    if len(set(key.seed)) < 16 or key.seed.isascii():
        return [Error("RTX_AUDIT_SIGNING_KEY is not random.", id="rtx.E020")]
    return []


def checkpoints_leave_the_house() -> list[CheckMessage]:
    """E021: whoever owns database and key can rewrite the logs unless checkpoints lie outside."""
    if not settings.AUDIT_EXPORT_DIR or not Path(settings.AUDIT_EXPORT_DIR).is_absolute():
        return [Error("RTX_AUDIT_EXPORT_DIR must name a mounted folder outside the database.", id="rtx.E021")]
    return []


def second_factors_are_strict() -> list[CheckMessage]:
    """E015: a passkey must be bound to our name, a code must run out, and a session must end."""
    if (
        settings.MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN
        or settings.MFA_TOTP_TOLERANCE > 1
        or not 0 < settings.RECENT_LOGIN_S <= settings.STAFF_IDLE_S <= 3600
        or not 0 < settings.STAFF_SESSION_MAX_S <= 86_400
    ):
        return [
            Error(
                "Sessions of staff: idle at most 3600 s, 86400 s in all, a fresh proof no older than idle;"
                " passkeys only from our own https address.",
                id="rtx.E015",
            )
        ]
    return []


def calls_stay_outside() -> list[CheckMessage]:
    """E016: a call to a provider must not be led inside the house; E017: nor travel unencrypted."""
    found: list[CheckMessage] = []
    if settings.OUTGOING_ALLOWS_LOOPBACK:
        found.append(Error("RTX_OUTGOING_ALLOWS_LOOPBACK must be off.", id="rtx.E016"))
    named = {
        name: getattr(settings, f"CRM_{name}_URL")
        for provider in ("HUBSPOT", "SALESFORCE", "ZOHO")
        for name in (provider, f"{provider}_OAUTH")
    }
    plain = sorted(name for name, url in named.items() if url and urlsplit(url).scheme != "https")
    if plain:
        found.append(Error(f"CRM_{plain[0]}_URL must be https.", id="rtx.E017"))
    if settings.PUBLIC_URL and urlsplit(settings.PUBLIC_URL).scheme != "https":
        found.append(Error("RTX_PUBLIC_URL must be https.", id="rtx.E017"))
    return found


CHECKS = (
    debug_is_off,
    hosts_are_named,
    secret_key_is_strong,
    token_key_is_strong,
    encryption_keys_are_valid,
    search_key_is_strong,
    feeds_are_real,
    role_is_not_the_owner,
    cookies_are_secure,
    redis_is_protected,
    sessions_are_real,
    token_lives_are_bounded,
    passwords_are_hashed_slowly,
    second_factors_are_strict,
    audit_key_is_valid,
    checkpoints_leave_the_house,
    calls_stay_outside,
)


def refuse_unsafe_settings() -> None:
    """
    Run the checks where Django does not: at the start of web, stream, worker and beat processes.

    :raises ImproperlyConfigured: a setting is unsafe; names all of them.
    """
    found = production_is_safe(None)
    if found:
        raise ImproperlyConfigured(" ".join(f"{message.id}: {message.msg}" for message in found))


@register(Tags.security)
def production_is_safe(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Run every check, unless this is a demo, a development or a test environment (`DEMO`)."""
    if getattr(settings, "DEMO", False):
        return []
    return [message for check in CHECKS for message in check()]
