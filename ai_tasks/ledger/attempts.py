"""Claim, renew and end attempts. Every write names its attempt; the write of an outdated attempt changes nothing.

Each end of an attempt settles the money that was reserved for it: at what the provider counted, at nothing if the call
was free, at the whole reservation if the cost is unknown. So reservations and spending together stay within a budget,
however attempts end. Another attempt after one that was paid for reserves again.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Case, F, Q, QuerySet, When
from django.db.models.functions import Coalesce, Now

from ai_tasks.answering import Answer
from ai_tasks.ledger.announcing import announce_end, log_transition
from ai_tasks.ledger.applying import ApplyOutcome, apply_answer
from ai_tasks.ledger.requests import reservation_for
from ai_tasks.models import PROGRESS_DONE, AITask
from ai_tasks.money import ZERO
from ai_tasks.providers import OPENAI_COMPATIBLE, configured_provider
from ai_tasks.providers.base import Usage
from ai_tasks.spending import AIBudgetReached, check_limits
from utils.page_cache.invalidation import changing_pages_of

LEASE = timedelta(seconds=settings.AI_LEASE_SECONDS)
MAX_LOST_LEASES = 3

_S = AITask.Status
WORKER_LOST = "worker_lost"


class FenceLost(Exception):
    """The attempt is outdated: its lease expired and another worker claimed the task, or the task has ended."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A claimed task, with all that is needed to run it. ``number`` is the fence."""

    task_id: UUID
    number: int
    user_id: int
    request_type: str
    request_data: dict[str, Any]
    topic_id: int | None = None

    def held(self) -> QuerySet[AITask]:
        """The task's row, if this is still its current attempt."""
        return AITask.objects.filter(pk=self.task_id, attempt=self.number)


@dataclass(frozen=True, slots=True)
class Step:
    """The progress of an attempt: a percentage that never falls, and a message for the user."""

    percent: int
    message: str


STARTING = Step(0, "Starting")


def claim(task_id: UUID) -> Attempt | None:
    """Claim a task for one lease; None if it cannot be claimed: it is deleted, finished, not due or already claimed.

    A task whose lease expired for the third time is failed instead, as it may crash its workers. So is a task whose
    earlier attempts used up its reservation, if the budget has no room for another one.
    """
    with transaction.atomic():
        claimed = (
            AITask.objects.claimable()
            .filter(pk=task_id)
            .exclude(status=_S.RUNNING, lost_leases__gte=MAX_LOST_LEASES - 1)
            .update(
                # A running task is claimable only if its lease has expired.
                lost_leases=F("lost_leases") + Case(When(status=_S.RUNNING, then=1), default=0),
                status=_S.RUNNING,
                attempt=F("attempt") + 1,
                lease_expires_at=Now() + LEASE,
                next_attempt_at=None,
                started_at=Coalesce("started_at", Now()),
                progress=STARTING.percent,
                message=STARTING.message,
                updated_at=Now(),
                **settled_at_the_reservation(of=Q(status=_S.RUNNING)),  # the lost worker's cost is unknown
            )
        )
        if not claimed:
            fail_poisoned([task_id])
            return None
        task = AITask.objects.get(pk=task_id)
        log_transition(
            task_id,
            user_id=task.user_id,
            attempt=task.attempt,
            status=_S.RUNNING.value,
            request_type=task.request_type,
            lost_leases=task.lost_leases,
        )
    attempt = Attempt(task.pk, task.attempt, task.user_id, task.request_type, task.request_data, task.topic_id)
    try:
        _reserve_again(task)
    except AIBudgetReached as error:
        fail(attempt, code=error.code, detail=error.detail)
        return None
    return attempt


def _reserve_again(task: AITask) -> None:
    """Reserve for an attempt of a running task that has no reservation left. Raises ``AIBudgetReached``."""
    if task.reserved:
        return
    amount = reservation_for(task.request_type, task.request_data)
    if not amount:
        return
    with transaction.atomic():
        running = AITask.objects.filter(pk=task.pk, attempt=task.attempt, status=_S.RUNNING)
        if running.update(reserved=amount):
            check_limits(task.user_id, task.created_at)


