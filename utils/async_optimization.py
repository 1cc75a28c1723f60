"""The door to everything asynchronous: Celery tasks, the status of AI tasks, and notifications.

The Celery tasks take ids and tolerate being delivered twice or never; the rows behind them decide what is to be done.
"""

import logging
import os
import threading
from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID

from celery import Task, shared_task
from celery.exceptions import Reject
from celery.result import AsyncResult
from celery.signals import heartbeat_sent, worker_shutting_down
from django.conf import settings
from django.db.models import QuerySet

from accounts.services import password_resets, sessions
from ai_tasks import ledger
from ai_tasks.models import AITask
from ai_tasks.worker import worker
from notifications import services as notifications
from notifications.models import Notification
from utils import idempotency
from utils.health import worker_is_alive

logger = logging.getLogger(__name__)

LEAVE_SECONDS = 8.0
"""What a stopping worker may take after its grace time; a platform that gives it 30 s then need not kill it."""


class TaskStatus(TypedDict):
    """``status`` is None for an id that no task has; ``progress`` is a percentage; ``timestamp`` is UTC."""

    status: str | None
    progress: int
    message: str
    timestamp: datetime | None


class DurableTask(Task[..., None]):
    """A task whose row is written by the caller before its message is sent, so that nothing accepted can be lost."""

    def apply_async(  # type: ignore[override]  # the options are Celery's own and passed on as they are
        self, args: Any = None, kwargs: Any = None, **options: Any
    ) -> AsyncResult[None]:
        """Record the request and queue its id. ``task_id`` may be a UUID or its text.

        Raises what ``ai_tasks.ledger.accept`` raises: ``UnknownRequestType``, ``InvalidRequestData``, ``NotFound``.
        """
        names = ("task_id", "user_id", "request_type", "request_data")
        request = {**dict(zip(names, args or (), strict=False)), **(kwargs or {})}
        if "request_type" not in request:  # a message of ours, which only names the row
            return super().apply_async(args, kwargs, **options)
        task_id = UUID(str(request.pop("task_id")))
        ledger.accept(task_id=task_id, **request)
        return self.AsyncResult(str(task_id))


@shared_task(base=DurableTask, name="utils.async_optimization.process_ai_request")
def process_ai_request(
    task_id: str, user_id: int | None = None, request_type: str | None = None, request_data: Any = None
) -> None:
    """Work on an AI task. Call ``.delay(task_id, user_id, request_type, request_data)`` to record and queue one."""
    if worker.is_stopping:
        raise Reject("this worker is stopping", requeue=True)
    worker.execute(UUID(task_id))


@heartbeat_sent.connect
def tell_readiness(sender: Any, **_kwargs: object) -> None:
    worker_is_alive(sender.eventer.hostname)


@worker_shutting_down.connect
def finish_or_release(**_kwargs: object) -> None:
    """Celery's warm shutdown waits for threads that nobody would stop, and for a broker that may not answer."""
    worker.stop_soon(settings.AI_SHUTDOWN_SECONDS)
    end = threading.Timer(settings.AI_SHUTDOWN_SECONDS + LEAVE_SECONDS, _leave)
    end.daemon = True
    end.start()


def _leave() -> None:
    """End the process as it is: leases were given back, and whatever it still was about is done again by others."""
    logger.warning("The worker leaves without its broker's answer.")
    os._exit(0)


@shared_task(name="ai_tasks.sweep")
def sweep() -> None:
    """Find what was lost: tasks nobody works on, cancels nobody confirmed, notifications nobody saw."""
    ledger.sweep()
    notifications.push_unpushed()


@shared_task(name="notifications.drain")
def drain_notifications() -> None:
    """Move notifications from Redis into their table."""
    notifications.drain()


@shared_task(name=password_resets.SEND_TASK)
def send_password_reset(reset_id: int) -> None:
    """Send the mail of one request for a new password, unless it was sent a moment ago."""
    password_resets.send_mail(reset_id)


@shared_task(name="accounts.send_due_password_resets")
def send_due_password_resets() -> None:
    """Find the mails that no worker heard of."""
    password_resets.publish_due()


@shared_task(name="utils.purge")
def purge() -> None:
    """Delete what has expired: sessions, password resets, idempotency records, old tasks and their streams."""
    sessions.purge_expired()
    idempotency.purge_expired()
    ledger.purge_finished()


def _tasks(task_id: UUID | str) -> QuerySet[AITask]:
    """The one task of this id, or none; text that is no UUID is the id of none."""
    try:
        return AITask.objects.filter(pk=UUID(str(task_id)))
    except ValueError:
        return AITask.objects.none()


class AsyncTaskManager:
    """What became of an AI task, for our own code: it asks no owner. Views look tasks up by their user."""

    @staticmethod
    def get_task_status(task_id: UUID | str) -> TaskStatus:
        """The task's state by its row, in which its worker records its progress twice a second."""
        task = _tasks(task_id).only("status", "progress", "message", "updated_at").first()
        if task is None:
            return {"status": None, "progress": 0, "message": "", "timestamp": None}
        return {
            "status": task.status,
            "progress": task.progress,
            "message": task.message,
            "timestamp": task.updated_at,
        }

    @staticmethod
    def get_task_result(task_id: UUID | str) -> dict[str, Any] | None:
        """``{content, code, code_language, sources, notice}``, or None as long as there is none."""
        return _tasks(task_id).values_list("result", flat=True).first()


class NotificationOptimizer:
    """Notifications that reach their user at once."""

    TYPE_SUCCESS = Notification.Type.SUCCESS.value
    TYPE_ERROR = Notification.Type.ERROR.value
    TYPE_WARNING = Notification.Type.WARNING.value
    TYPE_INFO = Notification.Type.INFO.value
    TYPE_PROCESSING = Notification.Type.PROCESSING.value

    @staticmethod
    def create_notification(
        user_id: int, title: str, message: str, notification_type: str = TYPE_INFO, action_id: UUID | str | None = None
    ) -> UUID:
        """Put a notification into the user's inbox without touching the database; its row follows. Returns its id."""
        return notifications.create(
            user_id=user_id,
            title=title,
            message=message,
            notification_type=notification_type,
            action_id="" if action_id is None else str(action_id),
        )
