"""Error reports to Sentry, without users' data."""

from typing import Any


def options(dsn: str, environment: str) -> dict[str, Any]:
    """The arguments of ``sentry_sdk.init``. They leave out local variables (passwords), bodies (notes) and URL queries
    (stream tickets).
    """
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
