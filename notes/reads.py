"""The hot reads of notes as rows: what the serializers show, at a fraction of their cost.

The querysets are ``QueryOptimizer``'s own; ``utils.compiled_reads`` runs them. Tests hold both ways to the same
answers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict

from notes.models import Note
from notes.search import SearchTerms
from utils.compiled_reads import Row, read_rows
from utils.exceptions import Unavailable
from utils.pagination import LookAheadCursorPagination
from utils.query_optimization import QueryOptimizer, UserKey

SCALARS = ("id", "title", "status", "tags", "version", "created_at", "updated_at")
LIST_FIELDS = (*SCALARS, "chapter_count", "topic_count")
_CHAPTER_COLUMNS = {f"chapters__{name}": name for name in ("id", "title", "order")}
_TOPIC_COLUMNS = {
    f"chapters__topics__{name}": name
    for name in ("id", "title", "order", "explanation", "code", "code_language", "sources")
}
_TRIES = 5
"""A note's row and its contents are read one after the other: again, if somebody wrote to the note in between."""


def list_page(
    paginator: LookAheadCursorPagination, path: str, query: QueryDict, *, user_id: int, filters: Mapping[str, Any]
) -> list[Row]:
    """A page of the user's notes as ``NoteListSerializer`` shows them: one query.

    ``filters`` are those of ``QueryOptimizer.get_notes_for_list``.
    """
    paginator.read_request(path, query, QueryOptimizer.note_ordering(filters), Note)
    wanted = {name: value for name, value in filters.items() if value and name not in ("ordering", "search")}
    trash = wanted.pop("trash", False)
    terms = SearchTerms.parse(filters["search"]) if filters.get("search") else None
    searched = terms._asdict() if terms and terms.words else {}

    def build(user_id: int, position: list[Any], **values: Any) -> QuerySet[Note, Any]:
        search = SearchTerms(*(values.pop(name) for name in searched)) if searched else None
        notes = QueryOptimizer.get_notes_for_list(UserKey(user_id), {**filters, **values, "search": search})
        return paginator.narrow(notes.values(*LIST_FIELDS), position)

    shape = ("notes", trash, *sorted(wanted), *searched, *paginator.shape)
    values = {"user_id": user_id, "position": paginator.position, **wanted, **searched}
    return paginator.take(read_rows(shape, build, **values))


def search(terms: SearchTerms, *, user_id: int) -> tuple[list[Row], list[Row]]:
    """The notes and the topics that fit best, each the best first, with ``rank`` and ``headline``: two queries."""
    return (
        _ranked("ranked notes", QueryOptimizer.search_notes, ("id", "title"), terms, user_id),
        _ranked(
            "ranked topics", QueryOptimizer.search_topics, ("id", "title", "chapter_id", "note_id"), terms, user_id
        ),
    )


def _ranked(
    shape: str, find: Callable[..., QuerySet[Any]], columns: Sequence[str], terms: SearchTerms, user_id: int
) -> list[Row]:
    def build(user_id: int, **values: Any) -> QuerySet[Any, Any]:
        return find(UserKey(user_id), SearchTerms(**values)).values(*columns, "rank", "headline")

    return read_rows(shape, build, user_id=user_id, **terms._asdict()) if terms.words else []


def detail(note_id: int, *, user_id: int) -> Row:
    """The note with all its chapters and topics as ``NoteDetailSerializer`` shows it: two queries.

    Raises ``Note.DoesNotExist``, and ``Unavailable`` if it is written to again and again meanwhile.
    """
    for _ in range(_TRIES):
        notes = read_rows("note", _note, note_id=note_id, user_id=user_id)
        if not notes:
            raise Note.DoesNotExist
        contents = read_rows("contents of a note", _contents, note_id=note_id)
        if contents and contents[0]["version"] == notes[0]["version"]:
            return _as_shown(notes[0], contents)
    raise Unavailable(retry_after=1)


def _note(note_id: int, user_id: int) -> QuerySet[Note, Any]:
    return QueryOptimizer.get_note(note_id, UserKey(user_id)).values(*SCALARS)


def _contents(note_id: int) -> QuerySet[Note, Any]:
    return QueryOptimizer.get_note_contents(note_id).values("version", *_CHAPTER_COLUMNS, *_TOPIC_COLUMNS)


def _as_shown(note: Row, contents: Sequence[Row]) -> Row:
    """A row of contents is a topic with its chapter, a chapter without topics, or nothing but the version."""
    chapters: dict[int, Row] = {}
    topic_count = 0
    for row in contents:
        chapter_id = row["chapters__id"]
        if chapter_id is None:
            continue
        chapter = chapters.get(chapter_id)
        if chapter is None:
            chapter = {name: row[column] for column, name in _CHAPTER_COLUMNS.items()}
            chapters[chapter_id] = {**chapter, "topics": []}
        if row["chapters__topics__id"] is not None:
            topic_count += 1
            chapters[chapter_id]["topics"].append({name: row[column] for column, name in _TOPIC_COLUMNS.items()})
    return {**note, "chapter_count": len(chapters), "topic_count": topic_count, "chapters": list(chapters.values())}
