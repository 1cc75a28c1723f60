"""Exports that come back: unchanged, edited outside, of notes that were edited since, of another account."""

from notes.models import Attachment, Note, Topic
from notes.services import attachments
from tests.conftest import client_of
from tests.factories import ChapterFactory, NoteFactory, TopicFactory, UserFactory
from tests.files.images import saved
from tests.notes.imports.helpers import contents, exported, outcomes, report_of


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


def test_an_export_takes_its_attachments_to_another_account(alice, alice_client, charlie, charlie_client, make_note):
    note = make_note(alice, 1)
    attachment = attachments.add_attachment(user_id=alice.pk, note_id=note.pk, name="a.png", content=saved("PNG"))
    topic = note.chapters.get().topics.get()
    topic.explanation = f"![a]({attachment.path})"
    topic.save(update_fields=["explanation"])
    response = alice_client.get(f"/api/notes/export/?ids={note.pk}")
    archive = b"".join(response.streaming_content)

    own = report_of(alice_client, "x.zip", archive)
    job = report_of(charlie_client, "x.zip", archive)
    again = report_of(charlie_client, "x.zip", archive)

    copy = Attachment.objects.get(user=charlie)
    assert outcomes(own)[0] == (f"notes/{note.pk}-a-note.md", "unchanged")
    assert [file["outcome"] for file in job["report"]["files"]] == ["created", "skipped"]
    assert again["report"]["unchanged"] == 1
    assert contents(Note.objects.get(user=charlie))[0][1][0][1] == f"![a]({copy.path})"
    assert Attachment.objects.count() == 2


def test_an_export_of_any_language_of_code_comes_back_as_it_was(alice, alice_client):
    languages = ["C/C++", "PL/SQL", "F*", "Common Lisp", "C#", ".NET"]
    note = NoteFactory(user=alice)
    for language in languages:
        TopicFactory(chapter=ChapterFactory(note=note), code="x", code_language=language)

    job = report_of(alice_client, "a.md", exported(alice_client, note.pk))

    assert outcomes(job) == [("a.md", "unchanged")]
    assert list(Topic.objects.order_by("pk").values_list("code_language", flat=True)) == languages
