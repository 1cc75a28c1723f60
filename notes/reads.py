"""The most frequent reads of notes, as dictionaries: the output of the serializers at a fraction of their cost.

The querysets are those of ``QueryOptimizer``, run by ``utils.database.compiled_queries``. Tests compare the results
with the serializers' output.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, F, OuterRef, Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.http import QueryDict

from notes.contents import (
    CHAPTER_SHOWN,
    CHAPTER_WRITTEN,
    NOTE_SHOWN,
    NOTE_WRITTEN,
    TOPIC_SHOWN,
    TOPIC_WRITTEN,
    written_fields,
)
from notes.models import Note, NoteLink, Topic
from notes.querysets import RANKED_MAX, RANKED_MAX_OF_MANY, NoteQuerySet, note_ordering
from notes.search import conditions
from notes.search.query import SearchTerms
from notes.title_order import key_without_case
from utils.database.compiled_queries import Build, Row, read_rows
from utils.event_loop import require_thread
from utils.http.errors import Unavailable
from utils.http.pagination import LookAheadCursorPagination, PageTemplate

LIST_FIELDS = (*NOTE_SHOWN, "chapter_count", "topic_count")
_CHAPTER_COLUMNS = {f"chapters__{name}": name for name in CHAPTER_SHOWN}
_TOPIC_COLUMNS = {f"chapters__topics__{name}": name for name in TOPIC_SHOWN}
_RANKED = ("id", "title", "rank", "capped", "text")
LIGHT_BYTES = 256 * 1024
"""The size of a note that an event loop may read: other requests wait while a larger one is rendered."""
_MAX_TRIES = 5
"""A note and its contents are read by two queries, and read again if a write came in between."""


def list_page(
    paginator: LookAheadCursorPagination, path: str, query: QueryDict, *, user_id: int, filters: Mapping[str, Any]
) -> list[Row]:
    """A page of the user's notes as ``NoteListSerializer`` renders them: one query.

    ``filters``: see ``QueryOptimizer.get_notes_for_list``.
    """
    paginator.read_request(path, query, note_ordering(filters), Note)
    values = {name: filters[name] for name in ("status", "tags") if filters.get(name)}
    terms = SearchTerms.parse(filters["search"], user_id=user_id) if filters.get("search") else None
    if terms and terms.is_nothing:
        return paginator.take([])
    if terms:
        values |= terms.parameters()
    if terms and terms.wanted:
        values["sought"] = terms.sought
    build = partial(_list, paginator.template, bool(filters.get("trash")))
    rows = paginator.take(read_rows(build, user_id=user_id, position=paginator.position, **values))
    # The paginator needs the key for its cursors; clients do not see it.
    return [_without_key(row) for row in rows] if "title_key" in paginator.ordering[0] else rows


def _without_key(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "title_key"}


def _list(
    page: PageTemplate, is_trash: bool, user_id: int, position: Sequence[Any], **values: Any
) -> QuerySet[Note, Any]:
    parameters = {name: values.pop(name) for name in SearchTerms._fields if name in values}
    sought = values.pop("sought", [])
    filters = {**values, "trash": is_trash, "ordering": page.ordering[0].replace("title_key", "title")}
    fields = (*LIST_FIELDS, "title_key") if "title_key" in page.ordering[0] else LIST_FIELDS
    terms = SearchTerms(**parameters) if parameters else None
    if terms:
        filters["search"] = terms

    def branch(*condition: Any) -> QuerySet[Note, Any]:
        notes = Note.objects.owned_by(user_id).filter(*condition).filtered(filters)
        return page.narrow(notes.values(*fields), position)

    if terms is None or not terms.wanted:
        return branch()
    # A list is one query, so both ways are branches of one statement; only one of them runs.
    few = conditions.few(sought, user_id, kind="anywhere", at_most=conditions.FEW_FOR_PAGE)
    return page.join(branch(conditions.is_among("pk", few)), branch(conditions.are_many(few)))


def search(terms: SearchTerms, *, user_id: int) -> tuple[list[Row], list[Row]]:
    """The best matching notes and topics, each best first: three queries.

    With ``rank``, ``capped`` (whether there are more matches than were compared) and the ``text`` of a snippet.
    """
    if terms.is_nothing or terms.is_empty:
        return [], []
    values = {"user_id": user_id, **terms.parameters()}
    if not terms.wanted:
        return read_rows(_ranked_notes, **values), []
    few = _few(terms, user_id, "titled", "topics")
    return _found(_ranked_notes, few["titled"], values), _found(_ranked_topics, few["topics"], values)


def facets(terms: SearchTerms, *, user_id: int) -> list[Row]:
    """The tags and the status of the newest notes that have every word: two queries."""
    if terms.is_nothing or terms.is_empty:
        return []
    values = {"user_id": user_id, **terms.parameters()}
    if not terms.wanted:
        return read_rows(_facets, **values)
    few = _few(terms, user_id, "anywhere")
    return _found(_facets, few["anywhere"], values)


def _few(terms: SearchTerms, user_id: int, *kinds: str) -> Row:
    """The ids of possible matches, as text; None if there are many. One query."""
    build = partial(_few_of_user, conditions.FEW_FOR_RANKING, conditions.MANY_NOTES, *kinds)
    return read_rows(build, user_id=user_id, sought=terms.sought, wanted_words=terms.wanted_words)[0]


def _few_of_user(
    at_most: int, many_notes: int, *kinds: str, user_id: int, sought: Sequence[str], wanted_words: Sequence[str]
) -> QuerySet[Any, Any]:
    terms = list(zip(sought, wanted_words, strict=True))
    few = {
        kind: conditions.few_unless_frequent(terms, user_id, kind=kind, at_most=at_most, many_notes=many_notes)
        for kind in kinds
    }
    ids = {kind: Cast(array, TextField()) for kind, array in few.items()}
    return get_user_model().objects.filter(pk=user_id).values(**ids)


def _found(build: Build, few: str | None, values: Mapping[str, Any]) -> list[Row]:
    """Start from the ids of possible matches, or walk the notes if there are many (None).

    ``are_all``: all matches are compared, so the newest need not be chosen first.
    """
    if few is None:
        return read_rows(partial(build, are_many=True), **values)
    return read_rows(partial(build, are_all=few.count(",") < RANKED_MAX), few=few, **values)


def _ranked_notes(
    user_id: int, few: str | None = None, *, are_many: bool = False, are_all: bool = False, **parameters: Any
) -> QuerySet[Note, Any]:
    terms = SearchTerms(**parameters)
    found = _live_notes(user_id).titled(terms, among=few)
    if are_all:
        return found.ranked(terms).values(*_RANKED)
    newest = found.newest(RANKED_MAX_OF_MANY if are_many else RANKED_MAX)
    return Note.objects.filter(_are(newest.values("pk"))).ranked(terms, are_many=are_many).values(*_RANKED)


def _ranked_topics(
    user_id: int, few: str | None = None, *, are_many: bool = False, are_all: bool = False, **parameters: Any
) -> QuerySet[Topic, Any]:
    terms = SearchTerms(**parameters)
    found = Topic.objects.owned_by(user_id).matching(terms, among=few)
    if not are_all:
        newest: Any
        if are_many:
            newest = Topic.objects.matching(terms).walked(_live_notes(user_id).filter(conditions.of_note(terms)))
        else:
            newest = found.newest().values("pk")
        found = Topic.objects.filter(_are(newest))
    ranked = found.ranked(terms, are_many=are_many)
    return ranked.values(*_RANKED, "chapter_id", "note_id")


def _facets(
    user_id: int, few: str | None = None, *, are_many: bool = False, are_all: bool = False, **parameters: Any
) -> QuerySet[Note, Any]:
    found = _live_notes(user_id).matching(SearchTerms(**parameters), among=few)
    if not are_all:
        found = Note.objects.filter(_are(found.newest().values("pk")))
    return found.values("tags", "status")


def _are(ids: Any) -> Q:
    """Rows with these ids. The ids are computed once; for an ``IN``, PostgreSQL may compute them for each row."""
    return Q(conditions.is_among("pk", ArraySubquery(ids)))


def detail(note_id: int, *, user_id: int) -> Row:
    """The note with all its chapters and topics as ``NoteDetailSerializer`` renders it: two queries.

    Raises ``Note.DoesNotExist``, and ``Unavailable`` if a write came in between at every try.
    """
    for _ in range(_MAX_TRIES):
        notes = read_rows(_note, note_id=note_id, user_id=user_id)
        if not notes:
            raise Note.DoesNotExist
        size = notes[0].pop("size_bytes")
        if size is None or size > LIGHT_BYTES:
            require_thread()
        contents = read_rows(_contents, note_id=note_id)
        if contents and contents[0]["version"] == notes[0]["version"]:
            return _as_shown(notes[0], contents)
    raise Unavailable(retry_after=1)


def tree(note_id: int, *, user_id: int) -> dict[str, Any]:
    """The whole content of a note: its fields, and chapters with topics in order. Three queries.

    Raises ``Note.DoesNotExist``.
    """
    note = _live_notes(user_id).for_detail().get(pk=note_id)
    return {
        **written_fields(note, NOTE_WRITTEN),
        "chapters": [
            {
                **written_fields(chapter, CHAPTER_WRITTEN),
                "topics": [written_fields(topic, TOPIC_WRITTEN) for topic in chapter.topics.all()],
            }
            for chapter in note.chapters.all()
        ],
    }


def backlinks(note_id: int, *, user_id: int) -> QuerySet[NoteLink, Any]:
    """The links to a note of the user, as rows; two queries at the call. Raises ``Note.DoesNotExist``."""
    note = _live_notes(user_id).only("title", "updated_at").get(pk=note_id)
    key = key_without_case(note.title)
    newer = _live_notes(user_id).titled_by_key(key).filter(updated_at__gt=note.updated_at).exclude(pk=note_id)
    meant = Q(meant=note_id) if newer.exists() else Q(meant=note_id) | Q(meant=None, key=key)
    return (
        _links(user_id)
        .filter(meant)
        .values(
            "id",
            "topic_id",
            "target",
            note_id=F("topic__chapter__note_id"),
            title=F("topic__chapter__note__title"),
            explanation=F("topic__explanation"),
            blocks=F("topic__blocks"),
        )
    )


def broken_links(user_id: int) -> QuerySet[NoteLink, Any]:
    """The user's links without a target note outside the trash, as rows."""
    by_title = _live_notes(user_id).titled_by_key(OuterRef("key"))
    broken = Q(meant__deleted_at__isnull=False) | (Q(meant=None) & ~Exists(by_title))
    return _links(user_id).filter(broken).values("id", "target", "topic_id", note_id=F("topic__chapter__note_id"))


