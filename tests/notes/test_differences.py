"""What differs between two versions: by block and by word, in bounded time."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notes import services
from notes.differences import words_between
from notes.models import Note, NoteVersion, Topic
from tests.notes.test_versions import let_time_pass


@pytest.fixture
def note(alice, make_note) -> Note:
    return make_note(alice, 2, 1, title="Loops", tags=["a"])


@pytest.fixture
def topic(note) -> Topic:
    topic = note.chapters.first().topics.first()
    write(topic, "# One\n\nfirst words here\n\nsecond words there\n\nlast")
    NoteVersion.objects.all().delete()
    return topic


def write(topic, text=None, **changes) -> None:
    let_time_pass(minutes=11)
    changes |= {} if text is None else {"explanation": text}
    user_id = topic.chapter.note.user_id
    services.update_topic(user_id=user_id, topic_id=topic.pk, changes=changes)


def diff(client, note, version, against) -> list:
    response = client.get(f"/api/notes/{note.pk}/versions/{version}/?against={against}")
    assert response.status_code == 200
    return response.json()["diff"]


def short(entries) -> list:
    return [(entry["field"], entry["op"], entry["before"], entry["after"]) for entry in entries]


def test_a_replaced_block_shows_its_words(alice_client, note, topic):
    write(topic, "# One\n\nfirst new words here\n\nsecond words there\n\nlast")
    [version] = NoteVersion.objects.all()

    [entry] = diff(alice_client, note, version.version, "current")

    block_id = alice_client.get(f"/api/topics/{topic.pk}/blocks/").json()["results"][1]["id"]
    assert entry == {
        "field": "block",
        "id": block_id,
        "op": "replace",
        "before": "first new words here\n\n",
        "after": "first words here\n\n",
        "topic_id": topic.pk,
        "words": [["equal", "first "], ["delete", "new "], ["equal", "words here\n\n"]],
    }


def test_blocks_that_moved_came_and_went_are_told_apart(alice_client, note, topic):
    write(topic, "second words there\n\n# One\n\nsomething new\n\nlast")
    write(topic, title="x")
    old, new = NoteVersion.objects.order_by("version").values_list("version", flat=True)

    forward, backward = diff(alice_client, note, new, old), diff(alice_client, note, old, new)

    assert short(forward) == [
        ("block", "move", 2, 0),
        ("block", "insert", None, "something new\n\n"),
        ("block", "delete", "first words here\n\n", None),
    ]
    assert sorted(op for _, op, _, _ in short(backward)) == ["delete", "insert", "move"]


def test_every_field_is_told_and_what_is_the_same_is_not(alice, alice_client, note, topic):
    before = list(note.chapters.all())
    other = before[0].topics.last()
    single = before[1].topics.get()
    write(other, code="x = 1", code_language="python", sources=[{"title": "s", "url": "https://example.com"}])
    version = NoteVersion.objects.get().version
    services.update_note(user_id=alice.pk, note_id=note.pk, changes={"title": "While loops", "tags": ["a", "b"]})
    services.update_note(user_id=alice.pk, note_id=note.pk, changes={"status": "published"})
    services.update_chapter(user_id=alice.pk, chapter_id=before[0].pk, title="renamed")
    services.move_topic(user_id=alice.pk, topic_id=single.pk, chapter_id=before[0].pk, order=0)
    services.delete_chapter(user_id=alice.pk, chapter_id=before[1].pk)
    added = services.create_chapter(user_id=alice.pk, note_id=note.pk, title="added")
    data = {"title": "t", "explanation": "new text", "code": "y"}
    new = services.create_topic(user_id=alice.pk, chapter_id=added.pk, data=data)
    let_time_pass(minutes=11)
    services.update_note(user_id=alice.pk, note_id=note.pk, changes={"tags": ["a", "b", "c"]})
    last = NoteVersion.objects.latest("version").version

    entries = diff(alice_client, note, last, version)

    assert short(entries) == [
        ("title", "replace", "Loops", "While loops"),
        ("status", "replace", "draft", "published"),
        ("tags", "replace", ["a"], ["a", "b"]),
        ("chapter", "replace", "chapter 0", "renamed"),
        ("chapter", "insert", None, "added"),
        ("chapter", "delete", "chapter 1", None),
        ("topic", "move", {"chapter": before[1].pk, "order": 0}, {"chapter": before[0].pk, "order": 0}),
        ("topic", "replace", "topic 0.1", "topic 0.1"),
        ("code", "insert", None, "x = 1"),
        ("topic", "insert", None, "t"),
        ("code", "insert", None, "y"),
        ("block", "insert", None, "new text"),
    ]
    assert entries[0]["words"] == [["delete", "Loops"], ["insert", "While loops"]]
    assert entries[7]["sources"] == [[], [{"title": "s", "url": "https://example.com"}]]
    assert entries[8]["code_language"] == ["", "python"]
    assert [entry["id"] for entry in entries[:5]] == [note.pk, note.pk, note.pk, before[0].pk, added.pk]
    assert entries[9]["id"] == new.pk


def test_a_version_has_no_difference_from_itself_and_none_unasked(alice_client, note, topic):
    write(topic, "x")
    version = NoteVersion.objects.get().version
    path = f"/api/notes/{note.pk}/versions/{version}/"

    assert diff(alice_client, note, version, version) == []
    assert "diff" not in alice_client.get(path).json()


def test_versions_from_before_there_were_ids_are_matched_by_text(alice_client, note, topic):
    def of(version, text):
        one = {"id": topic.pk, "title": "t", "explanation": text, "code": "", "code_language": "", "sources": []}
        chapters = [{"id": 1, "title": "c", "topics": [one]}]
        snapshot = {"schema": 1, "title": "x", "status": "draft", "tags": [], "chapters": chapters}
        NoteVersion.objects.create(note=note, version=version, reason="edit", snapshot=snapshot)

    of(101, "one two three\n\nfour five six")
    of(102, "four five six\n\none two three")

    entries = diff(alice_client, note, 102, 101)

    assert sorted({entry["op"] for entry in entries}) == ["move", "replace"]


@pytest.mark.parametrize("against", ["x", "-1", "1.5", "", "99999999999", "Current"])
def test_what_is_no_version_is_refused(alice_client, note, topic, against):
    write(topic, "x")
    version = NoteVersion.objects.get().version

    response = alice_client.get(f"/api/notes/{note.pk}/versions/{version}/?against={against}")

    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (400, "/against")


def test_a_version_that_is_not_kept_is_not_found(alice_client, charlie_client, note, topic):
    write(topic, "x")
    path = f"/api/notes/{note.pk}/versions/{NoteVersion.objects.get().version}/"

    assert alice_client.get(f"{path}?against=999").status_code == 404
    assert charlie_client.get(f"{path}?against=current").status_code == 404


@pytest.mark.parametrize("count", [1, 10, 100])
def test_a_difference_takes_a_fixed_number_of_queries(
    alice, alice_client, make_note, count, warm, django_assert_num_queries
):
    note = make_note(alice, count)
    for title in "ab":
        let_time_pass(minutes=11)
        services.update_note(user_id=alice.pk, note_id=note.pk, changes={"title": title})
    old, new = NoteVersion.objects.order_by("version").values_list("version", flat=True)
    warm(alice_client)

    with django_assert_num_queries(4):  # each version, and what it is made of
        diff(alice_client, note, new, old)
    with django_assert_num_queries(5):  # the version, what it is made of; the note, its chapters and topics
        diff(alice_client, note, new, "current")


TEXT = st.text(alphabet="ab .\n", max_size=80)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=TEXT, after=TEXT)
def test_words_make_both_texts_again(before, after):
    pieces = words_between(before, after)

    assert "".join(text for op, text in pieces if op != "insert") == before
    assert "".join(text for op, text in pieces if op != "delete") == after
    assert {op for op, _ in pieces} <= {"equal", "insert", "delete"}


def test_words_that_stay_are_not_shown_as_changed():
    assert words_between("a b c d e f", "a x c d y f") == [
        ["equal", "a "],
        ["delete", "b"],
        ["insert", "x"],
        ["equal", " c d "],
        ["delete", "e"],
        ["insert", "y"],
        ["equal", " f"],
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a " * 50_000, "b " * 50_000),
        ("a b " * 25_000, "b a " * 25_000),
        (" ".join(map(str, range(17_000))), " ".join(map(str, reversed(range(17_000))))),
        ("a\n\n" * 33_000, "b\n\n" * 33_000),
        ("(" * 100_000, ")" * 100_000),
    ],
)
def test_hostile_texts_are_compared_in_bounded_time(alice_client, note, topic, before, after):
    write(topic, before)
    write(topic, after)
    version = NoteVersion.objects.latest("version").version

    assert diff(alice_client, note, version, "current")
    assert words_between(before * 3, after * 3)  # longer than the suite's time-out, were the time not bounded
