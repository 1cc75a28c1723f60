"""What bounds imports: room, how many wait, what a report costs and how long it is kept; and whose they are."""

from datetime import timedelta

import pytest
from django.utils import timezone

from notes.services import imports
from notes.transfers import NoteImport
from tests.factories import NoteFactory
from tests.notes.imports.helpers import IMPORTS, outcomes, report_of, upload, zipped


def test_the_whole_upload_may_be_longer_than_other_bodies(alice_client):
    text = b"# Long\n\n" + b"word " * 700_000

    job = report_of(alice_client, "long.md", text)

    assert outcomes(job) == [("long.md", "created")]
    too_long = upload(alice_client, "x.zip", b"0" * (50 * 1024 * 1024 + 1))
    assert (too_long.status_code, too_long.json()["code"]) == (413, "body_too_large")


def test_a_full_account_is_told_file_by_file(alice_client, settings):
    settings.NOTES_BYTES_PER_USER = 300

    job = report_of(alice_client, "x.zip", zipped({"a.md": "# A\n" + "x" * 90, "b.md": "# B\n" + "x" * 400}))

    assert outcomes(job) == [("a.md", "created"), ("b.md", "failed")]
    assert job["report"]["files"][1]["warnings"] == ["Your account's storage is full. Delete something first."]


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
