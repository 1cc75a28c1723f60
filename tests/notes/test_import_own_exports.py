"""Exports that come back: unchanged, edited outside, of notes that were edited since, of another account."""

from pathlib import Path

import pytest

from notes.models import Note
from tests.conftest import client_of
from tests.factories import UserFactory
from tests.notes.test_imports import contents, exported, outcomes, report_of


@pytest.fixture(autouse=True)
def _stored(files: Path) -> Path:
    return files


def test_an_export_that_comes_back_is_unchanged(alice, alice_client, make_note):
    note = make_note(alice, 2, 0, title="# inject\n\n## fake", tags=["b", "a"], status="published")

    job = report_of(alice_client, "renamed.md", exported(alice_client, note.pk))

    assert job["report"]["files"] == [
        {"name": "renamed.md", "outcome": "unchanged", "note_id": note.pk, "warnings": []}
    ]
    assert Note.objects.get().version == 1


def test_an_export_that_was_edited_outside_is_written_over_its_note(alice, alice_client, make_note):
    note = make_note(alice, 2)
    text = exported(alice_client, note.pk).replace(b"text 0.1", b"rewritten")
    topics = list(note.chapters.get().topics.values_list("pk", flat=True))

    job = report_of(alice_client, "x.md", text)
    again = report_of(alice_client, "x.md", text)

    assert (outcomes(job), outcomes(again)) == ([("x.md", "updated")], [("x.md", "unchanged")])
    assert [t.explanation for t in note.chapters.get().topics.all()] == ["text 0.0", "rewritten"]
    assert list(note.chapters.get().topics.values_list("pk", flat=True)) == topics


def test_an_export_of_a_note_that_was_edited_since_becomes_a_second_note(alice, alice_client, make_note, send):
    note = make_note(alice, 1)
    text = exported(alice_client, note.pk)
    send(alice_client, "patch", f"/api/notes/{note.pk}/", {"title": "Later"})

    job = report_of(alice_client, "x.md", text)
    again = report_of(alice_client, "x.md", text)

    assert (outcomes(job), outcomes(again)) == ([("x.md", "conflict")], [("x.md", "unchanged")])
    assert sorted(Note.objects.values_list("title", flat=True)) == ["A note", "Later"]


def test_anothers_export_is_an_ordinary_new_note(alice, alice_client, charlie, charlie_client, make_note):
    note = make_note(alice, 1)
    text = exported(alice_client, note.pk)
    nobodys = text.replace(f"id: {note.pk}\n".encode(), b"id: 424242\n")

    first = report_of(charlie_client, "x.md", text)
    again = report_of(charlie_client, "x.md", text)
    unknown = report_of(client_of(UserFactory()), "x.md", nobodys)

    assert [outcomes(job) for job in (first, again, unknown)] == [
        [("x.md", "created")],
        [("x.md", "unchanged")],
        [("x.md", "created")],
    ]
    assert first["report"]["files"][0]["warnings"] == unknown["report"]["files"][0]["warnings"] == []
    note.refresh_from_db()
    assert (note.version, note.user_id) == (1, alice.pk)


def test_an_id_without_its_time_of_creation_is_none(alice, alice_client, make_note):
    note = make_note(alice, 1)
    text = exported(alice_client, note.pk).replace(b"created_at: '2", b"created_at: '1")

    job = report_of(alice_client, "x.md", text.replace(b"text 0.0", b"forged"))

    assert outcomes(job) == [("x.md", "created")]
    assert Note.objects.get(pk=note.pk).version == 1


def test_ids_of_chapters_and_topics_of_another_note_are_not_taken(alice, alice_client, charlie, make_note):
    theirs = make_note(charlie, 1)
    mine = make_note(alice, 1)
    other = theirs.chapters.get()
    text = exported(alice_client, mine.pk).decode().replace("text 0.0", "new")
    text = text.replace(f"chapter {mine.chapters.get().pk}", f"chapter {other.pk}")
    text = text.replace(f"topic {mine.chapters.get().topics.get().pk}", f"topic {other.topics.get().pk}")

    job = report_of(alice_client, "x.md", text.encode())

    assert outcomes(job) == [("x.md", "updated")]
    assert contents(theirs) == [("chapter 0", [("topic 0.0", "text 0.0")])]
    assert contents(mine) == [("chapter 0", [("topic 0.0", "new")])]
