"""The job that makes a PDF of a note: accepted, carried out, kept for a day, and deleted."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from notes.models import Note
from notes.services import attachments, note_exports
from notes.transfers import NoteExport
from tests.database_faults import in_background, uncommitted
from tests.files.images import saved
from tests.notes.test_pdf_pages import pages
from utils import storage

EXPORTS = "/api/notes/exports/"


@pytest.fixture(autouse=True)
def _stored(files: Path) -> Path:
    return files


def ask(client, note: Note):
    return client.post(EXPORTS, {"note_id": note.pk, "format": "pdf"}, format="json")


def test_a_pdf_is_accepted_made_by_a_worker_and_downloaded(alice, alice_client, make_note):
    note = make_note(alice, 2, title="Loops & more")

    response = ask(alice_client, note)

    job = response.json()
    assert response.status_code == 202
    assert response["Location"] == f"{EXPORTS}{job['id']}/"
    assert (job["status"], job["progress"], job["url"], job["error"]) == ("queued", 0, None, None)
    assert alice_client.get(f"{EXPORTS}{job['id']}/file/").status_code == 404

    note_exports.carry_out_export(job["id"])

    done = alice_client.get(response["Location"]).json()
    assert (done["status"], done["progress"], done["warnings"]) == ("succeeded", 100, [])
    file = alice_client.get(done["url"])
    assert file["Content-Type"] == "application/pdf"
    assert file["Content-Disposition"] == f'attachment; filename="{note.pk}-loops-more.pdf"'
    first, *rest = pages(b"".join(file.streaming_content))
    assert re.sub(r"[ .]*\.[ .]+", " ", first).splitlines()[:6] == [
        "Loops & more",
        str(timezone.now().date()),
        "Contents",
        "chapter 0 2",
        "topic 0.0 2",
        "topic 0.1 2",
    ]
    assert "text 0.1" in "".join(rest)


def test_missing_letters_are_told_in_the_job(alice, alice_client, make_note):
    note = make_note(alice, title="ᚠ")
    job = ask(alice_client, note).json()

    note_exports.carry_out_export(job["id"])

    assert alice_client.get(f"{EXPORTS}{job['id']}/").json()["warnings"] == ["No font here has: ᚠ"]


def test_a_pdf_shows_its_owners_pictures_only(alice, alice_client, charlie, make_note):
    note, other = make_note(alice, 1), make_note(charlie, 1)
    mine, lost, theirs = (
        attachments.add_attachment(user_id=user.pk, note_id=place.pk, name="a.png", content=saved("PNG"))
        for user, place in ((alice, note), (alice, note), (charlie, other))
    )
    storage.discard(lost.file)
    topic = note.chapters.get().topics.get()
    topic.explanation = "\n\n".join(f"![{name}]({one.path})" for name, one in
                                    (("mine", mine), ("lost", lost), ("theirs", theirs)))  # fmt: skip
    topic.save(update_fields=["explanation"])
    job = ask(alice_client, note).json()

    note_exports.carry_out_export(job["id"])

    done = alice_client.get(f"{EXPORTS}{job['id']}/").json()
    assert (done["status"], done["warnings"]) == ("succeeded", ["Attached pictures that are not shown: 2."])
    text = "".join(pages(b"".join(alice_client.get(done["url"]).streaming_content)))
    assert ("mine" in text, "[lost]" in text, "[theirs]" in text) == (False, True, True)


def test_more_bytes_than_a_pdf_may_have_are_left_out(alice, alice_client, make_note, monkeypatch):
    note = make_note(alice, 1)
    first, second = (
        attachments.add_attachment(user_id=alice.pk, note_id=note.pk, name="a.png", content=saved("PNG"))
        for _ in range(2)
    )
    monkeypatch.setattr(note_exports, "PICTURES_BYTES_MAX", first.size)
    topic = note.chapters.get().topics.get()
    topic.explanation = f"![one]({first.path}) ![two]({second.path})"
    topic.save(update_fields=["explanation"])
    job = ask(alice_client, note).json()

    note_exports.carry_out_export(job["id"])

    assert alice_client.get(f"{EXPORTS}{job['id']}/").json()["warnings"] == ["Attached pictures that are not shown: 1."]


def test_a_storage_that_fails_while_pictures_are_read_is_tried_again(alice, alice_client, make_note, files):
    note = make_note(alice, 1)
    one = attachments.add_attachment(user_id=alice.pk, note_id=note.pk, name="a.png", content=saved("PNG"))
    topic = note.chapters.get().topics.get()
    topic.explanation = f"![one]({one.path})"
    topic.save(update_fields=["explanation"])
    job = ask(alice_client, note).json()

    stored, elsewhere = files / one.file, files / "elsewhere"
    stored.rename(elsewhere)
    stored.mkdir()  # which nobody can read
    note_exports.carry_out_export(job["id"])
    assert alice_client.get(f"{EXPORTS}{job['id']}/").json()["status"] == "running"

    stored.rmdir()
    elsewhere.rename(stored)
    note_exports.carry_out_export(job["id"])

    assert alice_client.get(f"{EXPORTS}{job['id']}/").json()["status"] == "succeeded"
    assert NoteExport.objects.get().attempt == 1  # an outage is none of the job's attempts


def test_a_note_that_needs_too_much_memory_fails(alice, alice_client, make_note, monkeypatch):
    monkeypatch.setattr(note_exports, "PROCESS_BYTES_MAX", 50 * 1024 * 1024)
    job = ask(alice_client, make_note(alice)).json()

    note_exports.carry_out_export(job["id"])

    after = alice_client.get(f"{EXPORTS}{job['id']}/").json()
    assert (after["status"], after["error"]["code"], after["url"]) == ("failed", "pdf_failed", None)


def test_one_version_of_a_note_has_one_export(alice, alice_client, make_note, send):
    note = make_note(alice, 1)
    first = ask(alice_client, note).json()["id"]
    assert ask(alice_client, note).json()["id"] == first
    note_exports.carry_out_export(first)
    assert ask(alice_client, note).json()["id"] == first

    send(alice_client, "patch", f"/api/notes/{note.pk}/", {"title": "Later"})

    assert ask(alice_client, note).json()["id"] != first


def test_a_failed_export_is_made_again(alice, alice_client, make_note):
    note = make_note(alice)
    first = ask(alice_client, note).json()["id"]
    NoteExport.objects.update(status="failed", finished_at=timezone.now())

    assert ask(alice_client, note).json()["id"] != first
    assert NoteExport.objects.count() == 1


def test_two_at_once(alice, alice_client, make_note):
    for _ in range(2):
        assert ask(alice_client, make_note(alice)).status_code == 202

    response = ask(alice_client, make_note(alice))

    assert (response.status_code, response.json()["code"]) == (409, "too_many_note_exports")


def test_the_file_is_kept_for_a_day(alice, alice_client, make_note, files):
    note = make_note(alice)
    job = ask(alice_client, note).json()
    note_exports.carry_out_export(job["id"])
    NoteExport.objects.update(finished_at=timezone.now() - timedelta(hours=23, minutes=59))
    note_exports.purge_exports()
    assert alice_client.get(f"{EXPORTS}{job['id']}/file/").status_code == 200

    NoteExport.objects.update(finished_at=timezone.now() - timedelta(hours=24))

    assert alice_client.get(f"{EXPORTS}{job['id']}/").status_code == 404
    assert alice_client.get(f"{EXPORTS}{job['id']}/file/").status_code == 404
    assert ask(alice_client, note).json()["id"] != job["id"]
    storage.delete_marked()
    assert [path for path in files.rglob("*") if path.is_file()] == []


def test_an_export_is_deleted_with_its_file(alice, alice_client, make_note, files):
    job = ask(alice_client, make_note(alice)).json()
    note_exports.carry_out_export(job["id"])

    assert alice_client.delete(f"{EXPORTS}{job['id']}/").status_code == 204

    storage.delete_marked()
    assert alice_client.get(f"{EXPORTS}{job['id']}/").status_code == 404
    assert [path for path in files.rglob("*") if path.is_file()] == []


@pytest.mark.django_db(transaction=True)
def test_an_export_that_is_deleted_while_it_is_made_leaves_no_file(alice, alice_client, make_note, files):
    job = ask(alice_client, make_note(alice)).json()

    with (
        uncommitted("LOCK TABLE notes_topic IN ACCESS EXCLUSIVE MODE") as reading,
        in_background(lambda: note_exports.carry_out_export(job["id"])) as made,
    ):
        reading.wait_for_one()
        assert alice_client.delete(f"{EXPORTS}{job['id']}/").status_code == 204
        reading.open()

    made.result()
    assert [path for path in files.rglob("*") if path.is_file()] == []


def test_strangers_and_the_trash(alice, alice_client, charlie_client, make_note):
    note = make_note(alice)
    job = ask(alice_client, note).json()
    note_exports.carry_out_export(job["id"])
    for path in (EXPORTS + job["id"] + "/", EXPORTS + job["id"] + "/file/"):
        assert charlie_client.get(path).status_code == 404
    assert charlie_client.delete(f"{EXPORTS}{job['id']}/").status_code == 404
    assert ask(charlie_client, note).status_code == 404

    alice_client.delete(f"/api/notes/{note.pk}/")

    assert alice_client.get(f"{EXPORTS}{job['id']}/").status_code == 404
    assert ask(alice_client, note).status_code == 404


def test_without_a_storage_there_are_no_pdfs(alice, alice_client, make_note, no_storage):
    response = ask(alice_client, make_note(alice))

    assert (response.status_code, response.json()["code"]) == (503, "storage_not_configured")
