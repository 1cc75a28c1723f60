"""A write that changes nothing leaves the note at its version: lists keep their order, and others' If-Match holds."""

import pytest

from notes.models import Note, NoteVersion

TEXTS = {
    "explanation": "why",
    "code": "x = 1",
    "code_language": "Python",
    "sources": [{"title": "s", "url": "https://example.com/c"}],
}


@pytest.fixture
def note(alice, make_note):
    note = make_note(alice, 2, 1, title="Loops", status="published", tags=["b", "a"])
    note.chapters.first().topics.order_by("order").filter(order=0).update(**TEXTS)
    Note.objects.filter(pk=note.pk).update(version=7)
    note.refresh_from_db()
    return note


@pytest.fixture
def chapter(note):
    return note.chapters.get(order=0)


@pytest.fixture
def topic(chapter):
    return chapter.topics.get(order=0)


def writes(note, chapter, topic):
    """Every way to write what is there already: method, path, body."""
    same = {"title": "Loops", "status": "published", "tags": ["B", "a"]}
    texts = {"title": topic.title, **TEXTS}
    return [
        ("patch", f"/api/notes/{note.pk}/", {}),
        ("patch", f"/api/notes/{note.pk}/", {"title": " Loops "}),
        ("patch", f"/api/notes/{note.pk}/", same),
        ("put", f"/api/notes/{note.pk}/", same),
        ("patch", f"/api/chapters/{chapter.pk}/", {}),
        ("patch", f"/api/chapters/{chapter.pk}/", {"title": chapter.title}),
        ("put", f"/api/chapters/{chapter.pk}/", {"title": chapter.title}),
        ("post", f"/api/chapters/{chapter.pk}/move/", {"order": 0}),
        ("post", f"/api/chapters/{chapter.pk}/move/", {"order": 0, "note": note.pk}),
        ("patch", f"/api/topics/{topic.pk}/", {}),
        ("patch", f"/api/topics/{topic.pk}/", {"sources": TEXTS["sources"]}),
        ("put", f"/api/topics/{topic.pk}/", texts),
        ("post", f"/api/topics/{topic.pk}/move/", {"order": 0}),
        ("post", f"/api/topics/{topic.pk}/move/", {"order": 0, "chapter": chapter.pk}),
    ]


def test_what_is_there_already_changes_neither_version_nor_time_and_is_answered_as_it_is(
    alice_client, note, chapter, topic, send
):
    for method, path, body in writes(note, chapter, topic):
        seen = alice_client.get(path.removesuffix("move/"))

        response = send(alice_client, method, path, body)

        assert (response.status_code, response.json()) == (200, seen.json()), (method, path, body)
        assert response["ETag"] == seen["ETag"]
    now = Note.objects.get(pk=note.pk)
    assert (now.version, now.updated_at) == (7, note.updated_at)
    assert not NoteVersion.objects.filter(note=note).exists()


def test_an_outdated_if_match_is_refused_also_where_nothing_would_change(alice_client, note, chapter, topic, send):
    for method, path, body in writes(note, chapter, topic):
        known, outdated = ('"7"', '"6"') if "/notes/" in path else (f'"{note.pk}-7"', f'"{note.pk}-6"')

        assert send(alice_client, method, path, body, If_Match=known).status_code == 200
        refused = send(alice_client, method, path, body, If_Match=outdated)

        assert (refused.status_code, refused.json()["current_version"]) == (412, 7), (method, path, body)


def test_it_changes_nothing_of_strangers_either(charlie_client, note, chapter, topic, send):
    for method, path, body in writes(note, chapter, topic):
        assert send(charlie_client, method, path, body).status_code == 404, (method, path)
    assert Note.objects.get(pk=note.pk).version == 7


def test_one_field_that_differs_is_a_change(alice_client, note, chapter, topic, send):
    changes = [
        ("patch", f"/api/notes/{note.pk}/", {"title": "Loops", "tags": ["a", "b"]}),  # their order counts
        ("patch", f"/api/chapters/{chapter.pk}/", {"title": "chapter  0"}),
        ("patch", f"/api/topics/{topic.pk}/", {"code": "x = 1", "sources": []}),
        ("put", f"/api/topics/{topic.pk}/", {"title": topic.title}),
        ("post", f"/api/topics/{topic.pk}/move/", {"order": 1}),
        ("post", f"/api/chapters/{chapter.pk}/move/", {"order": 1}),
    ]
    for version, (method, path, body) in enumerate(changes, start=8):
        assert send(alice_client, method, path, body).json()["version"] == version
    assert Note.objects.get(pk=note.pk).updated_at > note.updated_at


@pytest.mark.parametrize("count", [1, 10, 100])
def test_it_costs_the_same_in_a_note_of_any_size(
    alice, alice_client, make_note, send, warm, count, django_assert_num_queries
):
    note = make_note(alice, count)
    topic = note.chapters.get().topics.get(order=0)
    warm(alice_client)

    with django_assert_num_queries(6):  # savepoint and its end, place, claim, what kept it from changing, the topic
        send(alice_client, "patch", f"/api/topics/{topic.pk}/", {"title": topic.title})
