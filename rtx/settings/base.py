"""
Settings shared by every environment. Secrets and addresses come from the environment (see `.env.example`).
"""

from datetime import timedelta
from urllib.parse import urlsplit

from rtx.env import BASE_DIR, env
from rtx.kernel import logs
from rtx.settings.admin import UNFOLD as UNFOLD
from rtx.settings.tasks import CELERY_BEAT_SCHEDULE as CELERY_BEAT_SCHEDULE
from rtx.settings.tasks import CELERY_TASK_QUEUES_NAMES as CELERY_TASK_QUEUES_NAMES
from rtx.settings.tasks import CELERY_TASK_ROUTES as CELERY_TASK_ROUTES
from rtx.settings.wiring import ACCOUNT_TABS as ACCOUNT_TABS
from rtx.settings.wiring import CLOSING_CHECKS as CLOSING_CHECKS
from rtx.settings.wiring import ENGINE_SERVICES as ENGINE_SERVICES
from rtx.settings.wiring import REACH as REACH
from rtx.settings.wiring import SEALED_SECRETS as SEALED_SECRETS
from rtx.settings.wiring import TERMS_CHECKS as TERMS_CHECKS
from rtx.settings.wiring import TRADING_GUARDS as TRADING_GUARDS

DEBUG = False
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=[])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])
SITE_NAME = env.str("RTX_SITE_NAME", default="RTX")

INSTALLED_APPS = [
    "daphne",
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "unfold.contrib.guardian",
    "unfold.contrib.import_export",
    "unfold.contrib.inlines",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_filters",
    "django_celery_beat",
    "django_structlog",
    "guardian",
    "auditlog",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "axes",
    "csp",
    "import_export",
    "pgtrigger",
    "apps.audit",
    "apps.market",
    "apps.groups",
    "apps.accounts",
    "apps.trading",
    "apps.risk",
    "apps.liquidity",
    "apps.funds",
    "apps.fix",
    "apps.crm",
    "apps.console",
]

MIDDLEWARE = [
    "rtx.kernel.middleware.RequestId",
    "django.middleware.security.SecurityMiddleware",
    "rtx.kernel.middleware.ApiEntrance",  # API calls leave out everything from here to ApiExit
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "apps.console.admin.gate.StaffGate",
    "allauth.account.middleware.AccountMiddleware",
    "rtx.kernel.middleware.RequestLog",
    "auditlog.middleware.AuditlogMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "axes.middleware.AxesMiddleware",
    "rtx.kernel.middleware.ApiExit",
]

ROOT_URLCONF = "rtx.urls"
WSGI_APPLICATION = "rtx.wsgi.application"
ASGI_APPLICATION = "rtx.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "apps.console.selectors.saved_filters.context",
            ],
        },
    },
]

DATABASES = {"default": env.db_url("DATABASE_URL", default="postgres://rtx_app@127.0.0.1:5432/rtx")}
DATABASES["default"]["ENGINE"] = "rtx.kernel.postgres"
DATABASES["default"]["CONN_MAX_AGE"] = 0
DATABASES["default"].setdefault("OPTIONS", {}).update(
    {
        "pool": {
            "min_size": env.int("DATABASE_POOL_MIN", default=1),
            "max_size": env.int("DATABASE_POOL_MAX", default=16),
            "timeout": env.int("DATABASE_POOL_TIMEOUT_S", default=5),
            "reconnect_timeout": 3,  # then a new request tries again at once, instead of ever longer pauses
        },
        "connect_timeout": 3,
        # A server that vanished without a word is noticed within half a minute.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,  # ms
    }
)
if idle_s := env.int("DATABASE_IDLE_IN_TRANSACTION_S", default=30):
    # A process that freezes within a transaction (a suspended machine) must not hold its locks for ever.
    given = DATABASES["default"]["OPTIONS"].get("options", "")
    limit = f"-c idle_in_transaction_session_timeout={idle_s}s"
    DATABASES["default"]["OPTIONS"]["options"] = f"{given} {limit}".strip()
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASE_APP_ROLE = env.str("DATABASE_APP_ROLE", default="rtx_app")

REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "capacity": 1000, "expiry": 30},
    },
}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "rtx",
        "OPTIONS": {"socket_timeout": 1, "socket_connect_timeout": 1},
    },
}

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
    "apps.accounts.permissions.RoleBackend",
    "guardian.backends.ObjectPermissionBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
GUARDIAN_MONKEY_PATCH_USER = False
ANONYMOUS_USER_NAME = None
AXES_FAILURE_LIMIT = env.int("AXES_FAILURE_LIMIT", default=8)
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_USERNAME_FORM_FIELD = "username"
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
AXES_LOCKOUT_CALLABLE = "apps.console.admin.site.locked_out"
AXES_SENSITIVE_PARAMETERS = ["username", "login", "ip_address", "code", "credential", "otp"]

# Staff sign in with a second factor (django-allauth); of its pages only those in apps/console/urls.py exist.
LOGIN_REDIRECT_URL = "admin:index"
ACCOUNT_ADAPTER = "apps.console.admin.sign_in.StaffAccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = False  # axes and the pause of wrong codes count in the database
ACCOUNT_SESSION_REMEMBER = False
MFA_ADAPTER = "apps.accounts.adapters.mfa.StaffMfaAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_TOLERANCE = 1  # a clock may be half a minute off
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = False
MFA_FORMS = {
    "authenticate": "apps.console.forms.CodeForm",
    "reauthenticate": "apps.console.forms.CodeAgainForm",
    "activate_totp": "apps.console.forms.ActivateAppForm",
    "add_webauthn": "apps.console.forms.AddPasskeyForm",
}
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
STAFF_IDLE_S = env.int("RTX_STAFF_IDLE_S", default=1800)
STAFF_SESSION_MAX_S = env.int("RTX_STAFF_SESSION_MAX_S", default=43_200)
RECENT_LOGIN_CHECK = "apps.console.admin.gate.has_proved_recently"
RECENT_LOGIN_S = env.int("RTX_RECENT_LOGIN_S", default=600)  # before actions on money and positions
SESSION_COOKIE_AGE = STAFF_SESSION_MAX_S
SESSION_EXPIRE_AT_BROWSER_CLOSE = True

# Keys: `id:base64(32 bytes)`, newest first; the first one encrypts, all of them decrypt.
SECRET_KEY = env.str("SECRET_KEY", default="")
ENCRYPTION_KEYS: list[str] = env.list("RTX_ENCRYPTION_KEYS", default=[])
SEARCH_HASH_KEY = env.str("RTX_SEARCH_HASH_KEY", default="")
TOKEN_SIGNING_KEY = env.str("RTX_TOKEN_SIGNING_KEY", default=SECRET_KEY)
ACCESS_TOKEN_LIFETIME_S = env.int("RTX_ACCESS_TOKEN_LIFETIME_S", default=900)
REFRESH_TOKEN_LIFETIME_S = env.int("RTX_REFRESH_TOKEN_LIFETIME_S", default=14 * 86_400)
TOKEN_STATE_CACHE_S = env.int("RTX_TOKEN_STATE_CACHE_S", default=2)

# How many proxies in front of us append the sender to X-Forwarded-For; 0: the header is not believed.
TRUSTED_PROXY_COUNT = env.int("TRUSTED_PROXY_COUNT", default=0)

# Requests per second and at once: per user (statements apart), and per address where no token is needed.
RATE_API_PER_S = env.float("RTX_RATE_API_PER_S", default=100.0)
RATE_API_BURST = env.int("RTX_RATE_API_BURST", default=200)
RATE_STATEMENTS_PER_S = env.float("RTX_RATE_STATEMENTS_PER_S", default=1.0)
RATE_STATEMENTS_BURST = env.int("RTX_RATE_STATEMENTS_BURST", default=5)
RATE_LOGIN_PER_S = env.float("RTX_RATE_LOGIN_PER_S", default=5.0)
RATE_LOGIN_BURST = env.int("RTX_RATE_LOGIN_BURST", default=100)

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True
FORMAT_MODULE_PATH = "rtx.formats"

