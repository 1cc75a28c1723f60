"""The ledger: each transition happens once, to the right state, or not at all."""

import uuid
from datetime import timedelta
from itertools import chain

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from ai_tasks import ledger
from ai_tasks.ledger.attempts import MAX_LOST_LEASES, MAX_PROVIDER_FAILURES, backoff_seconds
from ai_tasks.models import AITask
from ai_tasks.runner import Answer
from notes.models import NoteVersion
from notifications.models import Notification
from tests.ai_tasks.conftest import in_threads
from tests.factories import AITaskFactory, ChapterFactory, NoteFactory, TopicFactory

ANSWER = Answer(
    result={"content": "A loop repeats.", "code": "", "code_language": "", "sources": [], "notice": None},
    provider="offline",
    model=None,
    input_tokens=3,
    output_tokens=5,
    usage_estimated=False,
)
EXPLAIN = {"request_type": "generate_explanation", "request_data": {"topic": "Python loops"}}


@pytest.fixture
def published(monkeypatch):
    """The ids of the messages that the broker would have taken."""
    taken: list[str] = []

    def publish(task_name, *args):
        taken.append(args[0])
        return True

    monkeypatch.setattr("ai_tasks.ledger.announcing.publish", publish)
    monkeypatch.setattr("ai_tasks.ledger.sweeping.publish", publish)
    return taken


def expire_lease(task):
    AITask.objects.filter(pk=task.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))


# --- submit -----------------------------------------------------------------------------------------------------------


