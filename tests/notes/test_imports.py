"""Imports: from the upload to the notes, and what a second one, a cancel and a lost worker leave."""

import io
import tarfile
import warnings
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from notes.models import Attachment, Chapter, Note, Topic
from notes.services import attachments, background_jobs, imports
from notes.services.imports import running
from notes.transfers import NoteImport, NoteSource
from tests.conftest import client_of
from tests.factories import ChapterFactory, NoteFactory, TopicFactory, UserFactory
from tests.files.images import saved
from utils import storage
from utils.models import FileToDelete

IMPORTS = "/api/notes/imports/"


@pytest.fixture(autouse=True)
def _stored(files: Path) -> Path:
    return files


def upload(client, name: str, content: bytes, **fields: Any):
    data = {"file": SimpleUploadedFile(name, content), **fields}
    return client.post(IMPORTS, data, format="multipart")


def report_of(client, name: str, content: bytes, **fields: Any) -> dict[str, Any]:
    """Upload, let a worker do its work, and read the answer."""
    response = upload(client, name, content, **fields)
    assert response.status_code == 202, response.content
    imports.carry_out_import(response.json()["id"])
    return client.get(response["Location"]).json()


def outcomes(job: dict[str, Any]) -> list[tuple[str, str]]:
    return [(file["name"], file["outcome"]) for file in job["report"]["files"]]


def zipped(files: dict[str, bytes | str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def exported(client, note_id: int) -> bytes:
    return client.get(f"/api/notes/{note_id}/export/").content


def contents(note: Note) -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        (chapter.title, [(topic.title, topic.explanation) for topic in chapter.topics.all()])
        for chapter in note.chapters.all()
    ]


def test_a_file_is_accepted_and_imported_by_a_worker(alice, alice_client):
    response = upload(alice_client, "loops.md", b"# Loops\n\nAgain.\n\n## For\n\nText\n\n### Deep\n\nmore\n")

    assert response.status_code == 202
    accepted = response.json()
    assert response["Location"] == f"/api/notes/imports/{accepted['id']}/"
    assert (accepted["status"], accepted["progress"], accepted["error"]) == ("queued", 0, None)
    assert not Note.objects.exists()

    imports.carry_out_import(accepted["id"])

    job = alice_client.get(response["Location"]).json()
    note = Note.objects.get()
    assert (job["status"], job["progress"], job["finished_at"] is None) == ("succeeded", 100, False)
    assert job["report"] == {
        "created": 1, "updated": 0, "unchanged": 0, "conflict": 0, "skipped": 0, "failed": 0,
        "files": [{"name": "loops.md", "outcome": "created", "note_id": note.pk, "warnings": []}],
    }  # fmt: skip
    assert (note.user_id, note.title) == (alice.pk, "Loops")
    assert contents(note) == [("Loops", [("Loops", "Again.")]), ("For", [("For", "Text"), ("Deep", "more")])]


def test_the_upload_is_deleted_when_the_import_ends(alice_client, files):
    report_of(alice_client, "a.md", b"# A")

    storage.delete_marked()

    assert [path for path in files.rglob("*") if path.is_file()] == []


def test_the_upload_goes_with_the_account(alice, alice_client, files):
    upload(alice_client, "a.md", b"# A")

    NoteImport.objects.all().delete()
    storage.delete_marked()

    assert [path for path in files.rglob("*") if path.is_file()] == []


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
    assert conflict["report"]["files"][0]["warnings"] == ["The note was edited since: the file became a second note."]
    assert sorted(Note.objects.values_list("title", flat=True)) == ["A", "Mine"]


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
            "a.md": "# A\n\n![seen](img/pic%201.png) ![[pic 1.png]] ![no](drawing.svg)",
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
        ["Files of this kind are not imported."],
        ["Files of this kind are not imported."],
        ["It is an attachment of the notes that show it."],
    ]
    with storage.read(attachment.file) as file:
        assert file.read(4) == b"\x89PNG"


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


def test_the_whole_upload_may_be_longer_than_other_bodies(alice_client):
    text = b"# Long\n\n" + b"word " * 700_000

    job = report_of(alice_client, "long.md", text)

    assert outcomes(job) == [("long.md", "created")]
    too_long = upload(alice_client, "x.zip", b"0" * (50 * 1024 * 1024 + 1))
    assert (too_long.status_code, too_long.json()["code"]) == (413, "body_too_large")


