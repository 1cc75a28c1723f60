"""What the environment may say: every bad value is refused at boot, in one line that does not repeat it."""

import os
import runpy
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as ours
from django.core.exceptions import ImproperlyConfigured

SETTINGS = Path(ours.BASE_DIR, "NoteAssist_AI", "settings.py")
PRODUCTION = {
    "ENVIRONMENT": "production",
    "DEBUG": "",
    "SECRET_KEY": "a-secret-of-this-test-0123456789-abcdefghijklmnopqrstuvwxyz",
    "JWT_SIGNING_KEY": "another-secret-of-this-test-0123456789-abcdefghijklmnopqrstuvwxyz",
    "DATABASE_URL": "postgresql://user:password@db.example.com:5432/notes",
    "REDIS_URL": "redis://:password@redis.example.com:6379/0",
    "ALLOWED_HOSTS": "api.example.com",
    "CORS_ALLOWED_ORIGINS": "https://app.example.com",
    "EMAIL_URL": "smtp+tls://user:password@mail.example.com",
}
ENCODED = "with / ? # [ ] @ : % in user and password percent-encoded, a valid host, and a port that is a number"
POSTGRES = f"a URL that begins with postgres:// or postgresql://, {ENCODED}"
REDIS = f"a URL that begins with redis:// or rediss:// or unix://, {ENCODED}"
PLAIN_REDIS = "a URL as in redis://:password@host:6379/0, with the database as a number and no other options"
SMTP = f"a URL that begins with smtp:// or smtps:// or smtp+tls://, {ENCODED}"
PLAIN_SMTP = "a URL as in smtp+tls://user:password@host:587, with both user and password or neither"
HTTP = "a URL as in https://host/path, without user, password and query"
UNQUOTED = "a value without quotes around it"
HOSTS = "host names such as api.example.com, separated by commas, without scheme, port, path or quotes"
ORIGINS = "origins such as https://app.example.com, separated by commas; names outside ASCII as xn--…"
ADDRESS = "one address, or a name and an address as in NoteAssist <a@example.com>; a name with a comma in quotes"
NEAR = "https://, or http:// with a private address or a name in .local or .lan"
RATE = "a rate such as 60/min (second, minute, hour or day), or none"
BUCKET = "a bucket as in s3://key:secret@host/bucket?region=eu-central-1, with no other options than tls"
FOLDER = "a folder as in file:///srv/noteassist/files"
ONE_LINE = "one line of printable characters"
SECRET = "32 random characters or more"

