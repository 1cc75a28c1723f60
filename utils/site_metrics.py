"""Metrics of the whole site that are read from Redis."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.metrics_core import GaugeMetricFamily

from utils.redis.client import RedisUnavailable
from utils.redis.signs import beat_last_run, workers_alive


def read() -> Iterator[Metric]:
    try:
        workers, last_run = workers_alive(), beat_last_run()
    except RedisUnavailable:
        yield GaugeMetricFamily("site_redis_up", "Whether Redis answers.", 0)
        return
    yield GaugeMetricFamily("site_redis_up", "Whether Redis answers.", 1)
    yield GaugeMetricFamily("workers_alive", "Worker processes that take tasks.", workers)
    if last_run is not None:
        yield GaugeMetricFamily("beat_last_run_timestamp_seconds", "When beat last sent a task.", last_run)
