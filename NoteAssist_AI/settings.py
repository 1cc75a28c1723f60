"""Settings of every environment, read once from the environment by typed readers.

Importing this module starts nothing: the embedded engines are started by the entry points (``manage.py``, ``wsgi.py``,
``celery.py``, ``tests/engines.py``) before Django reads it. Every variable is listed in README and ``.env.example``.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from NoteAssist_AI import env, monitoring
from NoteAssist_AI.postgresql.connections import BoundedConnection

BASE_DIR = Path(__file__).resolve().parent.parent
env.load_file(BASE_DIR / ".env")

# --- Environment ------------------------------------------------------------------------------------------------------

ENVIRONMENT = env.choice("ENVIRONMENT", ("development", "production", "test"), "development")
IS_PRODUCTION = ENVIRONMENT == "production"
DEBUG = env.boolean("DEBUG", default=ENVIRONMENT == "development")

SECRET_KEY = env.secret("SECRET_KEY") if IS_PRODUCTION else env.text("SECRET_KEY", "development-only-secret-key")
JWT_SIGNING_KEY = (
    env.secret("JWT_SIGNING_KEY")
    if IS_PRODUCTION
    else env.text("JWT_SIGNING_KEY", "development-only-signing-key-of-access-tokens")
)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", () if IS_PRODUCTION else ("localhost", "127.0.0.1", "[::1]", "testserver"))
TRUSTED_PROXIES = env.integer("TRUSTED_PROXIES", 1 if IS_PRODUCTION else 0)
"""How many proxies of ours stand before the server; their entries of X-Forwarded-For are believed, no others."""

WEB_CONCURRENCY = env.integer("WEB_CONCURRENCY", 2, minimum=1)
WEB_THREADS = env.integer("WEB_THREADS", 8, minimum=1)

# --- Applications -----------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "NoteAssist_AI.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "utils",
    "accounts",
    "notes",
    "ai_tasks",
    "notifications",
]

MIDDLEWARE = [
    "utils.middleware.RequestIdMiddleware",
    "utils.middleware.ProblemDetailsMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "utils.throttling.RateLimitHeadersMiddleware",
    "utils.middleware.QueryCountDebugMiddleware",
    "utils.middleware.AdminSessionMiddleware",
    "utils.middleware.ContentLengthMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "utils.middleware.AdminAuthenticationMiddleware",
    "utils.middleware.AdminMessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "NoteAssist_AI.urls"
WSGI_APPLICATION = "NoteAssist_AI.wsgi.application"
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backends.ThrottledModelBackend"]  # the admin's; the API has its own
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- PostgreSQL -------------------------------------------------------------------------------------------------------

CONNECTION_TIMEOUT = env.integer("CONNECTION_TIMEOUT", 10, minimum=1)  # seconds
QUERY_TIMEOUT = env.integer("QUERY_TIMEOUT", 30_000, minimum=1)  # milliseconds
DB_POOL_MAX = env.integer("DB_POOL_MAX", 16, minimum=1)
TRANSACTION_POOLER_PORT = 6543
"""Where Supabase's pooler hands out a server connection for one transaction only."""

