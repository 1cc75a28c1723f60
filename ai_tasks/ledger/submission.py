"""Accepting requests. Once its row is committed, a task is certain to reach a terminal state."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any, Literal, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, QuerySet, Value
from django.utils import timezone

from ai_tasks.handlers import HANDLERS
from ai_tasks.handlers.base import Handler
from ai_tasks.ledger.announcing import announce_end, announce_queued
from ai_tasks.ledger.applying import Application, apply_answer
from ai_tasks.ledger.budgets import reservation_for
from ai_tasks.ledger.inserting import insert
from ai_tasks.models import PROGRESS_DONE, AITask
from ai_tasks.money import ZERO
from ai_tasks.proposals import base_of
from ai_tasks.providers import OFFLINE, endpoints_of
from ai_tasks.spending import check_limits
from notes.models import Note, Topic
from notes.services import text_hash
from utils.admission.throttling import Limit, limits_of
from utils.database.compiled_queries import Row, read_rows
from utils.http.errors import ApplicationError, InvalidRequest, NotFound, TooManyRequests
from utils.http.json import dumps
from utils.page_cache.invalidation import changing_pages_of

Apply = bool | Literal["propose"]
"""What becomes of the answer: it is written to the topic, or not, or becomes a proposal."""
RESULT_LIFETIME = timedelta(seconds=settings.CACHE_TTL_AI_RESULT)
LATEST_NOTES = 20
"""How many of a user's latest notes are compared to detect a change. One is not enough: ``updated_at`` is the time at
which a write's transaction began, so the later of two overlapping writes may have the earlier time."""
QUEUED_MESSAGE = "Waiting for a worker"


class UnknownRequestType(ApplicationError):
    code = "unknown_request_type"
    detail = "There is no such request type."

    def __init__(self, request_type: str) -> None:
        detail = "Known request types: " + ", ".join(HANDLERS) + "."
        super().__init__(detail, errors=[{"pointer": "/request_type", "code": self.code, "detail": detail}])


class AILimitReached(TooManyRequests):
    code = "ai_limit_reached"
    detail = "Your AI requests for this hour are used up."


@dataclass(frozen=True, slots=True)
class Submission:
    """An accepted request. ``coalesced``: an equal task is unfinished; ``cached``: answered from a recent result."""

    task: AITask
    outcome: Literal["created", "coalesced", "cached"]


@dataclass(frozen=True, slots=True)
class _Request:
    """A validated request, with all that decides whether two requests are equal."""

    handler: Handler
    data: dict[str, Any]
    topic_id: int | None
    apply: Apply
    source_hash: str
    base: dict[str, Any] | None
    """What the topic says, if the answer is to be proposed: see ``AITask.base``."""
    provider: str
    model: str | None

    def digest(self, user_id: int, *parts: object) -> str:
        """A digest that is equal for equal requests of one user only."""
        same = [user_id, self.handler.request_type, self.data, self.topic_id, self.apply]
        same += [self.handler.prompt.version, self.provider, self.model, *parts]
        return sha256(dumps(same)).hexdigest()


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
    request = _validated(user_id, request_type, request_data, topic_id, apply)
    fingerprint = request.digest(user_id, request.source_hash) if may_coalesce else None
    request_hash = _request_hash(user_id, request)
    with transaction.atomic():
        _lock_user(user_id)
        earlier = _earlier_tasks(user_id, fingerprint, request_hash)
        if earlier.unfinished:
            return Submission(AITask.objects.get(pk=earlier.unfinished), "coalesced")
        if not earlier.answered:
            _check_limit(earlier.counted)
            task = _queue(user_id, request, request_hash, fingerprint=fingerprint)
            return Submission(task, "created")
        answered = AITask.objects.get(pk=earlier.answered)
    return Submission(_answer_from(answered, request), "cached")


def requeue(source: AITask) -> AITask:
    """Queue a new task for a finished task's request. It counts against the limit, is not coalesced and not cached."""
    request = _validated(
        source.user_id, source.request_type, source.request_data, source.topic_id, source.asked_to_apply
    )
    if "content" in request.data:
        # The request has the topic's text of that time, so the answer may replace no other text.
        request = replace(request, source_hash=source.source_hash, base=source.base)
    _lock_user(source.user_id)
    request_hash = _request_hash(source.user_id, request)
    _check_limit(_counted_tasks(source.user_id))
    return _queue(source.user_id, request, request_hash, fingerprint=None, retry_of=source)


def accept(*, task_id: UUID, user_id: int, request_type: str, request_data: dict[str, Any]) -> AITask:
    """Record and queue a request under an id that the caller chose, for ``process_ai_request.delay``.

    Idempotent. Raises ``NotFound`` if the id belongs to another user's task, and ``AIBudgetReached``.
    """
    request = _validated(user_id, request_type, request_data, topic_id=None, apply=False)
    with transaction.atomic():
        row = _new_row(user_id, request, _request_hash(user_id, request), fingerprint=None)
        row.pk, row.reserved = task_id, reservation_for(request_type, request.data)
        AITask.objects.bulk_create([row], ignore_conflicts=True)
        task = AITask.objects.filter(pk=task_id, user_id=user_id).first()
        if task is None:
            raise NotFound
        if task.reserved and task.created_at == row.created_at:  # else it was recorded before
            check_limits(user_id, task.created_at)
        if task.status == AITask.Status.QUEUED:
            announce_queued(task)
    return task


