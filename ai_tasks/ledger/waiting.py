"""Tasks that wait together while every provider is out: one of them at a time is sent to probe, and all go on after."""

import logging
from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from ai_tasks import outages
from ai_tasks.ledger.announcing import PROCESS_TASK, announce_end
from ai_tasks.ledger.budgets import settled
from ai_tasks.models import AITask
from ai_tasks.providers import provider_names
from utils.redis.broker import publish

logger = logging.getLogger(__name__)

BATCH = 500
GIVEN_UP = "provider_unavailable"
GIVEN_UP_DETAIL = "The AI provider did not answer in time: this request has waited for too long."
GOING_ON_MESSAGE = "Waiting for a worker"

_S = AITask.Status


def wake() -> int:
    """Send waiting tasks to workers: all of them if a provider is back, else one if it is time for a probe.

    Any number of these may run at once. Returns how many were sent.
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
    """In batches, each of them committed before the next: the sweep is not the only one that may be interrupted."""
    total = 0
    while sent := _send(waiting, BATCH):
        total += sent
        if sent < BATCH:
            break
    return total


def _send(waiting: QuerySet[AITask], limit: int) -> int:
    """Make these due and publish them, those first that have waited longest since their last attempt.

    What the broker does not take the sweep sends later.
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
