"""The log line and the metrics of each request, whether a fast read or Django answered it."""

import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import structlog
from django.conf import settings
from django.urls import ResolverMatch

from utils.monitoring import logs, metrics, traces

UNMATCHED = "unmatched"
_CATCH_ALL = "not-found"
_OF_PROBES = frozenset({"/healthz/live", "/healthz/ready", "/metrics"})
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

_GROUP = re.compile(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)")
_CONVERTER = re.compile(r"<(?:\w+:)?(\w+)>")
_ANCHORS = re.compile(r"[\^$?]|\\Z|\\A")


@lru_cache(1024)
def readable_route(pattern: str) -> str:
    """A route as the API's documentation writes it: ``/api/notes/{id}/``."""
    named = _CONVERTER.sub(r"{\1}", _GROUP.sub(r"{\1}", pattern))
    return "/" + _ANCHORS.sub("", named).replace("\\", "").replace("{pk}", "{id}")


def route_of(match: ResolverMatch | None) -> str:
    """The URL pattern that the request's path matched, or ``unmatched``."""
    if match is None or match.url_name == _CATCH_ALL or match.route is None:
        return UNMATCHED
    return readable_route(match.route)


class _Observer:
    """Counts and logs requests, as the settings say."""

    def __init__(self) -> None:
        self._least = _LEVELS.index(settings.LOG_LEVEL)
        self._logs = settings.LOG_REQUESTS
        self._render: Callable[[dict[str, Any]], bytes] = logs.to_json if settings.IS_PRODUCTION else logs.to_text
        # Celery and tests replace sys.stderr.
        self._write = structlog.BytesLogger((sys.__stderr__ or sys.stderr).buffer).msg
        self.is_on = self._logs or metrics.IS_ON or traces.IS_ON

    def observe(
        self,
        *,
        method: str,
        route: str,
        status: int,
        seconds: float,
        queries: int,
        cache_outcome: str,
        user_id: int | None,
        request_id: str,
    ) -> None:
        """Count and log a response. ``cache_outcome`` is empty if the page cache was not read."""
        if metrics.IS_ON:
            metrics.count_request(
                method=method,
                route=route,
                status=status,
                seconds=seconds,
                queries=queries,
                cache_outcome=cache_outcome,
            )
        if traces.IS_ON:
            traces.describe_request(method=method, route=route, status=status, request_id=request_id)
        if not self._logs:
            return
        # A 503 is a deliberate refusal; any other 5xx is a bug.
        level = 1 if status < 500 else 2 if status == 503 else 3
        if level == 1 and route in _OF_PROBES:
            level = 0
        if level >= self._least:
            self._write(
                self._render(
                    {
                        "timestamp": datetime.now(UTC),
                        "level": _LEVELS[level].lower(),
                        "logger": "requests",
                        "event": "request",
                        "method": method if method in metrics.METHODS else "other",
                        "route": route,
                        "status": status,
                        "ms": round(seconds * 1000, 2),
                        "sql": queries,
                        "cache": cache_outcome or None,
                        "user_id": user_id,
                        "request_id": request_id,
                    }
                )
            )


observer = _Observer()
