"""A Redis that answers and refuses writes: it is full, a replica, or cannot save. To us it is away."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import redis
from celery import Celery

from ai_tasks.models import AITask
from ai_tasks.worker import Worker
from NoteAssist_AI.env import broker_url
from tests.conftest import client_of
from tests.factories import AITaskFactory
from tests.refusing_redis import REFUSALS, refusing_writes
from utils.redis.broker import broker_breaker, messages_waiting, publish
from utils.redis.client import RedisUnavailable, breaker, redis_guard, reset_client
from utils.redis.scripts import Script

WRITE = Script("return redis.call('SET', KEYS[1], 'value')")


@pytest.fixture(params=REFUSALS)
def refuse(request, own_redis) -> Iterator[Callable[[], None]]:
    """Call it to have the test's Redis refuse writes from now on."""
    with ExitStack() as until_the_end:
        yield lambda: until_the_end.enter_context(refusing_writes(own_redis, request.param))


@pytest.mark.parametrize(
    "write",
    [
        lambda client: client.set("key", "value"),
        lambda client: client.pipeline(transaction=False).set("key", "value").execute(),
        lambda client: WRITE.run(keys=["key"]),
    ],
    ids=["command", "pipeline", "script"],
)
def test_a_refused_write_counts_as_redis_unavailable(refuse, breakers_stay_open, write):
    with redis_guard() as client:
        write(client)  # once it was good
    refuse()

    with pytest.raises(RedisUnavailable), redis_guard() as client:
        write(client)

    assert breaker.is_open


def test_a_new_connection_to_a_redis_that_refuses_writes_is_no_error(refuse):
    refuse()
    reset_client()

    with pytest.raises(RedisUnavailable), redis_guard() as client:
        client.set("key", "value")


def test_an_error_in_our_own_command_is_not_taken_for_an_outage(own_redis):
    with redis_guard() as client:
        client.set("OOM", "no list")

    for mistake in (
        lambda client: client.lpush("OOM", "value"),
        lambda client: Script("return redis.call('LPUSH', KEYS[1], 'READONLY')").run(keys=["OOM"]),
        lambda client: Script("return nothing.MISCONF").run(),
    ):
        with pytest.raises(redis.ResponseError), redis_guard() as client:
            mistake(client)

    assert not breaker.is_open


@pytest.mark.django_db(transaction=True)
def test_a_redis_that_refuses_writes_fails_no_request_and_no_task(alice, refuse):
    client = client_of(alice)
    task = AITaskFactory(user=alice, request_data={"topic": "Loops", "level": "beginner"})
    body = {"request_type": "summarize", "request_data": {"content": "A loop repeats."}}
    client.get("/api/notes/")
    refuse()

    def status_of(method: str, path: str, *arguments) -> int:
        breaker.close()
        return getattr(client, method)(path, *arguments, format="json").status_code

    assert status_of("get", "/api/notes/") == 200
    assert status_of("get", "/api/notifications/pending/") == 200
    assert status_of("get", f"/api/ai/tasks/{task.pk}/") == 200
    assert status_of("post", "/api/ai/tasks/", body) == 202

    breaker.close()
    Worker().execute(task.pk)

    assert AITask.objects.get(pk=task.pk).status == "succeeded"


def test_a_broker_that_refuses_writes_takes_no_message_and_stops_no_sweep(own_redis, refuse, monkeypatch):
    monkeypatch.setattr("utils.redis.broker.app", Celery(broker=broker_url(own_redis.url)))
    assert publish("a task", "its id") is True
    refuse()

    assert publish("a task", "its id") is False
    broker_breaker.close()
    assert messages_waiting("a task") in (None, 1)  # a full Redis does not tell
