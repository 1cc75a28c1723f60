"""The job of an import: from the upload to the report, and what a cancel and a lost worker leave."""

from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.utils import timezone

from notes.models import Note
from notes.services import background_jobs, imports
from notes.transfers import NoteImport
from tests.broker import messages
from tests.conftest import Interrupted
from tests.database_faults import barrier, in_background, own_connection
from tests.notes.imports.helpers import IMPORTS, contents, outcomes, report_of, upload, zipped
from tests.processes import wait_until
from utils import storage
from utils.models import FileToDelete

WAITING_FOR_A_ROW = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event IN ('transactionid', 'tuple')
"""


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


@pytest.mark.django_db(transaction=True)
def test_a_cancelled_import_keeps_what_it_has_made(alice_client):
    """A cancel waits for the file that is being imported; the next ones are not."""
    job = upload(alice_client, "x.zip", zipped({f"{n}.md": f"# {n}" for n in range(5)})).json()

    with (
        own_connection() as own,
        barrier("BEFORE INSERT", "notes_note", when="NEW.title = '1'") as second,
        in_background(lambda: imports.carry_out_import(job["id"])),
    ):
        second.wait_for_one()
        with in_background(lambda: alice_client.post(f"{IMPORTS}{job['id']}/cancel/")) as cancelled:
            wait_until(lambda: own.execute(WAITING_FOR_A_ROW).fetchone() == (1,))
            second.open()

    after = alice_client.get(f"{IMPORTS}{job['id']}/").json()
    assert cancelled.result().status_code == 202
    assert (after["status"], after["progress"]) == ("cancelled", 40)
    assert outcomes(after) == [("0.md", "created"), ("1.md", "created")]
    assert Note.objects.count() == 2
    assert FileToDelete.objects.count() == 1


def test_an_import_that_has_ended_cannot_be_cancelled(alice_client):
    job = report_of(alice_client, "a.md", b"# A")

    response = alice_client.post(f"{IMPORTS}{job['id']}/cancel/")

    assert (response.status_code, response.json()["code"]) == (409, "import_finished")


@pytest.mark.django_db(transaction=True)
def test_an_import_goes_on_where_its_worker_was_lost(alice_client, interrupt):
    job = upload(alice_client, "x.zip", zipped({f"{n}.md": f"# {n}" for n in range(4)})).json()

    with barrier("BEFORE INSERT", "notes_note", when="NEW.title = '2'") as third:

        def end_there() -> None:
            third.wait_for_one()
            interrupt()

        with in_background(end_there), pytest.raises(Interrupted):
            imports.carry_out_import(job["id"])
    connection.close()
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


def test_jobs_whose_message_was_lost_are_sent_again(alice_client, empty_redis):
    job = upload(alice_client, "a.md", b"# A").json()
    empty_redis.delete("celery")

    NoteImport.objects.update(published_at=timezone.now())
    assert background_jobs.publish_unfinished() == 0
    NoteImport.objects.update(published_at=timezone.now() - timedelta(minutes=2))
    assert background_jobs.publish_unfinished() == 1
    NoteImport.objects.update(
        published_at=timezone.now() - timedelta(minutes=2), lease_expires_at=timezone.now() + timedelta(minutes=1)
    )
    assert background_jobs.publish_unfinished() == 0

    assert messages(empty_redis) == [("notes.carry_out_import", job["id"])]
