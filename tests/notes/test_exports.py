"""Notes as files: one, and several in an archive."""

import io
import zipfile

import pytest

from notes.markdown import front_matter, own_files
from tests.factories import ChapterFactory, NoteFactory, TopicFactory
from utils.streaming import archives


@pytest.fixture(autouse=True)
def _no_export_keeps_its_slot():
    yield
    assert len(archives.limiter) == 0


def archive_of(response) -> zipfile.ZipFile:
    assert response.status_code == 200
    archive = zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content)))
    assert archive.testzip() is None
    return archive


def test_a_note_is_exported_as_markdown_that_is_read_back(alice, alice_client, make_note):
    note = make_note(alice, 2, 0, title="# inject\n\n## fake", tags=["a", "b"], status="published")

    response = alice_client.get(f"/api/notes/{note.pk}/export/")

    assert response.status_code == 200
    assert response["Content-Type"] == "text/markdown; charset=utf-8"
    assert response["Content-Disposition"] == f'attachment; filename="{note.pk}-inject-fake.md"'
    assert response["Cache-Control"] == "no-store"
    read = own_files.read(*front_matter.split(response.content.decode()))
    assert (read.id, read.title, read.status, read.tags) == (note.pk, note.title, "published", ["a", "b"])
    assert [[topic.explanation for topic in chapter.topics] for chapter in read.chapters] == [
        ["text 0.0", "text 0.1"],
        [],
    ]


def test_a_note_is_exported_as_the_api_shows_it(alice, alice_client, make_note):
    note = make_note(alice, 1)

    response = alice_client.get(f"/api/notes/{note.pk}/export/?format=json")

    assert response["Content-Type"] == "application/json"
    assert response.content == alice_client.get(f"/api/notes/{note.pk}/").content


def test_an_unknown_format_is_refused(alice, alice_client, make_note):
    note = make_note(alice)

    response = alice_client.get(f"/api/notes/{note.pk}/export/?format=pdf")

    assert response.status_code == 400
    assert [error["pointer"] for error in response.json()["errors"]] == ["/format"]


@pytest.mark.parametrize("count", [1, 10, 50])
def test_one_note_costs_two_queries(alice, alice_client, warm, count, django_assert_num_queries):
    chapter = ChapterFactory(note=NoteFactory(user=alice))
    TopicFactory.create_batch(count, chapter=chapter)
    warm(alice_client)

    with django_assert_num_queries(2):
        alice_client.get(f"/api/notes/{chapter.note_id}/export/")


def test_a_selection_is_an_archive_of_the_same_files(alice, alice_client, make_note):
    first, second, _ = make_note(alice, 1, title="One"), make_note(alice, 2, title="Two"), make_note(alice)

    response = alice_client.get(f"/api/notes/export/?ids={second.pk},{first.pk},{first.pk}")

    assert response["Content-Disposition"] == 'attachment; filename="notes.zip"'
    archive = archive_of(response)
    assert archive.namelist() == [f"notes/{first.pk}-one.md", f"notes/{second.pk}-two.md"]
    for note, name in zip((first, second), archive.namelist(), strict=True):
        assert archive.read(name) == alice_client.get(f"/api/notes/{note.pk}/export/").content


def test_a_selection_with_a_foreign_or_trashed_note_is_a_404(alice, alice_client, charlie, make_note):
    mine, theirs, trashed = make_note(alice), make_note(charlie), NoteFactory(user=alice, deleted_at="2026-01-01T00Z")

    for other in (theirs.pk, trashed.pk, 424_242):
        assert alice_client.get(f"/api/notes/export/?ids={mine.pk},{other}").status_code == 404


@pytest.mark.parametrize("ids", ["", "a", "1,", "1;2", "-1", ",".join(map(str, range(501)))])
def test_a_selection_must_name_at_most_500_ids(alice_client, ids):
    response = alice_client.get(f"/api/notes/export/?ids={ids}")

    assert response.status_code == 400
    assert [error["pointer"] for error in response.json()["errors"]] == ["/ids"]


def test_an_export_holds_what_the_note_says_now(alice, alice_client, make_note):
    note = make_note(alice, 1)
    note.title = "Later"
    note.save(update_fields=["title"])

    text = alice_client.get(f"/api/notes/{note.pk}/export/").content.decode()

    assert own_files.read(*front_matter.split(text)).title == "Later"
