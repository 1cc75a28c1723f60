"""The messages that wait for workers, as the broker has them."""

import json
from base64 import b64decode
from typing import Any

import redis


def messages(broker: redis.Redis) -> list[tuple[Any, ...]]:
    """Name and arguments of each message that no worker has taken, in the order of a queue in which they were sent."""
    envelopes = [json.loads(message) for queue in ("celery", "ai") for message in reversed(broker.lrange(queue, 0, -1))]
    return [(envelope["headers"]["task"], *json.loads(b64decode(envelope["body"]))[0]) for envelope in envelopes]
