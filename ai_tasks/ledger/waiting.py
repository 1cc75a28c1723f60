"""Tasks that were claimed and must wait: for their provider, for the end of an outage, or for another worker.

Tasks that wait for the end of an outage wait together: one of them at a time is sent to probe a provider, and all go on
once one is back. As in ``attempts``, every write names its attempt; the write of an outdated attempt changes nothing.
"""

import logging
import random
from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from ai_tasks import outages
from ai_tasks.ledger.announcing import PROCESS_TASK, announce_end, log_transition
from ai_tasks.ledger.attempts import (
    Attempt,
    FenceLost,
    end,
    settled,
    settled_at_the_reservation,
    stop_cancelled,
    usage_changes,
)
from ai_tasks.models import MESSAGE_MAX_LENGTH, AITask
from ai_tasks.providers import provider_names
from ai_tasks.providers.base import Usage
from utils.redis.broker import publish

logger = logging.getLogger(__name__)

MAX_PROVIDER_FAILURES = 5
FIRST_BACKOFF_SECONDS = 2.0
MAX_BACKOFF_SECONDS = 300.0
MAX_RETRY_AFTER_SECONDS = 3600.0
BATCH = 500
GIVEN_UP = "provider_unavailable"
GIVEN_UP_DETAIL = "The AI provider did not answer in time: this request has waited for too long."
GOING_ON_MESSAGE = "Waiting for a worker"

_S = AITask.Status


def wait_for_provider(
    attempt: Attempt,
    *,
    code: str,
    detail: str,
    retry_after: float | None,
    usage: Usage | None = None,
    was_free: bool = True,
) -> AITask.Status:
    """Postpone the task after a temporary failure of the provider; the fifth failure fails the task.

    ``retry_after`` is the provider's header, in seconds; ``usage`` and ``was_free`` are as in ``fail``. Raises
    ``FenceLost``.
    """
    with transaction.atomic():
        held = attempt.held()
        failures = held.values_list("provider_failures", flat=True).first()
        if failures is None:
            raise FenceLost
        if failures + 1 >= MAX_PROVIDER_FAILURES:
            last = {"error_code": code, "error_detail": detail, "message": detail, "provider_failures": failures + 1}
            return AITask.Status(end(attempt, _S.FAILED, **last, **usage_changes(usage, was_free=was_free)).status)
        waits = held.filter(status=_S.RUNNING).update(
            status=_S.WAITING_PROVIDER,
            provider_failures=F("provider_failures") + 1,
            next_attempt_at=timezone.now() + timedelta(seconds=backoff_seconds(failures, retry_after)),
            published_at=None,
            lease_expires_at=None,
            waiting_since=None,
            message="The AI provider is busy; trying again soon",
            updated_at=Now(),
            **_changes_between_attempts(usage, was_free=was_free),
        )
        if not waits:
            return AITask.Status(stop_cancelled(attempt).status)
        _log(attempt, _S.WAITING_PROVIDER, error_code=code)
        return _S.WAITING_PROVIDER


def wait_for_outage(
    attempt: Attempt, *, code: str, detail: str, usage: Usage | None = None, was_free: bool = True
) -> AITask.Status:
    """Let the task wait until a provider is back: ``wake`` makes it due. No failure is counted.

    ``code`` and ``detail`` are the provider's error; ``usage`` and ``was_free`` are as in ``fail``.
    Raises ``FenceLost``.
    """
    message = f"{detail} Your request waits and continues automatically."
    with transaction.atomic():
        waits = (
            attempt.held()
            .filter(status=_S.RUNNING)
            .update(
                status=_S.WAITING_PROVIDER,
                next_attempt_at=None,
                published_at=None,
                lease_expires_at=None,
                waiting_since=Coalesce("waiting_since", Now()),
                message=message[:MESSAGE_MAX_LENGTH],
                updated_at=Now(),
                **_changes_between_attempts(usage, was_free=was_free),
            )
        )
        if not waits:
            return AITask.Status(stop_cancelled(attempt).status)
        _log(attempt, _S.WAITING_PROVIDER, error_code=code)
        return _S.WAITING_PROVIDER