def test_a_submitted_request_is_queued_and_published_after_the_commit(
    alice, published, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        submission = ledger.submit(user_id=alice.pk, **EXPLAIN)
        assert published == []

    assert submission.outcome == "created"
    task = AITask.objects.get()
    assert (task.status, task.progress, task.attempt) == ("queued", 0, 0)
    assert task.request_data["topic"] == "Python loops"
    assert published == [str(task.pk)]


def test_an_equal_request_joins_the_unfinished_one(alice, published):
    first = ledger.submit(user_id=alice.pk, **EXPLAIN)
    second = ledger.submit(user_id=alice.pk, **EXPLAIN)

    assert (second.outcome, second.task.pk) == ("coalesced", first.task.pk)
    assert AITask.objects.count() == 1


def test_requests_that_may_not_coalesce_are_tasks_of_their_own(alice, published):
    for _ in range(2):
        assert ledger.submit(user_id=alice.pk, may_coalesce=False, **EXPLAIN).outcome == "created"

    assert AITask.objects.filter(fingerprint=None).count() == 2


def test_a_strangers_equal_request_is_his_own(alice, charlie, published):
    ledger.submit(user_id=alice.pk, **EXPLAIN)

    assert ledger.submit(user_id=charlie.pk, **EXPLAIN).outcome == "created"


@pytest.mark.django_db(transaction=True)
def test_a_hundred_parallel_equal_requests_are_one_task(alice, published):
    outcomes = in_threads(12, lambda _: [ledger.submit(user_id=alice.pk, **EXPLAIN).outcome for _ in range(9)])

    assert AITask.objects.count() == 1
    assert sorted(chain.from_iterable(outcomes)) == ["coalesced"] * 107 + ["created"]


@pytest.mark.django_db(transaction=True)
def test_the_hourly_limit_is_exact_under_concurrency(alice, published):
    def submit(index):
        try:
            ledger.submit(user_id=alice.pk, request_type="summarize", request_data={"content": f"Text {index}. " * 30})
        except ledger.AILimitReached:
            return "refused"
        return "accepted"

    outcomes = in_threads(12, lambda index: [submit(index * 3 + i) for i in range(3)])

    assert sorted(chain.from_iterable(outcomes)) == ["accepted"] * 20 + ["refused"] * 16
    assert AITask.objects.count() == 20


def test_the_limit_says_when_the_next_request_is_free(alice, published, settings):
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": {"ai_tools": "1/hour"}}
    AITaskFactory(user=alice, created_at=timezone.now() - timedelta(minutes=50))

    with pytest.raises(ledger.AILimitReached) as refusal:
        ledger.submit(user_id=alice.pk, **EXPLAIN)

    assert 9 * 60 < int(refusal.value.headers["Retry-After"]) <= 10 * 60 + 1


def test_an_equal_request_within_the_hour_is_answered_from_the_result(alice, published):
    first = ledger.submit(user_id=alice.pk, **EXPLAIN).task
    ledger.succeed(ledger.claim(first.pk), ANSWER)

    again = ledger.submit(user_id=alice.pk, **EXPLAIN)

    assert again.outcome == "cached"
    assert again.task.pk != first.pk
    row = AITask.objects.get(pk=again.task.pk)
    assert (row.status, row.cached, row.billed, row.result) == ("succeeded", True, False, ANSWER.result)
    assert Notification.objects.count() == 1  # the first task's: who has the answer already needs no news of it


def test_a_result_older_than_an_hour_is_asked_for_again(alice, published):
    first = ledger.submit(user_id=alice.pk, **EXPLAIN).task
    ledger.succeed(ledger.claim(first.pk), ANSWER)
    AITask.objects.filter(pk=first.pk).update(finished_at=timezone.now() - timedelta(minutes=61))

    assert ledger.submit(user_id=alice.pk, **EXPLAIN).outcome == "created"


@pytest.mark.parametrize("topic_of", ["charlie", "nobody"])
def test_a_topic_that_is_not_ones_own_is_not_found(alice, charlie, published, topic_of):
    foreign = TopicFactory(chapter__note__user=charlie).pk if topic_of == "charlie" else 2**62

    with pytest.raises(ledger.submission.NotFound):
        ledger.submit(user_id=alice.pk, topic_id=foreign, **EXPLAIN)

    assert not AITask.objects.exists()


def test_delay_records_a_request_once_and_never_for_another_user(alice, charlie, published):
    task_id = uuid.uuid4()
    for _ in range(2):
        ledger.accept(task_id=task_id, user_id=alice.pk, **EXPLAIN)

    with pytest.raises(ledger.submission.NotFound):
        ledger.accept(task_id=task_id, user_id=charlie.pk, **EXPLAIN)

    assert AITask.objects.get().user == alice


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


def test_a_heartbeat_renews_what_counts_and_tells_of_cancels(alice):
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


def test_a_released_task_is_taken_by_another_worker_without_a_lost_lease(alice):
    task = AITaskFactory(user=alice)
    assert ledger.release([ledger.claim(task.pk)]) == 1

    assert ledger.claim(task.pk).number == 2
    task.refresh_from_db()
    assert task.lost_leases == 0


# --- the provider -----------------------------------------------------------------------------------------------------


def test_a_task_waits_for_a_busy_provider_and_is_not_claimed_before_it_is_due(alice):
    task = AITaskFactory(user=alice)

    status = ledger.wait_for_provider(ledger.claim(task.pk), code="provider_busy", detail="Busy.", retry_after=90)

    assert status == "waiting_provider"
    task.refresh_from_db()
    assert task.next_attempt_at >= timezone.now() + timedelta(seconds=85)
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


def test_an_applied_answer_replaces_the_topics_text_and_leaves_a_version(alice, published):
    topic = TopicFactory(chapter=ChapterFactory(note=NoteFactory(user=alice)), explanation="Old.")
    task = ledger.submit(user_id=alice.pk, topic_id=topic.pk, apply=True, **EXPLAIN).task

    ledger.succeed(ledger.claim(task.pk), ANSWER)

    topic.refresh_from_db()
    task.refresh_from_db()
    assert topic.explanation == "A loop repeats."
    assert task.applied_at is not None
    assert [version.reason for version in NoteVersion.objects.all()] == ["ai"]
    assert topic.chapter.note.__class__.objects.get(pk=topic.chapter.note_id).version == 2


def test_an_answer_is_not_applied_over_a_text_that_changed_meanwhile(alice, published):
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
def test_cancel_ends_what_waits_and_asks_what_runs(alice, status, after):
    task = AITaskFactory(user=alice, status=status)

    assert ledger.cancel(task_id=task.pk, user_id=alice.pk).status == after

    task.refresh_from_db()
    assert task.status == after
    assert (task.finished_at is not None) == (after == "cancelled")


@pytest.mark.parametrize("status", AITask.TERMINAL)
def test_what_has_ended_cannot_be_cancelled(alice, status):
    task = AITaskFactory(user=alice, status=status)

    with pytest.raises(ledger.TaskFinished):
        ledger.cancel(task_id=task.pk, user_id=alice.pk)


def test_retry_asks_the_same_as_a_new_task_past_the_cached_result(alice, published):
    first = ledger.submit(user_id=alice.pk, **EXPLAIN).task
    ledger.succeed(ledger.claim(first.pk), ANSWER)

    again = ledger.retry(task_id=first.pk, user_id=alice.pk)

    assert (again.status, again.retry_of_id, again.fingerprint) == ("queued", first.pk, None)
    assert again.request_data == first.request_data


@pytest.mark.parametrize("status", AITask.UNFINISHED)
def test_what_has_not_ended_cannot_be_retried(alice, status):
    task = AITaskFactory(user=alice, status=status)

    with pytest.raises(ledger.TaskUnfinished):
        ledger.retry(task_id=task.pk, user_id=alice.pk)


# --- sweep ------------------------------------------------------------------------------------------------------------


def test_the_sweep_publishes_what_nobody_was_told_about(alice, published):
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

    assert sorted(published) == sorted(str(task.pk) for task in (lost, released, due, dead))
    assert ledger.sweep() == 0


def test_a_broker_that_is_away_multiplies_no_messages(alice, monkeypatch):
    AITaskFactory.create_batch(3, user=alice, published_at=None)
    monkeypatch.setattr("ai_tasks.ledger.sweeping.publish", lambda *args: False)
    assert ledger.sweep() == 0
    assert AITask.objects.filter(published_at=None).count() == 3
    taken: list[str] = []
    monkeypatch.setattr("ai_tasks.ledger.sweeping.publish", lambda name, task_id: bool(taken.append(task_id) or True))

    assert ledger.sweep() == 3
    assert ledger.sweep() == 0
    assert len(taken) == 3


@pytest.mark.parametrize(("waiting", "sent_again"), [(0, 3), (2, 1), (3, 0), (9, 0)])
def test_the_sweep_sends_again_only_what_the_queue_is_short_of(alice, published, monkeypatch, waiting, sent_again):
    long_ago = timezone.now() - timedelta(minutes=2)
    tasks = [AITaskFactory(user=alice, published_at=long_ago + timedelta(seconds=second)) for second in range(3)]
    monkeypatch.setattr("ai_tasks.ledger.sweeping.messages_waiting", lambda name: waiting)

    assert ledger.sweep() == sent_again

    assert published == [str(task.pk) for task in tasks[:sent_again]]


def test_a_sweep_without_a_broker_changes_nothing(alice, published, monkeypatch):
    AITaskFactory(user=alice, published_at=None)
    monkeypatch.setattr("ai_tasks.ledger.sweeping.messages_waiting", lambda name: None)

    assert (ledger.sweep(), published) == (0, [])


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
        lease_expires_at=timezone.now() - timedelta(seconds=1),
    )

    ledger.sweep()

    assert AITask.objects.get().error_code == "worker_lost"
