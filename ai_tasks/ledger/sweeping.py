"""Repairs after killed processes, lost messages and outages of Redis; deletion of old tasks."""

import logging
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from ai_tasks.ledger.announcing import PROCESS_TASK, announce_end
from ai_tasks.ledger.attempts import MAX_LOST_LEASES, confirm_cancel, fail_poisoned
from ai_tasks.ledger.waiting import fail_overdue, wake
from ai_tasks.models import AITask
from utils.database.batching import delete_in_batches
from utils.redis.broker import messages_waiting, publish

logger = logging.getLogger(__name__)

BATCH = 500
REPUBLISH_AFTER = timedelta(seconds=60)

_S = AITask.Status


def sweep() -> int:
    """Confirm cancels whose worker is lost, fail poisoned tasks, and republish tasks that no worker will get.

    Sweeps may run concurrently. Returns how many tasks were published.
    """
    _confirm_orphaned_cancels()
    _fail_poisoned()
    fail_overdue()
    return wake() + _republish()


def purge_finished() -> int:
    """Delete tasks that ended more than ``AI_TASK_RETENTION_DAYS`` ago; return how many. Their Redis keys expire."""
    ended = timezone.now() - timedelta(days=settings.AI_TASK_RETENTION_DAYS)
    return delete_in_batches(AITask.objects.filter(status__in=AITask.TERMINAL, finished_at__lt=ended))


def _confirm_orphaned_cancels() -> None:
    with transaction.atomic():
        orphans = AITask.objects.filter(status=_S.CANCELLING, lease_expires_at__lt=Now())
        task_ids = _locked(orphans.order_by("pk"), BATCH)
        confirm_cancel(AITask.objects.filter(pk__in=task_ids))
        for task in AITask.objects.filter(pk__in=task_ids):
            announce_end(task)


def _fail_poisoned() -> None:
    with transaction.atomic():
        poisoned = AITask.objects.filter(
            status=_S.RUNNING, lease_expires_at__lt=Now(), lost_leases__gte=MAX_LOST_LEASES - 1
        )
        fail_poisoned(list(poisoned.values_list("pk", flat=True)[:BATCH]))


def _republish() -> int:
    """Publish due tasks without a message in the queue; a duplicate message does no harm.

    Tasks that were never published, or whose worker is lost, have no message. Of the others, if the queue has fewer
    messages than there are such tasks, as many as are missing are sent again, if they were sent long ago, oldest first.
    So a long queue, of 1,000 tasks after an outage, is not sent again every minute.
    """
    due = AITask.objects.claimable()
    without_message = Q(published_at=None) | Q(status=_S.RUNNING, published_at__lt=F("lease_expires_at"))
    sent = due.filter(~without_message).count()
    waiting = messages_waiting(PROCESS_TASK)
    if waiting is None:
        return 0
    missing = max(0, sent - waiting)
    sent_long_ago = due.filter(~without_message, published_at__lt=Now() - REPUBLISH_AFTER).order_by("published_at")
    with transaction.atomic():
        task_ids = _locked(due.filter(without_message), BATCH) + _locked(sent_long_ago, min(BATCH, missing))
        AITask.objects.filter(pk__in=task_ids).update(published_at=Now())
    published = 0
    try:
        for task_id in task_ids:
            if not publish(PROCESS_TASK, str(task_id)):
                break
            published += 1
    finally:
        if unpublished := task_ids[published:]:
            _mark_unpublished(unpublished)
    return published


def _mark_unpublished(task_ids: list[UUID]) -> None:
    """Leave them to the next sweep. A locked row is skipped: it is sent again once its message is old."""
    with transaction.atomic():
        unfinished = AITask.objects.filter(pk__in=task_ids, status__in=AITask.UNFINISHED)
        AITask.objects.filter(pk__in=_locked(unfinished, BATCH)).update(published_at=None)
    logger.warning("%d tasks could not be published: the broker did not accept them", len(task_ids))


def _locked(tasks: QuerySet[AITask], limit: int) -> list[UUID]:
    return list(tasks.select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True)[:limit])
