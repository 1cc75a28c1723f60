"""Cancelling a task for its user."""

from uuid import UUID

from django.db import transaction
from django.db.models import Case, F, Value, When
from django.db.models.functions import Now

from ai_tasks.ledger.announcing import announce_end, log_transition
from ai_tasks.models import AITask
from ai_tasks.money import ZERO
from utils.http.errors import Conflict, NotFound

_S = AITask.Status


class TaskFinished(Conflict):
    code = "task_finished"
    detail = "The task has already ended."


def cancel(*, task_id: UUID, user_id: int) -> AITask:
    """Cancel a waiting task at once; signal the worker of a running one, which confirms the cancel. Idempotent.

    Raises ``NotFound``, or ``TaskFinished``.
    """
    mine = AITask.objects.owned_by(user_id).filter(pk=task_id)
    with transaction.atomic():
        cancelled = mine.filter(status__in=[_S.QUEUED, _S.WAITING_PROVIDER, _S.RUNNING]).update(
            finished_at=Case(When(status=_S.RUNNING, then=None), default=Now()),
            message=Case(When(status=_S.RUNNING, then=Value("Cancelling")), default=Value("Cancelled")),
            status=Case(When(status=_S.RUNNING, then=Value(_S.CANCELLING)), default=Value(_S.CANCELLED)),
            reserved=Case(When(status=_S.RUNNING, then=F("reserved")), default=ZERO),
            updated_at=Now(),
        )
        task = mine.first()
        if task is None:
            raise NotFound
        if not cancelled and task.status != _S.CANCELLING:
            raise TaskFinished
        if task.is_terminal:
            announce_end(task)
        elif cancelled:
            log_transition(task.pk, user_id=user_id, attempt=task.attempt, status=task.status)
    return task
