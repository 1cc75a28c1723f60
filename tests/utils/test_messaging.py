"""Messages to workers: what waits can be counted, and a broker that is away is no error."""

import redis

from ai_tasks.ledger.announcing import PROCESS_TASK
from NoteAssist_AI.celery import app
from utils.messaging import messages_waiting, publish
from utils.redis import breaker


def test_messages_of_ai_tasks_wait_in_a_queue_of_their_own():
    assert messages_waiting(PROCESS_TASK) == 0

    assert all(publish(PROCESS_TASK, task_id) for task_id in ("a", "b"))
    assert publish("ai_tasks.sweep")

    assert (messages_waiting(PROCESS_TASK), messages_waiting("ai_tasks.sweep")) == (2, 1)


def test_messages_are_sent_with_a_client_that_is_there(monkeypatch):
    publish(PROCESS_TASK, "a")
    made, make = [], redis.Redis.__init__
    monkeypatch.setattr(redis.Redis, "__init__", lambda client, **given: made.append(given) or make(client, **given))

    assert all(publish(PROCESS_TASK, task_id) for task_id in ("b", "c"))

    assert made == []
    assert messages_waiting(PROCESS_TASK) == 3


def test_a_channel_that_has_dropped_its_connections_sends_with_others():
    with app.connection_for_write() as broker:
        channel = broker.default_channel
        first = channel._create_client()
        channel._disconnect_pools()  # as after a fork, or when the broker was away

        assert channel._create_client().connection_pool is channel.pool is not first.connection_pool


def test_what_listens_has_a_client_to_itself():
    with app.connection_for_write() as broker:
        channel = broker.default_channel

        assert channel.client is not channel._create_client() is channel._create_client()
        assert channel.client.connection_pool is channel.async_pool


def test_nothing_is_published_or_counted_while_the_breaker_is_open():
    breaker.open()

    assert publish(PROCESS_TASK, "a") is False
    assert messages_waiting(PROCESS_TASK) is None

    breaker.close()
    assert messages_waiting(PROCESS_TASK) == 0
