"""What workers call. Every write names the attempt that it comes from; one that has been overtaken changes nothing."""

import random
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Case, F, Value, When
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from ai_tasks.ledger.announcing import announce_end, tell_user
from ai_tasks.ledger.submission import apply_answer, done_message
from ai_tasks.models import PROGRESS_DONE, AITask
from ai_tasks.providers import configured_provider
from ai_tasks.providers.base import Usage
from ai_tasks.runner import Answer
from utils.caching import changing_pages_of

LEASE = timedelta(seconds=settings.AI_LEASE_SECONDS)
MAX_LOST_LEASES = 3
MAX_PROVIDER_FAILURES = 5
FIRST_BACKOFF_SECONDS = 2.0
MAX_BACKOFF_SECONDS = 300.0
MAX_RETRY_AFTER_SECONDS = 3600.0

_S = AITask.Status
WORKER_LOST = "worker_lost"


class FenceLost(Exception):
    """The attempt no longer counts: its lease expired and another worker claimed the task, or the task has ended."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A claimed task, with everything that running it needs. ``number`` is the fence."""

    task_id: UUID
    number: int
    user_id: int
    request_type: str
    request_data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """How far an attempt is: a percentage that never falls, and a message for its user."""

    percent: int
    message: str


STARTING = Step(0, "Starting")


def claim(task_id: UUID) -> Attempt | None:
    """Take a task for one lease, or None if there is nothing to take: it is gone, finished, not due or taken.

    A task whose lease expired for the third time is failed instead: it may be what kills its workers.
    """
    with transaction.atomic():
        claimed = (
            AITask.objects.claimable()
            .filter(pk=task_id)
            .exclude(status=_S.RUNNING, lost_leases__gte=MAX_LOST_LEASES - 1)
            .update(
                # Running, and claimable all the same: its lease has expired.
                lost_leases=F("lost_leases") + Case(When(status=_S.RUNNING, then=1), default=0),
                status=_S.RUNNING,
                attempt=F("attempt") + 1,
                lease_expires_at=Now() + LEASE,
                next_attempt_at=None,
                started_at=Coalesce("started_at", Now()),
                progress=STARTING.percent,
                message=STARTING.message,
                updated_at=Now(),
            )
        )
        if not claimed:
            fail_poisoned([task_id])
            return None
        task = AITask.objects.get(pk=task_id)
    return Attempt(task.pk, task.attempt, task.user_id, task.request_type, task.request_data)


def heartbeat(held: Mapping[tuple[UUID, int], Step]) -> dict[tuple[UUID, int], str]:
    """Renew the leases of these (task, attempt) pairs and record how far each is, in one statement.

    Returns the status of each pair that still counts; one that does not come back has lost its fence.
    """
    if not held:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE ai_tasks_aitask AS task SET
                lease_expires_at = now() + make_interval(secs => %s),
                progress = greatest(task.progress, held.percent),
                message = CASE WHEN task.status = 'running' AND held.percent >= task.progress
                    THEN held.message ELSE task.message END,
                updated_at = CASE WHEN held.percent > task.progress THEN now() ELSE task.updated_at END
            FROM unnest(%s::uuid[], %s::int[], %s::int[], %s::text[]) AS held (id, attempt, percent, message)
            WHERE task.id = held.id AND task.attempt = held.attempt AND task.status IN ('running', 'cancelling')
            RETURNING task.id, task.attempt, task.status
            """,
            [
                LEASE.total_seconds(),
                [task_id for task_id, _ in held],
                [attempt for _, attempt in held],
                [step.percent for step in held.values()],
                [step.message for step in held.values()],
            ],
        )
        return {(task_id, attempt): status for task_id, attempt, status in cursor.fetchall()}


def succeed(attempt: Attempt, answer: Answer) -> AITask:
    """Record the answer, write it to the topic if that was asked for, and the notification: all in one transaction.

    A task that its user is cancelling is cancelled instead. Raises ``FenceLost``, with nothing recorded.
    """
    try:
        with changing_pages_of(attempt.user_id):
            task = AITask.objects.held(attempt.task_id, attempt.number).filter(status=_S.RUNNING).first()
            if task is None:
                return stop_cancelled(attempt)
            applied = False
            if task.apply:
                # The note is locked before the task's row, in the order in which deleting a note locks them.
                task.result, task.applicable = dict(answer.result), answer.applicable
                applied = apply_answer(attempt.user_id, task.topic_id, task.source_hash, task)
            return _end(
                attempt,
                _S.SUCCEEDED,
                progress=PROGRESS_DONE,
                message=done_message(task, applied=applied),
                result=answer.result,
                applicable=answer.applicable,
                **_spent(answer, provider=answer.provider),
                applied_at=Now() if applied else None,
            )
    except FenceLost:
        # Nothing was written. If it was the user's cancel that came first, it is confirmed.
        return stop_cancelled(attempt)


def fail(attempt: Attempt, *, code: str, detail: str, usage: Usage | None = None) -> AITask:
    """Record that there will be no answer, what the call took, and the notification. Raises ``FenceLost``."""
    with transaction.atomic():
        return _end(attempt, _S.FAILED, error_code=code, error_detail=detail, message=detail, **_spent(usage))


def _spent(usage: Usage | None, *, provider: str = "") -> dict[str, Any]:
    """The changes that add what a call took to what the task's earlier ones did."""
    if usage is None:
        return {}
    changes: dict[str, Any] = {
        "provider": provider or configured_provider(),
        "model": usage.model,
        "input_tokens": F("input_tokens") + usage.input_tokens,
        "output_tokens": F("output_tokens") + usage.output_tokens,
    }
    return {**changes, "usage_estimated": True} if usage.usage_estimated else changes


