import io
import tracemalloc
import zipfile

import orjson
import pytest

from accounts.services import export
from notes import personal_data
from notes.models import Note, NoteVersion
from notes.transfers import NoteImport
from notes.walks import walk
from tests.accounts.conftest import PASSWORD
from tests.database_faults import after_queries
from tests.factories import (
    AITaskFactory,
    ChapterFactory,
    NoteFactory,
    NotificationFactory,
    ProposalFactory,
    SessionFactory,
    TopicFactory,
)
from utils.streaming import archives

EXPORT = "/api/users/me/export/"
LISTS = [
    "second_factor.json",
    "notes.json",
    "note_versions.json",
    "attachments.json",
    "shares.json",
    "imports.json",
    "ai_tasks.json",
    "proposals.json",
    "notifications.json",
    "study_cards.json",
    "study_reviews.json",
    "study_exams.json",
    "study_quizzes.json",
    "study_recalls.json",
    "study_settings.json",
]
"""What is in everybody's export besides the profile and the sessions; empty for who has nothing."""


def download(client) -> zipfile.ZipFile:
    response = client.get(EXPORT)
    assert response.status_code == 200
    return zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content)))


def documents(archive: zipfile.ZipFile) -> dict:
    return {name: orjson.loads(archive.read(name)) for name in archive.namelist() if name.endswith(".json")}


@pytest.fixture(autouse=True)
def _no_export_keeps_its_slot():
    yield
    assert len(archives.limiter) == 0


@pytest.fixture
def note(alice):
    """Alice's note with two chapters; the second has no topics."""
    note = NoteFactory(user=alice, title="Loops & more", tags=["python", "loops"])
    first = ChapterFactory(note=note, title="First")
    ChapterFactory(note=note, title="Empty")
    TopicFactory(
        chapter=first,
        title="While",
        explanation="Again and *again*.",
        code="print('```')",
        code_language="python",
        sources=[{"title": "Docs", "url": "https://docs.python.org"}],
    )
    TopicFactory(chapter=first, title="For")
    return note


def test_the_archive_is_sent_as_a_file(alice_client):
    response = alice_client.get(EXPORT)
    response.close()

    assert response.streaming
    assert response["Content-Type"] == "application/zip"
    assert response["Content-Disposition"] == 'attachment; filename="noteassist-export.zip"'
    assert response["Cache-Control"] == "no-store"


def test_a_user_without_anything_gets_empty_lists(alice, alice_client):
    found = documents(download(alice_client))

    assert found.pop("profile.json") == {
        "id": alice.pk,
        "email": "alice@example.com",
        "name": "Alice",
        "date_joined": orjson.loads(orjson.dumps(alice.date_joined, option=orjson.OPT_UTC_Z)),
    }
    assert len(found.pop("sessions.json")) == 1
    assert found == {name: [] for name in LISTS}, "LISTS above: name each list that an app adds to the export."


def test_json_holds_everything_of_the_user(alice, alice_client, note):
    NoteVersion.objects.create(note=note, version=1, snapshot={"title": "Before"}, reason="edit")
    trashed = NoteFactory(user=alice, title="Old", deleted_at=note.created_at)
    task = AITaskFactory(user=alice, result={"content": "Answer"})
    NotificationFactory(user=alice, title="Done")
    proposal = ProposalFactory(topic=note.chapters.first().topics.first(), task=task)

    found = documents(download(alice_client))

    first, second = found["notes.json"]
    assert (first["title"], first["tags"], second["id"]) == ("Loops & more", ["python", "loops"], trashed.pk)
    assert [chapter["title"] for chapter in first["chapters"]] == ["First", "Empty"]
    assert [topic["title"] for topic in first["chapters"][0]["topics"]] == ["While", "For"]
    assert first["chapters"][0]["topics"][0]["sources"] == [{"title": "Docs", "url": "https://docs.python.org"}]
    assert first["chapters"][1]["topics"] == second["chapters"] == []
    assert [version["snapshot"] for version in found["note_versions.json"]] == [{"title": "Before"}]
    assert [(one["id"], one["result"]) for one in found["ai_tasks.json"]] == [(str(task.pk), {"content": "Answer"})]
    [proposed] = found["proposals.json"]
    assert (proposed["id"], proposed["task_id"], proposed["topic_id"]) == (
        str(proposal.pk),
        str(task.pk),
        proposal.topic_id,
    )
    assert [(hunk["op"], hunk["after"], hunk["status"]) for hunk in proposed["hunks"]] == [
        ("insert", "# Heading", "open")
    ]
    assert [notification["title"] for notification in found["notifications.json"]] == ["Done"]


def test_imports_are_in_it_with_their_reports(alice, alice_client, note):
    job = NoteImport.objects.create(user=alice, name="vault.zip", status="succeeded")
    job.files.create(position=0, name="a.md", outcome="created", note=note, warnings=["Callouts became quotes."])

    (found,) = documents(download(alice_client))["imports.json"]

    assert (found["id"], found["name"], found["status"]) == (str(job.pk), "vault.zip", "succeeded")
    assert found["files"] == [
        {"name": "a.md", "outcome": "created", "note_id": note.pk, "warnings": ["Callouts became quotes."]}
    ]


