"""Metrics of this process. ``docs/operations/metrics.md`` lists them.

They are counted only if they can be read: with ``METRICS_PORT`` or ``METRICS_TOKEN``. Labels come from fixed lists, so
that clients cannot create new time series.
"""

import os
from functools import cache

from utils.monitoring import boot

IS_ON = boot.are_metrics_wanted()
if IS_ON and boot.DIRECTORY_VARIABLE not in os.environ:
    boot.prepare_metrics()

from prometheus_client import Counter, Gauge, Histogram  # noqa: E402  # reads the directory's name

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
PROVIDER_BUCKETS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 120.0, 300.0)

request_duration = Histogram(
    "http_request_duration_seconds",
    "Time to answer, of a stream or a download to its begin.",
    ["method", "route", "status"],
    buckets=LATENCY_BUCKETS,
)
request_queries = Counter("http_request_sql_queries", "SQL statements of requests.", ["route"])
page_lookups = Counter("page_cache_lookups", "What the page cache had for a read.", ["outcome"])
epoch_bumps = Counter("page_cache_epoch_bumps", "Times that all cached pages were made unreachable.")
redis_failures = Counter("redis_failures", "Failures that made a process skip Redis for a second.")
redis_breakers_open = Gauge(
    "redis_breakers_open", "Processes that skip Redis at the moment.", multiprocess_mode="livesum"
)
pool_connections = Gauge(
    "db_pool_connections", "Connections of the pools to PostgreSQL.", ["state"], multiprocess_mode="livesum"
)
pool_waiting = Gauge("db_pool_requests_waiting", "Threads that wait for a connection now.", multiprocess_mode="livesum")
pool_requests = Counter("db_pool_requests", "Connections that were asked for.")
pool_waits = Counter("db_pool_waits", "Connections that had to be waited for.")
pool_wait_seconds = Counter("db_pool_wait_seconds", "Time that was waited for connections.")
pool_errors = Counter("db_pool_errors", "Waits that ended without a connection.")
streams_open = Gauge("event_streams_open", "Event streams.", multiprocess_mode="livesum")
provider_duration = Histogram(
    "ai_provider_request_duration_seconds",
    "Time of a call for an AI answer.",
    ["provider", "outcome"],
    buckets=PROVIDER_BUCKETS,
)
provider_tokens = Counter("ai_tokens", "Tokens of AI calls.", ["provider", "direction"])
processes = Gauge("processes", "Processes that count.", multiprocess_mode="livesum")


# Cached, because finding a metric by its labels takes 1.1 of the 3 µs.
_duration = cache(lambda method, route, status: request_duration.labels(method, route, str(status)))
_queries = cache(request_queries.labels)
_lookups = cache(page_lookups.labels)


def count_request(*, method: str, route: str, status: int, seconds: float, queries: int, cache_outcome: str) -> None:
    _duration(method if method in METHODS else "other", route, status).observe(seconds)
    if queries:
        _queries(route).inc(queries)
    if cache_outcome:
        _lookups(cache_outcome).inc()