def _end(attempt: Attempt, status: AITask.Status, **changes: Any) -> AITask:
    held = AITask.objects.held(attempt.task_id, attempt.number)
    ended = held.filter(status=_S.RUNNING).update(
        status=status, lease_expires_at=None, finished_at=Now(), updated_at=Now(), **changes
    )
    if not ended:
        if changes.get("applied_at") is not None:
            raise FenceLost  # takes back the text that was written to the topic
        return stop_cancelled(attempt)
    task = held.get()
    tell_user(task)
    announce_end(task)
    return task


def stop_cancelled(attempt: Attempt) -> AITask:
    """Confirm a cancel. Raises ``FenceLost`` if there is none to confirm."""
    with transaction.atomic():
        held = AITask.objects.held(attempt.task_id, attempt.number)
        if not _confirm_cancel(held):
            raise FenceLost
        task = held.get()
        announce_end(task)
    return task


def _confirm_cancel(tasks: Any) -> int:
    return tasks.filter(status=_S.CANCELLING).update(
        status=_S.CANCELLED, message="Cancelled", lease_expires_at=None, finished_at=Now(), updated_at=Now()
    )


def wait_for_provider(
    attempt: Attempt, *, code: str, detail: str, retry_after: float | None, usage: Usage | None = None
) -> AITask.Status:
    """Put the task off after a failure of the provider that may pass; the fifth one fails it.

    ``retry_after`` is the provider's own word, in seconds; ``usage`` what the call took. Raises ``FenceLost``.
    """
    with transaction.atomic():
        held = AITask.objects.held(attempt.task_id, attempt.number)
        failures = held.values_list("provider_failures", flat=True).first()
        if failures is None:
            raise FenceLost
        if failures + 1 >= MAX_PROVIDER_FAILURES:
            last = {"error_code": code, "error_detail": detail, "message": detail, "provider_failures": failures + 1}
            return AITask.Status(_end(attempt, _S.FAILED, **last, **_spent(usage)).status)
        waits = held.filter(status=_S.RUNNING).update(
            status=_S.WAITING_PROVIDER,
            provider_failures=F("provider_failures") + 1,
            next_attempt_at=timezone.now() + timedelta(seconds=backoff_seconds(failures, retry_after)),
            published_at=None,
            lease_expires_at=None,
            message="The AI provider is busy; trying again soon",
            updated_at=Now(),
            **_spent(usage),
        )
        return _S.WAITING_PROVIDER if waits else AITask.Status(stop_cancelled(attempt).status)


def backoff_seconds(failures: int, retry_after: float | None) -> float:
    """Twice as long after each failure, with jitter so that tasks do not come back as a herd; never before the
    provider wants to see us, if that is within the hour."""
    backoff = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2**failures)
    return max(min(retry_after or 0.0, MAX_RETRY_AFTER_SECONDS), backoff * random.uniform(0.5, 1.0))


def release(held: Iterable[Attempt]) -> int:
    """Give tasks back that a stopping worker cannot finish: another one takes them at once. Returns how many."""
    return sum(_release(attempt) for attempt in held)


def _release(attempt: Attempt) -> int:
    return (
        AITask.objects.held(attempt.task_id, attempt.number)
        .filter(status=_S.RUNNING)
        .update(
            status=_S.QUEUED,
            lease_expires_at=None,
            published_at=None,
            message=Value("Waiting for another worker"),
            updated_at=Now(),
        )
    )


def fail_poisoned(task_ids: Collection[UUID]) -> int:
    """Fail those of the tasks whose lease has expired once too often. Returns how many; runs in a transaction."""
    failed = 0
    poisoned = AITask.objects.filter(
        pk__in=task_ids, status=_S.RUNNING, lease_expires_at__lt=Now(), lost_leases__gte=MAX_LOST_LEASES - 1
    )
    for task in poisoned.select_for_update(skip_locked=True, no_key=True).only("pk", "attempt"):
        detail = "The worker was lost several times while it was working on this."
        changed = poisoned.filter(pk=task.pk, attempt=task.attempt).update(
            status=_S.FAILED,
            error_code=WORKER_LOST,
            error_detail=detail,
            message=detail,
            lost_leases=F("lost_leases") + 1,
            lease_expires_at=None,
            finished_at=Now(),
            updated_at=Now(),
        )
        if changed:
            row = AITask.objects.get(pk=task.pk)
            tell_user(row)
            announce_end(row)
            failed += 1
    return failed