def test_markdown_reads_like_the_notes(alice, alice_client, note):
    trashed = NoteFactory(user=alice, title="\u00e9\u4e2d", deleted_at=note.created_at)

    archive = download(alice_client)

    names = [name for name in archive.namelist() if name.endswith(".md")]
    assert names == [f"notes/{note.pk}-loops-more.md", f"trash/{trashed.pk}-e.md"]
    text = archive.read(names[0]).decode()
    assert text.startswith(f"---\nnoteassist: 1\nid: {note.pk}\nversion: 1\n")
    assert "\ntitle: Loops & more\nstatus: draft\ntags: [python, loops]\n---\n" in text
    first, empty = note.chapters.all()
    while_, for_ = first.topics.all()
    assert text.split("\n---\n")[1] == (
        f"\n# Loops & more\n\n<!-- noteassist:chapter {first.pk} -->\n## First\n"
        f"\n<!-- noteassist:topic {while_.pk} -->\n### While\n\nAgain and *again*.\n"
        "\n<!-- noteassist:code -->\n````python\nprint('```')\n````\n"
        "\n<!-- noteassist:sources -->\n- [Docs](https://docs.python.org)\n"
        f"\n<!-- noteassist:topic {for_.pk} -->\n### For\n"
        f"\n<!-- noteassist:chapter {empty.pk} -->\n## Empty\n"
    )


def test_nothing_of_anybody_else_is_in_it(alice, charlie_client, note):
    AITaskFactory(user=alice)
    NotificationFactory(user=alice)
    NoteVersion.objects.create(note=note, version=1, snapshot={}, reason="edit")

    archive = download(charlie_client)

    found = documents(archive)
    assert found["profile.json"]["email"] == "charlie@example.com"
    assert {name: found[name] for name in LISTS} == {name: [] for name in LISTS}
    assert not [name for name in archive.namelist() if name.endswith(".md")]


def test_no_secret_is_in_it(alice, alice_client):
    archive = download(alice_client)

    everything = b"".join(archive.read(name) for name in archive.namelist())
    assert alice.password.encode() not in everything
    assert PASSWORD.encode() not in everything
    assert b"token_version" not in everything


@pytest.mark.parametrize("count", [1, 10, 50])
def test_notes_of_one_batch_cost_one_query_each_besides_the_batch(alice, count, django_assert_num_queries):
    for note in NoteFactory.create_batch(count, user=alice):
        ChapterFactory(note=note)

    # The batch, its chapters, and each note's outline.
    with django_assert_num_queries(2 + count):
        list(walk(Note.objects.filter(user=alice)))


def test_memory_stays_bounded(alice):
    text = "All work and no play makes Jack a dull boy. " * 2000
    chapters = [ChapterFactory(note=note) for note in NoteFactory.create_batch(4, user=alice)]
    for number in range(400):
        TopicFactory(chapter=chapters[number % 4], order=number // 4, explanation=text)
    snapshot = {"chapters": [{"topics": [{"explanation": text}] * 100}] * 2}
    for version in (1, 2):
        NoteVersion.objects.create(note=chapters[0].note, version=version, snapshot=snapshot, reason="edit")

    tracemalloc.start()
    size = sum(len(chunk) for chunk in export.stream_export(user_id=alice.pk))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size > 0
    assert 400 * len(text) > 35_000_000
    assert peak < 12_000_000


def test_a_long_snapshot_is_whole(alice, alice_client, note, monkeypatch):
    """Its text is a multiple of the pieces' length, and none; characters have several bytes."""
    monkeypatch.setattr(personal_data, "_SNAPSHOT_PIECE", 10)
    snapshots = [{"title": "\u00e9\u4e2d\U0001f600" * length} for length in range(5, 16)]
    for version, snapshot in enumerate(snapshots):
        NoteVersion.objects.create(note=note, version=version, snapshot=snapshot, reason="edit")

    found = documents(download(alice_client))["note_versions.json"]

    assert [version["snapshot"] for version in found] == snapshots
    assert [version["version"] for version in found] == list(range(11))


def test_a_version_that_is_pruned_meanwhile_is_left_out(alice_client, note):
    for version in (1, 2):
        NoteVersion.objects.create(note=note, version=version, snapshot={}, reason="edit")

    def lists_versions(sql: str) -> bool:
        """Both are read, but not their snapshots."""
        return sql.startswith("SELECT") and 'FROM "notes_noteversion"' in sql and '"reason"' in sql

    with after_queries(lists_versions, NoteVersion.objects.filter(version=2).delete):
        found = documents(download(alice_client))["note_versions.json"]

    assert [one["version"] for one in found] == [1]


def test_many_chunks_leave_before_the_end(alice):
    SessionFactory.create_batch(300, user=alice, user_agent="x" * 300)

    chunks = list(export.stream_export(user_id=alice.pk))

    assert zipfile.ZipFile(io.BytesIO(b"".join(chunks))).testzip() is None
