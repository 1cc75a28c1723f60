"""Notes over the API: creating, reading, changing, the trash."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notes.models import Note
from tests.factories import NoteFactory

FULL = {
    "title": " Python loops ",
    "status": "published",
    "tags": ["Python", " basics", "PYTHON"],
    "chapters": [
        {
            "title": "for",
            "topics": [
                {
                    "title": "range",
                    "explanation": "  indented\n",
                    "code": "for i in range(3):\n    pass\n",
                    "code_language": "python",
                    "sources": [{"title": "Docs", "url": "https://docs.python.org/3/"}],
                },
                {"title": "zip"},
            ],
        },
        {"title": "while"},
    ],
}


def test_a_note_is_created_with_its_chapters_and_topics_and_answered_whole(alice, alice_client, send):
    response = send(alice_client, "post", "/api/notes/", FULL)

    assert response.status_code == 201
    note = dict(response.json())
    assert response["Location"] == f"/api/notes/{note['id']}/"
    assert response["ETag"] == '"1"'
    note_id = note.pop("id")
    assert note.pop("created_at") == note.pop("updated_at")
    chapters = note.pop("chapters")
    assert note == {
        "title": "Python loops",
        "status": "published",
        "tags": ["python", "basics"],
        "chapter_count": 2,
        "topic_count": 2,
        "version": 1,
    }
    assert [(chapter["title"], chapter["order"]) for chapter in chapters] == [("for", 0), ("while", 1)]
    first, second = chapters[0]["topics"]
    assert first == {**FULL["chapters"][0]["topics"][0], "id": first["id"], "order": 0}
    assert second == {
        "id": second["id"],
        "title": "zip",
        "order": 1,
        "explanation": "",
        "code": "",
        "code_language": "",
        "sources": [],
    }
    assert Note.objects.get(pk=note_id).user_id == alice.pk
    assert alice_client.get(response["Location"]).json() == response.json()


def test_a_created_note_is_answered_byte_for_byte_as_it_is_read(alice_client, send):
    sources = [
        {"title": 'T "é" 😀 \\ \x7f', "url": "https://x.example/é?a=1&b=2"},
        {"url": "https://y.example", "title": "z"},
    ]
    topic = {"title": "t", "explanation": "a\r\n\u2029\x01", "code": "a\tb", "code_language": "C++", "sources": sources}
    body = {"title": " Ünï ", "tags": ["b c", 'a"b'], "chapters": [{"title": "c", "topics": [topic, {"title": "u"}]}]}

    created = send(alice_client, "post", "/api/notes/", body)

    assert created.status_code == 201
    assert created.content == alice_client.get(created["Location"]).content


@pytest.mark.parametrize("size", [1, 10, 31])
def test_creating_takes_the_same_statements_for_any_number_of_chapters_and_topics(
    alice_client, send, size, django_assert_num_queries
):
    body = {
        "title": "big",
        "chapters": [{"title": f"c{i}", "topics": [{"title": f"t{j}"} for j in range(size)]} for i in range(size)],
    }
    alice_client.get("/api/notes/")

    send(alice_client, "post", "/api/notes/", {"title": "the first, at which the user's total is counted"})

    # A savepoint's two, three inserts and the user's total. The answer is made of what was inserted.
    with django_assert_num_queries(6):
        response = send(alice_client, "post", "/api/notes/", body)

    assert response.json()["topic_count"] == size * size


@pytest.mark.parametrize(("topics", "status"), [(900, 201), (901, 400)])
def test_a_request_creates_at_most_a_thousand_chapters_and_topics(alice_client, send, topics, status):
    chapters = [{"title": "c", "topics": [{"title": "t"}] * (topics // 100)} for _ in range(100)]
    chapters[0]["topics"] = [*chapters[0]["topics"], *[{"title": "t"}] * (topics % 100)]

    response = send(alice_client, "post", "/api/notes/", {"title": "big", "chapters": chapters})

    assert response.status_code == status
    if status == 400:
        assert response.json()["errors"] == [
            {"pointer": "/chapters", "code": "too_many", "detail": "At most 1000 are allowed."}
        ]


@pytest.mark.parametrize("size", [1, 10, 50])
def test_the_detail_takes_two_queries_for_any_number_of_chapters_and_topics(
    alice, alice_client, make_note, size, django_assert_num_queries
):
    note = make_note(alice, *[size] * size)
    alice_client.get("/api/notes/")

    with django_assert_num_queries(2):  # the note, what is in it
        response = alice_client.get(f"/api/notes/{note.pk}/")

    assert response.json()["topic_count"] == size * size
    with django_assert_num_queries(0 if size < 50 else 2):  # the cached page, if it is not too long for one
        assert alice_client.get(f"/api/notes/{note.pk}/").json() == response.json()


def test_reading_never_loads_the_search_vectors(alice, alice_client, make_note):
    note = make_note(alice, 1)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        alice_client.get("/api/notes/")
        alice_client.get(f"/api/notes/{note.pk}/")

    assert not [query for query in queries if '"search"' in query["sql"]]


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, [("/title", "required")]),
        ({"title": "  "}, [("/title", "blank")]),
        ({"title": 5}, [("/title", "invalid")]),
        ({"title": None}, [("/title", "null")]),
        ({"title": "x" * 301}, [("/title", "max_length")]),
        ({"title": "x", "status": "gone"}, [("/status", "invalid_choice")]),
        ({"title": "x", "owner": 1, "id": 7}, [("/owner", "unknown_field"), ("/id", "unknown_field")]),
        ({"title": "x", "tags": "python"}, [("/tags", "not_a_list")]),
        ({"title": "x", "tags": ["a,b", "", " ", 3, "tab\there", "y" * 51]}, [
            ("/tags/0", "invalid"),
            ("/tags/1", "blank"),
            ("/tags/2", "blank"),
            ("/tags/3", "invalid"),
            ("/tags/4", "invalid"),
            ("/tags/5", "max_length"),
        ]),
        ({"title": "x", "tags": [f"t{i}" for i in range(21)]}, [("/tags", "too_many")]),
        ({"title": "x", "tags": [""] * 201}, [("/tags", "too_many")]),  # and nothing about any of them
        ({"title": "x", "chapters": [{}]}, [("/chapters/0/title", "required")]),
        ({"title": "x", "chapters": [{}] * 101}, [("/chapters", "too_many")]),
        ({"title": "x", "chapters": [{}] * 100}, [(f"/chapters/{i}/title", "required") for i in range(20)]),
        ({"title": "x", **{f"field {i}": 0 for i in range(100)}}, [
            (f"/field {i}", "unknown_field") for i in range(20)
        ]),
        ({"title": "x", "chapters": [{"title": "c", "order": 3}]}, [("/chapters/0/order", "unknown_field")]),
        (
            {"title": "x", "chapters": [{"title": "c", "topics": [{}] * 101}]},
            [("/chapters/0/topics", "too_many")],
        ),
        (
            {"title": "x", "chapters": [{"title": "c", "topics": [{"title": "t", "explanation": "é" * 50_001}]}]},
            [("/chapters/0/topics/0/explanation", "max_length")],
        ),
        (
            {"title": "x", "chapters": [{"title": "c", "topics": [{"title": "t", "code_language": "c;rm"}]}]},
            [("/chapters/0/topics/0/code_language", "invalid")],
        ),
        (
            {
                "title": "x",
                "chapters": [
                    {
                        "title": "c",
                        "topics": [
                            {
                                "title": "t",
                                "sources": [
                                    {"title": "s", "url": "javascript:alert(1)"},
                                    {"title": "s", "url": "ftp://example.com/"},
                                    {"url": "https://example.com/"},
                                ],
                            }
                        ],
                    }
                ],
            },
            [
                ("/chapters/0/topics/0/sources/0/url", "invalid"),
                ("/chapters/0/topics/0/sources/1/url", "invalid"),
                ("/chapters/0/topics/0/sources/2/title", "required"),
            ],
        ),
    ],
)  # fmt: skip
def test_errors_in_a_note_have_pointers(alice_client, send, body, errors):
    response = send(alice_client, "post", "/api/notes/", body)

    assert response.status_code == 400
    assert response.json()["code"] == "invalid"
    assert [(error["pointer"], error["code"]) for error in response.json()["errors"]] == errors
    assert not Note.objects.exists()


def test_text_of_exactly_the_limit_is_taken_and_an_empty_code_language_too(alice_client, send):
    topic = {"title": "t", "explanation": "é" * 50_000, "code": "x" * 100_000, "code_language": ""}

    response = send(
        alice_client, "post", "/api/notes/", {"title": "x", "chapters": [{"title": "c", "topics": [topic]}]}
    )

    assert response.status_code == 201
    assert response.json()["chapters"][0]["topics"][0]["explanation"] == topic["explanation"]


def test_patch_changes_what_is_sent_and_raises_the_version(alice, alice_client, make_note, send):
    note = make_note(alice, 1, tags=["old"], status="published")

    response = send(alice_client, "patch", f"/api/notes/{note.pk}/", {"title": "New"})

    assert response.status_code == 200
    assert response["ETag"] == '"2"'
    changed = response.json()
    assert (changed["title"], changed["status"], changed["tags"], changed["version"]) == (
        "New",
        "published",
        ["old"],
        2,
    )
    assert changed["chapter_count"] == 1
    assert changed["updated_at"] > changed["created_at"]
    assert alice_client.get(f"/api/notes/{note.pk}/").json() == changed


def test_put_resets_what_is_not_sent_but_leaves_the_chapters(alice, alice_client, make_note, send):
    note = make_note(alice, 2, tags=["old"], status="published")

    response = send(alice_client, "put", f"/api/notes/{note.pk}/", {"title": "New"})

    changed = response.json()
    assert (changed["title"], changed["status"], changed["tags"]) == ("New", "draft", [])
    assert changed["topic_count"] == 2
    assert send(alice_client, "put", f"/api/notes/{note.pk}/", {"status": "draft"}).json()["errors"] == [
        {"pointer": "/title", "code": "required", "detail": "This field is required."}
    ]


@pytest.mark.parametrize("method", ["patch", "put"])
def test_chapters_have_addresses_of_their_own(alice, alice_client, make_note, send, method):
    note = make_note(alice, 1)

    response = send(alice_client, method, f"/api/notes/{note.pk}/", {"title": "x", "chapters": []})

    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == "/chapters"
    assert Note.objects.get().version == 1


@pytest.mark.parametrize("tag", ['"1"', 'W/"1"', "*", '"7", "1"', '"7", W/"1"'])
def test_if_match_lets_the_expected_version_pass(alice, alice_client, make_note, send, tag):
    note = make_note(alice)

    response = send(alice_client, "patch", f"/api/notes/{note.pk}/", {"title": "New"}, If_Match=tag)

    assert (response.status_code, response.json()["version"]) == (200, 2)


@pytest.mark.parametrize("tag", ['"2"', '"0"', '"99999999999999999999"', '"abc"', '""', ""])
@pytest.mark.parametrize("method", ["patch", "put", "delete"])
def test_if_match_stops_a_writer_who_has_not_seen_the_last_version(alice, alice_client, make_note, send, method, tag):
    note = make_note(alice)

    response = send(alice_client, method, f"/api/notes/{note.pk}/", {"title": "New"}, If_Match=tag)

    assert response.status_code == 412
    assert response.json()["code"] == "precondition_failed"
    assert response.json()["current_version"] == 1
    assert Note.objects.live().get().title == "A note"


def test_the_detail_answers_304_to_a_client_that_has_it(alice, alice_client, make_note, send):
    note = make_note(alice)

    for tag in ('"1"', 'W/"1"'):
        response = alice_client.get(f"/api/notes/{note.pk}/", headers={"If-None-Match": tag})
        assert (response.status_code, response.content, response["ETag"]) == (304, b"", '"1"')
    send(alice_client, "patch", f"/api/notes/{note.pk}/", {"title": "New"})
    assert alice_client.get(f"/api/notes/{note.pk}/", headers={"If-None-Match": '"1"'}).status_code == 200


def test_a_deleted_note_is_in_the_trash_until_it_is_restored(alice, alice_client, make_note, send):
    note = make_note(alice, 2)
    other = make_note(alice)
    path = f"/api/notes/{note.pk}/"

    def listed(query=""):
        return [row["id"] for row in alice_client.get(f"/api/notes/{query}").json()["results"]]

    assert listed() == [other.pk, note.pk]
    assert send(alice_client, "delete", path).status_code == 204
    assert listed() == [other.pk]
    assert listed("?trash=true") == [note.pk]
    assert listed("?trash=false") == [other.pk]
    assert alice_client.get(path).status_code == 404
    assert send(alice_client, "delete", path).status_code == 404
    assert send(alice_client, "patch", path, {"title": "x"}).status_code == 404

    restored = send(alice_client, "post", f"{path}restore/")
    assert restored.status_code == 200
    assert (restored.json()["version"], restored["ETag"]) == (3, '"3"')
    assert alice_client.get(path).json() == restored.json()
    assert listed("?trash=true") == []
    assert send(alice_client, "post", f"{path}restore/").json() == restored.json()  # again: nothing to do


def test_what_is_in_the_trash_cannot_be_reached_by_its_parts(alice, alice_client, make_note, send):
    note = make_note(alice, 1)
    chapter = note.chapters.get()
    topic = chapter.topics.get()
    send(alice_client, "delete", f"/api/notes/{note.pk}/")

    for path in (
        f"/api/chapters/{chapter.pk}/",
        f"/api/topics/{topic.pk}/",
        f"/api/chapters/?note={note.pk}",
        f"/api/topics/?chapter={chapter.pk}",
        f"/api/notes/{note.pk}/versions/",
    ):
        assert alice_client.get(path).status_code == 404
    assert send(alice_client, "post", "/api/chapters/", {"note": note.pk, "title": "x"}).status_code == 404
    assert send(alice_client, "post", "/api/topics/", {"chapter": chapter.pk, "title": "x"}).status_code == 404


def test_creating_twice_with_one_key_makes_one_note(alice, alice_client, send):
    first = send(alice_client, "post", "/api/notes/", {"title": "once"}, Idempotency_Key="k1")
    second = send(alice_client, "post", "/api/notes/", {"title": "once"}, Idempotency_Key="k1")

    assert (first.status_code, second.status_code) == (201, 201)
    assert second["Idempotent-Replayed"] == "true"
    assert second.json() == first.json()
    assert (second["ETag"], second["Location"]) == (first["ETag"], first["Location"])
    assert Note.objects.count() == 1


def test_notes_work_with_redis_dead(alice, alice_client, dead_redis, send):
    created = send(alice_client, "post", "/api/notes/", {"title": "offline"})

    assert created.status_code == 201
    assert alice_client.get(created["Location"]).json() == created.json()
    assert [row["title"] for row in alice_client.get("/api/notes/").json()["results"]] == ["offline"]


def test_a_note_of_a_factory_is_listed_too(alice, alice_client):
    note = NoteFactory(user=alice)

    (row,) = alice_client.get("/api/notes/").json()["results"]

    assert (row["id"], row["chapter_count"], row["topic_count"]) == (note.pk, 0, 0)
