"""The queue of the peers: a Celery task that nobody works on here."""

import os
from urllib.parse import parse_qs, urlsplit

from celery import Celery

_redis = urlsplit(os.environ["PEERS_REDIS_URL"])
app = Celery("peers", broker=f"redis+socket://{_redis.path}?virtual_host={parse_qs(_redis.query)['db'][0]}")
app.conf.task_ignore_result = True

WAITING = "Waiting for a worker"
"""What a client is shown of a task until then."""


@app.task
def answer(task_id: str) -> None:
    """What a worker would do."""