# What is uploaded names people: it stays in memory, bounded, and never lies on a disk in clear.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
FILE_UPLOAD_MAX_MEMORY_SIZE = 17 * 1024 * 1024

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["apps.accounts.api.authentication.AccessTokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rtx.kernel.rest.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rtx.kernel.rest.StrictJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "rtx.kernel.rest.Negotiation",
    "DEFAULT_PAGINATION_CLASS": "rtx.kernel.rest.CursorPagination",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["rtx.kernel.rest.UserThrottle"],
    "EXCEPTION_HANDLER": "rtx.kernel.rest.problem_handler",
    "UNAUTHENTICATED_USER": None,
    "COERCE_DECIMAL_TO_STRING": True,
    "PAGE_SIZE": 100,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "RTX API",
    "DESCRIPTION": "Interfaces of RTX. Decimals are strings, instants RFC 3339 UTC, errors problem+json.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": ["rtx.kernel.openapi.completed"],
}

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default=REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600, "health_check_interval": 25}
CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS = {"visibility_timeout": 3600}
CELERY_VISIBILITY_TIMEOUT = 3600
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"  # editable in the admin

# Where staff actions are written, what carries out an approval (by kind): the upper app implements.
STAFF_LOG = "apps.audit.services.actions"
ACCOUNTS_WITHIN = "apps.accounts.selectors.reach.accounts_within"
ROW_HISTORY = "apps.audit.selectors.history.of_row"
APPROVAL_HANDLERS: dict[str, str] = {
    "trading.reverse": "apps.trading.services.reversals.ReversalHandler",
    "funds.post": "apps.funds.services.posting.PostingHandler",
    "funds.policy": "apps.funds.services.policies.PolicyHandler",
    "accounts.role": "apps.accounts.services.role_changes.RoleApproval",
    "groups.stop_out": "apps.groups.services.stop_out.StopOutApproval",
}
APPROVAL_LIFETIME_S = env.int("RTX_APPROVAL_LIFETIME_S", default=86_400)
# Who set up another's access (password, factors, role, reach) is no second person to them for so long.
APPROVAL_DISTANCE_DAYS = env.int("RTX_APPROVAL_DISTANCE_DAYS", default=30)
# What the first migration writes into the house's fund policy; afterwards it is changed on its page.
FUND_HOUSE_THRESHOLD = env.str("RTX_FUND_HOUSE_THRESHOLD", default="")

# Market data. One provider per symbol: `simulated`, or `replay` of recorded ticks in RTX_TICKS_DIR.
TICKS_DIR = env.str("RTX_TICKS_DIR", default="")
FEED_DEFAULT = env.str("RTX_FEED", default="replay" if TICKS_DIR else "simulated")
FEED_BY_SYMBOL = env.dict("RTX_FEED_BY_SYMBOL", default={})  # EURUSD=oanda,BTCUSD=simulated
FEED_SPEED = env.float("RTX_FEED_SPEED", default=1.0)
FEED_SEED = env.int("RTX_FEED_SEED", default=20140508)
SESSIONS_ALWAYS_OPEN = env.bool("RTX_SESSIONS_ALWAYS_OPEN", default=False)
TICK_STORE_DAYS = env.int("RTX_TICK_STORE_DAYS", default=30)
QUOTE_BOARD_FOLLOWS_BUS = env.bool("RTX_QUOTE_BOARD_FOLLOWS_BUS", default=True)

# Executor (one per process): see apps/trading/services/executor.py.
EXECUTOR_BATCH_MAX = env.int("RTX_EXECUTOR_BATCH_MAX", default=128)
EXECUTOR_QUEUE_MAX = env.int("RTX_EXECUTOR_QUEUE_MAX", default=4096)
EXECUTOR_RESULT_TIMEOUT_S = env.float("RTX_EXECUTOR_RESULT_TIMEOUT_S", default=10.0)

