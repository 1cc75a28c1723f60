"""How kept versions share what did not change: restored exactly, at a few per cent of the note for each edit."""

import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notes import services
from notes.models import KeptTopic, Note, NoteVersion, Topic
from notes.snapshots import difference, patched, snapshot_of, whole_snapshot
from tests.notes.test_versions import let_time_pass

MB = 1024 * 1024


def state(note) -> dict:
    return snapshot_of(Note.objects.for_snapshot().get(pk=note.pk))


def stored() -> int:
    """The bytes of all versions as JSON, which PostgreSQL may compress."""
    rows = [
        *NoteVersion.objects.values_list("snapshot", flat=True),
        *KeptTopic.objects.values_list("content", flat=True),
    ]
    return sum(len(json.dumps(row)) for row in rows)


def sentences(count: int, seed: int) -> str:
    chosen = random.Random(seed)
    words = [f"{chosen.randrange(10**9):x}" for _ in range(count)]
    return "".join(word + (".\n\n" if place % 60 == 59 else " ") for place, word in enumerate(words))


@pytest.mark.parametrize(("topics", "words"), [(100, 1190), (11, 10_900)], ids=["100 of 10 kB", "11 of 95 kB"])
def test_an_edit_of_a_note_of_one_megabyte_keeps_less_than_a_twentieth_of_it(alice, make_note, topics, words):
    note = make_note(alice, topics)
    rows = list(Topic.objects.order_by("pk"))
    for number, topic in enumerate(rows):
        topic.explanation = sentences(words, number)
    Topic.objects.bulk_update(rows, ["explanation"])
    size = sum(len(topic.explanation) for topic in rows)
    assert 0.9 * MB < size < 1.2 * MB
    grown = []
    for edit in range(8):
        before, expected = stored(), state(note)
        let_time_pass(minutes=11)
        topic = rows[edit % 3]
        text = Topic.objects.get(pk=topic.pk).explanation
        place = random.Random(edit).randrange(len(text))
        changes = {"explanation": f"{text[:place]} a sentence that is new. {text[place:]}"}
        services.update_topic(user_id=alice.pk, topic_id=topic.pk, changes=changes)
        grown.append(stored() - before)
        assert whole_snapshot(NoteVersion.objects.latest("version")) == expected

    # The first version has everything; each topic's ids of blocks are new at its first edit.
    assert max(grown[1:]) < 0.05 * size


def test_a_version_of_what_did_not_change_stores_no_topic_again(alice, make_note):
    note = make_note(alice, 3, 2)
    for title in "abc":
        let_time_pass(minutes=11)
        services.update_note(user_id=alice.pk, note_id=note.pk, changes={"title": title})

    assert (NoteVersion.objects.count(), KeptTopic.objects.count()) == (3, 5)


def test_what_no_version_needs_goes_with_the_last_that_did(alice, make_note, settings):
    settings.NOTE_VERSIONS_KEPT = 3
    note = make_note(alice, 1)
    topic = note.chapters.get().topics.get()
    other = make_note(alice, 1)
    services.update_note(user_id=alice.pk, note_id=other.pk, changes={"title": "x"})
    states = []
    for number in range(8):
        let_time_pass(minutes=11)
        states.append(state(note))
        text = f"{number} " + sentences(200, number % 2)
        services.update_topic(user_id=alice.pk, topic_id=topic.pk, changes={"explanation": text})

    versions = list(NoteVersion.objects.filter(note=note).order_by("version"))
    assert [version.version for version in versions] == [6, 7, 8]
    assert [whole_snapshot(version) for version in versions] == states[5:]
    kept = set(KeptTopic.objects.filter(note=note).values_list("pk", flat=True))
    assert kept == {pk for version in versions for pk in version.kept_topics}
    assert KeptTopic.objects.filter(note=other).count() == 1


def test_a_base_stays_as_long_as_a_version_needs_it(alice, make_note, settings):
    settings.NOTE_VERSIONS_KEPT = 1
    topic = make_note(alice, 1).chapters.get().topics.get()
    text = sentences(500, 1)
    for number in range(4):
        services.update_topic(user_id=alice.pk, topic_id=topic.pk, changes={"explanation": f"{number} {text}"})
        let_time_pass(minutes=11)

    [version] = NoteVersion.objects.all()
    base, last = KeptTopic.objects.order_by("pk")
    assert (base.base, last.base) == (None, base.pk)
    assert len(json.dumps(last.content["explanation"])) < 100
    assert whole_snapshot(version)["chapters"][0]["topics"][0]["explanation"] == f"2 {text}"


def test_a_version_that_is_dropped_while_it_is_read_is_not_found(alice, make_note):
    note = make_note(alice, 1)
    services.update_note(user_id=alice.pk, note_id=note.pk, changes={"title": "x"})
    version = NoteVersion.objects.get()
    KeptTopic.objects.all().delete()

    with pytest.raises(NoteVersion.DoesNotExist):
        whole_snapshot(version)


TEXT = st.text(alphabet="ab\n\r\u2028é", max_size=60)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(base=TEXT, text=TEXT, start=st.integers(0, 60), stop=st.integers(0, 60))
def test_a_difference_makes_the_text_again(base, text, start, stop):
    for changed in (text, base[:start] + text + base[stop:], base + text, text + base, base):
        assert patched(base, difference(base, changed)) == changed


@pytest.mark.parametrize(
    ("base", "text"),
    [("a\n" * 200_000, "b" + "a\n" * 199_999 + "b"), ("a" * 400_000, "b" * 400_000), ("ab" * 200_000, "ba" * 200_000)],
)
def test_a_difference_takes_linear_time(base, text):
    """A second or two. Were it the square of the length, the suite's time-out would end it."""
    assert patched(base, difference(base, text)) == text


def test_a_difference_is_short_where_lines_moved_and_changed():
    lines = [f"line {number}\n" for number in range(1000)]
    moved = ["first\n", *lines[500:], "new\n", *lines[:500], "last\n"]

    pieces = difference("".join(lines), "".join(moved))

    assert patched("".join(lines), pieces) == "".join(moved)
    assert pieces == ["first\n", [4390, 8881], "line 999\nnew\n", [0, 4390], "last", [8889, 8890]]


def test_versions_of_the_schema_before_are_shown_restored_and_exported(alice, alice_client, make_note, send):
    note = make_note(alice, 1, title="now")
    topic = note.chapters.get().topics.get()
    texts = {"title": "t", "explanation": "old", "code": "", "code_language": "", "sources": []}
    old = {"id": topic.chapter_id, "title": "c", "topics": [{"id": topic.pk, **texts}]}
    snapshot = {"schema": 1, "title": "then", "status": "draft", "tags": ["a"], "chapters": [old]}
    NoteVersion.objects.create(note=note, version=0, reason="edit", snapshot=snapshot)

    shown = alice_client.get(f"/api/notes/{note.pk}/versions/0/").json()["snapshot"]
    restored = send(alice_client, "post", f"/api/notes/{note.pk}/versions/0/restore/").json()

    assert shown == {name: value for name, value in snapshot.items() if name != "schema"}
    assert (restored["title"], restored["chapters"][0]["topics"][0]["explanation"]) == ("then", "old")
    assert restored["chapters"][0]["topics"][0]["id"] == topic.pk