BAD = [
    # Passwords that are not percent-encoded: each of these reads as another URL, or as none.
    ("DATABASE_URL", "postgresql://user:pa/hunter2@db.example.com/notes", POSTGRES),
    ("DATABASE_URL", "postgresql://user:12/hunter2@db.example.com/notes", POSTGRES),
    ("DATABASE_URL", "postgresql://user:pa#hunter2@db.example.com/notes", POSTGRES),
    ("DATABASE_URL", "postgresql://user:pa?hunter2@db.example.com/notes", POSTGRES),
    ("DATABASE_URL", "postgresql://user:pa[hunter2@db.example.com/notes", POSTGRES),
    ("DATABASE_URL", "postgresql://user:pa]hunter2@db.example.com/notes", POSTGRES),
    ("DATABASE_URL", "postgresql://user:hunter2 @db.example.com/notes", POSTGRES),
    ("DATABASE_URL", "postgresql://user:hunter2é@db.example.com/notes", POSTGRES),
    ("DATABASE_URL", "postgresql://user:hunter2%00@db.example.com/notes", POSTGRES),
    ("REDIS_URL", "redis://:pa/hunter2@redis.example.com", REDIS),
    ("REDIS_URL", "redis://:pa#hunter2@redis.example.com", REDIS),
    ("REDIS_URL", "redis://:pa?hunter2@redis.example.com", REDIS),
    ("REDIS_URL", "redis://:pa;hunter2@redis.example.com", "a URL with ; percent-encoded as %3B"),
    ("CELERY_BROKER_URL", "redis://:pa/hunter2@redis.example.com", REDIS),
    ("CACHE_URL", "rediss://:pa/hunter2@redis.example.com", REDIS),
    ("EMAIL_URL", "smtp+tls://user:pa/hunter2@mail.example.com", SMTP),
    ("EMAIL_URL", "smtp+tls://user:pa#hunter2@mail.example.com", SMTP),
    ("EMAIL_URL", "smtp+tls://user:pa[hunter2@mail.example.com", SMTP),
    ("STORAGE_URL", "s3://key:pa/hunter2@s3.example.com/bucket", f"a URL that begins with file:// or s3://, {ENCODED}"),
    ("STORAGE_URL", "s3://key@s3.example.com/bucket", BUCKET),
    ("STORAGE_URL", "s3://key:hunter2@s3.example.com/", BUCKET),
    ("STORAGE_URL", "s3://key:hunter2@s3.example.com/a/b", BUCKET),
    ("STORAGE_URL", "s3://key:hunter2@s3.example.com/bucket?acl=public-read", BUCKET),
    (
        "STORAGE_URL",
        "s3://key:hunter2@s3.example.com/bucket?tls=hunter2",
        "the option tls to be on, or off within one's own network",
    ),
    ("STORAGE_URL", "https://s3.example.com/hunter2", "a URL that begins with file:// or s3://"),
    ("STORAGE_URL", "file://host/hunter2", FOLDER),
    ("STORAGE_URL", "file:///", FOLDER),
    ("STORAGE_URL", "file:///srv/../etc", FOLDER),
    # Hosts, ports, databases
    ("DATABASE_URL", "mysql://user:hunter2@db.example.com/notes", "a URL that begins with postgres:// or postgresql://"),
    ("DATABASE_URL", "db.example.com:5432/notes", "a URL that begins with postgres:// or postgresql://"),
    ("DATABASE_URL", "postgresql://user:hunter2@db.example.com:99999/notes", POSTGRES),
    ("DATABASE_URL", "postgresql://user:hunter2@db.example.com:0/notes", POSTGRES),
    ("DATABASE_URL", "postgresql://user:hunter2@db..example.com/notes", POSTGRES),
    (
        "DATABASE_URL",
        "postgresql://user:hunter2@db.example.com",
        "a URL that ends in the name of a database, as in postgresql://user:password@host:5432/name",
    ),
    ("REDIS_URL", "redis://", PLAIN_REDIS),
    ("REDIS_URL", "redis://redis.example.com/hunter2", PLAIN_REDIS),
    ("REDIS_URL", "redis://redis.example.com/0?max_connections=hunter2", PLAIN_REDIS),
    ("REDIS_URL", "REDIS://redis.example.com/0", "a URL that begins with redis:// or rediss:// or unix://"),
    ("REDIS_URL", "unix://?db=0", "a socket as in unix:///path/to/redis.sock?db=0"),
    ("REDIS_URL", "rediss://h/0?ssl_cert_reqs=hunter2", "the option ssl_cert_reqs to be none, optional or required"),
    ("CACHE_URL", "locmem://", "a URL that begins with redis:// or rediss:// or unix://"),
    ("EMAIL_URL", "smtp+tls://", PLAIN_SMTP),
    ("EMAIL_URL", "smtp+tls://user@mail.example.com", PLAIN_SMTP),
    ("EMAIL_URL", "smtp+tls://user:hunter2@mail.example.com/?tls=1", PLAIN_SMTP),
    ("EMAIL_URL", "console://", "a URL that begins with smtp:// or smtps:// or smtp+tls://"),
    (
        "EMAIL_URL",
        "smtp+tls://user:p%C3%A4sshunter2@mail.example.com",
        "user and password in ASCII, since mail servers are sent nothing else",
    ),
    # Options of PostgreSQL
    (
        "DATABASE_URL",
        "postgresql://user:hunter2@h/notes?pgbouncer=true",
        "no option pgbouncer, which PostgreSQL does not know: set DATABASE_POOLER=transaction instead",
    ),
    (
        "DATABASE_URL",
        "postgresql://user:hunter2@h/notes?schema=tenant",
        "no option schema, which PostgreSQL does not know: write options=-c search_path=NAME instead",
    ),
    (
        "DATABASE_URL",
        "postgresql://user:hunter2@h/notes?connection_limit=1",
        "no option connection_limit, which PostgreSQL does not know: see the connection parameters in "
        "PostgreSQL's manual",
    ),
    (
        "DATABASE_URL",
        "postgresql://user:hunter2@h/notes?sslmode=yes",
        "the option sslmode to be one of allow, disable, prefer, require, verify-ca, verify-full",
    ),
    (
        "DATABASE_URL",
        "postgresql://user:hunter2@h/notes?connect_timeout=soon",
        "the option connect_timeout to be a whole number",
    ),
    ("DATABASE_POOLER", "pgbouncer", "one of none, session, transaction"),
    # Names that no request can have
    ("ALLOWED_HOSTS", "https://api.example.com", HOSTS),
    ("ALLOWED_HOSTS", "api.example.com:443", HOSTS),
    ("ALLOWED_HOSTS", '"api.example.com"', UNQUOTED),
    ("DATABASE_URL", '"postgresql://u:hunter2@h/db"', UNQUOTED),
    ("AI_API_KEY", "'sk-hunter2'", UNQUOTED),
    ("AI_MODELS", "'{}'", UNQUOTED),
    ("SECRET_KEY", '"0123456789-abcdefghijklmnopqrstuvwxyz"', UNQUOTED),
    ("ALLOWED_HOSTS", "api.example.com/", HOSTS),
    ("ALLOWED_HOSTS", "api.example.com hunter2.example.com", HOSTS),
    ("ALLOWED_HOSTS", "bücher.example", HOSTS),
    ("ALLOWED_HOSTS", "*", HOSTS),
    ("ALLOWED_HOSTS", "*.example.com", HOSTS),
    ("ALLOWED_HOSTS", "::1", HOSTS),
    ("CORS_ALLOWED_ORIGINS", "app.example.com", ORIGINS),
    ("CORS_ALLOWED_ORIGINS", "https://app.example.com/", ORIGINS),
    ("CORS_ALLOWED_ORIGINS", "https://app.example.com#x", ORIGINS),
    ("CORS_ALLOWED_ORIGINS", "https://app.example.com?x", ORIGINS),
    ("CORS_ALLOWED_ORIGINS", "https://me:hunter2@app.example.com", ORIGINS),
    ("CORS_ALLOWED_ORIGINS", "https://bücher.example", ORIGINS),
    ("CORS_ALLOWED_ORIGINS", "https://127.1", ORIGINS),
    ("CORS_ALLOWED_ORIGINS", "https://*.example.com", ORIGINS),
    ("CORS_ALLOWED_ORIGINS", "*", ORIGINS),
    ("CORS_ALLOWED_ORIGINS", "null", ORIGINS),
    ("CORS_ALLOWED_ORIGINS", "https://good.example.com,ftp://app.example.com", ORIGINS),
    ("PUBLIC_URL", "http://notes.example.com", NEAR),
    ("PUBLIC_URL", "http://8.8.8.8", NEAR),
    ("PUBLIC_URL", "http://0.0.0.0", NEAR),
    ("PUBLIC_URL", "https://notes.example.com/app", "an origin such as https://notes.example.com"),
    ("PUBLIC_URL", "notes.example.com", "an origin such as https://notes.example.com"),
    # Where others are asked
    ("AI_BASE_URL", "https://ai.example.com/v1?key=hunter2", HTTP),
    ("AI_BASE_URL", "https://me:hunter2@ai.example.com/v1", HTTP),
    ("AI_BASE_URL", "https:///v1", HTTP),
    ("AI_BASE_URL", 'https://ai.example.com/v1"', HTTP),
    ("AI_BASE_URL", "ai.example.com/v1", "a URL that begins with http:// or https://"),
    ("EVENTS_BASE_URL", "wss://events.example.com", "a URL that begins with http:// or https://"),
    ("AI_API_KEY", "sk-hunter2 é", "ASCII without spaces"),
    ("SENTRY_DSN", "https://sentry.example.com/1", "Sentry's DSN, as in https://key@host/1"),
    ("DEFAULT_FROM_EMAIL", "NoteAssist, Inc <a@b.co>", ADDRESS),
    ("DEFAULT_FROM_EMAIL", "NoteAssist", ADDRESS),
    ("DEFAULT_FROM_EMAIL", "a@b.co, c@d.co", ADDRESS),
    ("DEFAULT_FROM_EMAIL", "Note <a@b>", ADDRESS),
    ("DEFAULT_FROM_EMAIL", "Note <é@b.co>", ADDRESS),
    ("DEFAULT_FROM_EMAIL", "a@b.co\nBcc: hunter2@example.com", ONE_LINE),
    ("AI_MODELS", "gpt-4o, hunter2", "JSON on one line, no name in it twice"),
    ("AI_MODELS", '{"default": "a", "default": "hunter2"}', "JSON on one line, no name in it twice"),
    ("AI_MODELS", '["hunter2"]', "an object of at most 200 members"),
    ("AI_PRICES", "[" * 100_000, "JSON on one line, no name in it twice"),
    ("AI_BUDGET_DAY", "hunter2", "an amount of US dollars, as in 2.50"),
    ("AI_BUDGET_DAY", "-1", "an amount of US dollars, as in 2.50"),
    ("AI_BUDGET_PER_USER_DAY", "1e3", "an amount of US dollars, as in 2.50"),
    ("AI_OUTAGE_HOURS", "0", "a whole number from 1 to 720"),
    ("AI_MODEL", "gpt\r\nhunter2", ONE_LINE),
    ("EMBEDDINGS_BASE_URL", "ai.example.com/hunter2", "a URL that begins with http:// or https://"),
    ("EMBEDDINGS_API_KEY", "sk-hunter2 é", "ASCII without spaces"),
    ("EMBEDDINGS_MODEL", "hunter2" * 20, "the name of a model, of at most 100 characters"),
    ("EMBEDDINGS_MIN_SIMILARITY", "1.5", "a number from 0 to 1, as in 0.3"),
    ("EMBEDDINGS_MIN_SIMILARITY", ".3", "a number from 0 to 1, as in 0.3"),
    ("SECRET_KEY", "0123456789-abcdefghij-hunter2\n0123456789-abcdefghij", ONE_LINE),
    ("SECRET_KEY", "hunter2", SECRET),
    ("SECRET_KEY", "a" * 64, SECRET),
    ("JWT_SIGNING_KEY", PRODUCTION["SECRET_KEY"], "another secret than SECRET_KEY"),
    ("JWT_SIGNING_KEY", "change-me-hunter2-0123456789-abcdefghijklmnop", SECRET),
    # Numbers, rates and choices
    ("DEBUG", "hunter2", "true or false"),
    ("DEBUG", "on", "to be off in production"),
    ("ENVIRONMENT", "Production", "one of development, production, test"),
    ("LOG_LEVEL", "loud", "one of DEBUG, INFO, WARNING, ERROR"),
    ("WEB_THREADS", "0", "a whole number from 1 to 1000"),
    ("WEB_THREADS", "-1", "a whole number from 1 to 1000"),
    ("WEB_THREADS", "1.5", "a whole number from 1 to 1000"),
    ("WEB_THREADS", "٣", "a whole number from 1 to 1000"),
    ("WEB_THREADS", "1_0", "a whole number from 1 to 1000"),
    ("WEB_CONCURRENCY", "99999999999999999999", "a whole number from 1 to 1000"),
    ("DB_POOL_MAX", "many", "a whole number from 1 to 10000"),
    ("PORT", "65536", "a whole number from 1 to 65535"),
    ("EVENTS_PORT", "http", "a whole number from 1 to 65535"),
    ("QUERY_TIMEOUT", "9999999999", "a whole number from 1 to 2147483647"),
    ("CONNECTION_TIMEOUT", "10s", "a whole number from 1 to 3600"),
    ("TRUSTED_PROXIES", "yes", "a whole number from 0 to 20"),
    ("AI_TASK_RETENTION_DAYS", "99999999", "a whole number from 1 to 36500"),
    ("AI_TIMEOUT_SECONDS", "nan", "a number of seconds from 1 to 86400"),
    ("AI_TIMEOUT_SECONDS", "inf", "a number of seconds from 1 to 86400"),
    ("AI_TIMEOUT_SECONDS", "1e9", "a number of seconds from 1 to 86400"),
    ("SSE_HEARTBEAT_SECONDS", "-1", "a number of seconds from 0.1 to 86400"),
    ("THROTTLE_BURST", "foo", RATE),
    ("THROTTLE_BURST", "²/min", RATE),
    ("THROTTLE_BURST", "0/min", RATE),
    ("THROTTLE_BURST", "60/month", RATE),
    ("THROTTLE_BURST", "60 / min", RATE),
    ("THROTTLE_LOGIN", "-5/min", RATE),
]  # fmt: skip


