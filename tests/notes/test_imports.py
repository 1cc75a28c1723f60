"""Imports: from the upload to the notes, and what a second one, a cancel and a lost worker leave."""

import io
import tarfile
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DataError, InterfaceError, OperationalError
from django.utils import timezone
from psycopg_pool import PoolTimeout

from notes.models import Attachment, Chapter, Note, Topic
from notes.services import attachments, background_jobs, imports
from notes.services.imports import running, saving
from notes.transfers import NoteImport, NoteSource
from tests.factories import ChapterFactory, NoteFactory, TopicFactory
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


def tarred(size: bytes = b"", **headers: str) -> bytes:
    """A tar of one file; ``size``: as the header says it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("a.md")
        member.size = 3
        member.pax_headers = headers
        archive.addfile(member, io.BytesIO(b"abc"))
    content = bytearray(buffer.getvalue())
    content[124 : 124 + len(size)] = size
    content[148:156] = b"%06o\0 " % (sum(content[:148]) + 8 * 32 + sum(content[156:512]))
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text" * 500,
        tarred(size=b"\xff" * 12),  # below zero: the same entry would be read for ever
        tarred(**{"GNU.sparse.map": "a,b"}),
    ],
)
def test_what_is_no_archive_of_joplin_fails(alice_client, content):
    job = report_of(alice_client, "x.jex", content)

    assert (job["status"], job["error"]["code"]) == ("failed", "unreadable_archive")


def test_a_colon_in_a_name_is_no_drive(alice_client):
    job = report_of(alice_client, "x.zip", zipped({"1:30 lesson.md": "", "Q: what is it.md": ""}))

    assert outcomes(job) == [("1:30 lesson.md", "created"), ("Q: what is it.md", "created")]


def test_a_damaged_entry_fails_alone(alice_client):
    archive = bytearray(zipped({"a.md": "# A" + " word" * 100, "b.md": "# B"}))
    archive[40] ^= 0xFF

    job = report_of(alice_client, "x.zip", bytes(archive))

    assert outcomes(job) == [("a.md", "failed"), ("b.md", "created")]
    assert job["status"] == "succeeded"


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


def test_an_export_of_any_language_of_code_comes_back_as_it_was(alice, alice_client):
    languages = ["C/C++", "PL/SQL", "F*", "Common Lisp", "C#", ".NET"]
    note = NoteFactory(user=alice)
    for language in languages:
        TopicFactory(chapter=ChapterFactory(note=note), code="x", code_language=language)

    job = report_of(alice_client, "a.md", exported(alice_client, note.pk))

    assert outcomes(job) == [("a.md", "unchanged")]
    assert list(Topic.objects.order_by("pk").values_list("code_language", flat=True)) == languages


OWN = (
    "---\nnoteassist: 1\n{front}\n---\n\n# A\n\n"
    "<!-- noteassist:chapter 1 -->\n## C\n\n<!-- noteassist:topic 1 -->\n### T\n"
)


@pytest.mark.parametrize("file", [OWN, "---\n{front}\n---\n\n# A\n\n## C\n\n### T\n"], ids=["export", "foreign"])
@pytest.mark.parametrize(
    ("front", "told"),
    [
        ("title: [x, y]", "cannot take what it says of title"),
        ("tags: {a: b}", "cannot take what it says of tags"),
        ("tags: [a, [b]]", "cannot take what it says of tags"),
        ("created_at: yesterday", "cannot take what it says of created_at"),
        ("updated_at: [now]", "cannot take what it says of updated_at"),
        ("status: [draft]", "cannot take what it says of status"),
        ("aliases: [b, c]", "a note has no aliases"),
    ],
)
def test_front_matter_that_a_note_cannot_take_is_kept_and_told(alice_client, file, front, told):
    job = report_of(alice_client, "a.zip", zipped({"a.md": file.format(front=front), "b.md": "# B"}))
    again = report_of(alice_client, "a.zip", zipped({"a.md": file.format(front=front), "b.md": "# B"}))

    first, second = job["report"]["files"]
    assert (first["outcome"], second["outcome"], second["warnings"]) == ("created", "created", [])
    assert [told in warning for warning in first["warnings"]] == [True]
    note = Note.objects.get(pk=first["note_id"])
    assert (note.title, note.status) == ("A", "draft")
    assert contents(note)[-1][1][-1][1].replace("\n  ", " ").replace(": a: b", ": {a: b}") == f"```yaml\n{front}\n```"
    assert [outcome for _, outcome in outcomes(again)] == ["unchanged", "unchanged"]


@pytest.mark.parametrize(("file", "kept"), [(OWN, []), ("---\n{front}\n---\n\n# A\n", ["```yaml\nstatus: done\n```"])])
def test_a_status_that_is_not_known_is_told(alice_client, file, kept):
    job = report_of(alice_client, "a.md", file.format(front="status: done").encode())

    assert len(job["report"]["files"][0]["warnings"]) == 1
    assert "status" in job["report"]["files"][0]["warnings"][0]
    assert Note.objects.get().status == "draft"
    assert [topic.explanation for topic in Topic.objects.exclude(explanation="")] == kept


def test_numbers_and_truths_in_front_matter_are_texts(alice_client):
    job = report_of(alice_client, "a.md", b"---\ntitle: 5\ntags: [2026, yes, 1_0]\nstatus: published\n---\ntext\n")

    note = Note.objects.get()
    assert (note.title, note.tags, note.status) == ("5", ["2026", "yes", "1_0"], "published")
    assert job["report"]["files"][0]["warnings"] == []


def test_signs_in_front_matter_are_no_comments(alice_client):
    report_of(alice_client, "a.md", b'---\ntitle: C# basics\ntags: ["#code"]\n---\n\n## C\n\ntext\n')
    report_of(alice_client, "b.md", b"---\ntitle: B  # mine\n---\n\n## C\n\ntext\n")

    texts = dict(Topic.objects.values_list("chapter__note__title", "explanation"))
    assert texts == {"C# basics": "text", "B": "text\n\n```yaml\ntitle: B  # mine\n```"}


def test_a_heading_that_was_edited_in_an_export_is_kept_and_told(alice_client):
    file = OWN.format(front="title: Old").replace("# A\n", "# New *one*\n", 1)

    job = report_of(alice_client, "a.md", file.encode())

    note = Note.objects.get()
    assert note.title == "Old"
    assert contents(note)[0] == ("Old", [("Old", "# New \\*one\\*")])
    assert job["report"]["files"][0]["warnings"] == [
        "The heading is not the title of the front matter: it stands in the text."
    ]


@pytest.mark.parametrize("error", [ZeroDivisionError("ours"), DataError("of the database"), MemoryError()])
def test_a_fault_of_ours_in_one_file_fails_that_file_only(alice_client, monkeypatch, caplog, error):
    real = saving.create_note

    def create_or_fail(*, user_id: int, data: Any) -> Any:
        made = real(user_id=user_id, data=data)
        if data["title"] == "Second":
            raise error
        return made

    monkeypatch.setattr(saving, "create_note", create_or_fail)
    archive = zipped({"a.md": "# First", "b.md": "# Second", "c.md": "# Third"})

    job = report_of(alice_client, "a.zip", archive)

    assert (job["status"], outcomes(job)) == (
        "succeeded",
        [("a.md", "created"), ("b.md", "failed"), ("c.md", "created")],
    )
    assert job["report"]["files"][1]["warnings"] == [
        "Something went wrong on our side with this file. Nothing was made of it."
    ]
    assert set(Note.objects.values_list("title", flat=True)) == {"First", "Third"}
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.exc_info[1] is error
    assert "b.md" in record.getMessage()


def test_a_fault_that_shows_at_commit_fails_that_file_only(transactional_db, alice_client, monkeypatch):
    real = saving.create_note

    def create_or_fail(*, user_id: int, data: Any) -> Any:
        made = real(user_id=user_id, data=data)
        if data["title"] == "Second":
            Chapter.objects.bulk_create(Chapter(note_id=made["id"], title="twice", order=7) for _ in range(2))
        return made

    monkeypatch.setattr(saving, "create_note", create_or_fail)

    job = report_of(alice_client, "a.zip", zipped({"a.md": "# First", "b.md": "# Second"}))

    assert (job["status"], outcomes(job)) == ("succeeded", [("a.md", "created"), ("b.md", "failed")])
    assert Note.objects.get().title == "First"


def test_a_file_that_cannot_be_looked_at_is_told_when_its_turn_comes(alice_client, monkeypatch):
    def fail(_text: str, *, path: str) -> str:
        raise RecursionError(path)

    monkeypatch.setattr(running, "title_in", fail)

    job = report_of(alice_client, "a.zip", zipped({"a.md": "# First"}))

    assert (job["status"], outcomes(job)) == ("succeeded", [("a.md", "created")])


@pytest.mark.parametrize(
    ("error", "attempts"), [(OperationalError("gone"), 2), (InterfaceError("closed"), 1), (PoolTimeout("full"), 1),
                            (storage.StorageUnavailable(), 1)],
)  # fmt: skip
def test_an_outage_in_the_midst_is_no_failure_of_the_file(alice_client, monkeypatch, error, attempts):
    real = saving.create_note

    def create_or_fail(*, user_id: int, data: Any) -> Any:
        if data["title"] == "Second":
            raise error
        return real(user_id=user_id, data=data)

    with monkeypatch.context() as patch:
        patch.setattr(saving, "create_note", create_or_fail)
        job = report_of(alice_client, "a.zip", zipped({"a.md": "# First", "b.md": "# Second"}))
    assert (job["status"], outcomes(job)) == ("running", [("a.md", "created")])

    imports.carry_out_import(job["id"])

    done = alice_client.get(f"{IMPORTS}{job['id']}/").json()
    assert (done["status"], outcomes(done)) == ("succeeded", [("a.md", "created"), ("b.md", "created")])
    assert NoteImport.objects.get().attempt == attempts


def test_a_note_with_more_attachments_than_it_may_have_is_told(alice_client, monkeypatch):
    monkeypatch.setattr(attachments, "ATTACHMENTS_MAX", 1)
    files = {"a.md": "# A\n\n![](1.png) ![](2.png)", "1.png": saved("PNG"), "2.png": saved("PNG")}

    job = report_of(alice_client, "a.zip", zipped({**files, "b.md": "# B"}))

    assert (job["status"], outcomes(job)[:2]) == ("succeeded", [("a.md", "failed"), ("b.md", "created")])
    assert "attachments" in job["report"]["files"][0]["warnings"][0]
