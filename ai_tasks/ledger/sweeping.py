"""Repairing what a killed process, a lost message or a dead Redis left behind."""

import logging
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from ai_tasks.ledger.announcing import PROCESS_TASK, announce_end
from ai_tasks.ledger.attempts import MAX_LOST_LEASES, fail_poisoned
from ai_tasks.models import AITask
from utils.batching import delete_in_batches
from utils.messaging import messages_waiting, publish

logger = logging.getLogger(__name__)

BATCH = 500
REPUBLISH_AFTER = timedelta(seconds=60)

_S = AITask.Status


def sweep() -> int:
    """Confirm cancels whose worker is gone, fail poisoned tasks, and publish again what nobody works on.

    Any number of sweeps may run at once. Returns how many tasks were published.
    """
    _confirm_orphaned_cancels()
    _fail_poisoned()
    return _republish()


def purge_finished() -> int:
    """Delete tasks that ended longer ago than ``AI_TASK_RETENTION_DAYS``; how many. Their streams end by themselves."""
    ended = timezone.now() - timedelta(days=settings.AI_TASK_RETENTION_DAYS)
    return delete_in_batches(AITask.objects.filter(status__in=AITask.TERMINAL, finished_at__lt=ended))


def _confirm_orphaned_cancels() -> None:
    with transaction.atomic():
        orphans = AITask.objects.filter(status=_S.CANCELLING, lease_expires_at__lt=Now())
        locked = list(orphans.select_for_update(skip_locked=True, no_key=True).order_by("pk")[:BATCH])
        AITask.objects.filter(pk__in=[task.pk for task in locked], status=_S.CANCELLING).update(
            status=_S.CANCELLED, message="Cancelled", lease_expires_at=None, finished_at=Now(), updated_at=Now()
        )
        for task in locked:
            task.status, task.message = _S.CANCELLED, "Cancelled"
            announce_end(task)


def _fail_poisoned() -> None:
    with transaction.atomic():
        poisoned = AITask.objects.filter(
            status=_S.RUNNING, lease_expires_at__lt=Now(), lost_leases__gte=MAX_LOST_LEASES - 1
        )
        fail_poisoned(list(poisoned.values_list("pk", flat=True)[:BATCH]))


def _republish() -> int:
    """Publish tasks that are due and that no worker will hear of; a message too many changes nothing.

    Nobody will hear of those that were never published, or whose worker is gone. Of the others a message was sent; if
    that was long ago and the queue holds fewer messages than there are such tasks, the missing ones are sent again, of
    the oldest tasks first. So a long queue, of 1,000 tasks after an outage, is not sent anew every minute.
    """
    due = AITask.objects.claimable()
    unheard = Q(published_at=None) | Q(status=_S.RUNNING, published_at__lt=F("lease_expires_at"))
    sent = due.filter(~unheard).count()
    waiting = messages_waiting(PROCESS_TASK)
    if waiting is None:
        return 0
    missing = max(0, sent - waiting)
    sent_long_ago = due.filter(~unheard, published_at__lt=Now() - REPUBLISH_AFTER).order_by("published_at")
    with transaction.atomic():
        task_ids = _locked(due.filter(unheard), BATCH) + _locked(sent_long_ago, min(BATCH, missing))
        AITask.objects.filter(pk__in=task_ids).update(published_at=Now())
    published = 0
    for task_id in task_ids:
        if not publish(PROCESS_TASK, str(task_id)):
            break
        published += 1
    if published < len(task_ids):
        unpublished = AITask.objects.filter(pk__in=task_ids[published:], status__in=AITask.UNFINISHED)
        unpublished.update(published_at=None)
        logger.warning("%d tasks wait for the broker to come back", len(task_ids) - published)
    return published


def _locked(tasks: QuerySet[AITask], limit: int) -> list[UUID]:
    return list(tasks.select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True)[:limit])