@pytest.fixture
def read(monkeypatch):
    """Read the settings in an environment; those of this process stay as they are."""
    for name in list(os.environ):
        if name.isupper() and name in {variable for variable, _, _ in BAD} | PRODUCTION.keys():
            monkeypatch.delenv(name)

    def read_settings(**environment: str) -> dict[str, Any]:
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            return runpy.run_path(str(SETTINGS))

    return read_settings


@pytest.mark.parametrize(("name", "value", "expected"), BAD)
def test_a_bad_value_is_told_in_one_line_without_the_value(read, name, value, expected):
    with pytest.raises(ImproperlyConfigured) as stop:
        read(**{**PRODUCTION, name: value})

    assert str(stop.value) == f"{name} is wrong: expected {expected}."
    assert "hunter2" not in str(stop.value)


def test_all_that_is_wrong_is_told_at_once(read):
    with pytest.raises(ImproperlyConfigured) as stop:
        read(ENVIRONMENT="production", WEB_THREADS="hunter2", REDIS_URL="redis://:pa/hunter2@h", THROTTLE_POLL="often")

    assert str(stop.value).splitlines() == [
        "SECRET_KEY is not set: expected 32 random characters or more.",
        "JWT_SIGNING_KEY is not set: expected 32 random characters or more.",
        "WEB_THREADS is wrong: expected a whole number from 1 to 1000.",
        "DATABASE_URL is not set: expected a URL as in postgresql://user:password@host:5432/name.",
        f"REDIS_URL is wrong: expected {REDIS}.",
        f"THROTTLE_POLL is wrong: expected {RATE}.",
        "EMAIL_URL is not set: expected a URL as in smtp+tls://user:password@host:587.",
        "ALLOWED_HOSTS is not set: expected the names that the product is reached by, such as api.example.com.",
    ]


