"""Settings of every environment, read once from the environment by typed readers.

Importing this module starts nothing: the embedded engines are started by the entry points (``manage.py``, ``wsgi.py``,
``celery.py``, ``tests/engines.py``) before Django reads it. Every variable is described in ``docs/configuration.md``.
"""

from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from NoteAssist_AI import ai_settings, cache_settings, env, service_urls, throttle_settings
from NoteAssist_AI.api_description import SPECTACULAR_SETTINGS  # noqa: F401  # read by drf-spectacular
from NoteAssist_AI.browser_headers import (  # noqa: F401  # read by corsheaders and our middleware
    CONTENT_SECURITY_POLICY,
    CORS_ALLOW_HEADERS,
    CORS_EXPOSE_HEADERS,
)
from NoteAssist_AI.storage import file_storage, storages
from utils.monitoring import error_reports, logs
from utils.postgresql.database import database

BASE_DIR = Path(__file__).resolve().parent.parent
env.load_file(BASE_DIR / ".env")

# --- Environment ------------------------------------------------------------------------------------------------------

ENVIRONMENT = env.choice("ENVIRONMENT", ("development", "production", "test"), "development")
IS_PRODUCTION = ENVIRONMENT == "production"
DEBUG = env.boolean("DEBUG", default=ENVIRONMENT == "development")

SECRET_KEY = env.secret("SECRET_KEY") if IS_PRODUCTION else env.text("SECRET_KEY", "development-only-secret-key")
JWT_SIGNING_KEY = (
    env.secret("JWT_SIGNING_KEY", unlike="SECRET_KEY")
    if IS_PRODUCTION
    else env.text("JWT_SIGNING_KEY", "development-only-signing-key-of-access-tokens")
)
PUBLIC_URL = env.public_origin("PUBLIC_URL")
"""The origin at which people reach the product. Empty: unknown; production then assumes https."""
ALLOWED_HOSTS = env.hosts(
    "ALLOWED_HOSTS",
    service_urls.hosts_of(PUBLIC_URL) if IS_PRODUCTION else ("localhost", "127.0.0.1", "[::1]", "testserver"),
    wildcards=not IS_PRODUCTION,
)
SERVED_OVER_HTTPS = IS_PRODUCTION and not PUBLIC_URL.startswith("http://")
TRUSTED_PROXIES = env.integer("TRUSTED_PROXIES", 1 if IS_PRODUCTION else 0, maximum=20)
"""The number of our own proxies before the server. Only their entries of X-Forwarded-For are trusted."""

WEB_CONCURRENCY = env.integer("WEB_CONCURRENCY", 2, minimum=1, maximum=1000)
WEB_THREADS = env.integer("WEB_THREADS", 8, minimum=1, maximum=1000)

# Used by gunicorn's files and the Procfile, and read here so that a bad one is reported with all others.
env.port("PORT", 8000)
env.port("EVENTS_PORT", 8001)
EVENTS_CONCURRENCY = env.integer("EVENTS_CONCURRENCY", 1, minimum=1, maximum=1000)
env.integer("EVENTS_MAX_STREAMS", 10_000, minimum=1, maximum=1_000_000)
EVENTS_DB_POOL_MAX = env.integer("EVENTS_DB_POOL_MAX", 4, minimum=1, maximum=10_000)
WORKER_DB_POOL_MAX = env.integer("WORKER_DB_POOL_MAX", 8, minimum=1, maximum=10_000)

# --- Applications -----------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "NoteAssist_AI.apps.AdminConfig",
    "NoteAssist_AI.apps.SiteConfig",
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
    "study",
    "notifications",
]

