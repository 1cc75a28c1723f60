"""The hot reads of notes as rows: what the serializers show, at a fraction of their cost.

The querysets are ``QueryOptimizer``'s own; ``utils.compiled_reads`` runs them. Tests hold both ways to the same
answers.
"""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict

from notes.models import Chapter, Note, Topic
from utils.compiled_reads import Row, read_rows
from utils.pagination import LookAheadCursorPagination
from utils.query_optimization import QueryOptimizer, UserKey

SCALARS = ("id", "title", "status", "tags", "version", "created_at", "updated_at")
LIST_FIELDS = (*SCALARS, "chapter_count", "topic_count")
CHAPTER_FIELDS = ("id", "title", "order")
TOPIC_FIELDS = ("id", "title", "order", "explanation", "code", "code_language", "sources", "chapter_id")


def list_page(
    paginator: LookAheadCursorPagination, path: str, query: QueryDict, *, user_id: int, filters: Mapping[str, Any]
) -> list[Row]:
    """A page of the user's notes as ``NoteListSerializer`` shows them: one query.

    ``filters`` are those of ``QueryOptimizer.get_notes_for_list``.
    """
    paginator.read_request(path, query, QueryOptimizer.note_ordering(filters), Note)
    wanted = {name: value for name, value in filters.items() if value and name not in ("ordering", "search")}
    trash = wanted.pop("trash", False)

    def build(user_id: int, position: list[Any], **wanted: Any) -> QuerySet[Note, Any]:
        notes = QueryOptimizer.get_notes_for_list(UserKey(user_id), {**filters, **wanted})
        return paginator.narrow(notes.values(*LIST_FIELDS), position)

    values = {"user_id": user_id, "position": paginator.position, **wanted}
    if filters.get("search"):
        # Its words make SQL of their own.
        return paginator.take(list(build(**values)))
    shape = ("notes", trash, *sorted(wanted), *paginator.shape)
    return paginator.take(read_rows(shape, build, **values))


def detail(note_id: int, *, user_id: int) -> Row:
    """The note with all its chapters and topics as ``NoteDetailSerializer`` shows it: three queries.

    Raises ``Note.DoesNotExist``.
    """
    notes = read_rows("note", _note, note_id=note_id, user_id=user_id)
    if not notes:
        raise Note.DoesNotExist
    chapters = read_rows("chapters of a note", _chapters, note_id=note_id)
    topics = read_rows("topics of a note", _topics, note_id=note_id)
    note = {**notes[0], "chapter_count": len(chapters), "topic_count": len(topics), "chapters": chapters}
    topics_of: dict[int, list[Row]] = {chapter["id"]: [] for chapter in chapters}
    for chapter in chapters:
        chapter["topics"] = topics_of[chapter["id"]]
    for topic in topics:
        # A topic whose chapter came between the two queries is not shown yet.
        topics_of.get(topic.pop("chapter_id"), []).append(topic)
    return note


def _note(note_id: int, user_id: int) -> QuerySet[Note, Any]:
    return QueryOptimizer.get_note(note_id, UserKey(user_id)).values(*SCALARS)


def _chapters(note_id: int) -> QuerySet[Chapter, Any]:
    chapters, _ = QueryOptimizer.get_note_contents(note_id)
    return chapters.values(*CHAPTER_FIELDS)


def _topics(note_id: int) -> QuerySet[Topic, Any]:
    _, topics = QueryOptimizer.get_note_contents(note_id)
    return topics.values(*TOPIC_FIELDS)