def test_what_was_told_once_is_not_told_of_a_better_environment(read):
    with pytest.raises(ImproperlyConfigured):
        read(**{**PRODUCTION, "WEB_THREADS": "0"})

    assert read(**PRODUCTION)["WEB_THREADS"] == 8


@pytest.mark.parametrize(
    ("name", "value", "setting", "meaning"),
    [
        ("CORS_ALLOWED_ORIGINS", "HTTPS://App.Example.com:443", "CORS_ALLOWED_ORIGINS", ["https://app.example.com"]),
        ("CORS_ALLOWED_ORIGINS", "http://localhost:3000, http://[0::1]:80", "CORS_ALLOWED_ORIGINS",
         ["http://localhost:3000", "http://[::1]"]),
        ("CORS_ALLOWED_ORIGINS", "https://xn--bcher-kva.example", "CORS_ALLOWED_ORIGINS",
         ["https://xn--bcher-kva.example"]),
        ("ALLOWED_HOSTS", "API.example.com,.example.org,10.0.0.1,[::1]", "ALLOWED_HOSTS",
         ["api.example.com", ".example.org", "10.0.0.1", "[::1]"]),
        ("AI_BASE_URL", "http://ollama_1:11434/v1/", "AI_BASE_URL", "http://ollama_1:11434/v1"),
        ("EMAIL_URL", "smtp+tls://me%40example.com:a%2Fb%3Ac%25@mail.example.com", "EMAIL_HOST_PASSWORD", "a/b:c%"),
        ("EMAIL_URL", "smtps://u:p@mail.example.com", "EMAIL_PORT", 465),
        ("EMAIL_URL", "smtp://mail.example.com", "EMAIL_HOST_USER", ""),
        ("DEFAULT_FROM_EMAIL", '"NoteAssist, Inc" <a@b.co>', "DEFAULT_FROM_EMAIL", '"NoteAssist, Inc" <a@b.co>'),
        ("DEFAULT_FROM_EMAIL", "Nötizen <a@b.co>", "DEFAULT_FROM_EMAIL", "Nötizen <a@b.co>"),
        ("REDIS_URL", "rediss://user:p%2Fw@h:6380/2?ssl_cert_reqs=none", "CELERY_BROKER_URL",
         "rediss://user:p%2Fw@h:6380/2?ssl_cert_reqs=none"),
        ("REDIS_URL", "unix:///run/Redis.sock?db=3", "CELERY_BROKER_URL",
         "redis+socket:///run/Redis.sock?virtual_host=3"),
        ("SENTRY_DSN", "", "SENTRY_DSN", ""),
        ("THROTTLE_POLL", "NONE", "REST_FRAMEWORK", None),
        ("LOG_LEVEL", "warning", "LOG_LEVEL", None),
        ("DEBUG", "Off", "DEBUG", False),
        ("WEB_THREADS", " 16 ", "WEB_THREADS", 16),
        ("AI_TIMEOUT_SECONDS", "1.5", "AI_TIMEOUT_SECONDS", 1.5),
    ],
)  # fmt: skip
def test_a_good_value_means_what_it_says(read, name, value, setting, meaning):
    found = read(**{**PRODUCTION, name: value})

    if name == "THROTTLE_POLL":
        assert found["REST_FRAMEWORK"]["DEFAULT_THROTTLE_RATES"]["poll"] is None
    elif name == "LOG_LEVEL":
        assert found["LOGGING"]["root"]["level"] == "WARNING"
    else:
        assert found[setting] == meaning
