"""Imports and exports by real workers, one of which is killed."""

import signal

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from notes.models import Note
from notes.services import background_jobs
from notes.transfers import NoteImport
from tests.notes.test_imports import IMPORTS, zipped
from tests.processes import running_worker, wait_until

FILES = 150


@pytest.mark.slow
def test_an_import_outlives_its_worker(transactional_db, alice, alice_client, files, tmp_path):
    text = "word " * 200
    archive = zipped({f"{number:03}.md": f"# Note {number}\n\n## Part\n\n{text}" for number in range(FILES)})
    data = {"file": SimpleUploadedFile("vault.zip", archive)}

    with running_worker(tmp_path / "first.log") as worker:
        job = alice_client.post(IMPORTS, data, format="multipart").json()
        path = f"{IMPORTS}{job['id']}/"
        wait_until(lambda: alice_client.get(path).json()["progress"] >= 5, 60, lambda: worker.output)
        worker.send(signal.SIGKILL)
        worker.wait(10)
    lost = alice_client.get(path).json()
    assert lost["status"] == "running"
    assert 0 < lost["report"]["created"] < FILES

    NoteImport.objects.update(lease_expires_at=timezone.now(), published_at=None)  # as it is after two minutes
    with running_worker(tmp_path / "second.log") as worker:
        assert background_jobs.publish_unfinished() == 1
        wait_until(lambda: alice_client.get(path).json()["status"] == "succeeded", 90, lambda: worker.output)

    done = alice_client.get(path).json()
    assert done["report"]["created"] == FILES
    assert sorted(Note.objects.values_list("title", flat=True)) == sorted(f"Note {number}" for number in range(FILES))


@pytest.mark.slow
def test_a_pdf_is_made_by_a_worker(transactional_db, alice, alice_client, files, make_note, tmp_path):
    note = make_note(alice, 1)

    with running_worker(tmp_path / "worker.log") as worker:
        job = alice_client.post("/api/notes/exports/", {"note_id": note.pk, "format": "pdf"}, format="json").json()
        path = f"/api/notes/exports/{job['id']}/"
        wait_until(lambda: alice_client.get(path).json()["status"] == "succeeded", 60, lambda: worker.output)

    file = alice_client.get(f"{path}file/")
    assert b"".join(file.streaming_content)[:5] == b"%PDF-"
