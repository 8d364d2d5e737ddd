"""Settings for development and the demo broker started by `make run`."""

from rtx.env import env
from rtx.settings.base import *  # noqa: F403

DEBUG = env.bool("DEBUG", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]", "testserver"])
SECRET_KEY = env.str("SECRET_KEY", default="dev-only-secret-key-that-production-refuses-to-start-with")
TOKEN_SIGNING_KEY = env.str("RTX_TOKEN_SIGNING_KEY", default=SECRET_KEY)
ENCRYPTION_KEYS = env.list(
    "RTX_ENCRYPTION_KEYS", default=["dev:ZGV2LW9ubHkta2V5LWRldi1vbmx5LWtleS1kZXYtb24="]
)
SEARCH_HASH_KEY = env.str("RTX_SEARCH_HASH_KEY", default="dev-only-search-hash-key")
AUDIT_SIGNING_KEY = env.str(
    "RTX_AUDIT_SIGNING_KEY", default="dev:ZGV2LW9ubHkta2V5LWRldi1vbmx5LWtleS1kZXYtb24="
)
SESSIONS_ALWAYS_OPEN = env.bool("RTX_SESSIONS_ALWAYS_OPEN", default=True)
OUTGOING_ALLOWS_LOOPBACK = env.bool("RTX_OUTGOING_ALLOWS_LOOPBACK", default=True)
DEMO = True
WHITENOISE_USE_FINDERS = True  # no collectstatic in development
STATIC_ROOT = None  # type: ignore[assignment]
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = True  # passkeys at http://localhost
