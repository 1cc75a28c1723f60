"""PDFs of notes: made by a worker, kept for a day."""

import logging
import re
import shutil
from collections.abc import Iterator, Mapping
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from notes import pdf, reads
from notes.models import Attachment, Note
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
PICTURES_MAX = 200
PICTURES_BYTES_MAX = 100 * 1024 * 1024
"""Of one PDF's pictures together, as they were attached; further ones are not shown."""
PROCESS_BYTES_MAX = 512 * 1024 * 1024
"""Memory of the process that makes a PDF."""
_PICTURES = (
    Attachment.ContentType.PNG,
    Attachment.ContentType.JPEG,
    Attachment.ContentType.GIF,
    Attachment.ContentType.WEBP,
)
_ATTACHMENT = re.compile(r"/api/attachments/([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})/")
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
        note = reads.detail(job.note_id, user_id=job.user_id)
        pictures = {str(picture.pk): picture for picture in _pictures(note, user_id=job.user_id)}
        data = dumps({**note, "pictures": {pk: pk for pk in pictures}})
        made = run_bounded(_PROCESS, data, memory=PROCESS_BYTES_MAX, prepare=lambda folder: _put_into(folder, pictures))
    except storage.StorageUnavailable:
        background_jobs.release(job)
    except Note.DoesNotExist:
        end(job, JobStatus.FAILED, code="note_gone", detail="The note is in the trash, or deleted.")
    except ProcessFailed as error:
        logger.warning("Export %s failed: %s", job.pk, error)
        end(job, JobStatus.FAILED, code="pdf_failed", detail="The note is too large for a PDF, or cannot be set.")
    else:
        head, _, content = made.partition(b"\n")
        name = storage.new_name("exports")
        try:
            storage.store(name, BytesIO(content))
        except storage.StorageUnavailable:
            background_jobs.release(job)
            return
        if not end(job, JobStatus.SUCCEEDED, keep_file=True, file=name, warnings=_warnings(orjson.loads(head))):
            storage.discard(name)


def _pictures(note: dict[str, Any], *, user_id: int) -> Iterator[Attachment]:
    """The user's pictures that a note names, in order, as many as are allowed."""
    texts = [topic["explanation"] for chapter in note["chapters"] for topic in chapter["topics"]]
    named = dict.fromkeys(UUID(found) for text in texts for found in _ATTACHMENT.findall(text))
    known = Attachment.objects.owned_by(user_id).filter(content_type__in=_PICTURES).in_bulk(list(named)[:PICTURES_MAX])
    total = 0
    for pk in named:
        if (picture := known.get(pk)) is not None and total + picture.size <= PICTURES_BYTES_MAX:
            total += picture.size
            yield picture


def _put_into(folder: Path, pictures: Mapping[str, Attachment]) -> None:
    """Copy the pictures' files, but for those that the storage has lost. Raises ``StorageUnavailable``."""
    for name, picture in pictures.items():
        try:
            with storage.read(picture.file) as source, (folder / name).open("wb") as target:
                shutil.copyfileobj(source, target)
        except storage.FileMissing:
            continue


def _warnings(head: dict[str, Any]) -> list[str]:
    warnings = []
    if head["missing"]:
        warnings.append(f"No font here has: {', '.join(head['missing'])}")
    if head["not_shown"]:
        warnings.append(f"Attached pictures that are not shown: {head['not_shown']}.")
    return warnings


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
