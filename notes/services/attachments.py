"""Writes to attachments. A file is stored before its row is written, and deleted after the row's deletion commits."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from tempfile import TemporaryFile
from typing import IO
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from notes.files import cleaned
from notes.models import FILE_NAME_MAX_LENGTH, Attachment, Note
from notes.services.budgets import charge_user
from utils import storage
from utils.http.errors import Conflict

ATTACHMENTS_MAX = 1_000
"""The maximum number in one note."""
CARD_ATTACHMENTS_MAX = 20_000
"""The maximum number of all of a user's cards."""
_ENDINGS = {
    Attachment.ContentType.PNG: (".png",),
    Attachment.ContentType.JPEG: (".jpg", ".jpeg", ".jpe", ".jfif"),
    Attachment.ContentType.GIF: (".gif",),
    Attachment.ContentType.WEBP: (".webp",),
    Attachment.ContentType.PDF: (".pdf",),
}
_UNSAFE = re.compile(r'[/\\:*?"<>|]')
_SPACES = re.compile(r"\s+")


class TooManyAttachments(Conflict):
    code = "too_many_attachments"
    detail = f"A note can have at most {ATTACHMENTS_MAX} attachments."


@dataclass(slots=True)
class StoredFile:
    """A cleaned file in the storage that has no row yet."""

    name: str
    kind: Attachment.ContentType
    size: int
    file: str
    has_row: bool = False


@contextmanager
def stored_file(*, name: str, content: IO[bytes]) -> Iterator[StoredFile]:
    """Clean and store a file; the caller writes its row inside the block. If the block fails, the file is deleted.

    Call it outside a transaction, as the storage may be slow. ``content`` is a file on the disk. Raises
    ``UnsupportedFile``, ``UnreadableFile``, ``ImageTooLarge``, ``StorageNotConfigured`` and ``StorageUnavailable``.
    """
    storage.require_storage()
    with cleaned(content) as (kind, clean):
        size = clean.seek(0, 2)
        stored = StoredFile(readable_name(name, kind), kind, size, storage.new_name("attachments"))
        storage.store(stored.file, clean)
    try:
        yield stored
    except BaseException:
        storage.discard(stored.file)
        raise
    if not stored.has_row:
        storage.discard(stored.file)


def record_attachment(
    *, user_id: int, note_id: int, stored: StoredFile, attachment_id: UUID | None = None
) -> Attachment:
    """Attach a stored file to the user's note, under an id that the caller chose, or a random one.

    Raises ``Note.DoesNotExist``, :class:`TooManyAttachments` and ``AccountFull``.
    """
    with transaction.atomic():
        note = Note.objects.owned_by(user_id).live().only("pk").get(pk=note_id)
        attachment = Attachment.objects.create(
            pk=attachment_id or uuid4(),
            user_id=user_id,
            note=note,
            name=stored.name,
            content_type=stored.kind,
            size=stored.size,
            file=stored.file,
        )
        charge_user(user_id=user_id, grown=stored.size)
        # Counted under the lock of the user's storage use: of two concurrent uploads, the second sees the first.
        if note.attachments.count() > ATTACHMENTS_MAX:
            raise TooManyAttachments
    stored.has_row = True
    return attachment


def record_card_attachments(*, user_id: int, stored: Mapping[UUID, StoredFile]) -> list[Attachment]:
    """Write the rows of stored files of cards, which belong to no note: three queries. The ids must be new.

    Takes the lock of the user's storage use, so call it last. Raises :class:`TooManyAttachments` and ``AccountFull``.
    """
    if not stored:
        return []
    with transaction.atomic():
        made = Attachment.objects.bulk_create(
            Attachment(
                pk=attachment_id,
                user_id=user_id,
                name=one.name,
                content_type=one.kind,
                size=one.size,
                file=one.file,
                created_at=timezone.now(),
            )
            for attachment_id, one in stored.items()
        )
        charge_user(user_id=user_id, grown=sum(one.size for one in stored.values()))
        if Attachment.objects.filter(user_id=user_id, note=None).count() > CARD_ATTACHMENTS_MAX:
            raise TooManyAttachments(f"Your cards can have at most {CARD_ATTACHMENTS_MAX} attachments.")
    for one in stored.values():
        one.has_row = True
    return made


def add_attachment(*, user_id: int, note_id: int, name: str, content: IO[bytes] | bytes) -> Attachment:
    """Attach a file, given as bytes or as an open file on the disk, to the user's note.

    For code that already has the file, such as an import. Raises what ``stored_file`` and ``record_attachment`` raise.
    """
    if isinstance(content, bytes):
        with TemporaryFile() as file:
            file.write(content)
            file.flush()
            return add_attachment(user_id=user_id, note_id=note_id, name=name, content=file)
    with stored_file(name=name, content=content) as stored:
        return record_attachment(user_id=user_id, note_id=note_id, stored=stored)


def open_attachment(attachment: Attachment) -> IO[bytes]:
    """The file of an attachment, which the caller closes. Raises what ``utils.storage.read`` raises."""
    return storage.read(attachment.file)


def delete_attachment(*, user_id: int, attachment_id: UUID) -> None:
    """Delete an attachment; its file follows. Raises ``Attachment.DoesNotExist``."""
    with transaction.atomic():
        mine = Attachment.objects.owned_by(user_id).filter(pk=attachment_id)
        size = mine.select_for_update(of=("self",)).values_list("size", flat=True).get()
        Attachment.objects.filter(pk=attachment_id).delete()
        charge_user(user_id=user_id, grown=-size)


def readable_name(name: str, kind: Attachment.ContentType) -> str:
    """A file's name for display and download: no path, no invisible characters, and the extension of its kind."""
    name = unicodedata.normalize("NFC", name)
    name = "".join(" " if character.isspace() else character for character in name)
    name = "".join(character for character in name if unicodedata.category(character)[0] != "C")
    name = _SPACES.sub(" ", _UNSAFE.sub("_", name)).strip(" .")
    path = PurePosixPath(name or "file")
    endings = _ENDINGS[kind]
    stem, ending = (path.stem, path.suffix) if path.suffix.lower() in endings else (path.name, endings[0])
    return stem[: FILE_NAME_MAX_LENGTH - len(ending)] + ending