def test_the_same_key_imports_once(alice_client):
    data = {"file": SimpleUploadedFile("a.md", b"# A")}
    first = alice_client.post(IMPORTS, data, format="multipart", headers={"Idempotency-Key": "k"})
    again = alice_client.post(
        IMPORTS, {"file": SimpleUploadedFile("a.md", b"# A")}, format="multipart", headers={"Idempotency-Key": "k"}
    )
    other = alice_client.post(
        IMPORTS, {"file": SimpleUploadedFile("a.md", b"# B")}, format="multipart", headers={"Idempotency-Key": "k"}
    )

    assert (first.status_code, again.status_code, other.status_code) == (202, 202, 422)
    assert again.json() == first.json()
    assert NoteImport.objects.count() == 1


def test_joplins_archive_keeps_folders_tags_links_and_pictures(alice_client):
    ids = [character * 32 for character in "abcdef"]
    items = {
        f"{ids[0]}.md": f"Folder\n\nid: {ids[0]}\nparent_id: \ntype_: 2",
        f"{ids[1]}.md": f"First note\n\n# Head\n\n[second](:/{ids[2]}) ![p](:/{ids[4]})\n\nid: {ids[1]}\n"
        f"parent_id: {ids[0]}\nsource_url: https://example.com/a\ntype_: 1",
        f"{ids[2]}.md": f"Second\n\ntext: with colon\n\nid: {ids[2]}\nparent_id: {ids[0]}\ntype_: 1",
        f"{ids[3]}.md": f"physics\n\nid: {ids[3]}\ntype_: 5",
        f"{ids[4]}.md": f"pic.png\n\nid: {ids[4]}\nmime: image/png\ntype_: 4",
        f"{ids[5]}.md": f"id: {ids[5]}\nnote_id: {ids[1]}\ntag_id: {ids[3]}\ntype_: 6",
        f"resources/{ids[4]}.png": saved("PNG"),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in items.items():
            data = content if isinstance(content, bytes) else content.encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))

    job = report_of(alice_client, "all.jex", buffer.getvalue())
    again = report_of(alice_client, "all.jex", buffer.getvalue())

    assert outcomes(job) == [
        ("Folder/First note.md", "created"),
        ("Folder/Second.md", "created"),
        (f"resources/{ids[4]}.png", "skipped"),
    ]
    assert again["report"]["unchanged"] == 2
    first, second = Note.objects.get(title="First note"), Note.objects.get(title="Second")
    attachment = Attachment.objects.get()
    assert first.tags == ["physics"]
    assert contents(first) == [("Head", [("Head", f"[[Second|second]] ![p]({attachment.path})")])]
    assert first.chapters.get().topics.get().sources == [{"title": "First note", "url": "https://example.com/a"}]
    assert contents(second) == [("Second", [("Second", "text: with colon")])]


def unsafe_archives() -> dict[str, bytes]:
    link = zipfile.ZipInfo("link.md")
    link.external_attr = 0o120777 << 16
    with_link = io.BytesIO()
    with zipfile.ZipFile(with_link, "w") as archive:
        archive.writestr("a.md", "# A")
        archive.writestr(link, "/etc/passwd")
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as jex:
        member = tarfile.TarInfo("a.md")
        member.type = tarfile.SYMTYPE
        member.linkname = "/etc/passwd"
        jex.addfile(member)
    inner = zipped({"../a.md": "x"})
    return {
        "traversal.zip": zipped({"a.md": "# A", "../b.md": "# B"}),
        "backslash.zip": zipped({"a.md": "# A", "..\\b.md": "# B"}),
        "absolute.zip": zipped({"a.md": "# A", "/etc/b.md": "# B"}),
        "drive.zip": zipped({"C:/b.md": "# B"}),
        "symlink.zip": with_link.getvalue(),
        "symlink.jex": tar.getvalue(),
        "bomb.zip": zipped({"a.md": "# A", "b.md": b"\0" * 20_000_000}),
        "many.zip": zipped({f"{number}.md": "" for number in range(5001)}),
        "nested.zip": zipped({"a.md": "# A", "inner.zip": inner}),
    }


@pytest.mark.parametrize("name", unsafe_archives())
def test_an_unsafe_archive_makes_nothing(alice_client, name):
    job = report_of(alice_client, name, unsafe_archives()[name])

    assert (job["status"], job["error"]["code"]) == ("failed", "unsafe_archive")
    assert job["report"]["files"] == []
    assert not Note.objects.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"text"])
