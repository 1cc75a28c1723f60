"""Pictures of imported cards: attachments that belong to no note."""

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from tempfile import TemporaryFile
from typing import IO, Protocol
from uuid import UUID, uuid5

from django.conf import settings

from notes.files import ImageTooLarge, UnreadableFile, UnsupportedFile, cleaned
from notes.markdown.escaping import escape_title
from notes.models import Attachment
from notes.services import StoredFile, record_card_attachments, stored_file
from utils.http.uploads import ATTACHMENT_MAX_BYTES

ATTACHMENT_PATH = re.compile(r"/api/attachments/([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})/")
_NAMESPACE = UUID("c2a5d7a4-1c52-4f5e-9d37-6f9d2f0f7b33")


def attachments_in(text: str) -> set[str]:
    """The ids of the attachments in a text, in lower case."""
    return {found.lower() for found in ATTACHMENT_PATH.findall(text)}


class PictureSource(Protocol):
    """The package or export that contains the pictures."""

    def media(self, name: str, at_most: int) -> bytes | None:
        """The file with this name in card texts, cut after ``at_most`` bytes; None if it is missing or unreadable."""


class IncomingPictures:
    """Turns pictures into attachments of cards. Ids derive from user and content, so nothing is stored twice."""

    def __init__(self, user_id: int, source: PictureSource) -> None:
        self._user_id = user_id
        self._source = source
        self._ids: dict[str, UUID | None] = {}
        self._stored: dict[UUID, StoredFile] = {}

    def markdown(self, name: str, description: str) -> str | None:
        """The Markdown of a picture; None if it is missing or cannot be an attachment."""
        attachment_id = self.id_of(name)
        if attachment_id is None:
            return None
        return f"![{escape_title(description or name)}](/api/attachments/{attachment_id}/)"

    def id_of(self, name: str) -> UUID | None:
        """The attachment id of a picture; None if it is missing or cannot be an attachment."""
        if name not in self._ids:
            self._ids[name] = self._look_at(name)
        return self._ids[name]

    def _look_at(self, name: str) -> UUID | None:
        content = self._source.media(name, ATTACHMENT_MAX_BYTES + 1)
        if not settings.FILES_ARE_KEPT or content is None or len(content) > ATTACHMENT_MAX_BYTES:
            return None
        try:
            with _on_disk(content) as file, cleaned(file):
                return uuid5(_NAMESPACE, f"{self._user_id}\n{sha256(content).hexdigest()}")
        except (UnsupportedFile, UnreadableFile, ImageTooLarge):
            return None

    @contextmanager
    def stored(self, card_texts: Iterable[str]) -> Iterator[None]:
        """Store the files of the pictures in these texts, unless the user already has them.

        Files without a row are deleted at the end. Enter it before taking any lock: the storage may be slow.
        """
        named = {UUID(found) for text in card_texts for found in attachments_in(text)}
        wanted = {one: name for name, one in self._ids.items() if one in named}
        for attachment_id in Attachment.objects.filter(pk__in=wanted).values_list("pk", flat=True):
            del wanted[attachment_id]
        with ExitStack() as files:
            for attachment_id, name in wanted.items():
                content = self._source.media(name, ATTACHMENT_MAX_BYTES)
                assert content is not None  # checked when its card was read
                with _on_disk(content) as file:
                    self._stored[attachment_id] = files.enter_context(stored_file(name=name, content=file))
            yield

    def record(self) -> None:
        """Create the rows of the stored files. Raises ``AccountFull`` and ``TooManyAttachments``."""
        record_card_attachments(user_id=self._user_id, stored=self._stored)


@contextmanager
def _on_disk(content: bytes) -> Iterator[IO[bytes]]:
    with TemporaryFile() as file:
        file.write(content)
        file.flush()
        file.seek(0)
        yield file
