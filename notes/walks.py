"""Reads the contents of many notes in reading order, with only a few topics' texts in memory at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePosixPath
from typing import IO, Literal

from django.db.models import QuerySet
from django.utils.text import slugify

from notes.contents import CHAPTER_SHOWN, NOTE_SHOWN, TOPIC_SHOWN
from notes.markdown import writing
from notes.models import Attachment, Chapter, Note, Topic
from utils import storage
from utils.database.batching import batch_query
from utils.personal_data import File, fields_of

NOTE_WALKED = (*NOTE_SHOWN, "deleted_at")
_BATCH_SIZE = 200
_FILE_PIECE = 64 * 1024
"""The size in bytes."""
_TOPIC_BATCH_SIZE = 20
"""Few, as a topic may have some hundred kilobytes."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row in reading order: a note, then each of its chapters followed by that chapter's topics."""

    kind: Literal["note", "chapter", "topic"]
    note: Note
    row: Note | Chapter | Topic


def walk(queryset: QuerySet[Note]) -> Iterator[Line]:
    """Yield the notes with their chapters and topics, in the order of the notes' ids."""
    for notes in batch_query(queryset.only(*NOTE_WALKED), batch_size=_BATCH_SIZE):
        chapters: dict[int, list[Chapter]] = {}
        for chapter in (
            Chapter.objects.filter(note__in=notes).only("note_id", *CHAPTER_SHOWN).order_by("note_id", "order")
        ):
            chapters.setdefault(chapter.note_id, []).append(chapter)
        for note in notes:
            yield Line("note", note, note)
            if note.pk in chapters:
                yield from _walk_note(note, chapters[note.pk])


def markdown_files(queryset: QuerySet[Note]) -> Iterator[File]:
    """Each note as a Markdown file; notes in the trash are in a separate folder."""
    for note, lines in groupby(walk(queryset), key=lambda line: line.note):
        folder = "notes" if note.deleted_at is None else "trash"
        yield f"{folder}/{file_name(note.pk, note.title)}.md", map(_markdown, lines)


def file_name(note_id: int, title: str) -> str:
    """The name of a note's file, without its extension."""
    return f"{note_id}-{slugify(title)[:60] or 'note'}"


def _walk_note(note: Note, chapters: Sequence[Chapter]) -> Iterator[Line]:
    topic_ids: dict[int, list[int]] = {}
    outline = Topic.objects.filter(chapter__note=note).order_by("chapter__order", "order")
    for topic_id, chapter_id in outline.values_list("pk", "chapter_id"):
        topic_ids.setdefault(chapter_id, []).append(topic_id)
    for chapter in chapters:
        yield Line("chapter", note, chapter)
        ids = topic_ids.get(chapter.pk, [])
        for start in range(0, len(ids), _TOPIC_BATCH_SIZE):
            batch = Topic.objects.filter(pk__in=ids[start : start + _TOPIC_BATCH_SIZE]).only(*TOPIC_SHOWN)
            yield from (Line("topic", note, topic) for topic in batch.order_by("order"))


def _markdown(line: Line) -> bytes:
    match line.kind:
        case "note":
            return writing.note_head(fields_of(line.row, NOTE_SHOWN)).encode()
        case "chapter":
            return writing.chapter_head(fields_of(line.row, CHAPTER_SHOWN)).encode()
        case _:
            return writing.topic_text(fields_of(line.row, TOPIC_SHOWN)).encode()


def attached_files(attachments: QuerySet[Attachment]) -> Iterator[File]:
    """Each attachment as a file, named by its id, as in texts. A file that the storage lacks is skipped and logged."""
    for batch in batch_query(attachments.only("pk", "name", "file"), batch_size=_BATCH_SIZE):
        for attachment in batch:
            try:
                file = storage.read(attachment.file)
            except storage.FileMissing:
                continue
            with file:
                yield f"attachments/{attachment.pk}{PurePosixPath(attachment.name).suffix}", _pieces(file)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(_FILE_PIECE):
        yield piece
