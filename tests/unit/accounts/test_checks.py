"""Each production check refuses its unsafe setting and accepts a safe one."""

import base64
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from apps.accounts import checks

KEY = base64.b64encode(bytes(range(120, 152))).decode()
SAFE: dict[str, Any] = {
    "DEMO": False,
    "DEBUG": False,
    "ALLOWED_HOSTS": ["broker.example"],
    "SECRET_KEY": "9fK2!xQ7-vLm4#Tz8@Rw1$Yb6%Nc3^Hd5",
    "TOKEN_SIGNING_KEY": "5dH^3cN%6bY$1wR@8zT#4mL-7vQx!2Kf9",
    "ENCRYPTION_KEYS": [f"k1:{KEY}"],
    "SEARCH_HASH_KEY": "Zq8-wE5!rT2@yU9#iO3$pA6%sD1^fG4&h",
    "FEED_DEFAULT": "fix",
    "FEED_BY_SYMBOL": {},
    "DATABASE_APP_ROLE": "rtx_app",
    "DATABASES": {"default": {"USER": "rtx_app"}},
    "SESSION_COOKIE_SECURE": True,
    "CSRF_COOKIE_SECURE": True,
    "REDIS_URL": "redis://:secret@cache.example:6379/0",
    "SESSIONS_ALWAYS_OPEN": False,
    "ACCESS_TOKEN_LIFETIME_S": 900,
    "TOKEN_STATE_CACHE_S": 2,
    "PASSWORD_HASHERS": ["django.contrib.auth.hashers.Argon2PasswordHasher"],
    "MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN": False,
    "MFA_TOTP_TOLERANCE": 1,
    "STAFF_IDLE_S": 1800,
    "STAFF_SESSION_MAX_S": 43_200,
    "RECENT_LOGIN_S": 600,
    "AUDIT_SIGNING_KEY": f"a1:{KEY}",
    "AUDIT_PUBLIC_KEYS": [],
    "AUDIT_EXPORT_DIR": "/audit",
    "OUTGOING_ALLOWS_LOOPBACK": False,
    "PUBLIC_URL": "https://desk.broker.example",
    "CRM_HUBSPOT_URL": "https://api.hubapi.com",
    "CRM_HUBSPOT_OAUTH_URL": "https://app.hubspot.com",
    "CRM_SALESFORCE_URL": "",
    "CRM_SALESFORCE_OAUTH_URL": "https://login.salesforce.com",
    "CRM_ZOHO_URL": "",
    "CRM_ZOHO_OAUTH_URL": "",
}


class Settings:
    """Stands in for Django's settings."""

    def __init__(self, **changed: Any) -> None:
        self.__dict__.update(SAFE | changed)


def found(monkeypatch: pytest.MonkeyPatch, **changed: Any) -> list[str]:
    monkeypatch.setattr(checks, "settings", Settings(**changed))
    return [str(message.id) for message in checks.production_is_safe(None)]


def test_safe_settings_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch) == []


@pytest.mark.parametrize(
    ("number", "name", "value"),
    [
        ("E001", "DEBUG", True),
        ("E002", "ALLOWED_HOSTS", []),
        ("E002", "ALLOWED_HOSTS", ["*"]),
        ("E003", "SECRET_KEY", ""),
        ("E003", "SECRET_KEY", "dev-only-secret-key-that-production-refuses-to-start-with"),
        ("E003", "SECRET_KEY", "a" * 64),
        ("E004", "TOKEN_SIGNING_KEY", "short"),
        ("E004", "TOKEN_SIGNING_KEY", SAFE["SECRET_KEY"]),
        ("E005", "ENCRYPTION_KEYS", []),
        ("E005", "ENCRYPTION_KEYS", ["k1:not base64"]),
        ("E005", "ENCRYPTION_KEYS", ["k1:" + base64.b64encode(b"16 bytes, short.").decode()]),
        ("E005", "ENCRYPTION_KEYS", [f"k1:{KEY}", f"k1:{KEY}"]),
        ("E006", "ENCRYPTION_KEYS", ["dev:ZGV2LW9ubHkta2V5LWRldi1vbmx5LWtleS1kZXYtb24="]),
        ("E006", "ENCRYPTION_KEYS", ["k1:" + base64.b64encode(bytes(32)).decode()]),
        ("E007", "SEARCH_HASH_KEY", "dev-only-search-hash-key"),
        ("E008", "FEED_DEFAULT", "simulated"),
        ("E008", "FEED_BY_SYMBOL", {"EURUSD": "replay"}),
        ("E009", "DATABASES", {"default": {"USER": "rtx_owner"}}),
        ("E009", "DATABASES", {"default": {}}),
        ("E010", "SESSION_COOKIE_SECURE", False),
        ("E016", "OUTGOING_ALLOWS_LOOPBACK", True),
        ("E017", "CRM_HUBSPOT_URL", "http://api.hubapi.com"),
        ("E017", "CRM_ZOHO_OAUTH_URL", "http://127.0.0.1:8010"),
        ("E017", "PUBLIC_URL", "http://desk.broker.example"),
        ("E010", "CSRF_COOKIE_SECURE", False),
        ("E011", "REDIS_URL", "redis://cache.example:6379/0"),
        ("E012", "SESSIONS_ALWAYS_OPEN", True),
        ("E013", "ACCESS_TOKEN_LIFETIME_S", 86_400),
        ("E013", "TOKEN_STATE_CACHE_S", 60),
        ("E014", "PASSWORD_HASHERS", ["django.contrib.auth.hashers.MD5PasswordHasher"]),
        ("E015", "MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN", True),
        ("E015", "MFA_TOTP_TOLERANCE", 5),
        ("E015", "STAFF_IDLE_S", 7200),
        ("E015", "STAFF_SESSION_MAX_S", 0),
        ("E015", "RECENT_LOGIN_S", 86_400),
        ("E020", "AUDIT_SIGNING_KEY", ""),
        ("E020", "AUDIT_SIGNING_KEY", "a1:not base64"),
        ("E020", "AUDIT_SIGNING_KEY", "dev:ZGV2LW9ubHkta2V5LWRldi1vbmx5LWtleS1kZXYtb24="),
        ("E020", "AUDIT_PUBLIC_KEYS", [f"a1:{KEY}"]),
        ("E021", "AUDIT_EXPORT_DIR", ""),
        ("E021", "AUDIT_EXPORT_DIR", "relative/folder"),
    ],
)
def test_an_unsafe_setting_is_refused(
    monkeypatch: pytest.MonkeyPatch, number: str, name: str, value: Any
) -> None:
    assert found(monkeypatch, **{name: value}) == [f"rtx.{number}"]


def test_migrations_may_run_as_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["manage.py", "migrate"])

    assert found(monkeypatch, DATABASES={"default": {"USER": "rtx_owner"}}) == []


def test_a_demo_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, DEMO=True, DEBUG=True) == []


def test_a_process_refuses_to_start_and_names_every_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "settings", Settings(DEBUG=True, ALLOWED_HOSTS=["*"]))

    with pytest.raises(ImproperlyConfigured, match=r"rtx\.E001.*rtx\.E002"):
        checks.refuse_unsafe_settings()
