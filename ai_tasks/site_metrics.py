"""Metrics of AI tasks, read from PostgreSQL and Redis."""

import logging
from collections.abc import Iterator
from contextlib import suppress

from django.db import Error, connections
from prometheus_client import Metric
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from psycopg_pool import PoolTimeout

from ai_tasks import outages
from ai_tasks.models import AITask
from ai_tasks.progress import ENDED_KEY
from utils.redis.client import RedisUnavailable, redis_guard

logger = logging.getLogger(__name__)


def read() -> Iterator[Metric]:
    try:
        unfinished, standing = AITask.objects.unfinished_by_status(), outages.standing_of_all()
    except (Error, PoolTimeout) as error:
        logger.warning("AI tasks could not be counted: %s", error)
        yield GaugeMetricFamily("site_postgresql_up", "Whether PostgreSQL answers.", 0)
    else:
        yield GaugeMetricFamily("site_postgresql_up", "Whether PostgreSQL answers.", 1)
        tasks = GaugeMetricFamily("ai_tasks_unfinished", "AI tasks that have not ended.", labels=["status"])
        for status in AITask.UNFINISHED:
            tasks.add_metric([status], unfinished.count_of.get(status, 0))
        yield tasks
        yield GaugeMetricFamily(
            "ai_queue_age_seconds", "How long the oldest queued task has waited.", unfinished.queue_age or 0.0
        )
        out = GaugeMetricFamily("ai_provider_out", "Whether an AI provider is out.", labels=["provider"])
        for name, state in standing.items():
            out.add_metric([name], state == "out")
        yield out
    finally:
        connections.close_all()  # the exporter's thread has no request at whose end they are closed
    with suppress(RedisUnavailable):
        with redis_guard() as client:
            counts = client.hgetall(ENDED_KEY)
        ended = CounterMetricFamily("ai_tasks_ended", "AI tasks that have ended.", labels=["status"])
        for status in AITask.TERMINAL:
            ended.add_metric([status], int(counts.get(status.encode(), 0)))
        yield ended
