"""Health checks, for platforms and operators."""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.db import Error
from django.http import HttpRequest, HttpResponse, JsonResponse
from psycopg_pool import PoolTimeout

from utils.http.errors import problem_response
from utils.redis.client import RedisUnavailable
from utils.redis.signs import workers_alive


class _Member(NamedTuple):
    read: Callable[[], Any]
    is_well: Callable[[Any], bool]


_members: dict[str, _Member] = {}


def report_in_readiness(
    name: str, read: Callable[[], Any], *, is_well: Callable[[Any], bool] = lambda value: True
) -> None:
    """Add a member ``name`` with the result of ``read``, which may make one query, to the response of ``ready``.

    The service is ``degraded`` if ``is_well`` returns False for the value.
    """
    _members[name] = _Member(read, is_well)


def live(request: HttpRequest) -> JsonResponse:
    """Liveness: the process responds. Checks no dependency, so that an outage of one restarts no healthy process."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> HttpResponse:
    """Readiness: 503 only without PostgreSQL. Without Redis or a worker the status is ``degraded``: AI tasks wait.

    ``queue_age_seconds``: how long the oldest queued AI task has been waiting; null if none is.
    ``ai_providers``: which AI providers are ``ok`` and which ``out``; ``degraded`` where all of them are out.
    ``pending_migrations``: how many migrations this code has that the database has not; ``degraded`` with any.
    """
    parts: dict[str, Any]
    try:
        parts = {"redis": "ok", "workers": workers_alive()}
    except RedisUnavailable:
        parts = {"redis": "unavailable", "workers": 0}
    try:
        members = {name: member.read() for name, member in _members.items()}
    except (Error, PoolTimeout):
        return problem_response(
            request,
            status=503,
            code="unavailable",
            detail="PostgreSQL does not answer.",
            extra={**parts, "postgres": "unavailable"},
        )
    is_well = parts["workers"] > 0 and all(_members[name].is_well(value) for name, value in members.items())
    return JsonResponse({"status": "ok" if is_well else "degraded", **parts, "postgres": "ok", **members})
