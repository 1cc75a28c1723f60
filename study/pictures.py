"""Pictures that come with imported cards: attachments that belong to no note."""

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from tempfile import TemporaryFile
from typing import IO, Protocol
from uuid import UUID, uuid5

from django.conf import settings

from NoteAssist_AI.uploads import ATTACHMENT_MAX_BYTES
from notes.files import ImageTooLarge, UnreadableFile, UnsupportedFile, cleaned
from notes.markdown.escaping import escape_title
from notes.models import Attachment
from notes.services import StoredFile, record_card_attachments, stored_file

ATTACHMENT_PATH = re.compile(r"/api/attachments/([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})/")
_NAMESPACE = UUID("c2a5d7a4-1c52-4f5e-9d37-6f9d2f0f7b33")


def attachments_in(text: str) -> set[str]:
    """The ids of attachments that a text names, in lower case."""
    return {found.lower() for found in ATTACHMENT_PATH.findall(text)}


class Source(Protocol):
    """What the pictures come from."""

    def media(self, name: str, at_most: int) -> bytes | None:
        """The file that cards call so, cut after so many bytes; None if there is none that can be read."""


class IncomingPictures:
    """Pictures as attachments of cards. Their ids follow from the user and from what they show."""

    def __init__(self, user_id: int, source: Source) -> None:
        self._user_id = user_id
        self._source = source
        self._ids: dict[str, UUID | None] = {}
        self._stored: dict[UUID, StoredFile] = {}

    def markdown(self, name: str, description: str) -> str | None:
        """The Markdown of a picture; None if there is none of this name that can be an attachment."""
        attachment_id = self.id_of(name)
        if attachment_id is None:
            return None
        return f"![{escape_title(description or name)}](/api/attachments/{attachment_id}/)"

    def id_of(self, name: str) -> UUID | None:
        """The attachment that a picture becomes if a card names it; None if there is none that can be one."""
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
        """Store the pictures that these texts name, unless the user has them. Without a row they are deleted again.

        Call it before any lock is taken, as the storage may be slow.
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
        """Give what was stored its rows. Raises ``AccountFull`` and ``TooManyAttachments``."""
        record_card_attachments(user_id=self._user_id, stored=self._stored)


@contextmanager
def _on_disk(content: bytes) -> Iterator[IO[bytes]]:
    with TemporaryFile() as file:
        file.write(content)
        file.flush()
        file.seek(0)
        yield file
