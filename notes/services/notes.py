"""Writes to whole notes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NotRequired, TypedDict

from django.db.models import F
from django.db.models.functions import Now

from notes import reads
from notes.blocks.stored import blocks_for_new
from notes.models import Chapter, Note, Topic
from notes.services.budgets import charge_user, check_new_note
from notes.services.editing import NoteChanged, Versions, edit_note, lock_note, tell_of_notes
from notes.services.links import add_links, keep_links
from notes.sizes import note_size
from utils.database.compiled_queries import Row
from utils.page_cache.invalidation import changing_pages_of


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
    """Create a note with its chapters and topics; return it as ``notes.reads.detail`` does. Raises ``OverBudget``."""
    with changing_pages_of(user_id):
        (note_id,) = _insert(user_id, [data])
        return reads.detail(note_id, user_id=user_id)


def import_notes(*, user_id: int, notes: Sequence[NoteData]) -> int:
    """Create many notes, in as many statements as one note takes; return how many. Raises ``OverBudget``."""
    with changing_pages_of(user_id):
        return len(_insert(user_id, notes))


def update_note(*, user_id: int, note_id: int, changes: Mapping[str, Any], if_match: Versions = None) -> Row:
    """Change ``title``, ``status`` or ``tags``; return the note as ``notes.reads.detail`` does.

    Values that the note has already leave it as it is. Raises ``Note.DoesNotExist``, :class:`NoteChanged` and
    ``OverBudget``.
    """
    with changing_pages_of(user_id):
        before = lock_note(user_id=user_id, note_id=note_id, if_match=if_match)
        own: dict[str, Any] = {"title": before.title, "status": before.status, "tags": before.tags}
        after = {**own, **changes}
        if after != own:
            if after["title"] != before.title:
                keep_links(user_id=user_id, note_id=note_id, title=before.title)
            grown = edit_note(user_id=user_id, note_id=note_id, before=before, **after)
            charge_user(user_id=user_id, grown=grown)
        return reads.detail(note_id, user_id=user_id)


def delete_note(*, user_id: int, note_id: int, if_match: Versions = None) -> None:
    """Move a note to the trash. Raises ``Note.DoesNotExist`` and :class:`NoteChanged`."""
    with changing_pages_of(user_id):
        mine = Note.objects.owned_by(user_id).live().filter(pk=note_id)
        expected = mine if if_match is None else mine.filter(version__in=if_match)
        if not expected.update(deleted_at=Now(), updated_at=Now(), version=F("version") + 1):
            raise NoteChanged(current_version=mine.values_list("version", flat=True).get())


def restore_note(*, user_id: int, note_id: int) -> Row:
    """Take a note out of the trash and return it; one that is not in the trash is unchanged.

    Raises ``Note.DoesNotExist``.
    """
    with changing_pages_of(user_id):
        trashed = Note.objects.owned_by(user_id).filter(pk=note_id).trashed()
        trashed.update(deleted_at=None, updated_at=Now(), version=F("version") + 1)
        return reads.detail(note_id, user_id=user_id)


def _insert(user_id: int, notes: Sequence[NoteData]) -> list[int]:
    """Four statements, five with links, however many notes, chapters and topics there are. Raises ``OverBudget``."""
    sizes = [note_size(**data) for data in notes]
    check_new_note(max(sizes, default=0))
    rows = Note.objects.bulk_create(
        Note(user_id=user_id, size_bytes=size, **{name: value for name, value in data.items() if name != "chapters"})
        for data, size in zip(notes, sizes, strict=True)
    )
    chapters = [
        (Chapter(note=row, title=chapter["title"], order=order), chapter)
        for row, data in zip(rows, notes, strict=True)
        for order, chapter in enumerate(data.get("chapters", ()))
    ]
    Chapter.objects.bulk_create(chapter for chapter, _ in chapters)
    topics = Topic.objects.bulk_create(
        Topic(chapter=chapter, order=order, blocks=blocks_for_new(topic.get("explanation", "")), **topic)
        for chapter, data in chapters
        for order, topic in enumerate(data.get("topics", ()))
    )
    add_links(user_id=user_id, texts={topic.pk: topic.explanation for topic in topics})
    tell_of_notes([row.pk for row in rows])
    charge_user(user_id=user_id, grown=sum(sizes))
    return [row.pk for row in rows]