_DATABASE_URL = env.url(
    "DATABASE_URL", ("postgres", "postgresql"), env.REQUIRED if IS_PRODUCTION else "postgresql:///unset"
)
DATABASES: dict[str, dict[str, Any]] = {
    # The engine looks after its pooled connections itself, so Django need not ask the server about each.
    "default": {
        **dj_database_url.parse(_DATABASE_URL, engine="NoteAssist_AI.postgresql"),
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": False,
    }
}
_BEHIND_TRANSACTION_POOLER = str(DATABASES["default"].get("PORT")) == str(TRANSACTION_POOLER_PORT)
DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = _BEHIND_TRANSACTION_POOLER
DATABASES["default"]["OPTIONS"] = {
    **DATABASES["default"].get("OPTIONS", {}),
    "connect_timeout": CONNECTION_TIMEOUT,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 5,
    "options": f"-c statement_timeout={QUERY_TIMEOUT}",
    "server_side_binding": not _BEHIND_TRANSACTION_POOLER,
    # A connection's third run of a statement prepares it: planning a list takes longer than running it.
    "prepare_threshold": None if _BEHIND_TRANSACTION_POOLER else 2,
    # A pool keeps connections between requests: reconnecting costs about 10 ms each time.
    # It waits twice as long after each failure to connect; begun anew after 3 s, it finds a server that is back in 2 s.
    "pool": {
        "connection_class": BoundedConnection,
        "min_size": 1,
        "max_size": DB_POOL_MAX,
        "timeout": 5,
        "max_idle": 300,
        "reconnect_timeout": 3,
    },
}

# --- Redis: cache, limits, progress, broker ---------------------------------------------------------------------------

REDIS_URL = env.url(
    "REDIS_URL", ("redis", "rediss", "unix"), env.REQUIRED if IS_PRODUCTION else "redis://localhost:6379/0"
)
REDIS_TIMEOUT_SECONDS = 0.5
REDIS_POOL_WAIT_SECONDS = 0.2
REDIS_POOL_MAX = max(WEB_THREADS + 4, env.integer("AI_WORKER_CONCURRENCY", 100, minimum=1) // 2)

CACHE_TTL_PROFILE = 300
CACHE_TTL_LIST = 180
CACHE_TTL_AI_RESULT = 3600

CACHE_URL = env.url("CACHE_URL", ("redis", "rediss", "unix", "locmem"), REDIS_URL)
PAGE_CACHE_ENABLED = not CACHE_URL.startswith("locmem:")
"""Memory of one process cannot keep the promise that a read shows the last write of any process."""

if PAGE_CACHE_ENABLED:
    CACHES = {
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": CACHE_URL,
            "TIMEOUT": CACHE_TTL_PROFILE,
            "KEY_PREFIX": "cache",
            "OPTIONS": {
                "IGNORE_EXCEPTIONS": True,
                "SOCKET_TIMEOUT": REDIS_TIMEOUT_SECONDS,
                "SOCKET_CONNECT_TIMEOUT": REDIS_TIMEOUT_SECONDS,
                "CONNECTION_POOL_CLASS": "redis.BlockingConnectionPool",
                "CONNECTION_POOL_KWARGS": {"max_connections": REDIS_POOL_MAX, "timeout": REDIS_POOL_WAIT_SECONDS},
            },
        }
    }
    DJANGO_REDIS_LOG_IGNORED_EXCEPTIONS = True
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "TIMEOUT": CACHE_TTL_PROFILE}}

SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"  # the admin's; the API knows no cookies
SESSION_COOKIE_AGE = int(timedelta(days=30).total_seconds())

# --- Celery -----------------------------------------------------------------------------------------------------------

CELERY_BROKER_URL = env.broker_url(env.url("CELERY_BROKER_URL", ("redis", "rediss", "unix"), REDIS_URL))
CELERY_TASK_IGNORE_RESULT = True  # the rows are the results
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_ANNOTATIONS = {"*": {"Request": "NoteAssist_AI.celery_requests:Request"}}
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_POOL_LIMIT = WEB_THREADS + 4
# Of a publisher: a request never waits for a broker that does not answer (workers raise the time-outs, see celery.py).
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "max_retries": 0,
    "socket_timeout": REDIS_TIMEOUT_SECONDS,
    "socket_connect_timeout": REDIS_TIMEOUT_SECONDS,
    "visibility_timeout": 3600,
    "queue_order_strategy": "round_robin",
}
CELERY_TIMEZONE = "UTC"

# --- AI ---------------------------------------------------------------------------------------------------------------

