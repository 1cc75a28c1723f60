"""Messages to workers. A message is only a hint: rows define what is to be done, and sweeps replace lost messages."""

import logging

import redis
from kombu.exceptions import OperationalError

from utils.monitoring.tasks import headers_of_message
from utils.redis.celery_app import app
from utils.redis.client import Breaker, is_failure

logger = logging.getLogger(__name__)

broker_breaker = Breaker()


def messages_waiting(task_name: str) -> int | None:
    """The number of waiting messages in the queue of this task; None if the broker is unavailable."""
    if broker_breaker.is_open:
        return None
    queue = app.amqp.router.route({}, task_name)["queue"].name
    try:
        with app.connection_or_acquire() as broker:
            return broker.default_channel.queue_declare(queue=queue).message_count
    except (OperationalError, OSError, redis.RedisError) as error:
        if isinstance(error, redis.RedisError) and not is_failure(error):
            raise
        broker_breaker.open()
        logger.warning("The broker did not tell the length of %s: %s", queue, error)
        return None


def publish(task_name: str, *args: str | int) -> bool:
    """Queue a task by name; False if the broker did not accept it.

    If the broker is unavailable, it neither raises nor waits long. Call it after COMMIT. A sweep must publish again
    what was not accepted.
    """
    if broker_breaker.is_open:
        return False
    try:
        app.send_task(
            task_name,
            args=args,
            ignore_result=True,
            retry=False,
            argsrepr=repr(args),
            kwargsrepr="{}",
            headers=headers_of_message(),
        )
    except (OperationalError, OSError) as error:
        broker_breaker.open()
        logger.warning("The broker did not take %s: %s", task_name, error)
        return False
    return True
