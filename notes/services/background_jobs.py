"""The common part of imports and exports: rows that workers claim, renew and end.

A message to a worker is only a hint. ``publish_unfinished`` sends it again for jobs without a worker, so a job
continues after a crash of its worker. A job whose worker was lost ``ATTEMPTS_MAX`` times fails.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from notes.transfers import UNFINISHED, BackgroundJob, JobStatus, NoteExport, NoteImport
from utils.models import FileToDelete
from utils.redis.broker import publish

ATTEMPTS_MAX = 5
LEASE = timedelta(seconds=120)
"""Longer than any step between two renewals."""
REPUBLISH_AFTER = timedelta(seconds=60)
_BATCH_SIZE = 500
IMPORT_TASK = "notes.carry_out_import"
EXPORT_TASK = "notes.carry_out_export"
_TASKS: Sequence[tuple[type[BackgroundJob], str]] = ((NoteImport, IMPORT_TASK), (NoteExport, EXPORT_TASK))

JobT = TypeVar("JobT", bound=BackgroundJob)


def publish_job(job: BackgroundJob) -> None:
    """Send the job to a worker after COMMIT."""
    task = IMPORT_TASK if isinstance(job, NoteImport) else EXPORT_TASK
    transaction.on_commit(lambda: _publish(type(job), job.pk, task), robust=True)


def publish_unfinished() -> int:
    """Send the message of each job without a worker again; return how many."""
    count = 0
    for model, task in _TASKS:
        before = timezone.now() - REPUBLISH_AFTER
        waiting = model._default_manager.filter(status__in=UNFINISHED).filter(
            Q(published_at=None) | Q(published_at__lt=before), _is_free()
        )
        for job_id in waiting.values_list("pk", flat=True).order_by("created_at")[:_BATCH_SIZE]:
            count += _publish(model, job_id, task)
    return count


def claim(model: type[JobT], job_id: UUID) -> JobT | None:
    """Claim a job without a worker; None if another worker has it or it is finished."""
    free = model._default_manager.filter(_is_free(), pk=job_id, status__in=UNFINISHED)
    if not free.update(status=JobStatus.RUNNING, attempt=F("attempt") + 1, lease_expires_at=Now() + LEASE):
        return None
    job = model._default_manager.get(pk=job_id)
    if job.attempt > ATTEMPTS_MAX:
        end(
            job,
            JobStatus.FAILED,
            code="worker_lost",
            detail="The worker was lost several times while it was working on this.",
        )
        return None
    return job


def renew(job: BackgroundJob) -> bool:
    """Renew the lease of a claimed job; False if it was cancelled, or another worker has claimed it."""
    return bool(_claimed(job).update(lease_expires_at=Now() + LEASE))


def release(job: BackgroundJob, *, is_counted: bool = False) -> None:
    """Release a claimed job, to be tried again later.

    ``is_counted``: whether it counts as an attempt, for errors that the job itself may have caused.
    """
    attempt = F("attempt") if is_counted else F("attempt") - 1
    _claimed(job).update(lease_expires_at=Now(), published_at=Now(), attempt=attempt)


def end(
    job: BackgroundJob, status: JobStatus, *, code: str = "", detail: str = "", keep_file: bool = False, **values: Any
) -> bool:
    """End a claimed job; False if this worker no longer holds it. Without ``keep_file``, its file is deleted."""
    return _end(_claimed(job), status, code=code, detail=detail, keep_file=keep_file, **values)


def cancel(jobs: QuerySet[Any]) -> bool:
    """Cancel unfinished jobs. Their results so far are kept."""
    return _end(jobs.filter(status__in=UNFINISHED), JobStatus.CANCELLED)


def delete_file(name: str) -> None:
    """Mark a file for deletion after this transaction has committed."""
    if name:
        FileToDelete.objects.create(name=name)


def _end(
    jobs: QuerySet[Any], status: JobStatus, *, code: str = "", detail: str = "", keep_file: bool = False, **values: Any
) -> bool:
    with transaction.atomic():
        locked = list(jobs.select_for_update(no_key=True).only("pk", "file"))
        if not keep_file:
            for job in locked:
                delete_file(job.file)
            values["file"] = ""
        type_of_jobs = jobs.model._default_manager.filter(pk__in=[job.pk for job in locked])
        type_of_jobs.update(
            status=status,
            error_code=code,
            error_detail=detail,
            lease_expires_at=None,
            finished_at=Now(),
            **values,
        )
    return bool(locked)


def _publish(model: type[BackgroundJob], job_id: UUID, task: str) -> bool:
    model._default_manager.filter(pk=job_id).update(published_at=Now())
    return publish(task, str(job_id))


def _is_free() -> Q:
    return Q(lease_expires_at=None) | Q(lease_expires_at__lte=Now())


def _claimed(job: JobT) -> QuerySet[JobT]:
    return type(job)._default_manager.filter(pk=job.pk, attempt=job.attempt, status=JobStatus.RUNNING)
