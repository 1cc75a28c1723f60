"""Typed readers of environment variables.

If a variable is missing or wrong, its reader records the error and returns the default, so that the other variables
are read as well. ``stop_if_wrong()`` then reports all errors at once, one line each, without the values: they may be
secrets. An empty value counts as unset. Settings read each variable once, here.
"""

import math
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from django.core.exceptions import ImproperlyConfigured
from dotenv import load_dotenv

from NoteAssist_AI import service_urls
from NoteAssist_AI.service_urls import Unusable

MIN_SECRET_LENGTH = 32
MIN_TOKEN_LENGTH = 16
MAX_INTEGER = 2**31 - 1
BOOT_FAILED = 3
"""gunicorn stops if a worker exits with this status: other workers would fail in the same way."""
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}
_RATE = re.compile(
    r"[1-9][0-9]{0,8}/(?:s|sec|second|seconds|m|min|minute|minutes|h|hour|hours|d|day|days)", re.IGNORECASE
)


class _Required:
    """Marks a reader's argument as having no default."""


REQUIRED = _Required()
_wrong: dict[str, str] = {}
"""The error of each bad variable, by its name."""


def load_file(path: Path) -> None:
    """Load variables from a ``.env`` file; those already set take precedence. Tests never read the file."""
    if os.environ.get("ENVIRONMENT") != "test":
        load_dotenv(path, override=False)


def refuse(name: str, expected: str) -> None:
    """Remember that a variable is wrong. ``expected`` ends the sentence "NAME is wrong: expected …"."""
    _wrong.setdefault(name, f"{name} is wrong: expected {expected}.")


def demand(name: str, expected: str) -> None:
    """Remember that a variable is missing."""
    _wrong.setdefault(name, f"{name} is not set: expected {expected}.")


def stop_if_wrong() -> None:
    """Raise ``ImproperlyConfigured`` with a line for each variable that was missing or wrong since the last call."""
    lines = list(_wrong.values())
    _wrong.clear()
    if lines:
        raise ImproperlyConfigured("\n".join(lines))


