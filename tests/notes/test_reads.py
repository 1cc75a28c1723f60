"""The fast reads show what the serializers show, for every field and every shape."""

import itertools
from datetime import UTC, datetime

import orjson
import pytest
from django.db import DataError, connection
from django.db.models import BigIntegerField, F, QuerySet, Sum
from django.http import QueryDict
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from accounts.models import User
from notes import reads
from notes.models import Note
from notes.search import SearchTerms
from notes.serializers import NoteDetailSerializer, NoteListSerializer
from tests.factories import ChapterFactory, NoteFactory, TopicFactory
from utils import compiled_reads
from utils.compiled_reads import read_rows
from utils.exceptions import Unavailable
from utils.json import dumps
from utils.pagination import LookAheadCursorPagination
from utils.query_optimization import NOTE_ORDERINGS, QueryOptimizer


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


def test_one_shape_serves_every_user_and_value(alice, charlie, notes):
    compiled_reads._compiled.clear()

    for user, status in itertools.product([alice, charlie], ["draft", "published", "archived"]):
        assert fast_list(user, {"status": status}) == careful_list(user, {"status": status})

    assert len(compiled_reads._compiled) == 1


def test_one_shape_serves_every_search_of_as_many_words(alice, charlie, notes):
    compiled_reads._compiled.clear()

    for user, text in itertools.product([alice, charlie], ["python quoted", "quoted é", "the python"]):
        assert fast_list(user, {"search": text}) == careful_list(user, {"search": text})

    assert len(compiled_reads._compiled) == 1


@pytest.mark.parametrize(
    "text", ["characters", "text odd", "the", "python", "web python", "a b c d e f g h i characters"]
)
def test_a_search_finds_what_its_querysets_find(alice, charlie, notes, text):
    columns = ("id", "title", "rank", "headline")
    terms = SearchTerms.parse(text)
    for user in (charlie, alice):
        found = [
            list(QueryOptimizer.search_notes(user, terms).values(*columns)),
            list(QueryOptimizer.search_topics(user, terms).values(*columns, "chapter_id", "note_id")),
        ]
        assert list(reads.search(terms, user_id=user.pk)) == found
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


def test_a_note_that_is_written_to_while_it_is_read_is_shown_as_it_was_at_one_version(alice, notes, monkeypatch):
    note, writes = notes[0], iter(["first", "second"])
    note.chapters.all().delete()
    read = reads.read_rows

    def read_and_be_overtaken(shape, build, **values):
        rows = read(shape, build, **values)
        if shape == "note" and (title := next(writes, None)):
            ChapterFactory(note=note, title=title)
            Note.objects.filter(pk=note.pk).update(version=F("version") + 1)
        return rows

    monkeypatch.setattr(reads, "read_rows", read_and_be_overtaken)
    shown = reads.detail(note.pk, user_id=alice.pk)

    assert (shown["version"], [chapter["title"] for chapter in shown["chapters"]]) == (3, ["first", "second"])


def test_a_note_that_is_written_to_without_end_is_not_shown_half_and_half(alice, notes, monkeypatch):
    read = reads.read_rows

    def read_and_be_overtaken(shape, build, **values):
        rows = read(shape, build, **values)
        Note.objects.filter(pk=notes[0].pk).update(version=F("version") + 1)
        return rows

    monkeypatch.setattr(reads, "read_rows", read_and_be_overtaken)
    with pytest.raises(Unavailable):
        reads.detail(notes[0].pk, user_id=alice.pk)


def test_a_note_that_goes_while_it_is_read_does_not_exist(alice, notes, monkeypatch):
    read = reads.read_rows

    def read_and_delete(shape, build, **values):
        rows = read(shape, build, **values)
        Note.objects.filter(pk=notes[0].pk).delete()
        return rows

    monkeypatch.setattr(reads, "read_rows", read_and_delete)
    with pytest.raises(Note.DoesNotExist):
        reads.detail(notes[0].pk, user_id=alice.pk)


def test_a_strangers_note_does_not_exist(charlie, notes):
    with pytest.raises(Note.DoesNotExist):
        reads.detail(notes[0].pk, user_id=charlie.pk)


def test_a_value_that_the_queryset_does_not_use_is_an_error(alice):
    with pytest.raises(ValueError, match="does not use"):
        read_rows("unused", lambda user_id, other: Note.objects.filter(user=user_id).values("id"), user_id=1, other=2)


@pytest.mark.parametrize("value", [True, None, 1.5, {}])
def test_a_value_without_a_marker_is_an_error(alice, value):
    with pytest.raises(TypeError):
        read_rows("odd", lambda value: Note.objects.filter(pk=value).values("id"), value=value)


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
def test_a_moment_is_shown_as_everywhere(alice, moment, shown):
    NoteFactory(user=alice, deleted_at=moment)

    def build(user_id: int) -> QuerySet:
        return Note.objects.filter(user_id=user_id).values("deleted_at")

    rows = read_rows("deleted", build, user_id=alice.pk)

    assert rows == [{"deleted_at": shown}]


def test_a_moment_past_the_year_9999_is_not_mistaken_for_another(alice):
    note = NoteFactory(user=alice)
    with connection.cursor() as cursor:
        moment = "10000-01-01 00:00:00.12345Z"
        cursor.execute("UPDATE notes_note SET deleted_at = %s::text::timestamptz WHERE id = %s", [moment, note.pk])

    def build(note_id: int) -> QuerySet:
        return Note.objects.filter(pk=note_id).values("deleted_at")

    assert read_rows("one", build, note_id=note.pk) == [{"deleted_at": "10000-01-01T00:00:00.123450Z"}]


def test_moments_are_only_read_in_utc(alice):
    NoteFactory(user=alice)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL TIME ZONE 'Europe/Paris'")

    with pytest.raises(DataError):
        read_rows(
            "created", lambda user_id: Note.objects.filter(user_id=user_id).values("created_at"), user_id=alice.pk
        )


@pytest.mark.parametrize("count", [0, 2])
def test_a_sum_of_whole_numbers_is_a_whole_number(alice, count):
    ids = [NoteFactory(user=alice).pk for _ in range(count)]

    def build(user_id: int) -> QuerySet:  # Postgres sums what is a bigint into a numeric
        return User.objects.filter(pk=user_id).values(total=Sum("notes__id", output_field=BigIntegerField()))

    [row] = read_rows("sum", build, user_id=alice.pk)

    assert repr(row["total"]) == repr(sum(ids) if ids else None)


def test_what_is_remembered_is_bounded(alice, monkeypatch):
    monkeypatch.setattr(compiled_reads, "MAX_SHAPES", 3)
    for shape in range(10):
        read_rows(f"shape {shape}", lambda note_id: Note.objects.filter(pk=note_id).values("id"), note_id=1)

    assert len(compiled_reads._compiled) <= 3
