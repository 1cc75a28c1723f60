"""A field that is added to a note, a chapter or a topic is in every place that shows, keeps or exports it."""

import io
import json
import zipfile

import pytest

from notes.contents import CHAPTER_SHOWN, NOTE_SHOWN, NOTE_WRITTEN, TOPIC_KEPT, TOPIC_SHOWN
from notes.models import Chapter, Note, NoteVersion, Topic
from notes.snapshots import whole_snapshot
from tests.factories import ChapterFactory, NoteFactory, TopicFactory

NOT_SHOWN = {
    Note: {"user", "deleted_at", "search", "size_bytes", "title_key", "words", "words_due_at"},
    Chapter: {"note", "search", "words"},
    Topic: {"chapter", "search", "blocks", "words"},
}


@pytest.mark.parametrize(("model", "shown"), [(Note, NOTE_SHOWN), (Chapter, CHAPTER_SHOWN), (Topic, TOPIC_SHOWN)])
def test_every_field_of_a_model_is_shown_or_named_here_as_not_shown(model, shown):
    fields = {field.name for field in model._meta.concrete_fields}

    assert fields - NOT_SHOWN[model] == set(shown), (
        f"{model.__name__} has a new field: add it to its lists in notes/contents.py, or to NOT_SHOWN here."
    )


@pytest.fixture
def note(alice) -> Note:
    note = NoteFactory(user=alice, title="Loops", tags=["python"])
    TopicFactory(chapter=ChapterFactory(note=note, title="First"), title="While", explanation="Again.", code="x = 1")
    return note


def test_the_api_a_snapshot_and_the_export_have_every_field(alice, alice_client, note):
    shown = alice_client.get(f"/api/notes/{note.pk}/").json()
    alice_client.patch(f"/api/notes/{note.pk}/", {"title": "New"}, format="json")
    snapshot = whole_snapshot(NoteVersion.objects.get(note=note))
    exported = alice_client.get("/api/users/me/export/")
    archive = zipfile.ZipFile(io.BytesIO(b"".join(exported.streaming_content)))
    [of_export] = json.loads(archive.read("notes.json"))
    [version] = json.loads(archive.read("note_versions.json"))

    assert version["snapshot"] == snapshot
    assert set(NOTE_SHOWN) <= shown.keys() & of_export.keys()
    assert set(NOTE_WRITTEN) <= snapshot.keys()
    for whole in (shown, of_export):
        assert set(CHAPTER_SHOWN) <= whole["chapters"][0].keys()
        assert whole["chapters"][0]["topics"][0].keys() == set(TOPIC_SHOWN)
    assert snapshot["chapters"][0]["topics"][0].keys() == {"id", *TOPIC_KEPT}


def test_a_snapshot_from_before_a_field_is_restored_with_the_fields_default(alice_client, note):
    [topic] = Topic.objects.filter(chapter__note=note)
    old = {"id": topic.pk, "title": "While", "explanation": "As it was."}
    chapters = [{"id": topic.chapter_id, "title": "First", "topics": [old]}]
    NoteVersion.objects.create(note=note, version=0, snapshot={"title": "Old", "chapters": chapters}, reason="edit")

    restored = alice_client.post(f"/api/notes/{note.pk}/versions/0/restore/")

    assert restored.status_code == 200
    assert (restored.json()["title"], restored.json()["tags"]) == ("Old", ["python"])
    [shown] = restored.json()["chapters"][0]["topics"]
    assert shown == {**old, "order": 0, "code": "", "code_language": "", "sources": []}
