"""The list of notes: filters, orders, pages, and what it costs."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notes import services
from notes.models import Note
from notes.search.query import SearchTerms
from tests.factories import NoteFactory


def titles(client, query=""):
    response = client.get(f"/api/notes/{query}")
    assert response.status_code == 200, response.content
    return [row["title"] for row in response.json()["results"]]


@pytest.mark.parametrize("count", [1, 10, 100])
@pytest.mark.parametrize(
    "query", ["", "&status=draft", "&tags=python,basics", "&search=loops", "&ordering=title", "&trash=false"]
)
def test_the_list_costs_one_query_for_any_number_of_notes(alice, alice_client, count, query, django_assert_num_queries):
    chapters = [{"title": "loops", "topics": [{"title": "a"}, {"title": "b"}]}, {"title": "more"}]
    services.import_notes(
        user_id=alice.pk,
        notes=[{"title": f"n{i}", "tags": ["python", "basics"], "chapters": chapters} for i in range(count)],
    )
    alice_client.get("/api/tags/")  # makes the session known to Redis

    with django_assert_num_queries(1):
        rows = alice_client.get(f"/api/notes/?page_size=100{query}").json()["results"]

    assert len(rows) == count
    assert {(row["chapter_count"], row["topic_count"]) for row in rows} == {(2, 2)}


def test_a_row_has_what_the_contract_says(alice, alice_client):
    note = NoteFactory(user=alice, title="One", tags=["b", "a"], status="published")
    moment = datetime(2026, 11, 23, 10, tzinfo=UTC)
    Note.objects.update(created_at=moment, updated_at=moment + timedelta(microseconds=120))

    assert alice_client.get("/api/notes/").json() == {
        "next": None,
        "previous": None,
        "results": [
            {
                "id": note.pk,
                "title": "One",
                "status": "published",
                "tags": ["b", "a"],
                "chapter_count": 0,
                "topic_count": 0,
                "version": 1,
                "created_at": "2026-11-23T10:00:00.000000Z",
                "updated_at": "2026-11-23T10:00:00.000120Z",
            }
        ],
    }


def test_filters_narrow_together(alice, alice_client):
    NoteFactory(user=alice, title="A", tags=["python", "c++"], status="published")
    NoteFactory(user=alice, title="B", tags=["python"], status="published")
    NoteFactory(user=alice, title="C", tags=["python", "c++"], status="draft")

    assert titles(alice_client, "?status=published&ordering=title") == ["A", "B"]
    assert titles(alice_client, "?tags=python,c%2B%2B&ordering=title") == ["A", "C"]
    assert titles(alice_client, "?tags=%20PYTHON&ordering=title") == ["A", "B", "C"]
    assert titles(alice_client, "?status=published&tags=c%2B%2B,python") == ["A"]
    assert titles(alice_client, "?status=archived") == []
    assert titles(alice_client, "?tags=py") == []


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("status=gone", ("/status", "invalid_choice")),
        ("status=", ("/status", "invalid_choice")),
        ("tags=", ("/tags", "blank")),
        ("tags=a,,b", ("/tags/1", "blank")),
        ("tags=a%00", ("/tags/0", "invalid")),
        ("ordering=version", ("/ordering", "invalid_choice")),
        ("ordering=--title", ("/ordering", "invalid_choice")),
        ("trash=perhaps", ("/trash", "invalid")),
        ("search=a%00b", ("/search", "null_characters_not_allowed")),
        ("search=a+b+c+d+e+f+g+h+i+j+k", ("/search", "too_many")),
        (f"search={'x' * 201}", ("/search", "max_length")),
        ("page_size=0", ("/page_size", "invalid")),
        ("page_size=101", ("/page_size", "invalid")),
        ("page_size=ten", ("/page_size", "invalid")),
    ],
)
def test_a_bad_parameter_is_named(alice_client, query, error):
    response = alice_client.get(f"/api/notes/?{query}")

    assert response.status_code == 400
    assert [(found["pointer"], found["code"]) for found in response.json()["errors"]] == [error]


def test_a_cursor_of_another_list_is_refused(alice, alice_client):
    NoteFactory.create_batch(3, user=alice)
    cursor = alice_client.get("/api/notes/?page_size=1").json()["next"].partition("cursor=")[2]

    assert alice_client.get(f"/api/notes/?page_size=1&cursor={cursor}").status_code == 200
    for query in (f"cursor={cursor}&ordering=title", "cursor=zzz", "cursor="):
        response = alice_client.get(f"/api/notes/?{query}")
        assert (response.status_code, response.json()["code"]) == (400, "invalid_cursor")


ORDERS = ["updated_at", "-updated_at", "created_at", "-created_at", "title", "-title"]


@pytest.mark.parametrize("ordering", ORDERS)
def test_pages_show_each_note_once_in_order_also_where_the_ordered_values_are_equal(alice, alice_client, ordering):
    moment = datetime(2026, 11, 23, tzinfo=UTC)
    for i in range(7):
        half = moment + timedelta(hours=i // 2)
        NoteFactory(user=alice, title=f"t{i // 2}", created_at=half, updated_at=half)
    name = ordering.lstrip("-")
    expected = sorted(Note.objects.values_list(name, "id"), reverse=ordering.startswith("-"))

    seen, path = [], f"/api/notes/?ordering={ordering}&page_size=2"
    while path:
        page = alice_client.get(path).json()
        seen += [row["id"] for row in page["results"]]
        path, last = page["next"], page
    assert seen == [pk for _, pk in expected]

    back, path = [row["id"] for row in last["results"]], last["previous"]
    while path:
        page = alice_client.get(path).json()
        back = [row["id"] for row in page["results"]] + back
        path = page["previous"]
    assert back == seen


@pytest.mark.parametrize(
    ("query", "index"),
    [
        *(
            (f"ordering={ordering}", f"note_live_{ordering.lstrip('-').partition('_')[0]}_idx")
            for ordering in ORDERS
            if "title" not in ordering
        ),
        ("ordering=title", "note_live_title_key_idx"),
        ("ordering=-title", "note_live_title_key_idx"),
        ("status=published&page_size=2", "note_live_status_idx"),
        ("status=published&ordering=updated_at&page_size=2", "note_live_status_idx"),
        ("tags=rare", "note_live_updated_idx"),
        ("trash=true", "note_trash_updated_idx"),
    ],
)
def test_each_order_is_read_off_an_index(alice, alice_client, query, index):
    services.import_notes(
        user_id=alice.pk, notes=[{"title": f"n{i}", "status": "draft" if i % 30 else "published"} for i in range(300)]
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE notes_note")
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")

    with CaptureQueriesContext(connection) as queries:
        alice_client.get(f"/api/notes/?{query}")
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {queries[-1]['sql']}")
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert index in plan
    assert "Sort" not in plan


def test_a_tag_cannot_be_looked_up_in_the_index_of_everybodys_tags(db):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")

    plans = [
        Note.objects.order_by().tagged(["popular"]).explain(),
        Note.objects.order_by().matching(SearchTerms(tags=["popular"])).explain(),
    ]

    assert all("tags @>" in plan and "note_tags_idx" not in plan for plan in plans)


def test_the_query_may_be_written_in_any_order_and_is_one_page(alice, alice_client, django_assert_num_queries):
    NoteFactory(user=alice, status="published", tags=["python"])
    first = alice_client.get("/api/notes/?status=published&tags=python").json()

    with django_assert_num_queries(0):
        assert alice_client.get("/api/notes/?tags=python&status=published").json() == first


def test_a_cached_list_never_shows_less_than_the_last_write(alice, alice_client, make_note, send):
    note = make_note(alice, 1, title="old")
    assert titles(alice_client) == ["old"]
    assert titles(alice_client) == ["old"]

    send(alice_client, "patch", f"/api/notes/{note.pk}/", {"title": "new"})
    assert titles(alice_client) == ["new"]

    topic = note.chapters.get().topics.get()
    send(alice_client, "delete", f"/api/topics/{topic.pk}/")
    assert alice_client.get("/api/notes/").json()["results"][0]["topic_count"] == 0
