"""Exports the pictures of cards as media of a package, which stores each file under a number and lists its name."""

from collections.abc import Iterator
from typing import IO

from django.conf import settings

from notes.models import Attachment
from utils import storage
from utils.personal_data import File

_PIECE = 64 * 1024
_ENDINGS = {
    Attachment.ContentType.PNG: "png",
    Attachment.ContentType.JPEG: "jpg",
    Attachment.ContentType.GIF: "gif",
    Attachment.ContentType.WEBP: "webp",
}
"""The types that Anki can show; PDF is not one of them."""


class OutgoingMedia:
    """The pictures of one user's package. Names derive from ids, so a later package creates no duplicates."""

    def __init__(self, user_id: int) -> None:
        self._user_id = user_id
        self._names: dict[str, str] = {}
        self._stored: list[str] = []

    def look_up(self, attachment_ids: set[str]) -> None:
        """Load the user's own attachments among these ids: one query, or none."""
        wanted = attachment_ids - self._names.keys()
        if not wanted or not settings.FILES_ARE_KEPT:
            return
        mine = Attachment.objects.owned_by(self._user_id).filter(pk__in=wanted, content_type__in=_ENDINGS)
        for attachment in mine.only("pk", "content_type", "file").order_by("pk"):
            kind = Attachment.ContentType(attachment.content_type)
            self._names[str(attachment.pk)] = f"{attachment.pk}.{_ENDINGS[kind]}"
            self._stored.append(attachment.file)

    def name(self, attachment_id: str) -> str | None:
        """The name of an attachment in card fields; None if it is not in the package."""
        return self._names.get(attachment_id)

    def names_by_number(self) -> dict[str, str]:
        return {str(number): name for number, name in enumerate(self._names.values())}

    def files(self) -> Iterator[File]:
        """Yield the files. A file missing from the storage is left out and logged."""
        for number, name in enumerate(self._stored):
            try:
                file = storage.read(name)
            except storage.FileMissing:
                continue
            with file:
                yield str(number), _pieces(file)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece
