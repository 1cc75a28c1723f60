"""Writes to whole notes."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NotRequired, TypedDict

import orjson
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from notes import reads
from notes.blocks.stored import blocks_for_new
from notes.contents import CHAPTER_SHOWN, NOTE_SHOWN, TOPIC_SHOWN, written_fields
from notes.models import Chapter, Note, Topic
from notes.services.budgets import charge_user, check_new_note
from notes.services.editing import NoteChanged, Versions, edit_note, lock_note, notify_of_notes
from notes.services.indexing import LARGE_BYTES, notify_worker
from notes.services.links import add_links, keep_links
from notes.sizes import note_size
from utils.database.compiled_queries import Row
from utils.page_cache.invalidation import changing_pages_of

_TRASH = """
UPDATE notes_note SET deleted_at = statement_timestamp(), updated_at = statement_timestamp(), version = version + 1
WHERE id = %s AND user_id = %s AND deleted_at IS NULL AND (%s::bigint[] IS NULL OR version = ANY(%s::bigint[]))
"""


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
    """Create a note with its chapters and topics; return it as the API shows it. Raises ``OverBudget``."""
    with changing_pages_of(user_id):
        (note,), chapters, topics = _insert(user_id, [data])
        return _shown(note, chapters, topics)


def import_notes(*, user_id: int, notes: Sequence[NoteData]) -> int:
    """Create many notes by as many statements as for one; return how many. Raises ``OverBudget``."""
    with changing_pages_of(user_id):
        return len(_insert(user_id, notes)[0])


def update_note(*, user_id: int, note_id: int, changes: Mapping[str, Any], if_match: Versions = None) -> Row:
    """Change ``title``, ``status`` or ``tags``; return the note as ``notes.reads.detail`` does.

    Unchanged values change nothing, not even the version. Raises ``Note.DoesNotExist``, :class:`NoteChanged` and
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
    versions = None if if_match is None else list(if_match)
    with changing_pages_of(user_id), connection.cursor() as cursor:
        cursor.execute(_TRASH, [note_id, user_id, versions, versions])
        if not cursor.rowcount:
            mine = Note.objects.owned_by(user_id).live().filter(pk=note_id)
            raise NoteChanged(current_version=mine.values_list("version", flat=True).get())


def restore_note(*, user_id: int, note_id: int) -> Row:
    """Take a note out of the trash and return it; a note outside the trash stays unchanged.

    Raises ``Note.DoesNotExist``.
    """
    with changing_pages_of(user_id):
        trashed = Note.objects.owned_by(user_id).filter(pk=note_id).trashed()
        trashed.update(deleted_at=None, updated_at=Now(), version=F("version") + 1)
        return reads.detail(note_id, user_id=user_id)


def _insert(user_id: int, notes: Sequence[NoteData]) -> tuple[list[Note], list[Chapter], list[Topic]]:
    """Insert any number of notes by four statements, five with links. Raises ``OverBudget``."""
    sizes = [note_size(**data) for data in notes]
    check_new_note(max(sizes, default=0))
    rows = Note.objects.bulk_create(
        Note(
            user_id=user_id,
            size_bytes=size,
            words_due_at=timezone.now() if size > LARGE_BYTES else None,
            **{name: value for name, value in data.items() if name != "chapters"},
        )
        for data, size in zip(notes, sizes, strict=True)
    )
    of_notes = [
        (Chapter(note=row, title=chapter["title"], order=order), chapter)
        for row, data in zip(rows, notes, strict=True)
        for order, chapter in enumerate(data.get("chapters", ()))
    ]
    chapters = Chapter.objects.bulk_create(chapter for chapter, _ in of_notes)
    topics = Topic.objects.bulk_create(
        Topic(
            chapter=chapter,
            order=order,
            blocks=None if chapter.note.words_due_at else blocks_for_new(topic.get("explanation", "")),
            **topic,
        )
        for chapter, data in of_notes
        for order, topic in enumerate(data.get("topics", ()))
    )
    texts: dict[int, dict[int, str]] = {row.pk: {} for row in rows}
    for topic in topics:
        texts[topic.chapter.note_id][topic.pk] = topic.explanation
    add_links(user_id=user_id, of_notes=texts.values())
    notify_of_notes([row.pk for row in rows])
    if any(row.words_due_at for row in rows):
        notify_worker()
    charge_user(user_id=user_id, grown=sum(sizes))
    return rows, chapters, topics


def _shown(note: Note, chapters: Sequence[Chapter], topics: Sequence[Topic]) -> Row:
    """A new note as ``NoteDetailSerializer`` renders it, without reading it from the database."""
    shown: dict[int, Row] = {
        chapter.pk: {**written_fields(chapter, CHAPTER_SHOWN), "topics": []} for chapter in chapters
    }
    for topic in topics:
        fields = written_fields(topic, TOPIC_SHOWN)
        if topic.sources:
            fields["sources"] = orjson.Fragment(_as_postgresql_renders(topic.sources))
        shown[topic.chapter_id]["topics"].append(fields)
    return {
        **written_fields(note, NOTE_SHOWN),
        "chapter_count": len(chapters),
        "topic_count": len(topics),
        "chapters": list(shown.values()),
    }


def _as_postgresql_renders(sources: Sequence[Mapping[str, str]]) -> str:
    """The text of a ``jsonb`` as PostgreSQL renders it: shorter keys first, and spaces after commas and colons."""
    ordered = [dict(sorted(source.items(), key=lambda item: len(item[0]))) for source in sources]
    return json.dumps(ordered, ensure_ascii=False)
