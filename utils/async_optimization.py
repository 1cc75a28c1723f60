"""The façade of asynchronous work: Celery tasks, the status of AI tasks, and notifications.

The Celery tasks take ids. They tolerate duplicate and lost messages, as rows in the database define what is to be done.
"""

import logging
import os
import threading
from contextlib import suppress
from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID

from celery import Task, current_app, shared_task
from celery.exceptions import Reject
from celery.result import AsyncResult
from celery.signals import after_task_publish, beat_embedded_init, beat_init, heartbeat_sent, worker_shutting_down
from django.conf import settings
from django.db.models import QuerySet

from accounts.services import password_resets, sessions
from ai_tasks import ledger
from ai_tasks.embeddings.indexing import index_due_notes
from ai_tasks.models import AITask
from ai_tasks.worker import worker
from notes import services as notes
from notes.services import background_jobs, imports, indexing, note_exports
from notifications import services as notifications
from notifications.models import Notification
from utils import storage
from utils.diagnosis import storage as storage_diagnosis
from utils.http import idempotency
from utils.monitoring import traces
from utils.page_cache.invalidation import carry_out_recorded_bumps
from utils.redis.client import RedisUnavailable
from utils.redis.signs import forget_worker, record_beat_run, record_worker_heartbeat

logger = logging.getLogger(__name__)

EXIT_SECONDS = 8.0
"""How long a stopping worker may take after its grace time: platforms kill a process 30 s after SIGTERM."""


class TaskStatus(TypedDict):
    """``status`` is None for an unknown id; ``progress`` is a percentage; ``timestamp`` is UTC."""

    status: str | None
    progress: int
    message: str
    timestamp: datetime | None


class DurableTask(Task[..., None]):
    """A Celery task whose row is written by the caller before its message is sent, so that it cannot be lost."""

    def apply_async(  # type: ignore[override]  # the options are Celery's own, passed on unchanged
        self, args: Any = None, kwargs: Any = None, **options: Any
    ) -> AsyncResult[None]:
        """Record the request and queue its id. ``task_id`` may be a UUID or its text.

        Raises what ``ai_tasks.ledger.accept`` raises: ``UnknownRequestType``, ``InvalidRequestData``, ``NotFound``.
        """
        names = ("task_id", "user_id", "request_type", "request_data")
        request = {**dict(zip(names, args or (), strict=False)), **(kwargs or {})}
        if "request_type" not in request:  # called by the ledger, with the id of an existing row
            return super().apply_async(args, kwargs, **options)
        task_id = UUID(str(request.pop("task_id")))
        ledger.accept(task_id=task_id, **request)
        return self.AsyncResult(str(task_id))


@shared_task(base=DurableTask, name="utils.async_optimization.process_ai_request")
def process_ai_request(
    task_id: str, user_id: int | None = None, request_type: str | None = None, request_data: Any = None
) -> None:
    """Run an AI task. Call ``.delay(task_id, user_id, request_type, request_data)`` to record and queue one."""
    if worker.is_stopping:
        raise Reject("this worker is stopping", requeue=True)
    with traces.span("ai task", parent=process_ai_request.request.headers or {}, task_id=task_id):
        worker.execute(UUID(task_id))


@heartbeat_sent.connect
def tell_readiness(sender: Any, **_kwargs: object) -> None:
    takes_ai_tasks = "ai" in current_app.amqp.queues.consume_from  # this process may be the consumer of other tasks
    if takes_ai_tasks and not worker.is_stopping:
        record_worker_heartbeat(sender.eventer.hostname)


@beat_init.connect
@beat_embedded_init.connect
def record_beat_runs(**_kwargs: object) -> None:
    """Record when beat last sent a task, so that a failure of beat can be told from one of the workers."""
    after_task_publish.connect(_beat_sent)


def _beat_sent(sender: str, **_kwargs: object) -> None:
    if sender in {entry["task"] for entry in current_app.conf.beat_schedule.values()}:
        record_beat_run()


@worker_shutting_down.connect
def finish_or_release(sender: str, **_kwargs: object) -> None:
    """Bound the shutdown: Celery's own waits for running threads, and for a broker that may not respond.

    ``sender`` is the worker's name. It takes no more tasks, so it no longer counts as a worker.
    """
    worker.stop_soon(settings.AI_SHUTDOWN_SECONDS)
    timer = threading.Timer(settings.AI_SHUTDOWN_SECONDS + EXIT_SECONDS, _exit)
    timer.daemon = True
    timer.start()
    forget_worker(sender)


def _exit() -> None:
    """Exit at once: leases are released, and other workers redo what is unfinished."""
    logger.warning("The worker exits without waiting for the broker any longer.")
    os._exit(0)


@shared_task(name="ai_tasks.sweep")
def sweep() -> None:
    """Repair what was lost: tasks without a worker, unconfirmed cancels, notifications that were not pushed."""
    ledger.sweep()
    notifications.push_unpushed()


@shared_task(name="ai_tasks.wake")
def wake() -> None:
    """Resume AI tasks whose provider is back; for a provider that may be back, send one task as a test."""
    ledger.wake()