# Sealing: which logs, and Ed25519 keys `id:base64(32 bytes)`: the private one signs; public ones of earlier
# keys stay, so that old checkpoints can be verified. Every checkpoint is written to the folder as well.
SEALED_LOGS: list[str] = [
    "apps.accounts.selectors.sealing.JOURNAL",
    "apps.audit.selectors.staff_log.STAFF_LOG",
]
AUDIT_SIGNING_KEY = env.str("RTX_AUDIT_SIGNING_KEY", default="")
AUDIT_PUBLIC_KEYS: list[str] = env.list("RTX_AUDIT_PUBLIC_KEYS", default=[])
AUDIT_EXPORT_DIR = env.str("RTX_AUDIT_EXPORT_DIR", default="")

# Dealing by staff: how far a price may move between a dry run (or asking for a reversal) and the deed.
DEALING_DEVIATION_POINTS = env.int("RTX_DEALING_DEVIATION_POINTS", default=20)
REVERSAL_LIFETIME_S = env.int("RTX_REVERSAL_LIFETIME_S", default=900)

# CRM: each provider's hosts. Empty: the one that the provider names when access is given.
CRM_HUBSPOT_URL = env.str("CRM_HUBSPOT_URL", default="https://api.hubapi.com")
CRM_HUBSPOT_OAUTH_URL = env.str("CRM_HUBSPOT_OAUTH_URL", default="https://app.hubspot.com")
CRM_SALESFORCE_URL = env.str("CRM_SALESFORCE_URL", default="")
CRM_SALESFORCE_OAUTH_URL = env.str("CRM_SALESFORCE_OAUTH_URL", default="https://login.salesforce.com")
CRM_ZOHO_URL = env.str("CRM_ZOHO_URL", default="")
CRM_ZOHO_OAUTH_URL = env.str("CRM_ZOHO_OAUTH_URL", default="")
# So long a worker of the sync holds what it works at; when it dies, others go on after that.
CRM_CLAIM_S = env.float("RTX_CRM_CLAIM_S", default=120.0)
# Where this site is reached from outside, as providers call and redirect back to it.
PUBLIC_URL = env.str("RTX_PUBLIC_URL", default="")
# Outgoing calls never go inside the house; a development machine may let them reach itself.
OUTGOING_ALLOWS_LOOPBACK = env.bool("RTX_OUTGOING_ALLOWS_LOOPBACK", default=False)

# Risk: the margin monitor parts the accounts (by id) into so many shards.
RISK_SHARDS = env.int("RTX_RISK_SHARDS", default=1)

# WebSocket stream.
STREAM_BUFFER_MAX_BYTES = 1_048_576
STREAM_REQUESTS_PER_S = env.float("RTX_STREAM_REQUESTS_PER_S", default=200)  # of one socket
STREAM_USER_REQUESTS_PER_S = env.float("RTX_STREAM_USER_REQUESTS_PER_S", default=500)  # of all a user's
# Where browsers reach the stream processes (wss://host/ws); empty: at /ws of the admin's own address.
STREAM_URL = env.str("RTX_STREAM_URL", default="")
STREAM_ALLOWED_ORIGINS: list[str] = env.list("STREAM_ALLOWED_ORIGINS", default=[])

DEMO = False
DEMO_PASSWORD = env.str("RTX_DEMO_PASSWORD", default="")

METRICS_TOKEN = env.str("RTX_METRICS_TOKEN", default="")
DRAIN_FILE = env.str("RTX_DRAIN_FILE", default="")  # while it exists, /ready answers 503

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOGGING = logs.configured(level=LOG_LEVEL, as_json=env.bool("LOG_JSON", default=False))

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        # No inline scripts. The templates of unfold hold Alpine expressions with arrow functions and globals
        # that Alpine's own CSP build cannot evaluate; unfold ships the usual build alone: it needs eval.
        "script-src": ["'self'", "'unsafe-eval'"],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'", *(["://".join(urlsplit(STREAM_URL)[:2])] if STREAM_URL else [])],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "object-src": ["'none'"],
        "frame-ancestors": ["'none'"],
    },
}
