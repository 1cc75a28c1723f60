"""Logging transitions, and telling users that a task has ended: both after COMMIT."""

import logging
from typing import Any
from uuid import UUID

from django.db import transaction

from ai_tasks import progress
from ai_tasks.models import AITask
from notifications import services as notifications
from notifications.models import Notification

lines = logging.getLogger("ai_tasks")

PROCESS_TASK = "utils.async_optimization.process_ai_request"

_TITLES = {
    AITask.Status.SUCCEEDED: (Notification.Type.SUCCESS, "✓ Generation complete"),
    AITask.Status.FAILED: (Notification.Type.ERROR, "Generation failed"),
}


def log_transition(task_id: UUID, *, user_id: int, attempt: int, status: str, **facts: str | int | bool | None) -> None:
    """Log a task's new state after COMMIT, without its request and answer."""
    fields = {"status": status, "task_id": str(task_id), "attempt": attempt, "user_id": user_id, **facts}
    transaction.on_commit(lambda: lines.info("ai_task", extra={"fields": fields}), robust=True)


def announce_end(task: AITask) -> None:
    """Record the notification in the transaction that ended the task; after COMMIT push it, log and publish the end.

    Cancelled and cached tasks get no notification, as the user's own request was answered with them.
    """
    if task.status in _TITLES and not task.cached:
        notification_type, title = _TITLES[AITask.Status(task.status)]
        notification = notifications.record_for_task(
            user_id=task.user_id,
            task_id=task.pk,
            type=notification_type,
            title=title,
            message=task.message or task.error_detail,
        )
        transaction.on_commit(lambda: notifications.push(notification), robust=True)
    log_transition(
        task.pk,
        user_id=task.user_id,
        attempt=task.attempt,
        status=task.status,
        request_type=task.request_type,
        error_code=task.error_code or None,
        provider=task.provider or None,
        cached=task.cached,
        input_tokens=task.input_tokens,
        output_tokens=task.output_tokens,
    )
    event: dict[str, Any] = {
        "user_id": task.user_id,
        "attempt": task.attempt,
        "status": task.status,
        "message": task.message,
    }
    transaction.on_commit(lambda: progress.announce_end(task.pk, **event), robust=True)