def test_what_is_no_archive_fails(alice_client, content):
    job = report_of(alice_client, "x.zip", content)

    assert (job["status"], job["error"]["code"]) == ("failed", "unreadable_archive")


def test_a_damaged_entry_fails_alone(alice_client):
    archive = bytearray(zipped({"a.md": "# A" + " word" * 100, "b.md": "# B"}))
    archive[40] ^= 0xFF

    job = report_of(alice_client, "x.zip", bytes(archive))

    assert outcomes(job) == [("a.md", "failed"), ("b.md", "created")]
    assert job["status"] == "succeeded"


def test_names_are_nfc_and_of_any_program(alice_client):
    decomposed = "re\u0301sume\u0301.md"
    # Written as UTF-8 without the flag that says so, as many programs do.
    content = zipped({decomposed: ""}).replace(b"\x00\x08", b"\x00\x00")

    job = report_of(alice_client, "x.zip", content)

    assert outcomes(job) == [("r\u00e9sum\u00e9.md", "created")]
    assert Note.objects.get().title == "r\u00e9sum\u00e9"


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("# Grüße".encode("utf-8-sig"), "Grüße"),
        ("# Grüße\n\n".encode("utf-16"), "Grüße"),
        ("# Grüße\n\nund ein langer Text mit Leerzeichen".encode("utf-16-le"), "Grüße"),
        ("# Grüße\n\nviele schöne Grüße aus Köln, überall hört man Ärger".encode("cp1252"), "Grüße"),
        ("# Café\n\nEl niño comió piñas, déjà vu".encode("cp1252"), "Café"),
        ("# Zażółć\n\ngęślą jaźń, proszę bardzo".encode("cp1250"), "Zażółć"),
        ("# Привет\n\nмы читали книги и писали письма друзьям".encode("cp1251"), "Привет"),
        ("# こんにちは\n\nこれは日本語の文章です。読み込みを確認します。".encode("shift_jis"), "こんにちは"),
    ],
)
def test_texts_in_other_encodings_are_read(alice_client, content, title):
    job = report_of(alice_client, "a.md", content)

    assert outcomes(job) == [("a.md", "created")]
    assert Note.objects.get().title == title


def test_a_guessed_encoding_is_told_and_binary_files_fail(alice_client):
    guessed = report_of(alice_client, "a.md", "# Grüße\n\nviele schöne Grüße aus Köln".encode("cp1252"))
    binary = report_of(alice_client, "b.md", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)))

    (warning,) = guessed["report"]["files"][0]["warnings"]
    assert warning.startswith("Its encoding is not stated. It was read as ")
    assert binary["report"]["files"] == [
        {"name": "b.md", "outcome": "failed", "warnings": ["This is no text in an encoding that is known here."]}
    ]


@pytest.mark.parametrize("name", ["a.exe", "a", "a.md.png"])
def test_other_kinds_of_files_are_refused_at_once(alice_client, name):
    response = upload(alice_client, name, b"x")

    assert response.status_code == 400
    assert [(error["pointer"], error["code"]) for error in response.json()["errors"]] == [("/file", "unknown_kind")]


def test_an_upload_without_a_file_or_with_unknown_fields_is_refused(alice_client):
    missing = alice_client.post(IMPORTS, {"dry_run": "true"}, format="multipart")
    unknown = upload(alice_client, "a.md", b"x", user="7")

    assert [(error["pointer"], error["code"]) for error in missing.json()["errors"]] == [("/file", "required")]
    assert [(error["pointer"], error["code"]) for error in unknown.json()["errors"]] == [("/user", "unknown_field")]
    assert (missing.status_code, unknown.status_code) == (400, 400)


def test_a_cancelled_import_keeps_what_it_has_made(alice_client, monkeypatch):
    job = upload(alice_client, "x.zip", zipped({f"{n}.md": f"# {n}" for n in range(5)})).json()
    real = running._import_file

    def cancel_after_two(job_row, context, files, position, entry):
        if position == 2:
            assert alice_client.post(f"{IMPORTS}{job['id']}/cancel/").status_code == 202
        real(job_row, context, files, position, entry)

    monkeypatch.setattr(running, "_import_file", cancel_after_two)
    imports.carry_out_import(job["id"])

    after = alice_client.get(f"{IMPORTS}{job['id']}/").json()
    assert (after["status"], after["progress"]) == ("cancelled", 40)
    assert outcomes(after) == [("0.md", "created"), ("1.md", "created")]
    assert Note.objects.count() == 2
    assert FileToDelete.objects.count() == 1


