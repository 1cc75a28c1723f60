"""Accepting requests: once a row is committed, its request reaches a terminal state."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any, Literal, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet, Value
from django.utils import timezone

from accounts.models import User
from ai_tasks.handlers import HANDLERS
from ai_tasks.handlers.base import Handler
from ai_tasks.ledger.announcing import announce_end, publish_after_commit
from ai_tasks.models import PROGRESS_DONE, AITask
from ai_tasks.providers import OFFLINE, configured_model, configured_provider
from notes.models import Note, Topic
from notes.services import apply_ai_answer, text_hash
from utils.caching import changing_pages_of
from utils.compiled_reads import Row, read_rows
from utils.compiled_writes import insert_row
from utils.exceptions import ApplicationError, InvalidRequest, NotFound, TooManyRequests
from utils.json import dumps
from utils.throttling import Limit, limits_of

RESULT_LIFETIME = timedelta(seconds=settings.CACHE_TTL_AI_RESULT)
LATEST_NOTES = 20
"""How many of a user's latest notes tell whether any has changed. More than one: a write has the time at which its
transaction began, so of two that overlapped the later may be dated the earlier."""
QUEUED_MESSAGE = "Waiting for a worker"
APPLIED_MESSAGE = "Done, and written to your topic"
NOTHING_TO_APPLY_MESSAGE = "Done. There was no answer to write to your topic"
NOT_APPLIED_MESSAGE = "Done. Your topic changed meanwhile, so the answer was not written to it"
DONE_MESSAGE = "Done"


class UnknownRequestType(ApplicationError):
    code = "unknown_request_type"

    def __init__(self, request_type: str) -> None:
        detail = "Known request types: " + ", ".join(HANDLERS) + "."
        super().__init__(detail, errors=[{"pointer": "/request_type", "code": self.code, "detail": detail}])


class AILimitReached(TooManyRequests):
    code = "ai_limit_reached"


@dataclass(frozen=True, slots=True)
class Submission:
    """An accepted request. ``coalesced``: the task was there already; ``cached``: it has its answer already."""

    task: AITask
    outcome: Literal["created", "coalesced", "cached"]


@dataclass(frozen=True, slots=True)
class _Request:
    """A validated request with what makes it equal to another one."""

    handler: Handler
    data: dict[str, Any]
    topic_id: int | None
    apply: bool
    source_hash: str

    def digest(self, user_id: int, *parts: object) -> str:
        """Equal requests of one user, and no others, have equal digests."""
        same = [user_id, self.handler.request_type, self.data, self.topic_id, self.apply]
        same += [self.handler.template_version, configured_provider(), configured_model(), *parts]
        return sha256(dumps(same)).hexdigest()


def submit(
    *,
    user_id: int,
    request_type: str,
    request_data: dict[str, Any],
    topic_id: int | None = None,
    apply: bool = False,
    may_coalesce: bool = True,
) -> Submission:
    """Accept one AI request durably and queue it.

    The same request sent again while the first is unfinished returns the first (unless ``may_coalesce`` is false: it
    carries an idempotency key); one that succeeded within the hour is answered from that result. Neither counts.

    Raises ``UnknownRequestType``, ``InvalidRequestData``, ``NotFound`` (a topic that is not the user's),
    ``AILimitReached``.
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
    """Queue a new task for the request of a finished one: it counts, and takes neither a place nor a result."""
    request = _validated(source.user_id, source.request_type, source.request_data, source.topic_id, source.apply)
    if "content" in request.data:
        # It works on the text of back then, so it may replace no other.
        request = replace(request, source_hash=source.source_hash)
    _lock_user(source.user_id)
    request_hash = _request_hash(source.user_id, request)
    _check_limit(_counted_tasks(source.user_id))
    return _queue(source.user_id, request, request_hash, fingerprint=None, retry_of=source)


def accept(*, task_id: UUID, user_id: int, request_type: str, request_data: dict[str, Any]) -> AITask:
    """Record a request that our own code queues under an id of its choice, as ``process_ai_request.delay`` does.

    Recording it twice is recording it once. Raises ``NotFound`` if the id belongs to another user's task.
    """
    request = _validated(user_id, request_type, request_data, topic_id=None, apply=False)
    with transaction.atomic():
        row = _new_row(user_id, request, _request_hash(user_id, request), fingerprint=None)
        row.pk = task_id
        AITask.objects.bulk_create([row], ignore_conflicts=True)
        task = AITask.objects.filter(pk=task_id, user_id=user_id).first()
        if task is None:
            raise NotFound
        if task.status == AITask.Status.QUEUED:
            publish_after_commit(task_id)
    return task


def requests_left(user_id: int) -> tuple[int, datetime | None] | None:
    """AI requests that the user has left in the hour, and when the next one is free again; None without a limit."""
    return _left(_counted_tasks(user_id))


def _validated(
    user_id: int, request_type: str, request_data: dict[str, Any], topic_id: int | None, apply: bool
) -> _Request:
    handler = HANDLERS.get(request_type)
    if handler is None:
        raise UnknownRequestType(request_type)
    data = handler.validate(request_data)
    topic = None
    if topic_id is not None:
        topic = Topic.objects.owned_by(user_id).filter(pk=topic_id).first()
        if topic is None:
            raise NotFound
    if apply:
        _check_applicable(handler, topic)
    return _Request(handler, handler.resolve(data, topic), topic_id, apply, _source_hash(handler, topic, apply))


def _request_hash(user_id: int, request: _Request) -> str:
    """What requests have in common that one answer is good for.

    What quotes the user's notes is good until one of them changes: it was asked for before it was made, so a change in
    between only means that nobody is given it.
    """
    if configured_provider() != OFFLINE or not request.handler.quotes_notes_offline:
        return request.digest(user_id)

    def latest(user_id: int) -> QuerySet[Note, Any]:
        notes = Note.objects.owned_by(user_id).order_by("-updated_at", "-id")  # in the trash, too
        return notes.values("id", "version")[:LATEST_NOTES]

    return request.digest(user_id, read_rows("latest notes", latest, user_id=user_id))


def _check_applicable(handler: Handler, topic: Topic | None) -> None:
    detail = None
    if handler.applies_to is None:
        detail = "The answer of this request type cannot be written to a topic."
    elif topic is None:
        detail = "Name the topic that the answer is to be written to in topic_id."
    if detail:
        raise InvalidRequest(errors=[{"pointer": "/apply", "code": "invalid", "detail": detail}])


def _source_hash(handler: Handler, topic: Topic | None, apply: bool) -> str:
    """What the answer will replace, so that it replaces nothing else."""
    if not apply or topic is None:
        return ""
    return text_hash(topic.code, topic.code_language) if handler.applies_to == "code" else text_hash(topic.explanation)


def _lock_user(user_id: int) -> None:
    """Let one submission of a user happen at a time.

    A plain FOR UPDATE would deadlock with the foreign keys of rows that are being inserted for the same user.
    """

    def lock(user_id: int) -> QuerySet[User, Any]:
        return User.objects.select_for_update(no_key=True).filter(pk=user_id).values("id")

    if not read_rows("user's lock", lock, user_id=user_id):
        raise NotFound


class _Earlier(NamedTuple):
    """What a user asked before: an equal request that is unfinished, one that has its answer, and those that count."""

    unfinished: UUID | None
    answered: UUID | None
    counted: list[str]
    """When those were made that count against the limit, the newest first; no more than the limit."""


def _earlier_tasks(user_id: int, fingerprint: str | None, request_hash: str) -> _Earlier:
    """Look back in one query, which takes a third of the time of three. The caller has the user's lock."""
    limit = _limit()
    values: dict[str, Any] = {
        "user_id": user_id, "request_hash": request_hash, "moment": timezone.now() - RESULT_LIFETIME,
    }  # fmt: skip
    if fingerprint:
        values["fingerprint"] = fingerprint
    if limit:
        values["since"] = _since(limit)

    rows = read_rows(("earlier tasks", bool(fingerprint), limit), partial(_look_back, limit), **values)
    found: dict[str, list[Row]] = {"answered": [], "unfinished": [], "counted": []}
    for row in rows:
        found[row["part"]].append(row)
    return _Earlier(
        unfinished=next((row["id"] for row in found["unfinished"]), None),
        answered=next((row["id"] for row in found["answered"]), None),
        counted=sorted((row["created_at"] for row in found["counted"]), reverse=True),
    )


def _look_back(
    limit: Limit | None,
    *,
    user_id: int,
    request_hash: str,
    moment: datetime,
    fingerprint: str | None = None,
    since: datetime | None = None,
) -> QuerySet[AITask, Any]:
    parts = [_named("answered", AITask.objects.answered_since(moment, user_id, request_hash), 1)]
    if fingerprint:
        parts.append(_named("unfinished", AITask.objects.coalescing().filter(fingerprint=fingerprint), 1))
    if limit and since:
        parts.append(_named("counted", AITask.objects.counted_since(since, user_id), limit.count))
    return parts[0].union(*parts[1:], all=True)


def _named(part: str, tasks: QuerySet[AITask], at_most: int) -> QuerySet[AITask, Any]:
    return tasks.values("id", "created_at", part=Value(part))[:at_most]


def _queue(
    user_id: int, request: _Request, request_hash: str, *, fingerprint: str | None, retry_of: AITask | None = None
) -> AITask:
    task = _new_row(user_id, request, request_hash, fingerprint=fingerprint)
    task.retry_of = retry_of
    insert_row(task)
    publish_after_commit(task.pk)
    return task


def _new_row(user_id: int, request: _Request, request_hash: str, *, fingerprint: str | None) -> AITask:
    now = timezone.now()
    return AITask(
        user_id=user_id,
        request_type=request.handler.request_type,
        request_data=request.data,
        topic_id=request.topic_id,
        apply=request.apply,
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


def _since(limit: Limit) -> datetime:
    return timezone.now() - timedelta(seconds=limit.seconds)


def _counted_tasks(user_id: int) -> list[str]:
    """When the requests that count against the limit were made, the newest first."""
    limit = _limit()
    if limit is None:
        return []

    def counted(user_id: int, since: datetime) -> QuerySet[AITask, Any]:
        return AITask.objects.counted_since(since, user_id).values("created_at")[: limit.count]

    rows = read_rows(("counted against a limit", limit.count), counted, user_id=user_id, since=_since(limit))
    return [row["created_at"] for row in rows]


def _left(counted: Sequence[str]) -> tuple[int, datetime | None] | None:
    limit = _limit()
    if limit is None:
        return None
    left = limit.count - len(counted)
    if left > 0:
        return left, None
    return 0, datetime.fromisoformat(counted[limit.count - 1]) + timedelta(seconds=limit.seconds)


def _check_limit(counted: Sequence[str]) -> None:
    """Hold the hourly limit exactly: the caller has the user's lock."""
    left = _left(counted)
    if left is None or left[0] > 0:
        return
    free_at = left[1] or timezone.now()
    wait = max(1, int((free_at - timezone.now()).total_seconds()) + 1)
    raise AILimitReached("The hourly limit of AI requests is reached.", retry_after=wait)


def _answer_from(answered: AITask, request: _Request) -> AITask:
    """Give an equal request the result of the last hour as a finished task of its own."""
    with changing_pages_of(answered.user_id):
        applied = request.apply and apply_answer(answered.user_id, request.topic_id, request.source_hash, answered)
        task = _new_row(answered.user_id, request, answered.request_hash, fingerprint=None)
        task.status = AITask.Status.SUCCEEDED
        task.progress = PROGRESS_DONE
        task.applicable = answered.applicable
        task.message = done_message(task, applied=applied)
        task.result = answered.result
        task.provider, task.model = answered.provider, answered.model
        task.cached, task.billed = True, False
        task.started_at = task.finished_at = task.created_at
        task.applied_at = task.created_at if applied else None
        insert_row(task)
        announce_end(task)
    return task


def apply_answer(user_id: int, topic_id: int | None, source_hash: str, task: AITask) -> bool:
    """Write a task's result to its topic if the text is still the one that was asked about; whether it was.

    Runs in the caller's transaction and ``changing_pages_of``.
    """
    if topic_id is None or task.result is None or not task.applicable:
        return False
    if HANDLERS[task.request_type].applies_to == "code":
        answer = {"code": task.result["code"], "code_language": task.result["code_language"]}
    else:
        answer = {"explanation": task.result["content"]}
    return apply_ai_answer(user_id=user_id, topic_id=topic_id, expected_hash=source_hash, **answer)


def done_message(task: AITask, *, applied: bool) -> str:
    if not task.apply:
        return DONE_MESSAGE
    if not task.applicable:
        return NOTHING_TO_APPLY_MESSAGE
    return APPLIED_MESSAGE if applied else NOT_APPLIED_MESSAGE
