"""Health of the service, for platforms and for people."""

import time
from typing import Any

from django.db import Error
from django.http import HttpRequest, HttpResponse, JsonResponse
from psycopg_pool import PoolTimeout

from ai_tasks.models import AITask
from utils.exceptions import problem_response
from utils.redis import RedisUnavailable, redis_guard

WORKERS_KEY = "workers:alive"
WORKER_SILENCE_SECONDS = 30
"""Workers tell of themselves every two seconds; after this long one is taken for gone."""


def worker_is_alive(name: str) -> None:
    """Note that a worker process is there. Without Redis nobody can be told, and readiness says so."""
    try:
        with redis_guard() as client:
            pipeline = client.pipeline(transaction=False)
            pipeline.zadd(WORKERS_KEY, {name: time.time()})
            pipeline.zremrangebyscore(WORKERS_KEY, "-inf", time.time() - WORKER_SILENCE_SECONDS)
            pipeline.expire(WORKERS_KEY, WORKER_SILENCE_SECONDS)
            pipeline.execute()
    except RedisUnavailable:
        return


def live(request: HttpRequest) -> JsonResponse:
    """The process answers. Touches nothing else, so a broken dependency restarts no healthy process."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> HttpResponse:
    """503 only without Postgres. Without Redis or a worker the service is ``degraded``: it accepts tasks, which wait.

    ``queue_age_seconds``: how long the oldest queued AI task has been waiting; null if none is.
    """
    workers = _workers()
    parts: dict[str, Any] = {"redis": "unavailable" if workers is None else "ok", "workers": workers or 0}
    try:
        parts |= {"postgres": "ok", "queue_age_seconds": AITask.objects.queue_age_seconds()}
    except (Error, PoolTimeout):
        return problem_response(
            request,
            status=503,
            code="unavailable",
            detail="PostgreSQL does not answer.",
            extra={**parts, "postgres": "unavailable"},
        )
    return JsonResponse({"status": "ok" if workers else "degraded", **parts})


def _workers() -> int | None:
    try:
        with redis_guard() as client:
            return int(client.zcount(WORKERS_KEY, time.time() - WORKER_SILENCE_SECONDS, "+inf"))
    except RedisUnavailable:
        return None
