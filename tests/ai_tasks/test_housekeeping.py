"""What keeps AI tasks going without anybody asking: sweeps, purges, and coming back from an outage."""

import itertools
from datetime import timedelta
from uuid import UUID

import pytest
from celery.schedules import crontab
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ai_tasks import ledger, progress
from ai_tasks.ledger.announcing import PROCESS_TASK
from ai_tasks.models import AITask
from ai_tasks.worker import Worker
from NoteAssist_AI.celery import app
from notifications.models import Notification
from tests.ai_tasks.conftest import in_threads, refusing_pushes
from tests.broker import messages
from tests.conftest import Interrupted, client_of
from tests.factories import AITaskFactory, NotificationFactory
from utils import async_optimization
from utils.models import IdempotencyRecord
from utils.redis.broker import broker_breaker
from utils.redis.client import reset_client
from utils.streaming.user_events import user_events_key

EXPLAIN = {"request_type": "generate_explanation", "request_data": {"topic": "Python loops"}}
A_MINUTE_AGO = timedelta(minutes=3)  # and more: by the database, its transaction's moment is now


def messages_of(tasks) -> list[tuple[str, str]]:
    return [(PROCESS_TASK, str(task.pk)) for task in sorted(tasks, key=lambda task: task.pk)]


def ids_of(tasks) -> list[UUID]:
    return sorted(task.pk for task in tasks)


# --- Sweeping ---------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_any_number_of_sweeps_at_once_publishes_each_task_once(alice, empty_redis):
    tasks = AITaskFactory.create_batch(120, user=alice, published_at=None)

    counts = in_threads(4, lambda _: ledger.sweep())

    assert sum(counts) == 120
    assert sorted(messages(empty_redis)) == messages_of(tasks)


@pytest.mark.django_db(transaction=True)
def test_concurrent_sweeps_announce_each_end_once(alice, empty_redis):
    expired = {"attempt": 1, "lease_expires_at": timezone.now() - timedelta(minutes=5)}
    AITaskFactory.create_batch(20, user=alice, status="cancelling", **expired)
    poisoned = AITaskFactory.create_batch(20, user=alice, status="running", lost_leases=2, **expired)

    in_threads(4, lambda _: ledger.sweep())

    assert AITask.objects.filter(status="cancelled").count() == 20
    assert AITask.objects.filter(status="failed", error_code="worker_lost", lost_leases=3).count() == 20
    assert sorted(Notification.objects.values_list("action_id", flat=True)) == sorted(str(task.pk) for task in poisoned)
    assert messages(empty_redis) == []


def test_an_outage_with_a_thousand_queued_tasks_multiplies_no_messages(alice, empty_redis, breakers_stay_open):
    tasks = AITask.objects.bulk_create(
        AITask(user=alice, published_at=timezone.now() - A_MINUTE_AGO, **EXPLAIN) for _ in range(1000)
    )  # and Redis lost their messages
    for _ in range(5):
        broker_breaker.open()
        assert ledger.sweep() == 0
    broker_breaker.close()

    published = [ledger.sweep() for _ in range(5)]

    assert published == [500, 500, 0, 0, 0]
    assert sorted(messages(empty_redis)) == messages_of(tasks)
    AITask.objects.update(published_at=timezone.now() - A_MINUTE_AGO)
    assert ledger.sweep() == 0  # a long queue is no lost one
    assert len(messages(empty_redis)) == 1000


def test_what_a_sweep_could_not_publish_the_next_one_does(alice, empty_redis, broker_proxy):
    tasks = AITaskFactory.create_batch(5, user=alice, published_at=None)
    broker_proxy.send = refusing_pushes(after=2)
    assert ledger.sweep() == 2
    del broker_proxy.send
    broker_breaker.close()

    assert ledger.sweep() == 3
    assert sorted(messages(empty_redis)) == messages_of(tasks)


def test_what_an_interrupted_sweep_did_not_publish_the_next_one_does(alice, empty_redis, broker_proxy, interrupt):
    tasks = AITaskFactory.create_batch(5, user=alice, published_at=None)
    pushes = itertools.count(1)

    def interrupt_the_third(data: bytes) -> bytes:
        if b"LPUSH" in data and next(pushes) == 3:
            interrupt()
            return b""
        return data

    broker_proxy.send = interrupt_the_third
    with pytest.raises(Interrupted):
        ledger.sweep()

    assert ledger.sweep() == 3
    assert sorted(messages(empty_redis)) == messages_of(tasks)