AI_BASE_URL = env.url("AI_BASE_URL", ("http", "https"), "")  # unset: OpenAI with a key, offline without
AI_API_KEY = env.text("AI_API_KEY", "")
AI_MODEL = env.text("AI_MODEL", "gpt-4o-mini")
AI_TIMEOUT_SECONDS = env.seconds("AI_TIMEOUT_SECONDS", 120, minimum=1)
AI_WORKER_CONCURRENCY = env.integer("AI_WORKER_CONCURRENCY", 100, minimum=1)
AI_SHUTDOWN_SECONDS = env.integer("AI_SHUTDOWN_SECONDS", 15)  # what a stopping worker may still finish
AI_LEASE_SECONDS = env.integer("AI_LEASE_SECONDS", 30, minimum=3)
AI_SWEEP_SECONDS = env.integer("AI_SWEEP_SECONDS", 15, minimum=1)
AI_STREAM_EVENTS = env.integer("AI_STREAM_EVENTS", 2000, minimum=100)
AI_STREAM_SECONDS = env.integer("AI_STREAM_SECONDS", 3600, minimum=60)
AI_TASK_RETENTION_DAYS = env.integer("AI_TASK_RETENTION_DAYS", 365, minimum=1)

# --- Event streams ----------------------------------------------------------------------------------------------------

EVENTS_BASE_URL = env.url("EVENTS_BASE_URL", ("http", "https"), "").rstrip("/")
SSE_HEARTBEAT_SECONDS = env.seconds("SSE_HEARTBEAT_SECONDS", 15, minimum=0.1)
# Of one process. A stream holds one of the web process's threads; gunicorn_events.conf.py sets more for greenlets.
SSE_MAX_STREAMS = env.integer("SSE_MAX_STREAMS", max(1, WEB_THREADS // 4))

# --- Exports ----------------------------------------------------------------------------------------------------------

EXPORTS_AT_ONCE = max(1, WEB_THREADS // 8)
"""Of one process: each holds a thread until its client has read it."""

# --- REST framework ---------------------------------------------------------------------------------------------------

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.SessionJWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["utils.json.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["utils.json.OrjsonRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "utils.json.AlwaysJSON",
    "DEFAULT_PAGINATION_CLASS": "utils.pagination.LookAheadCursorPagination",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["utils.throttling.AdmissionThrottle"],
    "DEFAULT_THROTTLE_RATES": {
        "burst": env.rate("THROTTLE_BURST", "60/min"),
        "sustained": env.rate("THROTTLE_SUSTAINED", "1000/day"),
        "ai_tools": env.rate("THROTTLE_AI_TOOLS", "20/hour"),
        "poll": env.rate("THROTTLE_POLL", "120/min"),
        "login": env.rate("THROTTLE_LOGIN", "10/min"),
    },
    "EXCEPTION_HANDLER": "utils.exceptions.problem_exception_handler",
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%S.%fZ",
    "PAGE_SIZE": 20,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "URL_FORMAT_OVERRIDE": None,
}
MAX_BODY_BYTES = 2 * 1024 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES

SIMPLE_JWT = {
    "ALGORITHM": "HS256",
    "SIGNING_KEY": JWT_SIGNING_KEY,
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=30),
    "USER_ID_CLAIM": "u",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "NoteAssist AI",
    "DESCRIPTION": "Write study notes, ask AI about them, watch progress, keep every answer.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": r"/api",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "utils.schema.describe_problems",
    ],
    "ENUM_NAME_OVERRIDES": {
        "NoteStatusEnum": "notes.models.Note.Status",
        "TaskStatusEnum": "ai_tasks.models.AITask.Status",
        "NotificationTypeEnum": "notifications.models.Notification.Type",
        "FoundTypeEnum": ["note", "topic"],
    },
}

# --- Passwords, security headers, CORS --------------------------------------------------------------------------------

PASSWORD_HASHERS = [
    "accounts.hashers.Argon2idHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ["email", "name"]},
    },
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 8}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

