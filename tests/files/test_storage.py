"""Files in a folder and in a bucket, and what happens where there is neither."""

import logging
import os
import socket
import stat
import threading
import time
from contextlib import suppress
from datetime import timedelta
from io import BytesIO, StringIO

import pytest
import time_machine
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from NoteAssist_AI.celery import app
from NoteAssist_AI.storage import READ_SECONDS, file_storage
from notes.models import Attachment
from tests.factories import AttachmentFactory
from tests.files.conftest import use_storage
from utils import storage
from utils.async_optimization import sweep_files
from utils.models import FileToDelete

CONTENT = bytes(range(256)) * 4096


def test_what_was_stored_is_read_and_deleted(storage_url):
    name = storage.new_name("attachments")

    storage.store(name, BytesIO(CONTENT))

    with storage.read(name) as file:
        file.seek(1000)
        assert file.read() == CONTENT[1000:]
    storage.discard(name)
    with pytest.raises(storage.FileMissing):
        storage.read(name)


def test_files_belong_to_the_processes_user_alone(files):
    name = storage.new_name("attachments")

    storage.store(name, BytesIO(CONTENT))

    assert stat.S_IMODE((files / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((files / name).parent.stat().st_mode) == 0o700


def test_without_a_storage_nothing_is_stored_or_read(no_storage):
    with pytest.raises(storage.StorageNotConfigured) as refusal:
        storage.store("attachments/00/0", BytesIO(b""))

    assert (refusal.value.status_code, refusal.value.code) == (503, "storage_not_configured")
    with pytest.raises(storage.StorageNotConfigured):
        storage.read("attachments/00/0")


def test_a_server_that_refuses_the_connection_is_unavailable(settings):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        use_storage(settings, f"s3://key:secret@127.0.0.1:{unused.getsockname()[1]}/notes?tls=off&region=us-east-1")

        with pytest.raises(storage.StorageUnavailable) as refusal:
            storage.store("attachments/00/0", BytesIO(CONTENT))

    assert (refusal.value.status_code, refusal.value.code) == (503, "storage_unavailable")


def test_a_server_that_says_nothing_is_given_up(settings, monkeypatch):
    monkeypatch.setattr("NoteAssist_AI.storage.READ_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        use_storage(settings, f"s3://key:secret@127.0.0.1:{silent.getsockname()[1]}/notes?tls=off&region=us-east-1")

        with pytest.raises(storage.StorageUnavailable):
            storage.read("attachments/00/0")


def test_a_call_to_s3_ends_in_a_minute_by_default():
    config = file_storage("s3://key:secret@s3.example.com/notes", None)["OPTIONS"]["client_config"]

    tries = config.retries["total_max_attempts"]
    assert tries * (config.connect_timeout + config.read_timeout) == 50
    assert config.read_timeout == READ_SECONDS


def test_a_bucket_is_reached_by_https_unless_told_otherwise():
    https = file_storage("s3://key:secret@s3.example.com/notes?region=eu-central-1", None)["OPTIONS"]
    http = file_storage("s3://key:secret@minio:9000/notes?tls=off", None)["OPTIONS"]

    assert (https["endpoint_url"], https["bucket_name"]) == ("https://s3.example.com", "notes")
    assert (https["region_name"], http["region_name"]) == ("eu-central-1", None)
    assert http["endpoint_url"] == "http://minio:9000"


def test_nobody_has_a_place_for_files_without_a_url_and_a_folder():
    assert file_storage("", None) is None


def test_a_marked_file_is_deleted_by_a_task_that_beat_sends(storage_url, db):
    kept, marked = storage.new_name("attachments"), storage.new_name("attachments")
    for name in (kept, marked):
        storage.store(name, BytesIO(b"1"))
    FileToDelete.objects.create(name=marked)
    FileToDelete.objects.create(name=storage.new_name("attachments"))  # was never stored

    deleted = storage.delete_marked()

    assert (default_storage.exists(kept), default_storage.exists(marked)) == (True, False)
    assert (deleted, FileToDelete.objects.count()) == (2, 0)
    assert "utils.delete_files" in [entry["task"] for entry in app.conf.beat_schedule.values()]


def test_marks_wait_for_a_storage_that_does_not_answer(settings, db):
    use_storage(settings, "s3://key:secret@127.0.0.1:1/notes?tls=off&region=us-east-1")
    FileToDelete.objects.create(name="attachments/00/0")

    with pytest.raises(storage.StorageUnavailable):
        storage.delete_marked()

    assert FileToDelete.objects.count() == 1


def test_the_sweep_tells_of_a_file_without_a_row_once_it_is_an_hour_old(storage_url, db, caplog):
    name = storage.new_name("attachments")
    storage.store(name, BytesIO(b"1"))
    assert name not in [name for strays in storage.find_strays() for name in strays.files]

    with time_machine.travel(timezone.now() + timedelta(hours=2)), caplog.at_level(logging.WARNING):
        sweep_files()

    assert f"No row names the file {name} (manage.py sweep_files --delete)" in caplog.messages
    assert default_storage.exists(name)


def test_the_command_deletes_strays_when_told_to(files, db):
    name = storage.new_name("attachments")
    storage.store(name, BytesIO(b"1"))
    long_ago = time.time() - 7200
    os.utime(files / name, (long_ago, long_ago))

    with pytest.raises(SystemExit):
        call_command("sweep_files", stdout=StringIO())
    assert (files / name).exists()
    out = StringIO()
    call_command("sweep_files", "--delete", stdout=out)

    assert out.getvalue() == f"no row   {name}\n1 files without a row (deleted), 0 rows without a file\n"
    assert not (files / name).exists()


def test_a_row_without_its_file_is_told_and_its_row_stays(files, db):
    attachment = AttachmentFactory()

    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("sweep_files", "--delete", stdout=out)

    assert out.getvalue() == f"no file  {attachment.file}\n0 files without a row, 1 rows without a file\n"
    assert Attachment.objects.get() == attachment


def test_a_file_that_a_row_names_is_no_stray_and_not_deleted_by_an_old_mark(files, db):
    attachment = AttachmentFactory()
    storage.store(attachment.file, BytesIO(b"1"))
    os.utime(files / attachment.file, (0, 0))
    FileToDelete.objects.create(name=attachment.file)

    assert list(storage.find_strays()) == []
    assert storage.delete_marked() == 0
    assert (files / attachment.file).exists()


def test_whatever_deletes_the_row_marks_its_file_when_it_commits(files, db):
    by_note, by_sql, kept = AttachmentFactory.create_batch(3)
    twin = AttachmentFactory(note=kept.note, file=kept.file)

    by_note.note.delete()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM notes_attachment WHERE id = %s", [by_sql.pk])
    with suppress(ZeroDivisionError), transaction.atomic():
        kept.delete()
        raise ZeroDivisionError
    twin.delete()

    marked = set(FileToDelete.objects.values_list("name", flat=True))
    assert marked == {by_note.file, by_sql.file, kept.file}
    storage.store(kept.file, BytesIO(b"1"))
    assert storage.delete_marked() == 2  # the twin's file is that of the row which stayed
    assert (files / kept.file).exists()


def test_a_marked_file_is_no_stray(files, db):
    name = storage.new_name("attachments")
    storage.store(name, BytesIO(b"1"))
    os.utime(files / name, (0, 0))
    FileToDelete.objects.create(name=name)

    assert list(storage.find_strays()) == []


def test_two_threads_store_at_the_same_time(storage_url):
    names = [storage.new_name("attachments") for _ in range(2)]
    threads = [threading.Thread(target=storage.store, args=(name, BytesIO(name.encode()))) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for name in names:
        with storage.read(name) as file:
            assert file.read() == name.encode()
