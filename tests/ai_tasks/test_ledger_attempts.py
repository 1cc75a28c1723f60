"""The ledger's side of workers: each transition happens once, to the right state, or not at all."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from ai_tasks import ledger
from ai_tasks.ledger.attempts import MAX_LOST_LEASES
from ai_tasks.ledger.waiting import MAX_PROVIDER_FAILURES, backoff_seconds
from ai_tasks.models import AITask
from notes.models import NoteVersion
from notifications.models import Notification
from tests.ai_tasks.conftest import in_threads
from tests.ai_tasks.ledger_helpers import ANSWER, EXPLAIN, expire_lease
from tests.factories import AITaskFactory, ChapterFactory, NoteFactory, TopicFactory
from tests.processes import wait_until

# --- claim, heartbeat, release ----------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_many_claims_one_wins(alice):
    task = AITaskFactory(user=alice)

    attempts = in_threads(8, lambda _: ledger.claim(task.pk))

    assert [attempt.number for attempt in attempts if attempt] == [1]


def test_an_expired_lease_is_claimed_with_a_higher_fence(alice):
    task = AITaskFactory(user=alice)
    first = ledger.claim(task.pk)
    assert ledger.claim(task.pk) is None
    expire_lease(task)

    second = ledger.claim(task.pk)

    task.refresh_from_db()
    assert (first.number, second.number, task.lost_leases) == (1, 2, 1)


def test_an_overtaken_attempt_changes_nothing(alice):
    task = AITaskFactory(user=alice)
    overtaken = ledger.claim(task.pk)
    expire_lease(task)
    ledger.claim(task.pk)

    for write in (
        lambda: ledger.succeed(overtaken, ANSWER),
        lambda: ledger.fail(overtaken, code="x", detail="x"),
        lambda: ledger.wait_for_provider(overtaken, code="x", detail="x", retry_after=None),
        lambda: ledger.stop_cancelled(overtaken),
    ):
        with pytest.raises(ledger.FenceLost):
            write()
    assert ledger.release([overtaken]) == 0

    task.refresh_from_db()
    assert (task.status, task.attempt, task.result) == ("running", 2, None)
    assert not Notification.objects.exists()


def test_a_task_that_keeps_losing_its_worker_is_failed_with_a_notification(alice):
    task = AITaskFactory(user=alice)
    for _ in range(MAX_LOST_LEASES):
        assert ledger.claim(task.pk) is not None
        expire_lease(task)

    assert ledger.claim(task.pk) is None

    task.refresh_from_db()
    assert (task.status, task.error_code, task.attempt) == ("failed", "worker_lost", MAX_LOST_LEASES)
    assert Notification.objects.get().type == "error"


def test_a_heartbeat_renews_current_attempts_and_returns_cancels(alice):
    running, cancelling, overtaken = AITaskFactory.create_batch(3, user=alice)
    held = {(task.pk, ledger.claim(task.pk).number): ledger.STARTING for task in (running, cancelling, overtaken)}
    ledger.cancel(task_id=cancelling.pk, user_id=alice.pk)
    AITask.objects.filter(pk=overtaken.pk).update(attempt=2)
    expire_lease(running)

    statuses = ledger.heartbeat(held)

    assert statuses == {(running.pk, 1): "running", (cancelling.pk, 1): "cancelling"}
    running.refresh_from_db()
    assert running.lease_expires_at > timezone.now()


def test_a_heartbeat_records_how_far_an_attempt_is_and_never_takes_it_back(alice):
    task, cancelling = AITaskFactory.create_batch(2, user=alice)
    keys = [(each.pk, ledger.claim(each.pk).number) for each in (task, cancelling)]
    ledger.heartbeat(dict.fromkeys(keys, ledger.Step(40, "Writing the answer")))
    ledger.cancel(task_id=cancelling.pk, user_id=alice.pk)

    ledger.heartbeat(dict.fromkeys(keys, ledger.Step(30, "A message that came late")))

    task.refresh_from_db()
    cancelling.refresh_from_db()
    assert (task.progress, task.message) == (40, "Writing the answer")
    assert (cancelling.progress, cancelling.message) == (40, "Cancelling")


@pytest.mark.django_db(transaction=True)
def test_a_heartbeat_waits_for_no_row_and_takes_no_locked_one_for_lost(alice):
    free, locked = AITaskFactory.create_batch(2, user=alice)
    held = {(task.pk, ledger.claim(task.pk).number): ledger.STARTING for task in (free, locked)}
    for task in (free, locked):
        expire_lease(task)

    with transaction.atomic():
        AITask.objects.filter(pk=locked.pk).update(topic_id=None)  # not committed
        (statuses,) = in_threads(1, lambda _: ledger.heartbeat(held))

    assert statuses == dict.fromkeys(held, "running")
    renewed = AITask.objects.filter(lease_expires_at__gt=timezone.now())
    assert [task.pk for task in renewed] == [free.pk]
    ledger.heartbeat(held)
    assert renewed.all().count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_heartbeat_and_a_deletion_that_lock_the_same_rows_in_other_orders_do_not_deadlock(alice):
    """A deletion of notes clears the topics of their tasks in the order of the disk, or of an index."""
    first, last = AITaskFactory.create_batch(2, user=alice)
    held = {(task.pk, ledger.claim(task.pk).number): ledger.STARTING for task in (first, last)}

    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic():
            AITask.objects.filter(pk=last.pk).update(topic_id=None)
            beat = thread.submit(in_threads, 1, lambda _: ledger.heartbeat(held))
            wait_until(lambda: beat.done() or waits_for_a_lock())
            AITask.objects.filter(pk=first.pk).update(topic_id=None)  # a deadlock, if the heartbeat has this one
        assert beat.result(60) == [dict.fromkeys(held, "running")]


def waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        cursor.execute(waiting)
        return cursor.fetchone()[0] > 0


def test_a_released_task_is_taken_by_another_worker_without_a_lost_lease(alice):
    task = AITaskFactory(user=alice)
    assert ledger.release([ledger.claim(task.pk)]) == 1

    assert ledger.claim(task.pk).number == 2
    task.refresh_from_db()
    assert task.lost_leases == 0


# --- the provider -----------------------------------------------------------------------------------------------------


def test_a_task_waits_for_a_busy_provider_and_is_not_claimed_before_it_is_due(alice):
    task = AITaskFactory(user=alice)
    before = timezone.now()

    status = ledger.wait_for_provider(ledger.claim(task.pk), code="provider_busy", detail="Busy.", retry_after=90)

    assert status == "waiting_provider"
    task.refresh_from_db()
    assert task.next_attempt_at >= before + timedelta(seconds=90)
    assert task.published_at is None
    assert ledger.claim(task.pk) is None
    AITask.objects.filter(pk=task.pk).update(next_attempt_at=timezone.now())
    assert ledger.claim(task.pk).number == 2


def test_the_fifth_failure_of_the_provider_fails_the_task(alice):
    task = AITaskFactory(user=alice)
    for _ in range(MAX_PROVIDER_FAILURES):
        ledger.wait_for_provider(ledger.claim(task.pk), code="provider_busy", detail="Busy.", retry_after=None)
        AITask.objects.filter(pk=task.pk, status="waiting_provider").update(next_attempt_at=timezone.now())

    task.refresh_from_db()
    assert (task.status, task.error_code, task.attempt) == ("failed", "provider_busy", MAX_PROVIDER_FAILURES)
    assert Notification.objects.count() == 1


@pytest.mark.parametrize(("failures", "low", "high"), [(0, 1, 2), (1, 2, 4), (3, 8, 16), (30, 150, 300)])
def test_backoff_doubles_with_jitter_up_to_a_bound(failures, low, high):
    assert all(low <= backoff_seconds(failures, None) <= high for _ in range(100))


def test_the_providers_own_word_is_honoured_within_reason():
    assert backoff_seconds(0, 60.0) == 60.0
    assert backoff_seconds(0, 1800.0) == 1800.0
    assert backoff_seconds(0, 86_400.0) == 3600.0


# --- finish -----------------------------------------------------------------------------------------------------------


def test_a_success_is_recorded_with_usage_and_one_notification(alice):
    task = AITaskFactory(user=alice)

    ledger.succeed(ledger.claim(task.pk), ANSWER)

    task.refresh_from_db()
    assert (task.status, task.progress, task.result) == ("succeeded", 100, ANSWER.result)
    assert (task.input_tokens, task.output_tokens, task.provider) == (3, 5, "offline")
    assert task.finished_at is not None
    notification = Notification.objects.get()
    assert (notification.user, notification.type, notification.action_id) == (alice, "success", str(task.pk))


def test_an_applied_answer_replaces_the_topics_text_and_leaves_a_version(alice):
    topic = TopicFactory(chapter=ChapterFactory(note=NoteFactory(user=alice)), explanation="Old.")
    task = ledger.submit(user_id=alice.pk, topic_id=topic.pk, apply=True, **EXPLAIN).task

    ledger.succeed(ledger.claim(task.pk), ANSWER)

    topic.refresh_from_db()
    task.refresh_from_db()
    assert topic.explanation == "A loop repeats."
    assert task.applied_at is not None
    assert [version.reason for version in NoteVersion.objects.all()] == ["ai"]
    assert topic.chapter.note.__class__.objects.get(pk=topic.chapter.note_id).version == 2


def test_an_answer_is_not_applied_over_a_text_that_changed_meanwhile(alice):
    topic = TopicFactory(chapter=ChapterFactory(note=NoteFactory(user=alice)), explanation="Old.")
    task = ledger.submit(user_id=alice.pk, topic_id=topic.pk, apply=True, **EXPLAIN).task
    attempt = ledger.claim(task.pk)
    type(topic).objects.filter(pk=topic.pk).update(explanation="Newer.")

    ledger.succeed(attempt, ANSWER)

    topic.refresh_from_db()
    task.refresh_from_db()
    assert topic.explanation == "Newer."
    assert (task.status, task.applied_at, task.result) == ("succeeded", None, ANSWER.result)
    assert "changed meanwhile" in task.message


def test_a_cancel_that_comes_before_the_answer_wins(alice):
    task = AITaskFactory(user=alice)
    attempt = ledger.claim(task.pk)
    ledger.cancel(task_id=task.pk, user_id=alice.pk)

    ledger.succeed(attempt, ANSWER)

    task.refresh_from_db()
    assert (task.status, task.result) == ("cancelled", None)
    assert not Notification.objects.exists()


@pytest.mark.parametrize("terminal", AITask.TERMINAL)
def test_the_database_itself_keeps_a_terminal_state(alice, terminal):
    task = AITaskFactory(user=alice, status=terminal)

    for status in set(AITask.Status) - {terminal}:
        with (
            pytest.raises(IntegrityError, match=f"is {terminal} and cannot become {status}"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute("UPDATE ai_tasks_aitask SET status = %s WHERE id = %s", [status, task.pk])

    AITask.objects.filter(pk=task.pk).update(status=terminal, message="The rest may change")
    task.refresh_from_db()
    assert (task.status, task.message) == (terminal, "The rest may change")