def _changes_between_attempts(usage: Usage | None, *, was_free: bool) -> dict[str, Any]:
    """The usage of an attempt. If it cost nothing, its reservation is kept for the next one."""
    changes = usage_changes(usage, was_free=was_free)
    if was_free and not (usage and usage.cost):
        changes.pop("reserved")
    return changes


def _log(attempt: Attempt, status: AITask.Status, **facts: str) -> None:
    log_transition(attempt.task_id, user_id=attempt.user_id, attempt=attempt.number, status=status.value, **facts)


def backoff_seconds(failures: int, retry_after: float | None) -> float:
    """Exponential backoff with jitter; at least ``retry_after``, up to an hour."""
    backoff = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2**failures)
    return max(min(retry_after or 0.0, MAX_RETRY_AFTER_SECONDS), backoff * random.uniform(0.5, 1.0))


def release(held: Iterable[Attempt]) -> int:
    """Requeue tasks that a stopping worker cannot finish, for other workers. Returns how many."""
    return sum(_release(attempt) for attempt in held)


def _release(attempt: Attempt) -> int:
    released = (
        attempt.held()
        .filter(status=_S.RUNNING)
        .update(
            status=_S.QUEUED,
            lease_expires_at=None,
            published_at=None,
            message=Value("Waiting for another worker"),
            updated_at=Now(),
            **settled_at_the_reservation(),
        )
    )
    if released:
        _log(attempt, _S.QUEUED)
    return released


def wake() -> int:
    """Send waiting tasks to workers: all of them if a provider is back, else one if a probe is due.

    May run concurrently. Returns how many were sent.
    """
    waiting = AITask.objects.waiting_for_outage()
    names = provider_names()
    if len(outages.providers_out(names)) < len(names) or not names:
        return _send_all(waiting)
    return _send(waiting, 1) if outages.may_probe(names) else 0


def fail_overdue() -> int:
    """Fail tasks that have waited for ``AI_OUTAGE_HOURS``. Returns how many."""
    limit = Now() - timedelta(hours=settings.AI_OUTAGE_HOURS)
    overdue = AITask.objects.waiting_for_outage().filter(waiting_since__lt=limit)
    with transaction.atomic():
        task_ids = list(_locked(overdue, BATCH))
        overdue.filter(pk__in=task_ids).update(
            status=_S.FAILED,
            error_code=GIVEN_UP,
            error_detail=GIVEN_UP_DETAIL,
            message=GIVEN_UP_DETAIL,
            applicable=False,
            finished_at=Now(),
            updated_at=Now(),
            **settled(None),
        )
        for task in AITask.objects.filter(pk__in=task_ids):
            announce_end(task)
    return len(task_ids)


def _send_all(waiting: QuerySet[AITask]) -> int:
    """In batches, each committed before the next, so that an interruption loses no more than one."""
    total = 0
    while sent := _send(waiting, BATCH):
        total += sent
        if sent < BATCH:
            break
    return total


def _send(waiting: QuerySet[AITask], limit: int) -> int:
    """Make tasks due and publish them, those first whose last attempt was earliest.

    Those that the broker does not accept are sent by a later sweep.
    """
    with transaction.atomic():
        task_ids = list(_locked(waiting.order_by("updated_at"), limit))
        if not task_ids:
            return 0
        AITask.objects.filter(pk__in=task_ids).update(
            next_attempt_at=Now(), published_at=Now(), message=GOING_ON_MESSAGE, updated_at=Now()
        )
    _publish(task_ids)
    return len(task_ids)


def _publish(task_ids: Collection[UUID]) -> None:
    unsent = [task_id for task_id in task_ids if not publish(PROCESS_TASK, str(task_id))]
    if unsent:
        AITask.objects.filter(pk__in=unsent, status__in=AITask.UNFINISHED).update(published_at=None)
        logger.warning("%d waiting tasks could not be published: the broker is unavailable", len(unsent))


def _locked(tasks: QuerySet[AITask], limit: int) -> QuerySet[AITask, UUID]:
    return tasks.select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True)[:limit]
