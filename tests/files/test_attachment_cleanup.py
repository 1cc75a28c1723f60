"""Attachments are kept while a text or a version names them, and go with their note and their account."""

import json
import os
import zipfile
from datetime import timedelta
from io import BytesIO

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from notes import services
from notes.models import Attachment, KeptTopic, NoteVersion, StorageUse
from notes.services import orphans
from notes.snapshots import difference
from tests.factories import AttachmentFactory, ChapterFactory, NoteFactory, TopicFactory
from tests.files.uploading import PNG, body_of, upload
from utils import storage
from utils.models import FileToDelete


@pytest.fixture
def note(alice):
    return NoteFactory(user=alice)


def made_long_ago(note, days: int) -> Attachment:
    attachment = AttachmentFactory(note=note)
    then = timezone.now() - timedelta(days=days)
    Attachment.objects.filter(pk=attachment.pk).update(unnamed_since=then, checked_at=then)
    return attachment


@pytest.mark.parametrize("place", ["explanation", "code", "sources", "kept topic", "version", "another note", "trash"])
def test_what_a_text_names_is_kept(alice, note, place):
    attachment = made_long_ago(note, 8)
    text = f"See ![it](/api/attachments/{str(attachment.pk).upper()}/)."
    holder = NoteFactory(user=alice) if place in ("another note", "trash") else note
    if place == "trash":
        holder.deleted_at = timezone.now()
        holder.save()
    if place == "version":
        NoteVersion.objects.create(note=note, version=1, reason="edit", snapshot={"chapters": [{"title": text}]})
    elif place == "kept topic":
        KeptTopic.objects.create(note=note, topic=1, digest="0", content={"explanation": text})
    else:
        column = place if place in ("explanation", "code", "sources") else "explanation"
        value = [{"title": "x", "url": text}] if place == "sources" else text
        TopicFactory(chapter=ChapterFactory(note=holder), **{column: value})

    assert services.purge_orphans() == 0

    attachment.refresh_from_db()
    assert attachment.unnamed_since is None


def test_what_only_a_difference_between_versions_names_is_kept(note):
    """Of the second version only the middle of the path is stored: the rest is the first one's."""
    attachment, other = made_long_ago(note, 8), AttachmentFactory(note=note)
    before, after = (f"See ![it]({it.path}), and read on." for it in (other, attachment))
    pieces = difference(before, after)
    base = KeptTopic.objects.create(
        note=note, topic=1, digest="0", content={"explanation": before, "code": "", "blocks": ""}
    )
    KeptTopic.objects.create(
        note=note, topic=1, digest="1", content={"explanation": pieces, "code": "", "blocks": ""}, base=base.pk
    )
    assert attachment.path not in str(pieces)

    assert services.purge_orphans() == 0


def test_what_nothing_names_for_a_week_is_deleted_and_its_room_given_back(alice, note):
    orphan, young, strangers = made_long_ago(note, 8), made_long_ago(note, 6), made_long_ago(NoteFactory(), 8)
    TopicFactory(chapter=ChapterFactory(note=note), explanation=strangers.path)  # another's text keeps nothing
    StorageUse.objects.create(user=alice, size_bytes=1000)

    assert services.purge_orphans() == 2

    assert list(Attachment.objects.all()) == [young]
    assert StorageUse.objects.get(pk=alice.pk).size_bytes == 900
    assert set(FileToDelete.objects.values_list("name", flat=True)) == {orphan.file, strangers.file}


def test_a_week_begins_when_the_last_text_stops_naming_it(note):
    attachment = made_long_ago(note, 30)
    topic = TopicFactory(chapter=ChapterFactory(note=note), explanation=attachment.path)
    services.purge_orphans()
    topic.explanation = ""
    topic.save()

    deleted = []
    for days in (2, 8, 10):
        with time_machine.travel(timezone.now() + timedelta(days=days)), connection.cursor() as cursor:
            cursor.execute("UPDATE notes_attachment SET checked_at = checked_at - interval '2 days'")
            if days > 2:
                cursor.execute("UPDATE notes_attachment SET unnamed_since = unnamed_since - interval '4 days'")
            deleted.append(services.purge_orphans())

    assert deleted == [0, 0, 1]


def test_each_is_looked_at_once_a_day(note, django_assert_num_queries):
    made_long_ago(note, 6)
    services.purge_orphans()

    with django_assert_num_queries(1):
        services.purge_orphans()


def test_a_note_that_is_deleted_for_good_takes_them_along(alice, alice_client, note):
    alice_client.patch(f"/api/notes/{note.pk}/", {"title": "x"}, format="json")
    attachment = AttachmentFactory(note=note)
    used = StorageUse.objects.get(pk=alice.pk).size_bytes
    StorageUse.objects.filter(pk=alice.pk).update(size_bytes=used + attachment.size)
    alice_client.delete(f"/api/notes/{note.pk}/")

    services.empty_trash(user_id=alice.pk, count=1)

    assert StorageUse.objects.get(pk=alice.pk).size_bytes == 0
    assert FileToDelete.objects.get().name == attachment.file


def test_orphans_are_purged_in_batches(note, monkeypatch):
    monkeypatch.setattr(orphans, "BATCH_SIZE", 2)
    for _ in range(5):
        made_long_ago(note, 8)

    assert services.purge_orphans() == 5


def test_the_export_has_every_file_under_its_id(files, alice_client, note):
    shown = upload(alice_client, note).json()
    AttachmentFactory(note=note)  # whose file the storage lost
    note.deleted_at = timezone.now()
    note.save()

    archive = zipfile.ZipFile(BytesIO(body_of(alice_client.get("/api/users/me/export/"))))

    assert archive.read(f"attachments/{shown['id']}.png") == PNG
    assert [name for name in archive.namelist() if name.startswith("attachments/")] == [
        f"attachments/{shown['id']}.png"
    ]
    assert {row["id"] for row in json.loads(archive.read("attachments.json"))} >= {shown["id"]}


def test_of_a_deleted_account_no_file_is_left(files, alice, alice_client, note):
    upload(alice_client, note)
    from accounts.services.deletion import delete_account

    delete_account(user_id=alice.pk)
    storage.delete_marked()

    assert not [path for path in files.rglob("*") if path.is_file()]
    assert not FileToDelete.objects.exists()


def test_other_code_adds_a_file_by_its_bytes_and_opens_it(files, alice, note):
    attachment = services.add_attachment(user_id=alice.pk, note_id=note.pk, name="a.png", content=PNG)

    with services.open_attachment(attachment) as file:
        assert file.read() == PNG


def test_a_file_that_got_no_row_is_deleted_again(files, alice, charlie, note):
    with pytest.raises(note.DoesNotExist):
        services.add_attachment(user_id=charlie.pk, note_id=note.pk, name="a.png", content=PNG)

    assert not [path for path in files.rglob("*") if path.is_file()]


def test_temporary_files_are_gone_after_each_request(files, alice_client, note, tmp_path, settings):
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)

    statuses = [upload(alice_client, note, content).status_code for content in (PNG, b"text")]

    assert statuses == [201, 415]
    assert os.listdir(tmp_path) == []
