"""Writes to whole notes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NotRequired, TypedDict

from django.db.models import F
from django.db.models.functions import Now

from notes import reads
from notes.models import Chapter, Note, Topic
from notes.services.editing import NoteChanged, Versions, begin_edit
from utils.caching import changing_pages_of
from utils.compiled_reads import Row


class TopicData(TypedDict):
    title: str
    explanation: NotRequired[str]
    code: NotRequired[str]
    code_language: NotRequired[str]
    sources: NotRequired[list[dict[str, str]]]


class ChapterData(TypedDict):
    title: str
    topics: NotRequired[Sequence[TopicData]]


class NoteData(TypedDict):
    title: str
    status: NotRequired[str]
    tags: NotRequired[list[str]]
    chapters: NotRequired[Sequence[ChapterData]]
    created_at: NotRequired[datetime]
    updated_at: NotRequired[datetime]


def create_note(*, user_id: int, data: NoteData) -> Row:
    """Create a note with its chapters and topics; the note as ``notes.reads.detail`` shows it."""
    with changing_pages_of(user_id):
        (note_id,) = _insert(user_id, [data])
        return reads.detail(note_id, user_id=user_id)


def import_notes(*, user_id: int, notes: Sequence[NoteData]) -> int:
    """Create many notes at once, in as many statements as one takes; how many."""
    with changing_pages_of(user_id):
        return len(_insert(user_id, notes))


def update_note(*, user_id: int, note_id: int, changes: Mapping[str, Any], if_match: Versions = None) -> Row:
    """Change ``title``, ``status`` or ``tags``; the note as ``notes.reads.detail`` shows it.

    Raises ``Note.DoesNotExist`` and :class:`NoteChanged`.
    """
    with changing_pages_of(user_id):
        begin_edit(user_id=user_id, note_id=note_id, if_match=if_match)
        if changes:
            Note.objects.filter(pk=note_id).update(**changes)
        return reads.detail(note_id, user_id=user_id)


def delete_note(*, user_id: int, note_id: int, if_match: Versions = None) -> None:
    """Put a note into the trash. Raises ``Note.DoesNotExist`` and :class:`NoteChanged`."""
    with changing_pages_of(user_id):
        mine = Note.objects.owned_by(user_id).live().filter(pk=note_id)
        expected = mine if if_match is None else mine.filter(version__in=if_match)
        if not expected.update(deleted_at=Now(), updated_at=Now(), version=F("version") + 1):
            raise NoteChanged(current_version=mine.values_list("version", flat=True).get())


def restore_note(*, user_id: int, note_id: int) -> Row:
    """Take a note out of the trash, and show it; one that is not in it stays as it is. Raises ``Note.DoesNotExist``."""
    with changing_pages_of(user_id):
        trashed = Note.objects.owned_by(user_id).filter(pk=note_id).trashed()
        trashed.update(deleted_at=None, updated_at=Now(), version=F("version") + 1)
        return reads.detail(note_id, user_id=user_id)


def _insert(user_id: int, notes: Sequence[NoteData]) -> list[int]:
    """Three statements, however many notes, chapters and topics there are."""
    rows = Note.objects.bulk_create(
        Note(user_id=user_id, **{name: value for name, value in data.items() if name != "chapters"}) for data in notes
    )
    chapters = [
        (Chapter(note=row, title=chapter["title"], order=order), chapter)
        for row, data in zip(rows, notes, strict=True)
        for order, chapter in enumerate(data.get("chapters", ()))
    ]
    Chapter.objects.bulk_create(chapter for chapter, _ in chapters)
    Topic.objects.bulk_create(
        Topic(chapter=chapter, order=order, **topic)
        for chapter, data in chapters
        for order, topic in enumerate(data.get("topics", ()))
    )
    return [row.pk for row in rows]
