"""Error reports to Sentry, without users' data."""

from typing import Any


def options(dsn: str, environment: str) -> dict[str, Any]:
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
