"""What users and sweeps do to tasks."""

from datetime import timedelta

import pytest
from django.utils import timezone

from ai_tasks import ledger
from ai_tasks.ledger.announcing import PROCESS_TASK
from ai_tasks.ledger.attempts import MAX_LOST_LEASES
from ai_tasks.models import AITask
from tests.ai_tasks.conftest import refusing_pushes
from tests.ai_tasks.ledger_helpers import ANSWER, EXPLAIN, expire_lease
from tests.broker import messages
from tests.factories import AITaskFactory
from utils.redis.broker import broker_breaker

# --- cancel, retry ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "after"),
    [
        ("queued", "cancelled"),
        ("waiting_provider", "cancelled"),
        ("running", "cancelling"),
        ("cancelling", "cancelling"),
    ],
)
def test_cancel_ends_waiting_tasks_and_signals_running_ones(alice, status, after):
    task = AITaskFactory(user=alice, status=status)

    assert ledger.cancel(task_id=task.pk, user_id=alice.pk).status == after

    task.refresh_from_db()
    assert task.status == after
    assert (task.finished_at is not None) == (after == "cancelled")


@pytest.mark.parametrize("status", AITask.TERMINAL)
def test_a_terminal_task_cannot_be_cancelled(alice, status):
    task = AITaskFactory(user=alice, status=status)

    with pytest.raises(ledger.TaskFinished):
        ledger.cancel(task_id=task.pk, user_id=alice.pk)


def test_retry_asks_the_same_as_a_new_task_past_the_cached_result(alice):
    first = ledger.submit(user_id=alice.pk, **EXPLAIN).task
    ledger.succeed(ledger.claim(first.pk), ANSWER)

    again = ledger.retry(task_id=first.pk, user_id=alice.pk)

    assert (again.status, again.retry_of_id, again.fingerprint) == ("queued", first.pk, None)
    assert again.request_data == first.request_data


@pytest.mark.parametrize("status", AITask.UNFINISHED)
def test_an_unfinished_task_cannot_be_retried(alice, status):
    task = AITaskFactory(user=alice, status=status)

    with pytest.raises(ledger.TaskUnfinished):
        ledger.retry(task_id=task.pk, user_id=alice.pk)


# --- sweep ------------------------------------------------------------------------------------------------------------


def test_the_sweep_publishes_tasks_without_a_message(alice, empty_redis):
    long_ago = timezone.now() - timedelta(minutes=2)
    just_now = timezone.now()
    lost = AITaskFactory(user=alice, published_at=long_ago)
    released = AITaskFactory(user=alice, published_at=None)
    AITaskFactory(user=alice, published_at=just_now)
    due = AITaskFactory(user=alice, status="waiting_provider", published_at=None, next_attempt_at=just_now)
    AITaskFactory(
        user=alice, status="waiting_provider", published_at=None, next_attempt_at=just_now + timedelta(minutes=1)
    )
    dead = AITaskFactory(
        user=alice, status="running", attempt=1, published_at=long_ago, lease_expires_at=just_now - timedelta(seconds=1)
    )
    AITaskFactory(
        user=alice, status="running", attempt=1, published_at=long_ago, lease_expires_at=just_now + timedelta(minutes=1)
    )

    assert ledger.sweep() == 4

    assert sorted(messages(empty_redis)) == sorted((PROCESS_TASK, str(task.pk)) for task in (lost, released, due, dead))
    assert ledger.sweep() == 0


def test_an_unavailable_broker_gets_no_duplicate_messages(alice, broker_proxy, empty_redis):
    AITaskFactory.create_batch(3, user=alice, published_at=None)
    broker_proxy.send = refusing_pushes()
    assert ledger.sweep() == 0
    assert AITask.objects.filter(published_at=None).count() == 3
    del broker_proxy.send
    broker_breaker.close()

    assert ledger.sweep() == 3
    assert ledger.sweep() == 0
    assert empty_redis.llen("ai") == 3


@pytest.mark.parametrize(("waiting", "sent_again"), [(0, 3), (2, 1), (3, 0), (9, 0)])
def test_the_sweep_sends_again_only_what_the_queue_is_short_of(alice, empty_redis, waiting, sent_again):
    long_ago = timezone.now() - timedelta(minutes=2)
    tasks = [AITaskFactory(user=alice, published_at=long_ago + timedelta(seconds=second)) for second in range(3)]
    if waiting:
        empty_redis.lpush("ai", *[b"a message"] * waiting)

    assert ledger.sweep() == sent_again

    empty_redis.lrem("ai", 0, "a message")
    assert messages(empty_redis) == [(PROCESS_TASK, str(task.pk)) for task in tasks[:sent_again]]


def test_a_sweep_without_a_broker_changes_nothing(alice, empty_redis, breakers_stay_open):
    AITaskFactory(user=alice, published_at=None)
    broker_breaker.open()  # as after a failure of the broker

    assert (ledger.sweep(), messages(empty_redis)) == (0, [])


def test_the_sweep_confirms_a_cancel_whose_worker_is_gone(alice):
    task = AITaskFactory(user=alice)
    ledger.claim(task.pk)
    ledger.cancel(task_id=task.pk, user_id=alice.pk)
    ledger.sweep()
    assert AITask.objects.get().status == "cancelling"
    expire_lease(task)

    ledger.sweep()

    assert AITask.objects.get().status == "cancelled"


def test_the_sweep_fails_a_poisoned_task(alice):
    AITaskFactory(
        user=alice,
        status="running",
        attempt=3,
        lost_leases=MAX_LOST_LEASES - 1,
        lease_expires_at=timezone.now() - timedelta(minutes=5),
    )

    ledger.sweep()

    assert AITask.objects.get().error_code == "worker_lost"
