"""What follows a committed transition: hints to workers and news for the user. Losing them loses nothing."""

from uuid import UUID

from django.db import transaction

from ai_tasks import progress
from ai_tasks.models import AITask
from notifications import services as notifications
from notifications.models import Notification
from utils.messaging import publish

PROCESS_TASK = "utils.async_optimization.process_ai_request"

_TITLES = {
    AITask.Status.SUCCEEDED: (Notification.Type.SUCCESS, "✓ Generation complete"),
    AITask.Status.FAILED: (Notification.Type.ERROR, "Generation failed"),
}


def publish_after_commit(task_id: UUID) -> None:
    """Tell the workers about a queued task once its row is there."""
    transaction.on_commit(lambda: publish(PROCESS_TASK, str(task_id)), robust=True)


def tell_user(task: AITask) -> None:
    """Record, in the transaction that finished the task, what its user will read; push it after COMMIT."""
    notification_type, title = _TITLES[AITask.Status(task.status)]
    notification = notifications.record_for_task(
        user_id=task.user_id,
        task_id=task.pk,
        type=notification_type,
        title=title,
        message=task.message or task.error_detail,
    )
    transaction.on_commit(lambda: notifications.push(notification), robust=True)


def announce_end(task: AITask) -> None:
    """Send the terminal event to whoever watches the task, after COMMIT."""
    transaction.on_commit(
        lambda: progress.announce_end(
            task.pk, user_id=task.user_id, attempt=task.attempt, status=task.status, message=task.message
        ),
        robust=True,
    )