def test_an_import_that_has_ended_cannot_be_cancelled(alice_client):
    job = report_of(alice_client, "a.md", b"# A")

    response = alice_client.post(f"{IMPORTS}{job['id']}/cancel/")

    assert (response.status_code, response.json()["code"]) == (409, "import_finished")


def test_an_import_goes_on_where_its_worker_was_lost(alice_client, monkeypatch):
    job = upload(alice_client, "x.zip", zipped({f"{n}.md": f"# {n}" for n in range(4)})).json()
    real = running._import_file

    def die_at_the_third(job_row, context, files, position, entry):
        if position == 2:
            raise KeyboardInterrupt
        real(job_row, context, files, position, entry)

    monkeypatch.setattr(running, "_import_file", die_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        imports.carry_out_import(job["id"])
    monkeypatch.setattr(running, "_import_file", real)
    imports.carry_out_import(job["id"])  # its lease stands
    assert Note.objects.count() == 2

    NoteImport.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    imports.carry_out_import(job["id"])

    after = alice_client.get(f"{IMPORTS}{job['id']}/").json()
    assert after["status"] == "succeeded"
    assert outcomes(after) == [(f"{n}.md", "created") for n in range(4)]
    assert Note.objects.count() == 4


def test_an_import_that_always_ends_its_worker_fails(alice_client):
    job = upload(alice_client, "a.md", b"# A").json()
    NoteImport.objects.update(attempt=background_jobs.ATTEMPTS_MAX)

    imports.carry_out_import(job["id"])

    after = alice_client.get(f"{IMPORTS}{job['id']}/").json()
    assert (after["status"], after["error"]["code"]) == ("failed", "worker_lost")
    assert not Note.objects.exists()


def test_jobs_whose_message_was_lost_are_sent_again(alice_client, monkeypatch):
    sent = []
    monkeypatch.setattr(background_jobs, "publish", lambda task, job_id: sent.append((task, job_id)) or True)
    job = upload(alice_client, "a.md", b"# A").json()
    sent.clear()

    NoteImport.objects.update(published_at=timezone.now())
    assert background_jobs.publish_unfinished() == 0
    NoteImport.objects.update(published_at=timezone.now() - timedelta(minutes=2))
    assert background_jobs.publish_unfinished() == 1
    NoteImport.objects.update(
        published_at=timezone.now() - timedelta(minutes=2), lease_expires_at=timezone.now() + timedelta(minutes=1)
    )
    assert background_jobs.publish_unfinished() == 0

    assert sent == [("notes.carry_out_import", job["id"])]


@pytest.mark.parametrize(
    ("line", "year"),
    [
        ("created: 2021-05-06 10:11:12Z", 2021),
        ("date: 2020-01-02", 2020),
        ("created: 9999-12-31T23:59:59-12:00", timezone.now().year),
        ("created: soon", timezone.now().year),
    ],
)
def test_a_note_keeps_the_time_at_which_it_was_written(alice_client, line, year):
    report_of(alice_client, "a.md", f"---\n{line}\n---\n\ntext".encode())

    note = Note.objects.get()
    assert note.created_at.year == year
    assert (line in contents(note)[0][1][0][1]) == (year > 2021)


def test_a_full_account_is_told_file_by_file(alice_client, settings):
    settings.NOTES_BYTES_PER_USER = 300

    job = report_of(alice_client, "x.zip", zipped({"a.md": "# A\n" + "x" * 90, "b.md": "# B\n" + "x" * 400}))

    assert outcomes(job) == [("a.md", "created"), ("b.md", "failed")]
    assert job["report"]["files"][1]["warnings"] == ["Your account has no room for this. Delete something first."]


def test_without_a_storage_nothing_is_imported(alice_client, no_storage):
    response = upload(alice_client, "a.md", b"# A")

    assert (response.status_code, response.json()["code"]) == (503, "storage_not_configured")


def test_at_most_five_imports_wait(alice_client):
    for _ in range(5):
        assert upload(alice_client, "a.md", b"# A").status_code == 202

    response = upload(alice_client, "a.md", b"# A")

    assert (response.status_code, response.json()["code"]) == (409, "too_many_imports")


def test_a_stranger_finds_no_import(alice_client, charlie_client):
    job = upload(alice_client, "a.md", b"# A").json()

    assert charlie_client.get(f"{IMPORTS}{job['id']}/").status_code == 404
    assert charlie_client.post(f"{IMPORTS}{job['id']}/cancel/").status_code == 404
    assert NoteImport.objects.get().status == "queued"


@pytest.mark.parametrize("count", [1, 10, 100])
def test_a_report_costs_two_queries(alice, alice_client, warm, count, django_assert_num_queries):
    job = NoteImport.objects.create(user=alice, name="x.zip")
    for position in range(count):
        job.files.create(position=position, name="a", outcome="created", note=NoteFactory(user=alice))
    warm(alice_client)

    with django_assert_num_queries(2):
        alice_client.get(f"{IMPORTS}{job.pk}/")


def test_reports_are_deleted_after_a_month(alice):
    old, new = (
        NoteImport.objects.create(
            user=alice, name="x", status="succeeded", finished_at=timezone.now() - timedelta(days=days)
        )
        for days in (31, 29)
    )

    imports.purge_imports()

    assert list(NoteImport.objects.values_list("pk", flat=True)) == [new.pk] != [old.pk]


@pytest.mark.parametrize(
    "front",
    [
        'title: "\\UFFFFFFFF"',
        'title: "\\uD800"',
        'tags: ["\\0"]',
        '? "\\uDFFF"\n: x',
        "%YAML 1." + "9" * 5000,
    ],
)
def test_front_matter_that_names_no_character_is_text(alice_client, front):
    job = report_of(alice_client, "a.zip", zipped({"a.md": f"---\n{front}\n---\n\nmine", "b.md": "# B"}))

    assert (job["status"], outcomes(job)) == ("succeeded", [("a.md", "created"), ("b.md", "created")])
    note = Note.objects.get(pk=job["report"]["files"][0]["note_id"])
    text = f"{note.title} {contents(note)}".replace("\\\\", "\\")
    assert front.splitlines()[0] in text
    assert "mine" in text


@pytest.mark.parametrize("reference", ["&#x0;", "&#xD800;", "&#xDFFF;", "&#x110000;"])
def test_references_to_no_character_stay_as_they_are(alice_client, reference):
    own = f"---\nnoteassist: 1\ntitle: A\n---\n\n<!-- noteassist:chapter 1 -->\n## x{reference}y\n"
    job = report_of(alice_client, "a.zip", zipped({"a.md": own, "b.md": f"# B\n\n## x{reference}y\n\ntext\n"}))

    assert (job["status"], outcomes(job)) == ("succeeded", [("a.md", "created"), ("b.md", "created")])
    assert set(Chapter.objects.values_list("title", flat=True)) == {f"x{reference}y"}


def test_names_of_a_kind_in_one_archive_lose_no_text(alice_client):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the names that are there twice
        for number, name in enumerate(["a.md", "a.md", "a (2).md", "e\u0301.md", "\u00e9.md", "A.md", ".", "."]):
            archive.writestr(name, f"# Note {number}\n\ntext {number}")

    job = report_of(alice_client, "a.zip", buffer.getvalue())

    assert sorted(outcomes(job)) == [
        ("A.md", "created"),
        ("a (2).md", "created"),
        ("a (3).md", "created"),
        ("a.md", "created"),
        ("\u00e9 (2).md", "created"),
        ("\u00e9.md", "created"),
    ]
    assert set(Note.objects.values_list("title", flat=True)) == {f"Note {number}" for number in range(6)}


def test_names_in_a_tar_may_be_in_any_encoding(alice_client):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        archive.addfile(tarfile.TarInfo("caf\u00e9.bin"))

    job = report_of(alice_client, "a.jex", buffer.getvalue())

    assert (job["status"], outcomes(job)) == ("succeeded", [("caf\ufffd.bin", "skipped")])


def test_an_export_of_any_language_of_code_comes_back_as_it_was(alice, alice_client):
    languages = ["C/C++", "PL/SQL", "F*", "Common Lisp", "C#", ".NET"]
    note = NoteFactory(user=alice)
    for language in languages:
        TopicFactory(chapter=ChapterFactory(note=note), code="x", code_language=language)

    job = report_of(alice_client, "a.md", exported(alice_client, note.pk))

    assert outcomes(job) == [("a.md", "unchanged")]
    assert list(Topic.objects.order_by("pk").values_list("code_language", flat=True)) == languages
