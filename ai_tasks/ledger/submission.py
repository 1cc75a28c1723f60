"""A request becomes a task. Once its row is committed, it is certain to reach a terminal state."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet, Value
from django.utils import timezone

from ai_tasks.ledger.announcing import PROCESS_TASK, announce_end, log_transition
from ai_tasks.ledger.applying import ApplyOutcome, apply_answer
from ai_tasks.ledger.requests import Apply, ValidRequest, validated
from ai_tasks.models import PROGRESS_DONE, AITask
from ai_tasks.money import ZERO
from ai_tasks.spending import check_limits
from utils.admission.throttling import Limit, limits_of
from utils.database.compiled_queries import Row, read_rows
from utils.http.errors import Conflict, NotFound, TooManyRequests
from utils.page_cache.invalidation import changing_pages_of
from utils.redis.broker import publish

RESULT_LIFETIME = timedelta(seconds=settings.CACHE_TTL_AI_RESULT)
QUEUED_MESSAGE = "Waiting for a worker"


class AILimitReached(TooManyRequests):
    code = "ai_limit_reached"
    detail = "Your AI requests for this hour are used up."


class TaskUnfinished(Conflict):
    code = "task_unfinished"
    detail = "The task has not ended yet."


@dataclass(frozen=True, slots=True)
class Submission:
    """An accepted request. ``coalesced``: an equal task is unfinished; ``cached``: answered from a recent result."""

    task: AITask
    outcome: Literal["created", "coalesced", "cached"]


def submit(
    *,
    user_id: int,
    request_type: str,
    request_data: dict[str, Any],
    topic_id: int | None = None,
    apply: Apply = False,
    may_coalesce: bool = True,
) -> Submission:
    """Accept one AI request durably and queue it.

    An equal request while the first is unfinished returns the first task, unless ``may_coalesce`` is false. A request
    equal to one that succeeded within the hour is answered from that result. Neither counts against the limit.

    Raises ``UnknownRequestType``, ``InvalidRequestData``, ``NotFound`` (a topic that is not the user's),
    ``AILimitReached``, ``AIBudgetReached``.
    """
    request = validated(
        user_id=user_id, request_type=request_type, request_data=request_data, topic_id=topic_id, apply=apply
    )
    fingerprint = request.fingerprint if may_coalesce else None
    with transaction.atomic():
        _lock_user(user_id)
        earlier = _earlier_tasks(user_id, fingerprint, request.request_hash)
        if earlier.unfinished:
            return Submission(AITask.objects.get(pk=earlier.unfinished), "coalesced")
        if not earlier.answered:
            _check_limit(earlier.counted)
            return Submission(_queue(request, fingerprint=fingerprint), "created")
        answered = AITask.objects.get(pk=earlier.answered)
    return Submission(_answer_from(answered, request), "cached")


def retry(*, task_id: UUID, user_id: int) -> AITask:
    """Submit a finished task's request again, as a new task that refers to it by ``retry_of``.

    It counts against the limit, is not coalesced and not answered from an earlier result. Raises ``NotFound``,
    ``TaskUnfinished``, and what ``submit`` raises.
    """
    with transaction.atomic():
        source = AITask.objects.owned_by(user_id).filter(pk=task_id).first()
        if source is None:
            raise NotFound
        if not source.is_terminal:
            raise TaskUnfinished
        request = validated(
            user_id=user_id,
            request_type=source.request_type,
            request_data=source.request_data,
            topic_id=source.topic_id,
            apply=source.asked_to_apply,
        )
        if "content" in request.data:
            # The request has the topic's text of that time, so the answer may replace no other text.
            request = replace(request, source_hash=source.source_hash, base=source.base)
        _lock_user(user_id)
        _check_limit(_counted_tasks(user_id))
        return _queue(request, fingerprint=None, retry_of=source)


def accept(*, task_id: UUID, user_id: int, request_type: str, request_data: dict[str, Any]) -> AITask:
    """Record and queue a request under an id that the caller chose, for ``process_ai_request.delay``.

    Idempotent. Raises ``NotFound`` if the id belongs to another user's task, and ``AIBudgetReached``.
    """
    request = validated(user_id=user_id, request_type=request_type, request_data=request_data)
    with transaction.atomic():
        row = _new_row(request, fingerprint=None)
        row.pk, row.reserved = task_id, request.reservation
        AITask.objects.bulk_create([row], ignore_conflicts=True)
        task = AITask.objects.filter(pk=task_id, user_id=user_id).first()
        if task is None:
            raise NotFound
        if task.reserved and task.created_at == row.created_at:  # else it was recorded before
            check_limits(user_id, task.created_at)
        if task.status == AITask.Status.QUEUED:
            _announce(task)
    return task


def requests_left(user_id: int) -> tuple[int, datetime | None] | None:
    """How many AI requests the user has left, and, at 0, when the next one is allowed; None without a limit."""
    return _left(_counted_tasks(user_id))


def _lock_user(user_id: int) -> None:
    """Serialize the submissions of one user.

    A plain FOR UPDATE would deadlock with the foreign key checks of rows that are being inserted for the same user.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM accounts_user WHERE id = %s FOR NO KEY UPDATE", [user_id])
        if not cursor.rowcount:
            raise NotFound


class _Earlier(NamedTuple):
    """Earlier tasks of a user: an unfinished equal one, an answered equal one, and those that count."""

    unfinished: UUID | None
    answered: UUID | None
    counted: list[str]
    """The creation times of tasks that count against the limit, newest first; at most as many as the limit."""


def _earlier_tasks(user_id: int, fingerprint: str | None, request_hash: str) -> _Earlier:
    """Find them in one query, which takes a third of the time of three. The caller holds the user's lock."""
    limit = _limit()
    values: dict[str, Any] = {"user_id": user_id}
    if request_hash:
        values |= {"request_hash": request_hash, "answered_since": timezone.now() - RESULT_LIFETIME}
    if fingerprint:
        values["fingerprint"] = fingerprint
    if limit:
        values["counted_since"] = _window_start(limit)
    if len(values) == 1:
        return _Earlier(None, None, [])

    rows = read_rows(partial(_earlier_query, limit), **values)
    found: dict[str, list[Row]] = {"answered": [], "unfinished": [], "counted": []}
    for row in rows:
        found[row["part"]].append(row)
    return _Earlier(
        unfinished=next((row["id"] for row in found["unfinished"]), None),
        answered=next((row["id"] for row in found["answered"]), None),
        counted=sorted((row["created_at"] for row in found["counted"]), reverse=True),
    )


def _earlier_query(
    limit: Limit | None,
    *,
    user_id: int,
    request_hash: str | None = None,
    answered_since: datetime | None = None,
    fingerprint: str | None = None,
    counted_since: datetime | None = None,
) -> QuerySet[AITask, Any]:
    parts = []
    if request_hash and answered_since:
        parts.append(_named("answered", AITask.objects.answered_since(answered_since, user_id, request_hash), 1))
    if fingerprint:
        mine = AITask.objects.coalescing().filter(user_id=user_id, fingerprint=fingerprint)
        parts.append(_named("unfinished", mine, 1))
    if limit and counted_since:
        parts.append(_named("counted", AITask.objects.counted_since(counted_since, user_id), limit.count))
    return parts[0].union(*parts[1:], all=True)


def _named(part: str, tasks: QuerySet[AITask], at_most: int) -> QuerySet[AITask, Any]:
    return tasks.values("id", "created_at", part=Value(part))[:at_most]


def _limit() -> Limit | None:
    return next(iter(limits_of(["ai_tools"])), None)


def _window_start(limit: Limit) -> datetime:
    return timezone.now() - timedelta(seconds=limit.seconds)


def _counted_tasks(user_id: int) -> list[str]:
    """The creation times of the requests that count against the limit, newest first."""
    limit = _limit()
    if limit is None:
        return []

    rows = read_rows(partial(_counted, limit.count), user_id=user_id, since=_window_start(limit))
    return [row["created_at"] for row in rows]


def _counted(at_most: int, user_id: int, since: datetime) -> QuerySet[AITask, Any]:
    return AITask.objects.counted_since(since, user_id).values("created_at")[:at_most]


def _left(counted: Sequence[str]) -> tuple[int, datetime | None] | None:
    limit = _limit()
    if limit is None:
        return None
    left = limit.count - len(counted)
    if left > 0:
        return left, None
    return 0, datetime.fromisoformat(counted[limit.count - 1]) + timedelta(seconds=limit.seconds)


def _check_limit(counted: Sequence[str]) -> None:
    """Raise ``AILimitReached`` at the hourly limit. Exact, as the caller holds the user's lock."""
    left = _left(counted)
    if left is None or left[0] > 0:
        return
    free_at = left[1] or timezone.now()
    wait = max(1, int((free_at - timezone.now()).total_seconds()) + 1)
    raise AILimitReached("The hourly limit of AI requests is reached.", retry_after=wait)


def _queue(request: ValidRequest, *, fingerprint: str | None, retry_of: AITask | None = None) -> AITask:
    task = _new_row(request, fingerprint=fingerprint)
    task.retry_of = retry_of
    task.reserved = request.reservation
    task.save(force_insert=True)
    if task.reserved:
        check_limits(task.user_id, task.created_at)
    _announce(task)
    return task


def _new_row(request: ValidRequest, *, fingerprint: str | None) -> AITask:
    now = timezone.now()
    return AITask(
        user_id=request.user_id,
        request_type=request.request_type,
        request_data=request.data,
        topic_id=request.topic_id,
        apply=request.apply is True,
        proposes=request.apply == "propose",
        base=request.base,
        source_hash=request.source_hash,
        fingerprint=fingerprint,
        request_hash=request.request_hash,
        message=QUEUED_MESSAGE,
        created_at=now,
        updated_at=now,
        published_at=now,
    )


def _announce(task: AITask) -> None:
    """Log a queued task and send it to the workers, after COMMIT."""
    log_transition(task.pk, user_id=task.user_id, attempt=0, status=task.status, request_type=task.request_type)
    transaction.on_commit(lambda: _publish(task.pk), robust=True)


def _publish(task_id: UUID) -> None:
    """Send a task to the workers. If the broker does not accept it, the next sweep sends it."""
    is_published = False
    try:
        is_published = publish(PROCESS_TASK, str(task_id))
    finally:
        if not is_published:
            AITask.objects.filter(pk=task_id, status=AITask.Status.QUEUED).update(published_at=None)


def _answer_from(answered: AITask, request: ValidRequest) -> AITask:
    """Create a finished task for a request, with the result of an equal one."""
    with changing_pages_of(answered.user_id):
        task = _new_row(request, fingerprint=None)
        task.status = AITask.Status.SUCCEEDED
        task.progress = PROGRESS_DONE
        task.applicable = answered.applicable
        task.result = answered.result
        outcome = apply_answer(task)
        task.message = outcome.value
        task.provider, task.model = answered.provider, answered.model
        task.cached, task.billed = True, False
        task.cost = None if answered.cost is None else ZERO
        task.started_at = task.finished_at = task.created_at
        task.applied_at = task.created_at if outcome is ApplyOutcome.APPLIED else None
        task.save(force_insert=True)
        announce_end(task)
    return task
