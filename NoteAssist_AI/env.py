"""Typed readers of environment variables.

Each names the variable in its error, refuses spellings that it does not know and treats an empty value as unset, so
that a typing mistake stops the process at boot instead of changing its behaviour. Settings read each variable once,
here.
"""

import math
import os
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from django.core.exceptions import ImproperlyConfigured
from dotenv import load_dotenv

MIN_SECRET_LENGTH = 32
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


class _Required:
    """Marks a reader's argument as having no default."""


REQUIRED = _Required()


def load_file(path: Path) -> None:
    """Take variables from a ``.env`` file; what the process already has wins. Tests never read it."""
    if os.environ.get("ENVIRONMENT") != "test":
        load_dotenv(path, override=False)


def _raw(name: str) -> str | None:
    value = os.environ.get(name, "").strip()
    return value or None


def _missing(name: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"The environment variable {name} is not set.")


def _wrong(name: str, value: str, expected: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"The environment variable {name} is {value!r}; expected {expected}.")


def text(name: str, default: str | _Required = REQUIRED) -> str:
    value = _raw(name)
    if value is not None:
        return value
    if isinstance(default, _Required):
        raise _missing(name)
    return default


def choice(name: str, options: tuple[str, ...], default: str) -> str:
    value = text(name, default)
    if value not in options:
        raise _wrong(name, value, "one of " + ", ".join(options))
    return value


def boolean(name: str, default: bool) -> bool:
    value = _raw(name)
    if value is None:
        return default
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise _wrong(name, value, "true or false")


def integer(name: str, default: int, *, minimum: int = 0) -> int:
    value = _raw(name)
    if value is None:
        return default
    try:
        number = int(value)
    except ValueError as error:
        raise _wrong(name, value, "a whole number") from error
    if number < minimum:
        raise _wrong(name, value, f"at least {minimum}")
    return number


def seconds(name: str, default: float, *, minimum: float = 0.0) -> float:
    value = _raw(name)
    if value is None:
        return default
    try:
        number = float(value)
    except ValueError as error:
        raise _wrong(name, value, "a number of seconds") from error
    if not math.isfinite(number) or number < minimum:
        raise _wrong(name, value, f"at least {minimum} seconds")
    return number


def words(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """A list separated by commas; blank parts are dropped."""
    value = _raw(name)
    if value is None:
        return list(default)
    return [part.strip() for part in value.split(",") if part.strip()]


def origins(name: str) -> list[str]:
    """Origins as browsers send them: scheme and host, no path and no trailing slash."""
    found = words(name)
    for origin in found:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query:
            raise _wrong(name, origin, "origins such as https://app.example.com, separated by commas")
    return found


def url(name: str, schemes: tuple[str, ...], default: str | _Required = REQUIRED) -> str:
    value = text(name, default)
    if value and urlsplit(value).scheme not in schemes:
        # The value may hold a password, so only its scheme is shown.
        raise _wrong(name, urlsplit(value).scheme + ":…", "a URL with scheme " + " or ".join(schemes))
    return value


def secret(name: str) -> str:
    """A secret that production must be given: long, and not one of the values shipped for development."""
    value = text(name)
    if len(value) < MIN_SECRET_LENGTH or len(set(value)) < 8 or value.startswith(("development-only", "change-me")):
        raise ImproperlyConfigured(
            f"The environment variable {name} is too weak: use at least {MIN_SECRET_LENGTH} random characters."
        )
    return value


def rate(name: str, default: str) -> str | None:
    """A throttle rate in DRF's spelling, ``20/hour``; ``none`` lifts the limit."""
    value = text(name, default)
    if value.lower() == "none":
        return None
    count, _, period = value.partition("/")
    if not count.isdigit() or int(count) < 1 or period[:1] not in ("s", "m", "h", "d"):
        raise _wrong(name, value, "a rate such as 60/min, or none")
    return value


def broker_url(redis_url: str) -> str:
    """The same Redis in the spelling of Celery's transport: a unix socket is ``redis+socket://``."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    database = parse_qs(parts.query).get("db", ["0"])[0]
    return f"redis+socket://{parts.path}?virtual_host={database}"
