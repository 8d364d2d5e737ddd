"""
Settings for production. Nothing unsafe has a default here; `manage.py check --deploy` refuses what is
missing.
"""

from rtx.env import env
from rtx.kernel import logs
from rtx.settings.base import *  # noqa: F403

DEMO = False
SECRET_KEY = env.str("SECRET_KEY")
TOKEN_SIGNING_KEY = env.str("RTX_TOKEN_SIGNING_KEY")
ENCRYPTION_KEYS = env.list("RTX_ENCRYPTION_KEYS")
SEARCH_HASH_KEY = env.str("RTX_SEARCH_HASH_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS")
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=True)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_REDIRECT_EXEMPT = [r"^health$", r"^ready$", r"^metrics$"]
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
FUND_HOUSE_THRESHOLD = env.str("RTX_FUND_HOUSE_THRESHOLD", default="10000")
LOGGING = logs.configured(
    level=env.str("LOG_LEVEL", default="INFO"), as_json=env.bool("LOG_JSON", default=True)
)