def requests_left(user_id: int) -> tuple[int, datetime | None] | None:
    """How many AI requests the user has left, and, at 0, when the next one is allowed; None without a limit."""
    return _left(_counted_tasks(user_id))


def _validated(
    user_id: int, request_type: str, request_data: dict[str, Any], topic_id: int | None, apply: Apply
) -> _Request:
    handler = HANDLERS.get(request_type)
    if handler is None:
        raise UnknownRequestType(request_type)
    data = handler.validate(request_data)
    handler.check_owner(data, user_id=user_id)
    topic = None
    if topic_id is not None:
        topic = (
            Topic.objects.owned_by(user_id).filter(pk=topic_id).annotate(version=F("chapter__note__version")).first()
        )
        if topic is None:
            raise NotFound
    if apply:
        _check_applicable(handler, topic)
    data = handler.resolve(data, topic)
    first = next(iter(endpoints_of(request_type)), None)
    return _Request(
        handler=handler,
        data=data,
        topic_id=topic_id,
        apply=apply,
        source_hash=_source_hash(handler, topic, apply),
        base=_base(handler, topic, apply),
        provider=OFFLINE if first is None else first.name,
        model=None if first is None else first.model,
    )


def _request_hash(user_id: int, request: _Request) -> str:
    """A hash of all that an answer depends on: requests with the same hash share a cached result; "" is shared by none.

    An offline answer that quotes the user's notes also depends on their versions. These are read before the answer is
    made, so a change in between only means that the result is never reused.
    """
    if not request.handler.is_reused:
        return ""
    if request.provider != OFFLINE or not request.handler.quotes_notes_offline:
        return request.digest(user_id)

    return request.digest(user_id, read_rows(_latest_notes, user_id=user_id))


def _latest_notes(user_id: int) -> QuerySet[Note, Any]:
    notes = Note.objects.owned_by(user_id).order_by("-updated_at", "-id")  # in the trash, too
    return notes.values("id", "version")[:LATEST_NOTES]


def _check_applicable(handler: Handler, topic: Topic | None) -> None:
    detail = None
    if handler.applies_to is None:
        detail = "The answer of this request type cannot be written to a topic."
    elif topic is None:
        detail = "Name the topic that the answer is to be written to in topic_id."
    if detail:
        raise InvalidRequest(errors=[{"pointer": "/apply", "code": "invalid", "detail": detail}])


def _base(handler: Handler, topic: Any, apply: Apply) -> dict[str, Any] | None:
    """What a proposal will be compared with."""
    if apply != "propose" or handler.applies_to is None:
        return None
    return base_of(topic, handler.applies_to, version=topic.version)


def _source_hash(handler: Handler, topic: Topic | None, apply: Apply) -> str:
    """A hash of the text that the answer will replace, so that it replaces no other text."""
    if not apply or topic is None:
        return ""
    return text_hash(topic.code, topic.code_language) if handler.applies_to == "code" else text_hash(topic.explanation)


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


def _queue(
    user_id: int, request: _Request, request_hash: str, *, fingerprint: str | None, retry_of: AITask | None = None
) -> AITask:
    task = _new_row(user_id, request, request_hash, fingerprint=fingerprint)
    task.retry_of = retry_of
    task.reserved = reservation_for(task.request_type, task.request_data)
    insert(task)
    if task.reserved:
        check_limits(user_id, task.created_at)
    announce_queued(task)
    return task


def _new_row(user_id: int, request: _Request, request_hash: str, *, fingerprint: str | None) -> AITask:
    now = timezone.now()
    return AITask(
        user_id=user_id,
        request_type=request.handler.request_type,
        request_data=request.data,
        topic_id=request.topic_id,
        apply=request.apply is True,
        proposes=request.apply == "propose",
        base=request.base,
        source_hash=request.source_hash,
        fingerprint=fingerprint,
        request_hash=request_hash,
        message=QUEUED_MESSAGE,
        created_at=now,
        updated_at=now,
        published_at=now,
    )


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


def _answer_from(answered: AITask, request: _Request) -> AITask:
    """Create a finished task for a request, with the result of an equal one."""
    with changing_pages_of(answered.user_id):
        task = _new_row(answered.user_id, request, answered.request_hash, fingerprint=None)
        task.status = AITask.Status.SUCCEEDED
        task.progress = PROGRESS_DONE
        task.applicable = answered.applicable
        task.result = answered.result
        application = apply_answer(task)
        task.message = application.value
        task.provider, task.model = answered.provider, answered.model
        task.cached, task.billed = True, False
        task.cost = None if answered.cost is None else ZERO
        task.started_at = task.finished_at = task.created_at
        task.applied_at = task.created_at if application is Application.APPLIED else None
        insert(task)
        announce_end(task)
    return task
