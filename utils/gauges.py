"""Gauges of this process's connection pools and streams, sampled every few seconds for metrics."""

from typing import Any

from django.db import connection
from psycopg_pool import ConnectionPool

from utils.monitoring import metrics
from utils.redis.client import breaker
from utils.streaming.clients import limiter

_counted = {
    "requests_num": metrics.pool_requests,
    "requests_queued": metrics.pool_waits,
    "requests_errors": metrics.pool_errors,
    "requests_wait_ms": metrics.pool_wait_seconds,
}
"""Counters of psycopg's pool; they start when it is opened."""
_seen: dict[str, float] = {}


def sample() -> None:
    metrics.redis_breakers_open.set(breaker.is_open)
    metrics.streams_open.set(len(limiter))
    pool: ConnectionPool[Any] | None = connection.pool  # type: ignore[attr-defined]  # our engine's
    if pool is None:
        return
    stats = pool.get_stats()
    size, available = stats.get("pool_size", 0), stats.get("pool_available", 0)
    metrics.pool_connections.labels("used").set(size - available)
    metrics.pool_connections.labels("idle").set(available)
    metrics.pool_connections.labels("allowed").set(stats.get("pool_max", 0))
    metrics.pool_waiting.set(stats.get("requests_waiting", 0))
    for name, counter in _counted.items():
        value = stats.get(name, 0) / (1000 if name.endswith("_ms") else 1)
        counter.inc(max(0.0, value - _seen.get(name, 0.0)))
        _seen[name] = value
