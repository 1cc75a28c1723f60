"""Messages to workers: what waits can be counted, and a broker that is away is no error."""

from ai_tasks.ledger.announcing import PROCESS_TASK
from utils.redis.broker import broker_breaker, messages_waiting, publish


def test_messages_of_ai_tasks_wait_in_a_queue_of_their_own():
    assert messages_waiting(PROCESS_TASK) == 0

    assert all(publish(PROCESS_TASK, task_id) for task_id in ("a", "b"))
    assert publish("ai_tasks.sweep")

    assert (messages_waiting(PROCESS_TASK), messages_waiting("ai_tasks.sweep")) == (2, 1)


def test_nothing_is_published_or_counted_while_the_breaker_is_open(breakers_stay_open):
    broker_breaker.open()

    assert publish(PROCESS_TASK, "a") is False
    assert messages_waiting(PROCESS_TASK) is None

    broker_breaker.close()
    assert messages_waiting(PROCESS_TASK) == 0
