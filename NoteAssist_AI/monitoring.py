"""Errors that nobody expected are reported to Sentry, without anything that is a user's."""

from typing import Any


def options(dsn: str, environment: str) -> dict[str, Any]:
    """What ``sentry_sdk.init`` is called with.

    Local variables hold passwords, bodies notes, queries tickets, and the detail of a database's error a whole row.
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
    for exception in event.get("exception", {}).get("values", []):
        exception["value"] = (exception.get("value") or "").partition("\nDETAIL:")[0]
    return event
