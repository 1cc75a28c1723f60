"""Health of the service, for platforms and for people."""

from typing import Any

from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from psycopg_pool import PoolTimeout

from utils.redis import RedisUnavailable, redis_guard


def live(request: HttpRequest) -> JsonResponse:
    """The process answers. Touches nothing else, so a broken dependency restarts no healthy process."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """503 only without Postgres; without Redis the service is ``degraded`` and goes on."""
    postgres, redis = _postgres_answers(), _redis_answers()
    parts: dict[str, Any] = {"postgres": _word(postgres), "redis": _word(redis)}
    status = "ok" if postgres and redis else "degraded" if postgres else "unavailable"
    return JsonResponse({"status": status, **parts}, status=200 if postgres else 503)


def _word(answers: bool) -> str:
    return "ok" if answers else "unavailable"


def _postgres_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (Error, PoolTimeout):
        return False
    return True


def _redis_answers() -> bool:
    try:
        with redis_guard() as redis:
            redis.ping()
    except RedisUnavailable:
        return False
    return True
