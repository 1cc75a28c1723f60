"""PDFs of notes: made by a worker, kept for a day."""

import logging
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from uuid import UUID

import orjson
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from notes import pdf, reads
from notes.models import Note
from notes.services import background_jobs
from notes.services.background_jobs import end
from notes.transfers import UNFINISHED, JobStatus, NoteExport
from utils import storage
from utils.bounded_process import ProcessFailed, run_bounded
from utils.database.batching import delete_in_batches
from utils.http.errors import Conflict
from utils.http.json import dumps

logger = logging.getLogger(__name__)

KEPT_FOR = timedelta(hours=24)
UNFINISHED_MAX = 2
_PROCESS = Path(pdf.__file__).with_name("process.py")


class TooManyPDFs(Conflict):
    code = "too_many_note_exports"
    detail = f"{UNFINISHED_MAX} of your exports are being made. Try again when one of them is done."


def submit_export(*, user_id: int, note_id: int) -> NoteExport:
    """Have a PDF of the note made. The note at the same version gives the same export, as long as its file is kept.

    Raises ``Note.DoesNotExist``, :class:`TooManyPDFs` and ``StorageNotConfigured``.
    """
    storage.require_storage()
    with transaction.atomic():
        # One after another, so that nobody has more than so many at once.
        get_user_model().objects.select_for_update(no_key=True).only("pk").get(pk=user_id)
        version = Note.objects.owned_by(user_id).live().values_list("version", flat=True).get(pk=note_id)
        same = NoteExport.objects.filter(note_id=note_id, note_version=version)
        usable = same.filter(status__in=UNFINISHED) | same.filter(status=JobStatus.SUCCEEDED, finished_at__gt=_oldest())
        if found := usable.first():
            return found
        same.delete()
        if NoteExport.objects.filter(user_id=user_id, status__in=UNFINISHED).count() >= UNFINISHED_MAX:
            raise TooManyPDFs
        job = NoteExport.objects.create(user_id=user_id, note_id=note_id, note_version=version)
        job.refresh_from_db(fields=["created_at"])
        background_jobs.publish_job(job)
        return job


def carry_out_export(export_id: UUID) -> None:
    """Make the PDF. Does nothing if another worker does, or if it is made already."""
    job = background_jobs.claim(NoteExport, export_id)
    if job is None:
        return
    try:
        note = dumps(reads.detail(job.note_id, user_id=job.user_id))
        head, _, content = run_bounded(_PROCESS, note).partition(b"\n")
    except Note.DoesNotExist:
        end(job, JobStatus.FAILED, code="note_gone", detail="The note is in the trash, or deleted.")
    except ProcessFailed as error:
        logger.warning("Export %s failed: %s", job.pk, error)
        end(job, JobStatus.FAILED, code="pdf_failed", detail="The note is too large for a PDF, or cannot be set.")
    else:
        name = storage.new_name("exports")
        try:
            storage.store(name, BytesIO(content))
        except storage.StorageUnavailable:
            background_jobs.release(job)
            return
        missing = orjson.loads(head)["missing"]
        warnings = [f"No font here has: {', '.join(missing)}"] if missing else []
        if not end(job, JobStatus.SUCCEEDED, keep_file=True, file=name, warnings=warnings):
            storage.discard(name)


def delete_export(*, user_id: int, export_id: UUID) -> None:
    """Delete an export and its file; one that is being made is stopped. Raises ``NoteExport.DoesNotExist``."""
    if not NoteExport.objects.filter(user_id=user_id, pk=export_id, note__deleted_at=None).delete()[0]:
        raise NoteExport.DoesNotExist


def kept_exports() -> QuerySet[NoteExport]:
    """Those that can still be asked for."""
    return NoteExport.objects.exclude(finished_at__lte=_oldest()).filter(note__deleted_at=None)


def purge_exports() -> int:
    """Delete exports whose day is over, with their files; return how many."""
    return delete_in_batches(NoteExport.objects.filter(finished_at__lte=_oldest()))


def _oldest() -> object:
    return timezone.now() - KEPT_FOR