def load_settings() -> None:
    """Read Django's settings, or exit with all errors in the environment, without a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "NoteAssist_AI.settings")
    from django.conf import settings

    try:
        settings.INSTALLED_APPS  # noqa: B018  # reading one loads all
        stop_if_wrong()
    except ImproperlyConfigured as error:
        sys.stderr.write(f"The environment is not right:\n{error}\n")
        raise SystemExit(BOOT_FAILED) from None


def exit_if_wrong() -> None:
    """Exit if a variable read so far is wrong, and report the errors of the settings as well.

    For gunicorn's configuration files, which must not import the settings before gevent has patched sockets, and for
    apps, which know more about a variable than the settings do.
    """
    if _wrong:
        load_settings()


def _raw(name: str) -> str | None:
    value = os.environ.get(name, "").strip()
    if not value.isprintable():
        refuse(name, "one line of printable characters")
        return None
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":  # `docker run --env-file` keeps the quotes
        refuse(name, "a value without quotes around it")
        return None
    return value or None


def _checked(name: str, check: Callable[[str], str], default: str | _Required, expected: str) -> str:
    """The value that ``check`` returns; ``check`` raises ``Unusable`` for a wrong one."""
    value = _raw(name)
    if value is None:
        if isinstance(default, _Required):
            demand(name, expected)
            return ""
        return default
    try:
        return check(value)
    except Unusable as error:
        refuse(name, str(error))
        return "" if isinstance(default, _Required) else default


def text(name: str, default: str | _Required = REQUIRED) -> str:
    return _checked(name, str, default, "a value")


def choice(name: str, options: tuple[str, ...], default: str) -> str:
    value = text(name, default)
    if value not in options:
        refuse(name, "one of " + ", ".join(options))
        return default
    return value


def log_level(name: str) -> str:
    value = text(name, "INFO").upper()
    if value not in LOG_LEVELS:
        refuse(name, "one of " + ", ".join(LOG_LEVELS))
        return "INFO"
    return value


def boolean(name: str, default: bool) -> bool:
    value = _raw(name)
    if value is None:
        return default
    if value.lower() not in _TRUE | _FALSE:
        refuse(name, "true or false")
        return default
    return value.lower() in _TRUE


def integer(name: str, default: int, *, minimum: int = 0, maximum: int = MAX_INTEGER) -> int:
    value = _raw(name)
    if value is None:
        return default
    if not re.fullmatch(r"[0-9]{1,10}", value) or not minimum <= int(value) <= maximum:
        refuse(name, f"a whole number from {minimum} to {maximum}")
        return default
    return int(value)


def port(name: str, default: int) -> int:
    return integer(name, default, minimum=1, maximum=65535)


def seconds(name: str, default: float, *, minimum: float = 0.0, maximum: float = 86_400.0) -> float:
    value = _raw(name)
    if value is None:
        return default
    number = float(value) if re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", value) else math.nan
    if not minimum <= number <= maximum:
        refuse(name, f"a number of seconds from {minimum:g} to {maximum:g}")
        return default
    return number


def fraction(name: str, default: float) -> float:
    """A number from 0 to 1."""
    value = _raw(name)
    if value is None:
        return default
    if not re.fullmatch(r"0(?:\.[0-9]{1,9})?|1(?:\.0{1,9})?", value):
        refuse(name, "a number from 0 to 1, as in 0.3")
        return default
    return float(value)


def words(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """A list separated by commas; blank parts are dropped."""
    value = _raw(name)
    if value is None:
        return list(default)
    return [part.strip() for part in value.split(",") if part.strip()]


def hosts(name: str, default: tuple[str, ...] = (), *, wildcards: bool) -> list[str]:
    """Host names as the Host header has them, without its port."""
    try:
        return [service_urls.check_host(host, wildcards=wildcards) for host in words(name, default)]
    except Unusable as error:
        refuse(name, str(error))
        return list(default)


def origins(name: str) -> list[str]:
    """Origins as browsers send them: scheme and host, in lower case, no path and no default port."""
    try:
        return [service_urls.origin(origin) for origin in words(name)]
    except Unusable as error:
        refuse(name, str(error))
        return []


def public_origin(name: str) -> str:
    """The origin at which people reach the product: https, or http within a private network. Empty if unset."""
    return _checked(name, service_urls.public_origin, "", "")


def http_url(name: str, default: str | _Required = "") -> str:
    return _checked(name, service_urls.check_http, default, "a URL")


def sentry_dsn(name: str) -> str:
    return _checked(name, service_urls.check_dsn, "", "")


def redis_url(name: str, default: str | _Required = REQUIRED, *, memory: bool = False) -> str:
    check = lambda value: service_urls.check_redis(value, memory=memory)  # noqa: E731
    return _checked(name, check, default, "a URL as in redis://:password@host:6379/0")


def postgres_url(name: str, default: str | _Required = REQUIRED) -> str:
    expected = "a URL as in postgresql://user:password@host:5432/name"
    return _checked(name, service_urls.check_postgres, default, expected)


def mail_url(name: str, default: str | _Required = REQUIRED) -> str:
    """``console://``, which prints mails, is refused without a default: production must not log reset codes."""
    check = lambda value: service_urls.check_mail(value, console=not isinstance(default, _Required))  # noqa: E731
    return _checked(name, check, default, "a URL as in smtp+tls://user:password@host:587")


def storage_url(name: str) -> str:
    """The URL of the file storage; empty if unset."""
    return _checked(name, service_urls.check_storage, "", "")


def mail_address(name: str, default: str) -> str:
    return _checked(name, service_urls.check_mail_address, default, "an address")


def token(name: str) -> str:
    """A value that is sent unchanged in a header: visible ASCII without spaces."""
    value = text(name, "")
    if not re.fullmatch(r"[!-~]*", value):
        refuse(name, "ASCII without spaces")
        return ""
    return value


def secret(name: str, *, unlike: str = "") -> str:
    """A secret of production: long, not a value shipped for development, and not equal to the variable ``unlike``."""
    expected = f"{MIN_SECRET_LENGTH} random characters or more"
    value = _checked(name, str, REQUIRED, expected)
    if value and (
        len(value) < MIN_SECRET_LENGTH or len(set(value)) < 8 or value.startswith(("development-only", "change-me"))
    ):
        refuse(name, expected)
    elif value and unlike and value == os.environ.get(unlike, "").strip():
        refuse(name, f"another secret than {unlike}")
    return value


def rate(name: str, default: str) -> str | None:
    """A throttle rate in DRF's spelling, ``20/hour``; ``none`` lifts the limit."""
    value = text(name, default)
    if value.lower() == "none":
        return None
    if not _RATE.fullmatch(value):
        refuse(name, "a rate such as 60/min (second, minute, hour or day), or none")
        return default
    return value.lower()


def broker_url(redis_url: str) -> str:
    """The same Redis in the spelling of Celery's transport: a unix socket is ``redis+socket://``."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    database = parse_qs(parts.query).get("db", ["0"])[0]
    return f"redis+socket://{parts.path}?virtual_host={database}"
