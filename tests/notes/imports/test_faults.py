"""Faults during an import: one file fails alone, and an outage fails none."""

from typing import Any

import pytest
from django.db import DataError, InterfaceError, OperationalError
from psycopg_pool import PoolTimeout

from notes.models import Chapter, Note
from notes.services import imports
from notes.services.imports import running, saving
from notes.transfers import NoteImport
from tests.notes.imports.helpers import IMPORTS, outcomes, report_of, zipped
from utils import storage


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
