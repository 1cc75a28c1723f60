"""Chapters and topics: their own requests, their places, their limits."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notes.models import Chapter, Note, Topic

CHAPTERS = "/api/chapters/"
TOPICS = "/api/topics/"


def chapters_of(note):
    return list(Chapter.objects.filter(note=note).order_by("order").values_list("title", "order"))


def topics_of(chapter):
    return list(Topic.objects.filter(chapter=chapter).order_by("order").values_list("title", "order"))


def test_a_chapter_is_appended_and_answered_with_its_note_and_the_notes_version(alice, alice_client, make_note, send):
    note = make_note(alice, 0)

    response = send(alice_client, "post", CHAPTERS, {"note": note.pk, "title": " last "})

    assert response.status_code == 201
    chapter = Chapter.objects.get(title="last")
    assert response.json() == {"id": chapter.pk, "note": note.pk, "title": "last", "order": 1, "version": 2}
    assert (response["Location"], response["ETag"]) == (f"{CHAPTERS}{chapter.pk}/", f'"{note.pk}-2"')
    assert alice_client.get(response["Location"]).json() == response.json()


def test_a_topic_is_appended_and_answered_with_its_chapter_and_the_notes_version(alice, alice_client, make_note, send):
    chapter = make_note(alice, 1).chapters.get()
    body = {
        "title": "new",
        "explanation": " *kept* \n",
        "code": "\tx\n",
        "code_language": "c++",
        "sources": [{"title": "s", "url": "https://example.com/?q=1#x"}],
    }

    response = send(alice_client, "post", TOPICS, {"chapter": chapter.pk, **body})

    assert response.status_code == 201
    topic = Topic.objects.get(title="new")
    assert response.json() == {"id": topic.pk, "chapter": chapter.pk, "order": 1, "version": 2, **body}
    assert (response["Location"], response["ETag"]) == (f"{TOPICS}{topic.pk}/", f'"{chapter.note_id}-2"')
    assert alice_client.get(response["Location"]).json() == response.json()


@pytest.mark.parametrize(("order", "expected"), [(0, "xab"), (1, "axb"), (2, "abx"), (None, "abx")])
def test_a_new_one_gets_the_requested_order_and_the_others_are_shifted(
    alice, alice_client, make_note, send, order, expected
):
    note = make_note(alice, 0, 0)
    for chapter, title in zip(note.chapters.all(), "ab", strict=True):
        Chapter.objects.filter(pk=chapter.pk).update(title=title)
    place = {} if order is None else {"order": order}

    response = send(alice_client, "post", CHAPTERS, {"note": note.pk, "title": "x", **place})

    assert response.json()["order"] == expected.index("x")
    assert chapters_of(note) == [(title, i) for i, title in enumerate(expected)]


@pytest.mark.parametrize(
    ("order", "code"), [(3, "max_value"), (2**70, "max_value"), (-1, "min_value"), ("x", "invalid"), (None, "null")]
)
def test_an_order_out_of_range_is_refused(alice, alice_client, make_note, send, order, code):
    note = make_note(alice, 2, 0)
    chapter = note.chapters.first()

    for path, parent in ((CHAPTERS, {"note": note.pk}), (TOPICS, {"chapter": chapter.pk})):
        response = send(alice_client, "post", path, {**parent, "title": "x", "order": order})
        assert response.status_code == 400
        assert response.json()["errors"][0]["pointer"] == "/order"
        if order != 2**70:  # JSON of such a number is a float to the parser
            assert response.json()["errors"][0]["code"] == code
    assert Note.objects.get().version == 1


@pytest.mark.parametrize("spell", [str, float, bool])
def test_ids_and_orders_in_a_body_are_json_integers(alice, alice_client, make_note, send, spell):
    note = make_note(alice, 1)
    chapter = note.chapters.get()
    topic = chapter.topics.get()

    for path, body, wrong in (
        (CHAPTERS, {"title": "x", "note": note.pk}, "note"),
        (CHAPTERS, {"title": "x", "note": note.pk, "order": 1}, "order"),
        (f"{CHAPTERS}{chapter.pk}/move/", {"order": 0}, "order"),
        (f"{CHAPTERS}{chapter.pk}/move/", {"order": 0, "note": note.pk}, "note"),
        (TOPICS, {"title": "x", "chapter": chapter.pk}, "chapter"),
        (TOPICS, {"title": "x", "chapter": chapter.pk, "order": 1}, "order"),
        (f"{TOPICS}{topic.pk}/move/", {"order": 0}, "order"),
        (f"{TOPICS}{topic.pk}/move/", {"order": 0, "chapter": chapter.pk}, "chapter"),
    ):
        response = send(alice_client, "post", path, {**body, wrong: spell(body[wrong])})
        assert (response.status_code, response.json()["errors"]) == (
            400, [{"pointer": f"/{wrong}", "code": "invalid", "detail": "A valid integer is required."}]
        )  # fmt: skip
    assert Note.objects.get().version == 1


def test_the_lists_need_their_parent_and_know_an_empty_one_from_a_missing_one(alice, alice_client, make_note):
    note = make_note(alice, 0)
    empty = make_note(alice)

    assert alice_client.get(CHAPTERS).json()["errors"][0] == {
        "pointer": "/note",
        "code": "required",
        "detail": "This field is required.",
    }
    assert alice_client.get(TOPICS).json()["errors"][0]["pointer"] == "/chapter"
    assert alice_client.get(f"{CHAPTERS}?note=abc").status_code == 400
    assert alice_client.get(f"{CHAPTERS}?note={empty.pk}").json() == {"next": None, "previous": None, "results": []}
    assert alice_client.get(f"{TOPICS}?chapter={note.chapters.get().pk}").json()["results"] == []
    for missing in (10**9, 0, -1, 10**15, 10**30):
        assert alice_client.get(f"{CHAPTERS}?note={missing}").status_code == 404
        assert alice_client.get(f"{TOPICS}?chapter={missing}").status_code == 404


@pytest.mark.parametrize("count", [1, 10, 100])
def test_the_lists_cost_one_query_for_any_number_of_rows(
    alice, alice_client, make_note, count, django_assert_num_queries
):
    note = make_note(alice, *[1] * count)
    full = make_note(alice, count).chapters.get()
    alice_client.get("/api/tags/")

    with django_assert_num_queries(1):
        rows = alice_client.get(f"{CHAPTERS}?note={note.pk}&page_size=100").json()["results"]
    assert [row["title"] for row in rows] == [f"chapter {i}" for i in range(count)]
    with django_assert_num_queries(1):
        rows = alice_client.get(f"{TOPICS}?chapter={full.pk}&page_size=100").json()["results"]
    assert [row["order"] for row in rows] == list(range(count))
    assert {(row["chapter"], row["version"]) for row in rows} == {(full.pk, 1)}


def test_the_lists_have_pages(alice, alice_client, make_note):
    note = make_note(alice, 0, 0, 0)

    first = alice_client.get(f"{CHAPTERS}?note={note.pk}&page_size=2").json()
    second = alice_client.get(first["next"]).json()

    assert [row["order"] for row in first["results"] + second["results"]] == [0, 1, 2]
    assert alice_client.get(second["previous"]).json()["results"] == first["results"]


@pytest.mark.parametrize("method", ["patch", "put"])
def test_a_chapter_is_renamed(alice, alice_client, make_note, send, method):
    chapter = make_note(alice, 1).chapters.get()

    response = send(alice_client, method, f"{CHAPTERS}{chapter.pk}/", {"title": "new"})

    assert (response.status_code, response["ETag"]) == (200, f'"{chapter.note_id}-2"')
    assert (response.json()["title"], response.json()["version"]) == ("new", 2)


def test_patch_of_a_topic_leaves_and_put_empties_what_is_not_sent(alice, alice_client, make_note, send):
    topic = make_note(alice, 1).chapters.get().topics.get()
    path = f"{TOPICS}{topic.pk}/"

    patched = send(alice_client, "patch", path, {"code": "x = 1"}).json()
    assert (patched["title"], patched["explanation"], patched["code"]) == ("topic 0.0", "text 0.0", "x = 1")
    put = send(alice_client, "put", path, {"title": "new"}).json()
    assert (put["title"], put["explanation"], put["code"], put["version"]) == ("new", "", "", 3)


def test_patch_needs_whole_sources(alice, alice_client, make_note, send):
    topic = make_note(alice, 1).chapters.get().topics.get()

    response = send(alice_client, "patch", f"{TOPICS}{topic.pk}/", {"sources": [{"title": "no address"}]})

    assert response.status_code == 400
    assert [(error["pointer"], error["code"]) for error in response.json()["errors"]] == [
        ("/sources/0/url", "required")
    ]
    topic.refresh_from_db()
    assert topic.sources == []


@pytest.mark.parametrize("body", [{"order": 1}, {"chapter": 1}, {"note": 1}, {"version": 1}])
def test_patch_does_not_move(alice, alice_client, make_note, send, body):
    note = make_note(alice, 1, 1)
    chapter = note.chapters.first()

    for path in (f"{CHAPTERS}{chapter.pk}/", f"{TOPICS}{chapter.topics.get().pk}/"):
        response = send(alice_client, "patch", path, body)
        assert response.json()["errors"][0]["code"] == "unknown_field"


def test_deleting_closes_the_gap(alice, alice_client, make_note, send):
    note = make_note(alice, 3, 0, 0)
    first, second, _ = note.chapters.all()

    assert send(alice_client, "delete", f"{TOPICS}{first.topics.all()[1].pk}/").status_code == 204
    assert topics_of(first) == [("topic 0.0", 0), ("topic 0.2", 1)]
    assert send(alice_client, "delete", f"{CHAPTERS}{second.pk}/").status_code == 204
    assert chapters_of(note) == [("chapter 0", 0), ("chapter 2", 1)]
    assert alice_client.get(f"/api/notes/{note.pk}/").json()["version"] == 3
    assert alice_client.get(f"{CHAPTERS}{second.pk}/").status_code == 404


@pytest.mark.parametrize(
    ("start", "order", "expected"), [(0, 2, "bcad"), (3, 0, "dabc"), (1, 2, "acbd"), (2, 1, "acbd"), (1, 1, "abcd")]
)
def test_a_move_within_a_parent(alice, alice_client, make_note, send, start, order, expected):
    note = make_note(alice, 4)
    chapter = note.chapters.get()
    topics = list(chapter.topics.all())
    for topic, title in zip(topics, "abcd", strict=True):
        Topic.objects.filter(pk=topic.pk).update(title=title)

    response = send(alice_client, "post", f"{TOPICS}{topics[start].pk}/move/", {"order": order})

    version = 1 if start == order else 2
    assert (response.status_code, response.json()["order"], response.json()["version"]) == (200, order, version)
    assert topics_of(chapter) == [(title, i) for i, title in enumerate(expected)]


def test_a_topic_moves_to_a_chapter_of_another_note_and_both_notes_change(alice, alice_client, make_note, send):
    here, there = make_note(alice, 2, 1), make_note(alice, 2)
    source, target = here.chapters.first(), there.chapters.get()
    topic = source.topics.first()

    response = send(alice_client, "post", f"{TOPICS}{topic.pk}/move/", {"chapter": target.pk, "order": 1})

    moved = response.json()
    assert (moved["id"], moved["chapter"], moved["order"], moved["version"]) == (topic.pk, target.pk, 1, 2)
    assert topics_of(source) == [("topic 0.1", 0)]
    assert topics_of(target) == [("topic 0.0", 0), ("topic 0.0", 1), ("topic 0.1", 2)]
    assert set(Note.objects.values_list("version", flat=True)) == {2}


def test_a_topic_moves_to_another_chapter_of_its_note(alice, alice_client, make_note, send):
    note = make_note(alice, 1, 1)
    source, target = note.chapters.all()
    topic = source.topics.get()

    send(alice_client, "post", f"{TOPICS}{topic.pk}/move/", {"chapter": target.pk, "order": 0})

    assert topics_of(source) == []
    assert topics_of(target) == [("topic 0.0", 0), ("topic 1.0", 1)]
    assert Note.objects.get().version == 2


def test_a_chapter_moves_to_another_note_with_its_topics(alice, alice_client, make_note, send):
    here, there = make_note(alice, 1, 0), make_note(alice, 0)
    chapter = here.chapters.first()

    response = send(alice_client, "post", f"{CHAPTERS}{chapter.pk}/move/", {"note": there.pk, "order": 0})

    assert response.json() == {"id": chapter.pk, "note": there.pk, "title": "chapter 0", "order": 0, "version": 2}
    assert chapters_of(here) == [("chapter 1", 0)]
    assert alice_client.get(f"/api/notes/{there.pk}/").json()["chapters"][0]["topics"][0]["title"] == "topic 0.0"


def test_a_move_needs_an_order_that_exists(alice, alice_client, make_note, send):
    here, there = make_note(alice, 2), make_note(alice, 1)
    chapter = here.chapters.get()
    topic = chapter.topics.first()
    path = f"{TOPICS}{topic.pk}/move/"

    assert send(alice_client, "post", path, {}).json()["errors"][0]["pointer"] == "/order"
    assert send(alice_client, "post", path, {"order": 2}).json()["errors"] == [
        {"pointer": "/order", "code": "max_value", "detail": "order must be a whole number from 0 to 1."}
    ]
    target = there.chapters.get().pk
    assert send(alice_client, "post", path, {"chapter": target, "order": 2}).status_code == 400
    assert send(alice_client, "post", path, {"chapter": target, "order": 1}).status_code == 200
    assert send(alice_client, "post", f"{CHAPTERS}{chapter.pk}/move/", {"order": 1}).status_code == 400


def test_nothing_moves_into_a_strangers_note(alice, charlie, alice_client, make_note, send):
    mine, his = make_note(alice, 1), make_note(charlie, 1)
    chapter = mine.chapters.get()

    moves = [
        (f"{CHAPTERS}{chapter.pk}/move/", {"note": his.pk, "order": 0}),
        (f"{TOPICS}{chapter.topics.get().pk}/move/", {"chapter": his.chapters.get().pk, "order": 0}),
    ]
    for path, body in moves:
        response = send(alice_client, "post", path, body)
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert set(Note.objects.values_list("version", flat=True)) == {1}


def test_a_parent_takes_a_hundred_children(alice, alice_client, make_note, send):
    note = make_note(alice, 100, *[0] * 98)
    first, *_, last = note.chapters.all()

    assert send(alice_client, "post", CHAPTERS, {"note": note.pk, "title": "100th"}).status_code == 201
    refused = send(alice_client, "post", CHAPTERS, {"note": note.pk, "title": "101st"})
    assert (refused.status_code, refused.json()["code"]) == (400, "too_many")
    assert refused.json()["errors"] == [
        {"pointer": "/note", "code": "too_many", "detail": "A note has at most 100 chapters."}
    ]
    assert send(alice_client, "post", TOPICS, {"chapter": first.pk, "title": "101st"}).json()["code"] == "too_many"
    topic = Topic.objects.create(chapter=last, title="x", order=0)
    moved = send(alice_client, "post", f"{TOPICS}{topic.pk}/move/", {"chapter": first.pk, "order": 0})
    assert moved.json()["errors"][0]["pointer"] == "/chapter"


@pytest.mark.parametrize("tag", ["{note}-7", "{other}-1", "1", "{note}-", "{note}-99999999999", "-1", "abc"])
def test_if_match_names_the_note_and_its_version(alice, alice_client, make_note, send, tag):
    note, other = make_note(alice, 2, 0), make_note(alice)
    chapter = note.chapters.first()
    topic = chapter.topics.first()
    if_match = f'"{tag.format(note=note.pk, other=other.pk)}"'

    requests = [
        ("post", CHAPTERS, {"note": note.pk, "title": "x"}),
        ("patch", f"{CHAPTERS}{chapter.pk}/", {"title": "x"}),
        ("delete", f"{CHAPTERS}{chapter.pk}/", None),
        ("post", f"{CHAPTERS}{chapter.pk}/move/", {"order": 1}),
        ("post", TOPICS, {"chapter": chapter.pk, "title": "x"}),
        ("patch", f"{TOPICS}{topic.pk}/", {"title": "x"}),
        ("delete", f"{TOPICS}{topic.pk}/", None),
        ("post", f"{TOPICS}{topic.pk}/move/", {"order": 1}),
    ]
    for method, path, body in requests:
        response = send(alice_client, method, path, body, If_Match=if_match)
        assert (response.status_code, response.json()["current_version"]) == (412, 1)


@pytest.mark.parametrize("weaken", ["", "W/"])
def test_who_has_the_last_state_of_a_chapter_or_topic_may_write_and_need_not_read_it(
    alice, alice_client, make_note, send, weaken
):
    chapter = make_note(alice, 1).chapters.get()

    for path in (f"{CHAPTERS}{chapter.pk}/", f"{TOPICS}{chapter.topics.get().pk}/"):
        tag = weaken + alice_client.get(path)["ETag"]
        assert alice_client.get(path, headers={"If-None-Match": tag}).status_code == 304
        assert send(alice_client, "patch", path, {"title": "x"}, If_Match=tag).status_code == 200


@pytest.mark.parametrize("kind", [CHAPTERS, TOPICS])
def test_a_tag_from_before_a_move_to_another_note_is_none_of_the_present(alice, alice_client, make_note, send, kind):
    here, there = make_note(alice, 1), make_note(alice, 1)
    send(alice_client, "patch", f"/api/notes/{here.pk}/", {"title": "at version 2"})
    chapter, target = here.chapters.get(), there.chapters.get()
    places = {CHAPTERS: (chapter.pk, {"note": there.pk}), TOPICS: (chapter.topics.get().pk, {"chapter": target.pk})}
    pk, parent = places[kind]
    path = f"{kind}{pk}/"
    tag = alice_client.get(path)["ETag"]

    moved = send(alice_client, "post", f"{path}move/", {**parent, "order": 0}, If_Match=tag)

    assert (moved.status_code, moved["ETag"], moved.json()["version"]) == (200, f'"{there.pk}-2"', 2)
    assert tag == f'"{here.pk}-2"'
    assert alice_client.get(path, headers={"If-None-Match": tag}).json() == moved.json()
    for method, url, body in (
        ("patch", path, {"title": "x"}), ("post", f"{path}move/", {"order": 0}), ("delete", path, None)
    ):  # fmt: skip
        refused = send(alice_client, method, url, body, If_Match=tag)
        assert (refused.status_code, refused.json()["current_version"]) == (412, 2)


@pytest.mark.parametrize("size", [2, 10, 99])
def test_writes_cost_the_same_for_any_number_of_siblings(alice, alice_client, make_note, send, size):
    here, there = make_note(alice, size), make_note(alice, size)
    chapter, target = here.chapters.get(), there.chapters.get()
    first, second, *_ = chapter.topics.all()
    for note in (here, there):
        send(
            alice_client, "patch", f"/api/notes/{note.pk}/", {"title": "y"}
        )  # keeps a version, so that none is due below

    def cost(method, path, body=None):
        with CaptureQueriesContext(connection) as queries:
            assert send(alice_client, method, path, body).status_code < 300
        assert not [query for query in queries if re.match(r'SELECT.*"search"', query["sql"])]
        return len([query for query in queries if "SAVEPOINT" not in query["sql"]])

    # Each claims the note (and finds it first, where the path does not name it), reads its version and the answer.
    # What grows or shrinks by it is measured, and both sizes are changed: the note's and the user's.
    # Where a topic goes to another note, it is asked whether its words are still to be made.
    assert cost("post", TOPICS, {"chapter": chapter.pk, "title": "x", "order": 0}) == 10
    assert cost("patch", f"{TOPICS}{first.pk}/", {"title": "y"}) == 8
    assert cost("post", f"{TOPICS}{first.pk}/move/", {"order": 0}) == 7
    assert cost("post", f"{TOPICS}{first.pk}/move/", {"chapter": target.pk, "order": 0}) == 17
    # What is deleted may have cards: they are looked for, if it had blocks. Of two topics none is left by then.
    assert cost("delete", f"{TOPICS}{second.pk}/") == 13
    assert cost("delete", f"{CHAPTERS}{chapter.pk}/") == (14 if size == 2 else 15)
