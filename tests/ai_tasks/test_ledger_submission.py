"""Accepting requests: once, within the limit, and never for somebody else."""

import logging
import uuid
from datetime import timedelta
from itertools import chain

import pytest
from django.utils import timezone

from ai_tasks import ledger
from ai_tasks.ledger.announcing import PROCESS_TASK
from ai_tasks.models import AITask
from notifications.models import Notification
from tests.ai_tasks.conftest import in_threads
from tests.ai_tasks.ledger_helpers import ANSWER, EXPLAIN
from tests.broker import messages
from tests.factories import AITaskFactory, TopicFactory


def test_a_submitted_request_is_queued_and_published_after_the_commit(
    alice, empty_redis, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        submission = ledger.submit(user_id=alice.pk, **EXPLAIN)
        assert messages(empty_redis) == []

    assert submission.outcome == "created"
    task = AITask.objects.get()
    assert (task.status, task.progress, task.attempt) == ("queued", 0, 0)
    assert task.request_data["topic"] == "Python loops"
    assert messages(empty_redis) == [(PROCESS_TASK, str(task.pk))]


def test_each_state_is_logged_with_the_attempt_that_reached_it(alice, caplog, django_capture_on_commit_callbacks):
    with caplog.at_level(logging.INFO), django_capture_on_commit_callbacks(execute=True):
        task = ledger.submit(user_id=alice.pk, **EXPLAIN).task
        ledger.succeed(ledger.claim(task.pk), ANSWER)

    lines = [record.fields for record in caplog.records if record.getMessage() == "ai_task"]
    assert [(line["status"], line["attempt"]) for line in lines] == [("queued", 0), ("running", 1), ("succeeded", 1)]
    assert {(line["task_id"], line["user_id"]) for line in lines} == {(str(task.pk), alice.pk)}


def test_an_equal_request_joins_the_unfinished_one(alice):
    first = ledger.submit(user_id=alice.pk, **EXPLAIN)
    second = ledger.submit(user_id=alice.pk, **EXPLAIN)

    assert (second.outcome, second.task.pk) == ("coalesced", first.task.pk)
    assert AITask.objects.count() == 1


def test_requests_that_may_not_coalesce_are_tasks_of_their_own(alice):
    for _ in range(2):
        assert ledger.submit(user_id=alice.pk, may_coalesce=False, **EXPLAIN).outcome == "created"

    assert AITask.objects.filter(fingerprint=None).count() == 2


def test_a_strangers_equal_request_is_his_own(alice, charlie):
    ledger.submit(user_id=alice.pk, **EXPLAIN)

    assert ledger.submit(user_id=charlie.pk, **EXPLAIN).outcome == "created"


@pytest.mark.django_db(transaction=True)
def test_a_hundred_parallel_equal_requests_are_one_task(alice):
    outcomes = in_threads(12, lambda _: [ledger.submit(user_id=alice.pk, **EXPLAIN).outcome for _ in range(9)])

    assert AITask.objects.count() == 1
    assert sorted(chain.from_iterable(outcomes)) == ["coalesced"] * 107 + ["created"]


@pytest.mark.django_db(transaction=True)
def test_the_hourly_limit_is_exact_under_concurrency(alice):
    def submit(index):
        try:
            ledger.submit(user_id=alice.pk, request_type="summarize", request_data={"content": f"Text {index}. " * 30})
        except ledger.AILimitReached:
            return "refused"
        return "accepted"

    outcomes = in_threads(12, lambda index: [submit(index * 3 + i) for i in range(3)])

    assert sorted(chain.from_iterable(outcomes)) == ["accepted"] * 20 + ["refused"] * 16
    assert AITask.objects.count() == 20


def test_the_limit_says_when_the_next_request_is_free(alice, settings):
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": {"ai_tools": "2/hour"}}
    for minutes in (20, 50):
        AITaskFactory(user=alice, created_at=timezone.now() - timedelta(minutes=minutes))

    with pytest.raises(ledger.AILimitReached) as refusal:
        ledger.submit(user_id=alice.pk, **EXPLAIN)

    assert 9 * 60 < int(refusal.value.headers["Retry-After"]) <= 10 * 60 + 1


def test_old_requests_and_those_that_cost_nothing_do_not_count(alice, settings):
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": {"ai_tools": "1/hour"}}
    AITaskFactory(user=alice, created_at=timezone.now() - timedelta(minutes=61))
    AITaskFactory(user=alice, billed=False)

    assert ledger.submit(user_id=alice.pk, **EXPLAIN).outcome == "created"


def test_a_retry_is_held_to_the_limit_too(alice, settings):
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": {"ai_tools": "1/hour"}}
    failed = AITaskFactory(user=alice, status="failed", **EXPLAIN)

    with pytest.raises(ledger.AILimitReached):
        ledger.retry(task_id=failed.pk, user_id=alice.pk)

    assert list(AITask.objects.all()) == [failed]


def test_an_equal_request_within_the_hour_is_answered_from_the_result(alice):
    first = ledger.submit(user_id=alice.pk, **EXPLAIN).task
    ledger.succeed(ledger.claim(first.pk), ANSWER)

    again = ledger.submit(user_id=alice.pk, **EXPLAIN)

    assert again.outcome == "cached"
    assert again.task.pk != first.pk
    row = AITask.objects.get(pk=again.task.pk)
    assert (row.status, row.cached, row.billed, row.result) == ("succeeded", True, False, ANSWER.result)
    assert Notification.objects.count() == 1  # the first task's: who has the answer already needs no news of it


def test_the_latest_result_is_given(alice):
    request_hash = ledger.submit(user_id=alice.pk, **EXPLAIN).task.request_hash
    AITask.objects.all().delete()
    for minutes in (50, 10, 30):
        AITaskFactory(
            user=alice,
            **EXPLAIN,
            status="succeeded",
            request_hash=request_hash,
            result={"content": f"{minutes} minutes ago"},
            finished_at=timezone.now() - timedelta(minutes=minutes),
        )

    assert ledger.submit(user_id=alice.pk, **EXPLAIN).task.result == {"content": "10 minutes ago"}


def test_an_equal_unfinished_request_is_joined_although_there_is_an_older_result(alice):
    first = ledger.submit(user_id=alice.pk, **EXPLAIN).task
    fingerprint = first.fingerprint
    ledger.succeed(ledger.claim(first.pk), ANSWER)
    second = AITaskFactory(user=alice, **EXPLAIN, fingerprint=fingerprint)

    again = ledger.submit(user_id=alice.pk, **EXPLAIN)

    assert (again.outcome, again.task) == ("coalesced", second)


def test_a_result_older_than_an_hour_is_not_reused(alice):
    first = ledger.submit(user_id=alice.pk, **EXPLAIN).task
    ledger.succeed(ledger.claim(first.pk), ANSWER)
    AITask.objects.filter(pk=first.pk).update(finished_at=timezone.now() - timedelta(minutes=61))

    assert ledger.submit(user_id=alice.pk, **EXPLAIN).outcome == "created"


@pytest.mark.parametrize("topic_of", ["charlie", "nobody"])
def test_a_topic_that_is_not_ones_own_is_not_found(alice, charlie, topic_of):
    foreign = TopicFactory(chapter__note__user=charlie).pk if topic_of == "charlie" else 2**62

    with pytest.raises(ledger.submission.NotFound):
        ledger.submit(user_id=alice.pk, topic_id=foreign, **EXPLAIN)

    assert not AITask.objects.exists()


def test_delay_records_a_request_once_and_never_for_another_user(alice, charlie):
    task_id = uuid.uuid4()
    for _ in range(2):
        ledger.accept(task_id=task_id, user_id=alice.pk, **EXPLAIN)

    with pytest.raises(ledger.submission.NotFound):
        ledger.accept(task_id=task_id, user_id=charlie.pk, **EXPLAIN)

    assert AITask.objects.get().user == alice