@pytest.mark.django_db(transaction=True)
def test_a_request_accepted_without_redis_runs_when_it_is_back(
    alice, settings, offline, empty_redis, breakers_stay_open
):
    client = client_of(alice)
    settings.REDIS_URL, url = "unix:///nonexistent/redis.sock?db=0", settings.REDIS_URL
    reset_client()
    broker_breaker.open()  # the same server is the broker
    response = client.post("/api/ai/tasks/", EXPLAIN, format="json")
    assert response.status_code == 202
    settings.REDIS_URL = url
    reset_client()
    broker_breaker.close()
    assert messages(empty_redis) == []

    assert ledger.sweep() == 1  # the next one: there is no message that it might have to wait for
    ((_, task_id),) = messages(empty_redis)
    Worker().execute(UUID(task_id))

    assert client.get(response["Location"]).json()["status"] == "succeeded"
    assert client.get("/api/notifications/pending/").json()["count"] == 1


# --- Beats ------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_beats_harm_nothing(alice, settings, empty_redis):
    queued = AITaskFactory.create_batch(5, user=alice, published_at=None)
    NotificationFactory.create_batch(5, user=alice)
    async_optimization.NotificationOptimizer.create_notification(alice.pk, "Hello", "From Redis")
    old = timezone.now() - timedelta(days=settings.AI_TASK_RETENTION_DAYS + 1)
    AITaskFactory.create_batch(5, user=alice, status="failed", finished_at=old)
    IdempotencyRecord.objects.create(
        user=alice, route="/", key="old", body_hash=b"", status=201, body=b"", created_at=old
    )
    schedule = [entry["task"] for entry in app.conf.beat_schedule.values()]
    assert len(schedule) >= 4

    for name in schedule * 2:
        in_threads(2, lambda _, name=name: app.tasks[name]())

    assert sorted(messages(empty_redis)) == messages_of(queued)
    assert ids_of(AITask.objects.all()) == ids_of(queued)
    assert Notification.objects.count() == 6
    assert client_of(alice).get("/api/notifications/pending/").json()["count"] == 6
    assert not IdempotencyRecord.objects.exists()


def test_what_a_beat_sends_to_nobody_does_not_pile_up():
    schedules = [(entry["schedule"], entry["options"]["expires"]) for entry in app.conf.beat_schedule.values()]

    for schedule, expires in schedules:
        every = 24 * 3600 if isinstance(schedule, crontab) else schedule.run_every.total_seconds()
        assert expires <= every


# --- Purging ----------------------------------------------------------------------------------------------------------


def test_tasks_that_ended_long_ago_are_purged_and_no_others(alice, settings):
    settings.AI_TASK_RETENTION_DAYS = 30
    now = timezone.now()
    long_ago, lately = now - timedelta(days=31), now - timedelta(days=29)
    old = [AITaskFactory(user=alice, status=status, finished_at=long_ago) for status in AITask.TERMINAL]
    young = [AITaskFactory(user=alice, status=status, finished_at=lately) for status in AITask.TERMINAL]
    unfinished = [AITaskFactory(user=alice, status=status, created_at=long_ago) for status in AITask.UNFINISHED]
    young.append(AITaskFactory(user=alice, status="failed", finished_at=lately, retry_of=old[0]))
    NotificationFactory(user=alice, action_id=str(old[0].pk))

    with CaptureQueriesContext(connection) as queries:
        assert ledger.purge_finished() == 3

    assert ids_of(AITask.objects.all()) == ids_of([*young, *unfinished])
    assert AITask.objects.get(pk=young[-1].pk).retry_of_id is None
    assert Notification.objects.count() == 1
    assert not any('"result"' in query["sql"] for query in queries)  # answers are long, and nobody reads these


@pytest.mark.django_db(transaction=True)
def test_purges_at_once_delete_each_task_once(alice, settings):
    long_ago = timezone.now() - timedelta(days=settings.AI_TASK_RETENTION_DAYS + 1)
    AITaskFactory.create_batch(60, user=alice, status="failed", finished_at=long_ago)

    in_threads(4, lambda _: ledger.purge_finished())

    assert not AITask.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_all_that_redis_knows_of_a_task_expires_by_itself(alice, offline, empty_redis):
    task = AITaskFactory(user=alice, request_data={"topic": "Loops", "level": "beginner"})
    Worker().execute(task.pk)

    keys = [progress.live_key(task.pk), progress.events_key(task.pk), user_events_key(alice.pk)]
    assert all(0 < empty_redis.ttl(key) <= progress.TTL_SECONDS for key in keys)
    assert {key for key in empty_redis.keys("*") if str(task.pk).encode() in key} == {key.encode() for key in keys[:2]}
