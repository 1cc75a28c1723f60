"""Heartbeats in Redis, of workers and of beat."""

import time
from contextlib import suppress

from utils.redis.client import RedisUnavailable, redis_guard

WORKERS_KEY = "workers:alive"
WORKER_SILENCE_SECONDS = 30
"""Workers send a heartbeat every two seconds; after this long without one a worker counts as gone."""
BEAT_KEY = "beat:last-run"
BEAT_SILENCE_SECONDS = 60
"""Beat sends a task every three seconds."""
_BEAT_KEPT_SECONDS = 30 * 24 * 3600


def record_worker_heartbeat(name: str) -> None:
    """Record that a worker process is running. Without Redis nothing is recorded, and readiness reports that."""
    with suppress(RedisUnavailable), redis_guard() as client:
        pipeline = client.pipeline(transaction=False)
        pipeline.zadd(WORKERS_KEY, {name: time.time()})
        pipeline.zremrangebyscore(WORKERS_KEY, "-inf", time.time() - WORKER_SILENCE_SECONDS)
        pipeline.expire(WORKERS_KEY, WORKER_SILENCE_SECONDS)
        pipeline.execute()


def forget_worker(name: str) -> None:
    """Record that a worker takes no more tasks. Without Redis it counts as gone after ``WORKER_SILENCE_SECONDS``."""
    with suppress(RedisUnavailable), redis_guard() as client:
        client.zrem(WORKERS_KEY, name)


def workers_alive() -> int:
    """The number of workers that sent a heartbeat recently. Raises ``RedisUnavailable``."""
    with redis_guard() as client:
        return int(client.zcount(WORKERS_KEY, time.time() - WORKER_SILENCE_SECONDS, "+inf"))


def record_beat_run() -> None:
    with suppress(RedisUnavailable), redis_guard() as client:
        client.set(BEAT_KEY, time.time(), ex=_BEAT_KEPT_SECONDS)


def beat_last_run() -> float | None:
    """When beat last sent a task, in seconds since 1970; None if that is unknown. Raises ``RedisUnavailable``."""
    with redis_guard() as client:
        found = client.get(BEAT_KEY)
    return None if found is None else float(found)