CORS_ALLOWED_ORIGINS = env.origins("CORS_ALLOWED_ORIGINS")
CORS_URLS_REGEX = r"^/api/.*$"
CORS_ALLOW_HEADERS = [
    "accept", "authorization", "content-type", "idempotency-key", "if-match", "if-none-match", "last-event-id",
    "x-request-id",
]  # fmt: skip
CORS_EXPOSE_HEADERS = [
    "ETag", "Location", "Retry-After", "X-Request-ID", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset",
    "Idempotent-Replayed",
]  # fmt: skip
CORS_PREFLIGHT_MAX_AGE = 86400

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if IS_PRODUCTION:
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^healthz/"]  # the platform's health check speaks plain HTTP
    SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds())
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    if TRUSTED_PROXIES:
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# --- Mail -------------------------------------------------------------------------------------------------------------

_MAIL_SERVERS = ("smtp", "smtps", "smtp+tls")
_EMAIL_URL = urlsplit(
    # Codes that reset passwords do not belong in production's log.
    env.url("EMAIL_URL", _MAIL_SERVERS)
    if IS_PRODUCTION
    else env.url("EMAIL_URL", (*_MAIL_SERVERS, "console"), "console://")
)
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "NoteAssist AI <no-reply@noteassist.local>")
EMAIL_TIMEOUT = 10
if _EMAIL_URL.scheme == "console":
    EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
else:
    EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    EMAIL_HOST = _EMAIL_URL.hostname or "localhost"
    EMAIL_PORT = _EMAIL_URL.port or {"smtps": 465, "smtp+tls": 587}.get(_EMAIL_URL.scheme, 25)
    EMAIL_HOST_USER = unquote(_EMAIL_URL.username or "")
    EMAIL_HOST_PASSWORD = unquote(_EMAIL_URL.password or "")
    EMAIL_USE_SSL = _EMAIL_URL.scheme == "smtps"
    EMAIL_USE_TLS = _EMAIL_URL.scheme == "smtp+tls"

# --- Language, time, static files -------------------------------------------------------------------------------------

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},  # nothing is uploaded
    "staticfiles": {
        "BACKEND": (
            "whitenoise.storage.CompressedManifestStaticFilesStorage"
            if IS_PRODUCTION
            else "django.contrib.staticfiles.storage.StaticFilesStorage"
        )
    },
}

# --- Logging and monitoring -------------------------------------------------------------------------------------------

LOG_QUERIES = env.boolean("LOG_QUERIES", default=False)
QUERY_COUNT_WARNING = env.integer("QUERY_COUNT_WARNING", 20, minimum=1)
LOGGING = monitoring.log_lines(env.choice("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), "INFO"), LOG_QUERIES)
SENTRY_DSN = env.text("SENTRY_DSN", "")
if SENTRY_DSN:
    import sentry_sdk

    sentry_sdk.init(**monitoring.error_reports(SENTRY_DSN, ENVIRONMENT))

# --- Development only -------------------------------------------------------------------------------------------------

if ENVIRONMENT == "development" and DEBUG:
    INSTALLED_APPS += ["debug_toolbar"]
    MIDDLEWARE.insert(2, "debug_toolbar.middleware.DebugToolbarMiddleware")
    DEBUG_TOOLBAR_CONFIG = {"SHOW_TOOLBAR_CALLBACK": "utils.middleware.is_page_for_people"}

if IS_PRODUCTION and DEBUG:
    raise ImproperlyConfigured("DEBUG must be off in production.")
if IS_PRODUCTION and (not ALLOWED_HOSTS or any("*" in host for host in ALLOWED_HOSTS)):
    raise ImproperlyConfigured("ALLOWED_HOSTS must name the hosts in production, without wildcards.")
if IS_PRODUCTION and not PAGE_CACHE_ENABLED:
    raise ImproperlyConfigured("CACHE_URL=locmem:// is for development: several processes share production's cache.")