@shared_task(name="ai_tasks.index_notes")
def index_notes() -> None:
    """Compute the embeddings of notes that are due, if embeddings are configured."""
    index_due_notes(lambda: worker.is_stopping)


@shared_task(name="notifications.drain")
def drain_notifications() -> None:
    """Move notifications from Redis into their table."""
    notifications.drain()


@shared_task(name=password_resets.SEND_TASK)
def send_password_reset(reset_id: int) -> None:
    """Send the mail of one password reset, unless one was just sent."""
    password_resets.send_mail(reset_id)


@shared_task(name="accounts.send_due_password_resets")
def send_due_password_resets() -> None:
    """Queue reset mails whose messages were lost."""
    password_resets.publish_due()


@shared_task(name="utils.bump_epoch")
def bump_epoch() -> None:
    """Carry out pending epoch bumps: their processes could not reach Redis, or have died since."""
    with suppress(RedisUnavailable):
        carry_out_recorded_bumps()


@shared_task(name=background_jobs.IMPORT_TASK)
def carry_out_import(import_id: str) -> None:
    """Import the remaining files of an import."""
    imports.carry_out_import(UUID(import_id))


@shared_task(name=background_jobs.EXPORT_TASK)
def carry_out_export(export_id: str) -> None:
    """Make the PDF of an export."""
    note_exports.carry_out_export(UUID(export_id))


@shared_task(name="notes.publish_jobs")
def publish_jobs() -> None:
    """Queue imports and exports again that no worker has claimed."""
    background_jobs.publish_unfinished()


@shared_task(name=indexing.MAKE_WORDS_TASK)
def make_words() -> None:
    """Make the search vectors of large notes, which their writes leave to workers."""
    indexing.make_due_words(lambda: worker.is_stopping)


@shared_task(name="utils.purge")
def purge() -> None:
    """Delete expired rows: sessions, password resets, idempotency records and old AI tasks."""
    sessions.purge_expired()
    idempotency.purge_expired()
    ledger.purge_finished()
    imports.purge_imports()
    note_exports.purge_exports()


@shared_task(name="notes.purge_orphans")
def purge_orphans() -> None:
    """Delete attachments that no text refers to any more."""
    notes.purge_orphans()


@shared_task(name="notes.drain_views")
def drain_views() -> None:
    """Add the views of shared notes that Redis has counted to their rows."""
    with suppress(RedisUnavailable):
        notes.drain_views()


@shared_task(name="utils.delete_files")
def delete_files() -> None:
    """Delete the files whose rows were deleted."""
    with suppress(storage.StorageUnavailable):  # the next run tries again
        storage.delete_marked()


@shared_task(name="utils.sweep_files")
def sweep_files() -> None:
    """Report files without a row and rows without a file. Delete nothing: the database may be a restored backup."""
    if not settings.FILES_ARE_KEPT:
        return
    for strays in storage.find_strays():
        for name in strays.files:
            logger.warning("No row names the file %s (manage.py sweep_files --delete)", name)
        for name in strays.rows:
            logger.error("A row names the file %s, which the storage does not have", name)


@shared_task(name=storage_diagnosis.TASK)
def report_file(name: str) -> None:
    """Report to the doctor what this worker reads in its test file."""
    storage_diagnosis.report_file(name)


@shared_task(name="notes.purge_trash")
def purge_trash() -> None:
    """Delete notes that have been in the trash for ``TRASH_DAYS``."""
    notes.purge_trash()


def _tasks(task_id: UUID | str) -> QuerySet[AITask]:
    """The task with this id; empty for an unknown id or an invalid UUID."""
    try:
        return AITask.objects.filter(pk=UUID(str(task_id)))
    except ValueError:
        return AITask.objects.none()


class AsyncTaskManager:
    """Status and result of an AI task, for internal code: ownership is not checked. Views look tasks up by user."""

    @staticmethod
    def get_task_status(task_id: UUID | str) -> TaskStatus:
        """The status in the task's row, where its worker records progress twice a second."""
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
        """``{content, code, code_language, sources, notice}``, or None while there is no result."""
        return _tasks(task_id).values_list("result", flat=True).first()


class NotificationOptimizer:
    """Creates notifications that reach their user at once."""

    TYPE_SUCCESS = Notification.Type.SUCCESS.value
    TYPE_ERROR = Notification.Type.ERROR.value
    TYPE_WARNING = Notification.Type.WARNING.value
    TYPE_INFO = Notification.Type.INFO.value
    TYPE_PROCESSING = Notification.Type.PROCESSING.value

    @staticmethod
    def create_notification(
        user_id: int, title: str, message: str, notification_type: str = TYPE_INFO, action_id: UUID | str | None = None
    ) -> UUID:
        """Put a notification into the user's inbox without a database query. Its row follows later. Returns its id."""
        return notifications.create(
            user_id=user_id,
            title=title,
            message=message,
            notification_type=notification_type,
            action_id="" if action_id is None else str(action_id),
        )
