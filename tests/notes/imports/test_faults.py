"""Faults during an import: one file fails alone, and an outage fails none."""

import pytest

from notes.models import Note
from notes.services import imports
from notes.transfers import NoteImport
from tests.database_faults import refusing
from tests.files.images import saved
from tests.notes.imports.helpers import IMPORTS, outcomes, report_of, zipped

pytestmark = pytest.mark.django_db(transaction=True)

OF_THE_SECOND = {"event": "AFTER INSERT", "table": "notes_note", "when": "NEW.title = 'Second'"}
PICTURE = saved("PNG")


@pytest.mark.parametrize("sqlstate", ["P0001", "22001", "23514"])
def test_a_fault_of_ours_in_one_file_fails_that_file_only(alice_client, caplog, sqlstate):
    archive = zipped({"a.md": "# First", "b.md": "# Second", "c.md": "# Third"})

    with refusing(**OF_THE_SECOND, sqlstate=sqlstate):
        job = report_of(alice_client, "a.zip", archive)

    assert (job["status"], outcomes(job)) == (
        "succeeded",
        [("a.md", "created"), ("b.md", "failed"), ("c.md", "created")],
    )
    assert job["report"]["files"][1]["warnings"] == [
        "Something went wrong on our side with this file. Nothing was imported from it."
    ]
    assert set(Note.objects.values_list("title", flat=True)) == {"First", "Third"}
    (record,) = [record for record in caplog.records if record.exc_info]
    assert "refused by a test" in str(record.exc_info[1])
    assert "b.md" in record.getMessage()


def test_a_fault_that_shows_at_commit_fails_that_file_only(alice_client):
    with refusing(**OF_THE_SECOND, sqlstate="23505", at_commit=True):
        job = report_of(alice_client, "a.zip", zipped({"a.md": "# First", "b.md": "# Second"}))

    assert (job["status"], outcomes(job)) == ("succeeded", [("a.md", "created"), ("b.md", "failed")])
    assert Note.objects.get().title == "First"


def test_an_outage_of_the_database_in_the_midst_is_no_failure_of_the_file(alice_client):
    with refusing(**OF_THE_SECOND, sqlstate="57P03"):
        job = report_of(alice_client, "a.zip", zipped({"a.md": "# First", "b.md": "# Second"}))
    assert (job["status"], outcomes(job)) == ("running", [("a.md", "created")])

    imports.carry_out_import(job["id"])

    done = alice_client.get(f"{IMPORTS}{job['id']}/").json()
    assert (done["status"], outcomes(done)) == ("succeeded", [("a.md", "created"), ("b.md", "created")])
    assert NoteImport.objects.get().attempt == 2  # a statement may have failed by what it said


def test_an_outage_of_the_storage_in_the_midst_is_none_of_the_attempts(alice_client, files):
    archive = zipped({"a.md": "# First", "b.md": "# Second\n\n![A picture](p.png)", "p.png": PICTURE})
    attachments = files / "attachments"
    attachments.parent.mkdir(parents=True, exist_ok=True)
    attachments.write_text("where the folder should be")
    job = report_of(alice_client, "a.zip", archive)
    assert (job["status"], outcomes(job)) == ("running", [("a.md", "created")])

    attachments.unlink()
    imports.carry_out_import(job["id"])

    done = alice_client.get(f"{IMPORTS}{job['id']}/").json()
    assert done["status"] == "succeeded"
    assert outcomes(done)[:2] == [("a.md", "created"), ("b.md", "created")]
    assert NoteImport.objects.get().attempt == 1