def heartbeat(held: Mapping[tuple[UUID, int], Step]) -> dict[tuple[UUID, int], str]:
    """Renew the leases of these (task, attempt) pairs and record their progress, in one statement.

    Returns the status of each pair that still holds its task; a missing pair has lost its fence. The statement waits
    for no lock: a row that another transaction has locked is renewed by the next heartbeat. So it delays no other
    lease, and cannot deadlock with a deletion that clears the topic of many tasks.
    """
    if not held:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH held AS (
                SELECT * FROM unnest(%s::uuid[], %s::int[], %s::int[], %s::text[]) AS _ (id, attempt, percent, message)
            ), free AS (
                SELECT task.id FROM ai_tasks_aitask AS task JOIN held USING (id, attempt)
                WHERE task.status IN ('running', 'cancelling') FOR NO KEY UPDATE OF task SKIP LOCKED
            ), renewed AS (
                UPDATE ai_tasks_aitask AS task SET
                    lease_expires_at = now() + make_interval(secs => %s),
                    progress = greatest(task.progress, held.percent),
                    message = CASE WHEN task.status = 'running' AND held.percent >= task.progress
                        THEN held.message ELSE task.message END,
                    updated_at = CASE WHEN held.percent > task.progress THEN now() ELSE task.updated_at END
                FROM held JOIN free USING (id)
                WHERE task.id = held.id AND task.attempt = held.attempt
            )
            SELECT task.id, task.attempt, task.status FROM ai_tasks_aitask AS task JOIN held USING (id, attempt)
            WHERE task.status IN ('running', 'cancelling')
            """,
            [
                [task_id for task_id, _ in held],
                [attempt for _, attempt in held],
                [step.percent for step in held.values()],
                [step.message for step in held.values()],
                LEASE.total_seconds(),
            ],
        )
        return {(task_id, attempt): status for task_id, attempt, status in cursor.fetchall()}


def succeed(attempt: Attempt, answer: Answer, *, may_apply: bool = True) -> AITask:
    """Record the answer and the notification, and write or propose it if requested: all in one transaction.

    Without ``may_apply`` the answer is only kept, and the message says that it could not be written. A task that its
    user is cancelling is cancelled instead. Raises ``FenceLost``; nothing is recorded then.
    """
    try:
        with changing_pages_of(attempt.user_id):
            task = attempt.held().filter(status=_S.RUNNING).first()
            if task is None:
                return stop_cancelled(attempt)
            # The note is locked before the task's row, in the same order as when a note is deleted.
            task.result, task.applicable = {**answer.result}, answer.applicable
            outcome = apply_answer(task, may_write=may_apply)
            return end(
                attempt,
                _S.SUCCEEDED,
                progress=PROGRESS_DONE,
                message=outcome.value,
                result=task.result,
                applicable=answer.applicable,
                **usage_changes(answer, provider=answer.provider),
                # The hash is of the primary model: an answer of a fallback is never reused.
                **({} if answer.asked in ("", OPENAI_COMPATIBLE) else {"request_hash": ""}),
                applied_at=Now() if outcome is ApplyOutcome.APPLIED else None,
            )
    except FenceLost:
        # Nothing was written. If the user cancelled the task meanwhile, confirm the cancel.
        return stop_cancelled(attempt)


def fail(
    attempt: Attempt,
    *,
    code: str,
    detail: str,
    usage: Usage | None = None,
    result: Mapping[str, Any] | None = None,
    was_free: bool = True,
) -> AITask:
    """Record the failure, the call's usage and the notification. Raises ``FenceLost``.

    ``result`` is an incomplete answer: it is shown, but never applied and never reused. Without a ``usage`` the attempt
    cost nothing if ``was_free``, else its whole reservation.
    """
    changes = {} if result is None else {"result": result}
    with transaction.atomic():
        return end(
            attempt,
            _S.FAILED,
            error_code=code,
            error_detail=detail,
            message=detail,
            applicable=False,
            **changes,
            **usage_changes(usage, was_free=was_free),
        )


def usage_changes(usage: Usage | None, *, provider: str = "", was_free: bool = True) -> dict[str, Any]:
    """The changes of the row that add a call's usage to that of the task's earlier calls."""
    if usage is None:
        return settled(None) if was_free else settled_at_the_reservation()
    changes: dict[str, Any] = {
        **settled(usage.cost),
        "provider": provider or usage.asked or configured_provider(),
        "model": usage.model,
        "input_tokens": F("input_tokens") + usage.input_tokens,
        "output_tokens": F("output_tokens") + usage.output_tokens,
    }
    return {**changes, "usage_estimated": True} if usage.usage_estimated else changes


def settled(cost: Decimal | None) -> dict[str, Any]:
    """The changes of a row that end a reservation; ``cost`` is None if no model with a price was asked."""
    return {"reserved": ZERO} if cost is None else {"reserved": ZERO, "cost": Coalesce("cost", ZERO) + cost}


def settled_at_the_reservation(*, of: Q | None = None) -> dict[str, Any]:
    """The changes of rows whose attempt has an unknown cost; ``of`` limits them to matching rows."""
    unknown = Q(reserved__gt=ZERO) if of is None else Q(of, reserved__gt=ZERO)
    return {
        "cost": Case(When(unknown, then=Coalesce("cost", ZERO) + F("reserved")), default=F("cost")),
        "reserved": Case(When(unknown, then=ZERO), default=F("reserved")),
    }


def end(attempt: Attempt, status: AITask.Status, **changes: Any) -> AITask:
    """End a running task, or confirm its user's cancel. Raises ``FenceLost``. Runs in the caller's transaction."""
    held = attempt.held()
    ended = held.filter(status=_S.RUNNING).update(
        status=status, lease_expires_at=None, finished_at=Now(), updated_at=Now(), **changes
    )
    if not ended:
        if status is _S.SUCCEEDED:
            raise FenceLost  # rolls back what was written with the answer
        return stop_cancelled(attempt)
    task = held.get()
    announce_end(task)
    return task


def stop_cancelled(attempt: Attempt) -> AITask:
    """Confirm a cancel. Raises ``FenceLost`` if there is none to confirm."""
    with transaction.atomic():
        held = attempt.held()
        if not confirm_cancel(held):
            raise FenceLost
        task = held.get()
        announce_end(task)
    return task


def confirm_cancel(tasks: QuerySet[AITask]) -> int:
    """Cancel those of the tasks that are being cancelled. Returns how many. The caller announces their end."""
    return tasks.filter(status=_S.CANCELLING).update(
        status=_S.CANCELLED,
        message="Cancelled",
        lease_expires_at=None,
        finished_at=Now(),
        updated_at=Now(),
        **settled_at_the_reservation(),
    )


def fail_poisoned(task_ids: Collection[UUID]) -> int:
    """Fail those of the tasks whose lease has expired ``MAX_LOST_LEASES`` times. Returns how many.

    Runs in the caller's transaction.
    """
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
            **settled_at_the_reservation(),
        )
        if changed:
            announce_end(AITask.objects.get(pk=task.pk))
            failed += 1
    return failed