MIDDLEWARE = [
    "utils.middleware.RequestMiddleware",
    "utils.middleware.ContentSecurityPolicyMiddleware",
    "utils.middleware.ProblemDetailsMiddleware",
    "utils.middleware.HostMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "utils.middleware.RefusePlainHttpMiddleware",
    "utils.middleware.BodyLimitMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "utils.middleware.QueryCountDebugMiddleware",
    "utils.middleware.AdminSessionMiddleware",
    "utils.middleware.ContentLengthMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "utils.middleware.AdminAuthenticationMiddleware",
    "utils.middleware.AdminMessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

SERVES = env.choice("SERVES", ("everything", "streams"), "everything")
ROOT_URLCONF = "NoteAssist_AI.stream_urls" if SERVES == "streams" else "NoteAssist_AI.urls"
WSGI_APPLICATION = "NoteAssist_AI.wsgi.application"
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backends.ThrottledModelBackend"]  # for the admin; the API has its own
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

CONNECTION_TIMEOUT = env.integer("CONNECTION_TIMEOUT", 10, minimum=1, maximum=3600)  # seconds
QUERY_TIMEOUT = env.integer("QUERY_TIMEOUT", 30_000, minimum=1)  # milliseconds
DB_POOL_MAX = env.integer("DB_POOL_MAX", 16, minimum=1, maximum=10_000)
TRANSACTION_POOLER_PORT = "6543"
"""The port of Supabase's pooler in transaction mode: it lends a server connection for one transaction."""

_DATABASE = service_urls.postgres_settings(
    env.postgres_url("DATABASE_URL", env.REQUIRED if IS_PRODUCTION else "postgresql:///unset")
)
DATABASE_POOLER = env.choice(
    "DATABASE_POOLER",
    ("none", "session", "transaction"),
    "transaction" if _DATABASE["PORT"] == TRANSACTION_POOLER_PORT else "none",
)
"""The kind of pooler before PostgreSQL, by how long it lends a server connection."""
DATABASES = {
    "default": database(
        _DATABASE,
        pooler=DATABASE_POOLER,
        pool_max=DB_POOL_MAX,
        connection_timeout=CONNECTION_TIMEOUT,
        query_timeout=QUERY_TIMEOUT,
    )
}

# --- Redis: cache, limits, progress, broker ---------------------------------------------------------------------------

REDIS_URL = env.redis_url("REDIS_URL", env.REQUIRED if IS_PRODUCTION else "redis://localhost:6379/0")
REDIS_TIMEOUT_SECONDS = 0.5
REDIS_POOL_WAIT_SECONDS = 0.2
AI_WORKER_CONCURRENCY = env.integer("AI_WORKER_CONCURRENCY", 100, minimum=1, maximum=10_000)
REDIS_POOL_MAX = max(WEB_THREADS + 4, AI_WORKER_CONCURRENCY // 2)

CACHE_TTL_PROFILE = 300
CACHE_TTL_LIST = 180
CACHE_TTL_AI_RESULT = 3600

CACHE_URL = env.redis_url("CACHE_URL", REDIS_URL, memory=not IS_PRODUCTION)  # production's processes share one
PAGE_CACHE_ENABLED = not CACHE_URL.startswith("locmem:")
"""Off with memory of one process: a read could not show the last write of another process."""
PAGE_CACHE_BYTES = env.integer("PAGE_CACHE_BYTES", 128 * 1024**2, minimum=1024**2, maximum=2**50)
CACHES = cache_settings.caches(
    CACHE_URL,
    lifetime=CACHE_TTL_PROFILE,
    timeout=REDIS_TIMEOUT_SECONDS,
    connections=REDIS_POOL_MAX,
    pool_wait=REDIS_POOL_WAIT_SECONDS,
)
DJANGO_REDIS_LOG_IGNORED_EXCEPTIONS = True

SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"  # for the admin; the API uses no cookies
SESSION_COOKIE_AGE = int(timedelta(days=30).total_seconds())
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"  # no cookie of its own
OPERATORS_NEED_SECOND_FACTOR = IS_PRODUCTION
"""Whether the admin also asks for a code of an authenticator app."""

# --- Celery -----------------------------------------------------------------------------------------------------------

CELERY_BROKER_URL = env.broker_url(env.redis_url("CELERY_BROKER_URL", REDIS_URL))
CELERY_TASK_IGNORE_RESULT = True  # the rows are the results
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_ANNOTATIONS = {"*": {"Request": "NoteAssist_AI.celery_requests:Request"}}
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # workers and beat wait for their broker as long as it takes
CELERY_BROKER_POOL_LIMIT = WEB_THREADS + 4
# For publishers: a request never waits for a broker that does not respond (workers raise the time-outs: celery.py).
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "max_retries": 0,
    "socket_timeout": REDIS_TIMEOUT_SECONDS,
    "socket_connect_timeout": REDIS_TIMEOUT_SECONDS,
    "visibility_timeout": 3600,
    "queue_order_strategy": "round_robin",
}
CELERY_TIMEZONE = "UTC"

# --- AI ---------------------------------------------------------------------------------------------------------------

AI_BASE_URL = env.http_url("AI_BASE_URL")  # unset: OpenAI with a key, offline without
AI_API_KEY = env.token("AI_API_KEY")
AI_MODEL = env.text("AI_MODEL", "gpt-4o-mini")
AI_MODELS = ai_settings.models(env.text("AI_MODELS", ""))  # by request type; SiteConfig checks the types
AI_PRICES = ai_settings.prices(env.text("AI_PRICES", ""))
AI_FALLBACKS = ai_settings.fallbacks(env.text("AI_FALLBACKS", ""))
if AI_FALLBACKS and not (AI_API_KEY or AI_BASE_URL):
    env.demand("AI_API_KEY", "a key, or AI_BASE_URL: AI_FALLBACKS are asked after that provider")
AI_MAX_TOKENS = env.integer("AI_MAX_TOKENS", 8192, minimum=100, maximum=1_000_000)
"""The maximum of output tokens in one call to a model that has a price."""
AI_BUDGET_PER_USER_DAY = ai_settings.amount("AI_BUDGET_PER_USER_DAY", env.text("AI_BUDGET_PER_USER_DAY", ""))
AI_BUDGET_DAY = ai_settings.amount("AI_BUDGET_DAY", env.text("AI_BUDGET_DAY", ""))
AI_OUTAGE_HOURS = env.integer("AI_OUTAGE_HOURS", 24, minimum=1, maximum=720)
AI_TIMEOUT_SECONDS = env.seconds("AI_TIMEOUT_SECONDS", 120, minimum=1)
AI_SHUTDOWN_SECONDS = env.integer("AI_SHUTDOWN_SECONDS", 15, maximum=3600)  # grace time of a stopping worker
AI_LEASE_SECONDS = env.integer("AI_LEASE_SECONDS", 30, minimum=3, maximum=86_400)
AI_SWEEP_SECONDS = env.integer("AI_SWEEP_SECONDS", 15, minimum=1, maximum=86_400)
AI_STREAM_EVENTS = env.integer("AI_STREAM_EVENTS", 2000, minimum=100, maximum=1_000_000)
AI_STREAM_SECONDS = env.integer("AI_STREAM_SECONDS", 3600, minimum=60, maximum=31_536_000)
AI_TASK_RETENTION_DAYS = env.integer("AI_TASK_RETENTION_DAYS", 365, minimum=1, maximum=36_500)

# Without a key and a URL, passages for questions are found by a word search alone.
EMBEDDINGS_BASE_URL = env.http_url("EMBEDDINGS_BASE_URL")  # unset: OpenAI with a key
EMBEDDINGS_API_KEY = env.token("EMBEDDINGS_API_KEY")
EMBEDDINGS_MODEL = ai_settings.model("EMBEDDINGS_MODEL", env.text("EMBEDDINGS_MODEL", ""))
EMBEDDINGS_MIN_SIMILARITY = env.fraction("EMBEDDINGS_MIN_SIMILARITY", 0.3)
EMBEDDINGS_ARE_ON = bool(EMBEDDINGS_BASE_URL or EMBEDDINGS_API_KEY)
if EMBEDDINGS_ARE_ON and not EMBEDDINGS_MODEL:
    env.demand("EMBEDDINGS_MODEL", "a model of embeddings, as in text-embedding-3-small")
if EMBEDDINGS_MODEL and not EMBEDDINGS_ARE_ON:
    env.demand("EMBEDDINGS_API_KEY", "a key, or EMBEDDINGS_BASE_URL: EMBEDDINGS_MODEL is a model of that provider")

# --- Event streams ----------------------------------------------------------------------------------------------------

EVENTS_BASE_URL = env.http_url("EVENTS_BASE_URL")
SSE_HEARTBEAT_SECONDS = env.seconds("SSE_HEARTBEAT_SECONDS", 15, minimum=0.1)
# Per process. A stream holds one of the web process's threads; gunicorn_events.conf.py sets more for greenlets.
SSE_MAX_STREAMS = env.integer("SSE_MAX_STREAMS", max(1, WEB_THREADS // 4), maximum=1_000_000)

# --- Files ------------------------------------------------------------------------------------------------------------

# Per process; each holds a thread. With a single slot, one user's export would block those of all other users.
EXPORTS_AT_ONCE = max(1, WEB_THREADS // 8, min(2, WEB_THREADS // 4))
UPLOADS_AT_ONCE = max(1, WEB_THREADS // 4)
FILES_AT_ONCE = max(1, WEB_THREADS // 2)
UPLOAD_GRACE_SECONDS = env.seconds("UPLOAD_GRACE_SECONDS", 10, minimum=0.1)
ATTACHMENT_LINK_SECONDS = env.integer("ATTACHMENT_LINK_SECONDS", 600, minimum=1, maximum=86_400)

# --- REST framework ---------------------------------------------------------------------------------------------------

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.SessionJWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["utils.http.json.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["utils.http.json.OrjsonRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "utils.http.json.AlwaysJSON",
    "DEFAULT_PAGINATION_CLASS": "utils.http.pagination.LookAheadCursorPagination",
    "DEFAULT_SCHEMA_CLASS": "utils.http.openapi.ApiSchema",
    "DEFAULT_THROTTLE_CLASSES": ["utils.admission.throttling.AdmissionThrottle"],
    "DEFAULT_THROTTLE_RATES": throttle_settings.rates(),
    "EXCEPTION_HANDLER": "utils.http.errors.problem_exception_handler",
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%S.%fZ",
    "PAGE_SIZE": 20,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "URL_FORMAT_OVERRIDE": None,
}
MAX_BODY_BYTES = 2 * 1024 * 1024
NOTE_VERSIONS_KEPT = env.integer("NOTE_VERSIONS_KEPT", 50, minimum=1, maximum=1000)
TRASH_DAYS = env.integer("TRASH_DAYS", 30, minimum=1, maximum=3650)
NOTES_BYTES_PER_USER = env.integer("NOTES_BYTES_PER_USER", 1024**3, minimum=1, maximum=2**60)
CARDS_PER_USER = env.integer("CARDS_PER_USER", 200_000, minimum=1, maximum=10**9)
CARD_BYTES_PER_USER = env.integer("CARD_BYTES_PER_USER", 512 * 1024**2, minimum=1, maximum=2**60)
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES

SIMPLE_JWT = {
    "ALGORITHM": "HS256",
    "SIGNING_KEY": JWT_SIGNING_KEY,
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=30),
    "USER_ID_CLAIM": "u",
}

# --- Passwords, security headers, CORS --------------------------------------------------------------------------------

PASSWORD_HASHERS = ["accounts.hashers.Argon2idHasher", "django.contrib.auth.hashers.PBKDF2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ["email", "name"]},
    },
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 8}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# The web client reads event streams from a process that may have another host.
CORS_ALLOWED_ORIGINS = list(dict.fromkeys([*env.origins("CORS_ALLOWED_ORIGINS"), *filter(None, [PUBLIC_URL])]))
CORS_URLS_REGEX = r"^/api/.*$"
CORS_PREFLIGHT_MAX_AGE = 86400

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []  # for the admin's forms behind a proxy that changes Host
if SERVED_OVER_HTTPS:
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^healthz/"]  # the platform's health check speaks plain HTTP
    SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds())
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    # Browsers accept cookies with this prefix only over https and for this host, so a sibling domain cannot set them.
    SESSION_COOKIE_NAME = "__Host-sessionid"
    CSRF_COOKIE_NAME = "__Host-csrftoken"
    if TRUSTED_PROXIES:
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# --- Mail -------------------------------------------------------------------------------------------------------------

_EMAIL_URL = urlsplit(
    # Codes that reset passwords do not belong in production's log.
    env.mail_url("EMAIL_URL") if IS_PRODUCTION else env.mail_url("EMAIL_URL", "console://")
)
DEFAULT_FROM_EMAIL = env.mail_address("DEFAULT_FROM_EMAIL", "NoteAssist AI <no-reply@noteassist.local>")
EMAIL_TIMEOUT = 10
if _EMAIL_URL.scheme == "console":
    EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
else:
    EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    EMAIL_HOST = _EMAIL_URL.hostname or ""
    EMAIL_PORT = _EMAIL_URL.port or {"smtps": 465, "smtp+tls": 587}.get(_EMAIL_URL.scheme, 25)
    EMAIL_HOST_USER = unquote(_EMAIL_URL.username or "")
    EMAIL_HOST_PASSWORD = unquote(_EMAIL_URL.password or "")
    EMAIL_USE_SSL = _EMAIL_URL.scheme == "smtps"
    EMAIL_USE_TLS = _EMAIL_URL.scheme == "smtp+tls"

# --- Language, time, files --------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [("web", BASE_DIR / "NoteAssist_AI" / "web")]  # the web client
_FILES = file_storage(env.storage_url("STORAGE_URL"), None if IS_PRODUCTION else BASE_DIR / ".local" / "files")
FILES_ARE_KEPT = _FILES is not None
"""Whether there is a file storage that all processes reach; without one uploads are refused."""
STORAGES = storages(_FILES, are_static_files_built=IS_PRODUCTION)

# --- Logging and monitoring -------------------------------------------------------------------------------------------

LOG_QUERIES = env.boolean("LOG_QUERIES", default=False)
QUERY_COUNT_WARNING = env.integer("QUERY_COUNT_WARNING", 20, minimum=1)
LOG_REQUESTS = env.boolean("LOG_REQUESTS", default=True)
LOG_LEVEL = env.log_level("LOG_LEVEL")
LOGGING = logs.log_lines(LOG_LEVEL, log_queries=LOG_QUERIES, as_json=IS_PRODUCTION)
SENTRY_DSN = env.sentry_dsn("SENTRY_DSN")
METRICS_TOKEN = env.token("METRICS_TOKEN")
METRICS_PORT = env.port("METRICS_PORT", 0)
"""0: the exporter does not listen."""
if METRICS_TOKEN and len(METRICS_TOKEN) < env.MIN_TOKEN_LENGTH:
    env.refuse("METRICS_TOKEN", f"{env.MIN_TOKEN_LENGTH} random characters or more")
env.http_url("OTEL_EXPORTER_OTLP_ENDPOINT")  # read by OpenTelemetry itself, as its other variables are

# --- Development only -------------------------------------------------------------------------------------------------

if ENVIRONMENT == "development" and DEBUG and find_spec("debug_toolbar"):  # if development's packages are installed
    INSTALLED_APPS += ["debug_toolbar"]
    MIDDLEWARE.insert(3, "debug_toolbar.middleware.DebugToolbarMiddleware")
    DEBUG_TOOLBAR_CONFIG = {
        "SHOW_TOOLBAR_CALLBACK": "utils.middleware.is_for_admin",
        "SHOW_COLLAPSED": True,  # a tab at the edge, which covers nothing
    }

# --- All that is wrong with the environment, at once ------------------------------------------------------------------

if IS_PRODUCTION and DEBUG:
    env.refuse("DEBUG", "to be off in production")
if IS_PRODUCTION and not ALLOWED_HOSTS:
    env.demand("ALLOWED_HOSTS", "the names that the product is reached by, such as api.example.com")
env.stop_if_wrong()

if SENTRY_DSN:
    import sentry_sdk

    sentry_sdk.init(**error_reports.options(SENTRY_DSN, ENVIRONMENT))
