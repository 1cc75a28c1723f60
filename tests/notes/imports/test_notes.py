"""What becomes of notes: the same file again, edits on both sides, links between files, and pictures."""

from django.utils import timezone

from notes.models import Attachment, Note
from notes.services import attachments
from notes.transfers import NoteSource
from tests.files.images import saved
from tests.notes.imports.helpers import contents, outcomes, report_of, zipped
from utils import storage


def test_the_same_file_again_makes_nothing(alice_client):
    first = report_of(alice_client, "a.md", b"# A\n\ntext")
    again = report_of(alice_client, "a.md", b"# A\n\ntext")

    note = Note.objects.get()
    assert outcomes(first) == [("a.md", "created")]
    assert again["report"]["files"] == [{"name": "a.md", "outcome": "unchanged", "note_id": note.pk, "warnings": []}]
    assert note.version == 1


def test_an_edited_file_is_written_over_its_note(alice_client):
    report_of(alice_client, "a.md", b"# A\n\ntext\n\n## One\n\nkeeps its id")
    note = Note.objects.get()
    ids = list(note.chapters.values_list("pk", flat=True))

    again = report_of(alice_client, "a.md", b"# A\n\nnew text\n\n## One\n\nkeeps its id")

    note.refresh_from_db()
    assert outcomes(again) == [("a.md", "updated")]
    assert contents(note) == [("A", [("A", "new text")]), ("One", [("One", "keeps its id")])]
    assert list(note.chapters.values_list("pk", flat=True)) == ids
    assert note.version == 2
    kept = alice_client.get(f"/api/notes/{note.pk}/versions/1/").json()["snapshot"]
    assert kept["chapters"][0]["topics"][0]["explanation"] == "text"


def test_a_note_that_was_edited_since_its_import_is_never_written_over(alice, alice_client, send):
    report_of(alice_client, "a.md", b"# A\n\ntext")
    note = Note.objects.get()
    send(alice_client, "patch", f"/api/notes/{note.pk}/", {"title": "Mine"})

    unchanged = report_of(alice_client, "a.md", b"# A\n\ntext")
    conflict = report_of(alice_client, "a.md", b"# A\n\nother text")
    again = report_of(alice_client, "a.md", b"# A\n\nother text")

    assert [outcomes(job) for job in (unchanged, conflict, again)] == [
        [("a.md", "unchanged")],
        [("a.md", "conflict")],
        [("a.md", "unchanged")],
    ]
    assert conflict["report"]["files"][0]["warnings"] == [
        "The note was edited since its export: the file became a second note."
    ]
    assert sorted(Note.objects.values_list("title", flat=True)) == ["A", "Mine"]


def test_a_note_in_the_trash_is_left_there(alice, alice_client):
    report_of(alice_client, "a.md", b"# A")
    Note.objects.update(deleted_at=timezone.now())

    job = report_of(alice_client, "a.md", b"# A")

    assert outcomes(job) == [("a.md", "created")]
    assert Note.objects.live().count() == 1


def test_a_dry_run_reports_the_same_and_writes_nothing(alice, alice_client, make_note):
    make_note(alice, 1)
    archive = zipped({"a.md": "# A", "b.txt": "plain", "c.png": b"\x89PNG"})

    dry = report_of(alice_client, "x.zip", archive, dry_run="true")
    notes, sources = Note.objects.count(), NoteSource.objects.count()
    wet = report_of(alice_client, "x.zip", archive)

    assert (notes, sources) == (1, 0)
    assert dry["dry_run"] is True
    assert outcomes(dry) == outcomes(wet) == [("a.md", "created"), ("b.txt", "created"), ("c.png", "skipped")]
    assert "note_id" not in dry["report"]["files"][0]


def test_links_between_files_become_links_between_notes(alice_client):
    archive = zipped(
        {
            "Start.md": "# Beginning\n\n[[Second page]], [[Second page#Part|there]], [Second](sub/Second%20page.md), "
            "[web](https://example.com/Second%20page.md), `[[Second page]]`, ![x](pic.png)\n",
            "sub/Second page.md": "---\ntitle: The second\n---\n[up](../Start.md)\n",
            "pic.png": b"\x89PNG",
        }
    )

    job = report_of(alice_client, "vault.zip", archive)

    assert outcomes(job) == [("Start.md", "created"), ("sub/Second page.md", "created"), ("pic.png", "skipped")]
    first, second = Note.objects.get(title="Beginning"), Note.objects.get(title="The second")
    assert contents(first)[0][1][0][1] == (
        "[[The second]], [[The second#Part|there]], [[The second|Second]], "
        "[web](https://example.com/Second%20page.md), `[[Second page]]`, ![x](pic.png)"
    )
    assert contents(second)[0][1][0][1] == "[[Beginning|up]]"
    assert job["report"]["files"][0]["warnings"] == ["pic.png was not imported: the link to it stays as it is."]


def test_pictures_that_notes_show_become_attachments(alice, alice_client):
    archive = zipped(
        {
            "a.md": "# A\n\n![seen](img/pic%201.png) ![[pic 1.png|200x100]] ![no](drawing.svg)",
            "img/pic 1.png": saved("PNG"),
            "alone.png": saved("PNG"),
            "drawing.svg": "<svg/>",
        }
    )

    dry = report_of(alice_client, "x.zip", archive, dry_run="true")
    assert not Attachment.objects.exists()
    job = report_of(alice_client, "x.zip", archive)
    again = report_of(alice_client, "x.zip", archive)

    attachment = Attachment.objects.get()
    note = Note.objects.get()
    assert (attachment.note_id, attachment.name, attachment.content_type) == (note.pk, "pic 1.png", "image/png")
    assert contents(note)[0][1][0][1] == (
        f"![seen]({attachment.path}) ![pic 1.png]({attachment.path}) ![no](drawing.svg)"
    )
    expected = [("a.md", "created"), ("alone.png", "skipped"), ("drawing.svg", "skipped"), ("img/pic 1.png", "skipped")]
    assert outcomes(dry) == outcomes(job) == expected
    assert outcomes(again)[0] == ("a.md", "unchanged")
    assert [file["warnings"] for file in job["report"]["files"]] == [
        ["drawing.svg was not imported: the link to it stays as it is."],
        ["Files of this kind cannot be imported."],
        ["Files of this kind cannot be imported."],
        ["It is an attachment of the notes that show it."],
    ]
    with storage.read(attachment.file) as file:
        assert file.read(4) == b"\x89PNG"


def test_a_note_with_more_attachments_than_it_may_have_is_told(alice_client, monkeypatch):
    monkeypatch.setattr(attachments, "ATTACHMENTS_MAX", 1)
    files = {"a.md": "# A\n\n![](1.png) ![](2.png)", "1.png": saved("PNG"), "2.png": saved("PNG")}

    job = report_of(alice_client, "a.zip", zipped({**files, "b.md": "# B"}))

    assert (job["status"], outcomes(job)[:2]) == ("succeeded", [("a.md", "failed"), ("b.md", "created")])
    assert "attachments" in job["report"]["files"][0]["warnings"][0]
