"""The fast reads show what the serializers show, for every field and every shape."""

import itertools
from datetime import UTC, datetime
from functools import partial
from types import FunctionType

import orjson
import pytest
from django.db import DataError, connection
from django.db.models import BigIntegerField, F, QuerySet, Sum
from django.http import QueryDict
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from accounts.models import User
from notes import reads
from notes.models import Chapter, Note
from notes.querysets import NOTE_ORDERINGS
from notes.search.query import SearchTerms
from notes.serializers import NoteDetailSerializer, NoteListSerializer
from tests.database_faults import after_queries
from tests.factories import ChapterFactory, NoteFactory, TopicFactory
from utils.database import compiled_queries
from utils.database.compiled_queries import read_rows
from utils.http.errors import Unavailable
from utils.http.json import dumps
from utils.http.pagination import LookAheadCursorPagination
from utils.query_optimization import QueryOptimizer


@pytest.fixture
def notes(alice, charlie) -> list[Note]:
    statuses, tags = ["draft", "published"], [[], ["python"], ["python", "web"]]
    notes = [
        NoteFactory(user=alice, status=status, tags=tag, title=f'{title} é ☃ "quoted"')
        for title, (status, tag) in enumerate(itertools.product(statuses, tags))
    ]
    NoteFactory(user=alice, created_at=datetime(2026, 1, 1, tzinfo=UTC), updated_at=datetime(2026, 1, 1, tzinfo=UTC))
    NoteFactory(user=alice, deleted_at=datetime(2026, 1, 2, tzinfo=UTC))
    NoteFactory(user=charlie, tags=["python"])
    sources = [{"title": "Docs", "url": "https://docs.python.org/3/"}]
    for chapter in (ChapterFactory(note=notes[0]), ChapterFactory(note=notes[0]), ChapterFactory(note=notes[1])):
        TopicFactory(chapter=chapter, explanation="Text \\ with \u2028 odd \t characters", sources=sources)
        TopicFactory(chapter=chapter, code="print('<b>')", code_language="python")
    ChapterFactory(note=notes[0])
    return notes


def fast_list(user: User, filters: dict, query: str = "") -> list:
    paginator = LookAheadCursorPagination()
    page = reads.list_page(paginator, "/api/notes/", QueryDict(query), user_id=user.pk, filters=filters)
    return orjson.loads(dumps(page))


def careful_list(user: User, filters: dict, query: str = "") -> list:
    queryset = QueryOptimizer.get_notes_for_list(user, filters)
    page = LookAheadCursorPagination().paginate_queryset(
        queryset, Request(APIRequestFactory().get(f"/api/notes/?{query}"))
    )
    return orjson.loads(dumps(NoteListSerializer(page, many=True).data))


@pytest.mark.parametrize("ordering", NOTE_ORDERINGS)
@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"status": "draft"},
        {"tags": ["python"]},
        {"tags": ["python", "web"], "status": "published"},
        {"trash": True},
        {"search": "python"},
        {"search": "python quoted", "tags": ["python"]},
        {"search": " , "},
    ],
)
def test_the_list_is_the_serializers_for_every_filter_and_ordering(alice, notes, filters, ordering):
    filters = {**filters, "ordering": ordering}

    assert fast_list(alice, filters) == careful_list(alice, filters) != []


def test_one_template_serves_every_user_and_value(alice, charlie, notes):
    compiled_queries._templates.clear()

    for user, status in itertools.product([alice, charlie], ["draft", "published", "archived"]):
        assert fast_list(user, {"status": status}) == careful_list(user, {"status": status})

    assert len(compiled_queries._templates) == 1


def test_one_template_serves_every_search_of_as_many_words(alice, charlie, notes):
    compiled_queries._templates.clear()

    for user, text in itertools.product([alice, charlie], ["python quoted", "quoted é", "the é python"]):
        assert fast_list(user, {"search": text}) == careful_list(user, {"search": text})

    assert len(compiled_queries._templates) == 1


@pytest.mark.parametrize(
    "text", ["characters", "text odd", "the", "python", "web python", "a b c d e f g h i characters"]
)
def test_a_search_finds_what_its_querysets_find(alice, charlie, notes, text):
    columns = ("id", "title", "rank", "capped", "text")
    for user in (charlie, alice):
        found = [
            list(QueryOptimizer.search_notes(user, text).values(*columns)),
            list(QueryOptimizer.search_topics(user, text).values(*columns, "chapter_id", "note_id")),
        ]
        assert list(reads.search(SearchTerms.parse(text, user_id=user.pk), user_id=user.pk)) == found
    assert any(found) == (text != "the" and "b c" not in text)


