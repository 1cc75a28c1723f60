"""Submitting and cancelling imports."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import IO
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone

from notes.services import background_jobs
from notes.transfers import UNFINISHED, NoteImport
from utils import storage
from utils.database.batching import delete_in_batches
from utils.http.errors import Conflict

UNFINISHED_MAX = 5
KEPT_FOR = timedelta(days=30)


class TooManyImports(Conflict):
    code = "too_many_imports"
    detail = f"You have {UNFINISHED_MAX} unfinished imports. Wait for one to finish, or cancel one."


class AlreadyFinished(Conflict):
    code = "import_finished"
    detail = "This import has already ended."


@dataclass(slots=True)
class Upload:
    """A file in the storage that has no row yet."""

    file: str
    has_row: bool = False


@contextmanager
def stored_upload(content: IO[bytes]) -> Iterator[Upload]:
    """Store an upload; the caller writes its row inside the block. If the block fails, the file is deleted.

    Call it outside a transaction, as the storage may be slow. Raises what ``utils.storage.store`` raises.
    """
    upload = Upload(storage.new_name("imports"))
    storage.store(upload.file, content)
    try:
        yield upload
    finally:
        if not upload.has_row:
            storage.discard(upload.file)


def submit_import(*, user_id: int, name: str, upload: Upload, dry_run: bool) -> NoteImport:
    """Queue the import of a stored file. Raises :class:`TooManyImports`."""
    with transaction.atomic():
        # Submissions of a user run one after another, so that the limit cannot be exceeded.
        get_user_model().objects.select_for_update(no_key=True).only("pk").get(pk=user_id)
        require_room(user_id)
        job = NoteImport.objects.create(user_id=user_id, name=name, file=upload.file, dry_run=dry_run)
        job.refresh_from_db(fields=["created_at"])
        background_jobs.publish_job(job)
    upload.has_row = True
    return job


def require_room(user_id: int) -> None:
    """Raises :class:`TooManyImports`."""
    if NoteImport.objects.filter(user_id=user_id, status__in=UNFINISHED).count() >= UNFINISHED_MAX:
        raise TooManyImports


def cancel_import(*, user_id: int, import_id: UUID) -> None:
    """Stop an import; its notes so far are kept. Raises ``NoteImport.DoesNotExist`` and :class:`AlreadyFinished`."""
    mine = NoteImport.objects.filter(user_id=user_id, pk=import_id)
    if not background_jobs.cancel(mine):
        mine.only("pk").get()
        raise AlreadyFinished


def purge_imports() -> int:
    """Delete imports, with their reports, that ended over a month ago; return how many rows."""
    return delete_in_batches(NoteImport.objects.filter(finished_at__lt=timezone.now() - KEPT_FOR))
