"""Imports and exports by real workers, one of which is killed."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from notes.models import Note
from notes.services import background_jobs
from notes.transfers import NoteImport
from tests.notes.imports.helpers import IMPORTS, zipped
from tests.processes import POLITE_SECONDS, environment_of_this_test, running_worker, wait_until

FILES = 150
STOP = """
CREATE FUNCTION stop_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.title = 'Note 60' THEN
        PERFORM pg_advisory_xact_lock(60);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER stop_at BEFORE INSERT ON notes_note FOR EACH ROW EXECUTE FUNCTION stop_at();
"""
WAITS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 60 AND NOT granted"


@contextmanager
def stopped_at_the_60th_note() -> Iterator[psycopg.Connection]:
    """However fast a worker is, it comes no further."""
    with psycopg.connect(environment_of_this_test()["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(STOP)
        try:
            connection.execute("SELECT pg_advisory_lock(60)")
            yield connection
        finally:
            connection.execute("SELECT pg_advisory_unlock(60)")
            connection.execute("DROP TRIGGER stop_at ON notes_note; DROP FUNCTION stop_at()")


@pytest.mark.slow
def test_an_import_outlives_its_worker(transactional_db, alice, alice_client, files, tmp_path):
    text = "word " * 200
    archive = zipped({f"{number:03}.md": f"# Note {number}\n\n## Part\n\n{text}" for number in range(FILES)})
    data = {"file": SimpleUploadedFile("vault.zip", archive)}

    with stopped_at_the_60th_note() as stop, running_worker(tmp_path / "first.log") as worker:
        job = alice_client.post(IMPORTS, data, format="multipart").json()
        path = f"{IMPORTS}{job['id']}/"
        wait_until(lambda: stop.execute(WAITS).fetchone() == (1,), describe=lambda: worker.output)
        worker.kill()
    lost = alice_client.get(path).json()
    assert lost["status"] == "running"
    assert 0 < lost["report"]["created"] <= 60 == Note.objects.count()

    NoteImport.objects.update(lease_expires_at=timezone.now(), published_at=None)  # as it is after two minutes
    with running_worker(tmp_path / "second.log") as worker:
        assert background_jobs.publish_unfinished() == 1
        wait_until(
            lambda: alice_client.get(path).json()["status"] == "succeeded",
            120,
            lambda: worker.output,
            every=POLITE_SECONDS,
        )

    done = alice_client.get(path).json()
    assert done["report"]["created"] == FILES
    assert sorted(Note.objects.values_list("title", flat=True)) == sorted(f"Note {number}" for number in range(FILES))


@pytest.mark.slow
def test_a_pdf_is_made_by_a_worker(transactional_db, alice, alice_client, files, make_note, tmp_path):
    note = make_note(alice, 1)

    with running_worker(tmp_path / "worker.log") as worker:
        job = alice_client.post("/api/notes/exports/", {"note_id": note.pk, "format": "pdf"}, format="json").json()
        path = f"/api/notes/exports/{job['id']}/"
        wait_until(
            lambda: alice_client.get(path).json()["status"] == "succeeded",
            120,
            lambda: worker.output,
            every=POLITE_SECONDS,
        )

    file = alice_client.get(f"{path}file/")
    assert b"".join(file.streaming_content)[:5] == b"%PDF-"