@pytest.mark.parametrize("ordering", NOTE_ORDERINGS)
def test_pages_follow_each_other_both_ways(alice, notes, ordering):
    def walk(query):
        paginator = LookAheadCursorPagination()
        rows = reads.list_page(
            paginator, "/api/notes/", QueryDict(query), user_id=alice.pk, filters={"ordering": ordering}
        )
        links = paginator.get_next_link(), paginator.get_previous_link()
        return [row["id"] for row in rows], *(link and link.partition("?")[2] for link in links)

    first, forward, nothing = walk("page_size=3")
    second, further, back = walk(forward)
    third, nothing_more, _ = walk(further)

    assert (nothing, nothing_more) == (None, None)
    assert walk(back)[0] == first
    assert first + second + third == [row["id"] for row in careful_list(alice, {"ordering": ordering})]


def test_the_detail_is_the_serializers_for_every_field(alice, notes, django_assert_num_queries):
    for note in notes:
        careful = NoteDetailSerializer(QueryOptimizer.get_note_detail(note.pk, alice)).data
        with django_assert_num_queries(2):  # the note, what is in it
            fast = reads.detail(note.pk, user_id=alice.pk)

        assert orjson.loads(dumps(fast)) == orjson.loads(dumps(careful))


def is_read_of_the_note_alone(sql: str) -> bool:
    return "notes_chapter" not in sql


def test_a_note_that_is_written_to_while_it_is_read_is_shown_as_it_was_at_one_version(alice, notes):
    note, writes = notes[0], iter(["first", "second"])
    note.chapters.all().delete()

    def write() -> None:
        if title := next(writes, None):
            ChapterFactory(note=note, title=title)
            Note.objects.filter(pk=note.pk).update(version=F("version") + 1)

    with after_queries(is_read_of_the_note_alone, write):
        shown = reads.detail(note.pk, user_id=alice.pk)

    assert (shown["version"], [chapter["title"] for chapter in shown["chapters"]]) == (3, ["first", "second"])


def test_a_note_that_is_written_to_without_end_is_not_shown_half_and_half(alice, notes):
    mine = Note.objects.filter(pk=notes[0].pk)

    with (
        after_queries(is_read_of_the_note_alone, lambda: mine.update(version=F("version") + 1)),
        pytest.raises(Unavailable),
    ):
        reads.detail(notes[0].pk, user_id=alice.pk)


def test_a_note_that_goes_while_it_is_read_does_not_exist(alice, notes):
    mine = Note.objects.filter(pk=notes[0].pk)

    with after_queries(is_read_of_the_note_alone, mine.delete), pytest.raises(Note.DoesNotExist):
        reads.detail(notes[0].pk, user_id=alice.pk)


def test_a_strangers_note_does_not_exist(charlie, notes):
    with pytest.raises(Note.DoesNotExist):
        reads.detail(notes[0].pk, user_id=charlie.pk)


def test_a_value_that_the_queryset_does_not_use_is_an_error(alice):
    with pytest.raises(ValueError, match="does not use"):
        read_rows(lambda user_id, other: Note.objects.filter(user=user_id).values("id"), user_id=1, other=2)


@pytest.mark.parametrize("value", [True, None, 1.5, {}])
def test_a_value_without_a_marker_is_an_error(alice, value):
    with pytest.raises(TypeError):
        read_rows(lambda value: Note.objects.filter(pk=value).values("id"), value=value)


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (datetime(2026, 11, 23, 10, 0, 0, 123456, tzinfo=UTC), "2026-11-23T10:00:00.123456Z"),
        (datetime(2026, 11, 23, 10, 0, 0, 500000, tzinfo=UTC), "2026-11-23T10:00:00.500000Z"),
        (datetime(2026, 11, 23, tzinfo=UTC), "2026-11-23T00:00:00.000000Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000000Z"),
        (None, None),
    ],
)
def test_a_timestamp_is_shown_as_everywhere(alice, moment, shown):
    NoteFactory(user=alice, deleted_at=moment)

    def build(user_id: int) -> QuerySet:
        return Note.objects.filter(user_id=user_id).values("deleted_at")

    rows = read_rows(build, user_id=alice.pk)

    assert rows == [{"deleted_at": shown}]