def _links(user_id: int) -> QuerySet[NoteLink]:
    return NoteLink.objects.filter(user_id=user_id, topic__chapter__note__deleted_at=None).order_by("id")


def _note(note_id: int, user_id: int) -> QuerySet[Note, Any]:
    return _live_notes(user_id).filter(pk=note_id).values(*NOTE_SHOWN, "size_bytes")


def _live_notes(user_id: int) -> NoteQuerySet:
    return Note.objects.owned_by(user_id).live()


def _contents(note_id: int) -> QuerySet[Note, Any]:
    return Note.objects.filter(pk=note_id).in_reading_order().values("version", *_CHAPTER_COLUMNS, *_TOPIC_COLUMNS)


def topic_blocks(topic_id: int, *, user_id: int) -> Row:
    """The columns from which a topic's blocks are read: one query. Raises ``Topic.DoesNotExist``."""
    rows = read_rows(_topic_blocks, topic_id=topic_id, user_id=user_id)
    if not rows:
        raise Topic.DoesNotExist
    return rows[0]


def _topic_blocks(topic_id: int, user_id: int) -> QuerySet[Topic, Any]:
    topics = Topic.objects.owned_by(user_id).filter(pk=topic_id)
    return topics.values("explanation", "blocks", "chapter__note_id", "chapter__note__version")


def _as_shown(note: Row, contents: Sequence[Row]) -> Row:
    """Nest the rows of the join. A row has a topic and its chapter, a chapter without topics, or only the version."""
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
