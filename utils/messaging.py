"""Telling workers that there is something to do. A message is only a hint: rows are the truth, and sweeps find them."""

import logging

import redis
from kombu.exceptions import OperationalError

from NoteAssist_AI.celery import app
from utils.redis import breaker, is_failure

logger = logging.getLogger(__name__)


def messages_waiting(task_name: str) -> int | None:
    """How many messages no worker has taken yet, in the queue to which this task's go; None if the broker is away."""
    if breaker.is_open:
        return None
    queue = app.amqp.router.route({}, task_name)["queue"].name
    try:
        with app.connection_or_acquire() as broker:
            return broker.default_channel.queue_declare(queue=queue).message_count
    except (OperationalError, OSError, redis.RedisError) as error:
        if isinstance(error, redis.RedisError) and not is_failure(error):
            raise
        breaker.open()
        logger.warning("The broker did not tell the length of %s: %s", queue, error)
        return None


def publish(task_name: str, *args: str | int) -> bool:
    """Queue a task by name; False if the broker did not take it.

    Neither raises for a broker that is away nor waits long for it. Call it after COMMIT. Whoever publishes has a sweep
    that repeats what was not taken.
    """
    if breaker.is_open:
        return False
    try:
        app.send_task(task_name, args=args, ignore_result=True, retry=False, argsrepr=repr(args), kwargsrepr="{}")
    except (OperationalError, OSError) as error:
        breaker.open()
        logger.warning("The broker did not take %s: %s", task_name, error)
        return False
    return True