def test_a_timestamp_past_the_year_9999_is_not_mistaken_for_another(alice):
    note = NoteFactory(user=alice)
    with connection.cursor() as cursor:
        moment = "10000-01-01 00:00:00.12345Z"
        cursor.execute("UPDATE notes_note SET deleted_at = %s::text::timestamptz WHERE id = %s", [moment, note.pk])

    def build(note_id: int) -> QuerySet:
        return Note.objects.filter(pk=note_id).values("deleted_at")

    assert read_rows(build, note_id=note.pk) == [{"deleted_at": "10000-01-01T00:00:00.123450Z"}]


def test_timestamps_are_read_only_in_utc(alice):
    NoteFactory(user=alice)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL TIME ZONE 'Europe/Paris'")

    with pytest.raises(DataError):
        read_rows(lambda user_id: Note.objects.filter(user_id=user_id).values("created_at"), user_id=alice.pk)


@pytest.mark.parametrize("count", [0, 2])
def test_a_sum_of_whole_numbers_is_a_whole_number(alice, count):
    ids = [NoteFactory(user=alice).pk for _ in range(count)]

    def build(user_id: int) -> QuerySet:  # Postgres sums what is a bigint into a numeric
        return User.objects.filter(pk=user_id).values(total=Sum("notes__id", output_field=BigIntegerField()))

    [row] = read_rows(build, user_id=alice.pk)

    assert repr(row["total"]) == repr(sum(ids) if ids else None)


def _limited(limit: int, note_id: int) -> QuerySet:
    return Note.objects.filter(pk=note_id).values("id")[:limit]


def _note_id(note_id: int) -> QuerySet:
    return Note.objects.filter(pk=note_id).values("id")


def _chapters(note_id: int) -> QuerySet:
    return Chapter.objects.filter(note=note_id).values("title")


_built: list[str] = []


def _built_for(name: str, note_id: int) -> QuerySet:
    _built.append(name)
    return Note.objects.filter(pk=note_id).values("id")


def test_what_is_remembered_is_bounded(alice, monkeypatch):
    _built.clear()
    monkeypatch.setattr(compiled_queries, "MAX_TEMPLATES", 0)
    read_rows(partial(_built_for, "makes room"), note_id=1)
    monkeypatch.setattr(compiled_queries, "MAX_TEMPLATES", 3)

    for name in ("a", "b", "b", "c", "a", "c", "a"):
        read_rows(partial(_built_for, name), note_id=1)

    assert _built == ["makes room", "a", "b", "c", "a"]  # c makes room once more


def test_each_function_and_each_fixed_argument_has_sql_of_its_own(alice):
    note = NoteFactory(user=alice)
    ChapterFactory(note=note, title="First")

    for _ in range(2):
        assert read_rows(_note_id, note_id=note.pk) == [{"id": note.pk}]
        assert read_rows(_chapters, note_id=note.pk) == [{"title": "First"}]
        assert read_rows(partial(_limited, 1), note_id=note.pk) == [{"id": note.pk}]


MODEL = Note


def _of_default(user_id: int, model: type | None = None) -> QuerySet:
    return (model or MODEL).objects.owned_by(user_id).values("title")


def test_functions_that_differ_in_nothing_but_their_module_or_defaults_have_sql_of_their_own(alice):
    ChapterFactory(note=NoteFactory(user=alice, title="A note"), title="A chapter")
    code = _of_default.__code__
    of_notes, of_chapters = (FunctionType(code, {"MODEL": model}, argdefs=(None,)) for model in (Note, Chapter))
    of_default = FunctionType(code, of_notes.__globals__, argdefs=(Chapter,))

    assert read_rows(of_notes, user_id=alice.pk) == [{"title": "A note"}]
    assert read_rows(of_chapters, user_id=alice.pk) == [{"title": "A chapter"}]
    assert read_rows(of_default, user_id=alice.pk) == [{"title": "A chapter"}]


def test_a_function_whose_sql_may_change_unseen_is_refused(alice):
    status = "draft"

    with pytest.raises(TypeError, match="closure"):
        read_rows(lambda note_id: Note.objects.filter(pk=note_id, status=status).values("id"), note_id=1)

    with pytest.raises(TypeError, match="closure"):
        read_rows(Note.objects.filter(status=status).filter, pk=1)


def test_a_lock_is_refused(alice):
    with pytest.raises(ValueError, match="locks rows"):
        read_rows(lambda note_id: Note.objects.select_for_update().filter(pk=note_id).values("id"), note_id=1)
    with pytest.raises(ValueError, match="locks rows"):  # in a subquery
        read_rows(
            lambda note_id: Chapter.objects.filter(
                note__in=Note.objects.select_for_update(no_key=True).filter(pk=note_id)[:1]
            ).values("id"),
            note_id=1,
        )
