"""What operators are told: log lines, and error reports to Sentry. Nothing of it is a user's."""

from typing import Any


def log_lines(level: str, log_queries: bool) -> dict[str, Any]:
    """Django's ``LOGGING``: lines with the request's id."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "request_id": {"()": "utils.logging.RequestIdFilter"},
            "not_every_tick": {"()": "utils.logging.NotEveryTick"},
        },
        "formatters": {
            "line": {"format": "{asctime} {levelname} {name} [{request_id}] {message}", "style": "{"},
        },
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["request_id"]}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            "django": {"level": "INFO"},
            # Django records every query only under DEBUG; LOG_QUERIES prints them.
            "django.db.backends": {"level": "DEBUG" if log_queries else "INFO"},
            # Beat's tasks come every few seconds; what they did wrong is logged where it happened.
            "celery.beat": {"filters": ["not_every_tick"]},
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            "httpx2": {"level": "WARNING"},
            "openai": {"level": "WARNING"},
        },
    }


def error_reports(dsn: str, environment: str) -> dict[str, Any]:
    """What ``sentry_sdk.init`` is called with: local variables hold passwords, bodies notes, queries tickets."""
    return {
        "dsn": dsn,
        "environment": environment,
        "max_request_body_size": "never",
        "include_local_variables": False,
        "before_send": _without_secrets,
    }


def _without_secrets(event: dict[str, Any], _hint: dict[str, Any]) -> dict[str, Any]:
    request = event.get("request", {})
    for name in ("query_string", "headers", "cookies", "data", "env"):
        request.pop(name, None)
    return event
