"""Turns files of an import to which its notes refer into attachments of these notes."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from tempfile import TemporaryFile
from typing import IO
from uuid import UUID, uuid5

from notes.files import ImageTooLarge, UnreadableFile, UnsupportedFile, cleaned
from notes.importers import ImportContext, SourceFile
from notes.markdown.archives import UnreadableEntry
from notes.models import Attachment
from notes.services.attachments import record_attachment, stored_file
from utils.http.uploads import ATTACHMENT_MAX_BYTES

_LINK = re.compile(r"/api/attachments/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/")
_NAMESPACE = UUID("6f6a0d5e-6b7b-4b5c-9a36-0d2d6f0a8c11")


@dataclass(slots=True)
class FileAttachments:
    """The attachments of the note that is made from one file."""

    context: ImportContext
    file: SourceFile
    _wanted: dict[UUID, SourceFile] = field(default_factory=dict)

    def attach(self, path: str, label: str) -> str | None:
        """Make the file at this path an attachment and return its Markdown; None if that is not possible.

        Its id is derived from the user, both files' paths and the content, so that the same import makes the same text.
        """
        source = self.context.others.get(path)
        if source is None:
            return None
        try:
            content = source.read(ATTACHMENT_MAX_BYTES + 1)
        except UnreadableEntry:
            return None
        if len(content) > ATTACHMENT_MAX_BYTES or not _is_attachable(content):
            return None
        name = f"{self.context.user_id}\n{self.file.path}\n{source.path}\n{sha256(content).hexdigest()}"
        attachment_id = uuid5(_NAMESPACE, name)
        self._wanted[attachment_id] = source
        self.context.attached.add(path)
        return f"![{label or source.name.rpartition('/')[2]}](/api/attachments/{attachment_id}/)"

    def move(self, text: str) -> str:
        """Replace links in the text of an export by links to the archive's attachments, unless the user has these."""

        def moved(found: re.Match[str]) -> str:
            path = self.context.exported_attachments.get(found[1])
            if path is None or Attachment.objects.filter(pk=found[1], user_id=self.context.user_id).exists():
                return found[0]
            attached = self.attach(path, found[1])
            if attached is None:
                return found[0]
            link = attached.partition("](")[2].removesuffix(")")
            self.context.moved_attachments[found[1]] = _LINK.sub(r"\1", link)
            return link

        return _LINK.sub(moved, text)

    def save(self, note_id: int) -> None:
        """Attach the files to the note, except those that it already has. Raises ``OverBudget``."""
        if self.context.dry_run:
            return
        existing = set(Attachment.objects.filter(pk__in=self._wanted).values_list("pk", flat=True))
        for attachment_id, source in self._wanted.items():
            if attachment_id not in existing:
                name = source.name.rpartition("/")[2]
                content = source.read(ATTACHMENT_MAX_BYTES)
                with _on_disk(content) as file, stored_file(name=name, content=file) as stored:
                    record_attachment(
                        user_id=self.context.user_id, note_id=note_id, stored=stored, attachment_id=attachment_id
                    )


@contextmanager
def _on_disk(content: bytes) -> Iterator[IO[bytes]]:
    with TemporaryFile() as file:
        file.write(content)
        file.flush()
        file.seek(0)
        yield file


def _is_attachable(content: bytes) -> bool:
    try:
        with _on_disk(content) as file, cleaned(file):
            return True
    except (UnsupportedFile, UnreadableFile, ImageTooLarge):
        return False
