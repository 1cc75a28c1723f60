"""Let a claimed task wait: for its provider, for the end of an outage, or for another worker.

As in ``attempts``, every write names its attempt; the write of an outdated attempt changes nothing.
"""

import random
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from ai_tasks.ledger.announcing import log_transition
from ai_tasks.ledger.attempts import Attempt, FenceLost, end, stop_cancelled, usage_changes
from ai_tasks.ledger.budgets import settled_at_the_reservation
from ai_tasks.models import MESSAGE_MAX_LENGTH, AITask
from ai_tasks.providers.base import Usage

MAX_PROVIDER_FAILURES = 5
FIRST_BACKOFF_SECONDS = 2.0
MAX_BACKOFF_SECONDS = 300.0
MAX_RETRY_AFTER_SECONDS = 3600.0

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

    ``retry_after`` is the provider's wish, in seconds; ``usage`` and ``was_free`` are as in ``fail``. Raises
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
    """Let the task wait until a provider is back: ``waiting.wake`` says when. No failure is counted.

    ``code`` and ``detail`` say what is the matter with the provider; ``usage`` and ``was_free`` are as in ``fail``.
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
    """What an attempt took. If it cost nothing, its reservation is that of the next one."""
    changes = usage_changes(usage, was_free=was_free)
    if was_free and not (usage and usage.cost):
        changes.pop("reserved")
    return changes


def _log(attempt: Attempt, status: AITask.Status, **facts: str) -> None:
    log_transition(attempt.task_id, user_id=attempt.user_id, attempt=attempt.number, status=status.value, **facts)


def backoff_seconds(failures: int, retry_after: float | None) -> float:
    """Exponential backoff with jitter; at least ``retry_after``, of which at most an hour is honoured."""
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
