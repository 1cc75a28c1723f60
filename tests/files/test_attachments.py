"""Attaching files to notes, and reading them by token and by link."""

import json
import os
import zipfile
from datetime import timedelta
from io import BytesIO

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.utils import timezone

from notes import services
from notes.models import Attachment, KeptTopic, NoteVersion, StorageUse
from notes.services import orphans
from notes.snapshots import difference
from tests.conftest import client_of
from tests.factories import AttachmentFactory, ChapterFactory, NoteFactory, TopicFactory
from tests.files.images import PDF, SAMPLES, SECRET, saved
from utils import storage
from utils.models import FileToDelete
from utils.streaming import uploads
from utils.streaming.files import limiter

PNG = saved("PNG")


@pytest.fixture(autouse=True)
def _nothing_is_left_open():
    yield
    assert len(uploads.limiter) == len(limiter) == 0


@pytest.fixture
def note(alice):
    return NoteFactory(user=alice)


def upload(client, note, content=PNG, name="photo.png", content_type="image/png", **headers):
    file = SimpleUploadedFile(name, content, content_type)
    return client.post(f"/api/notes/{note.pk}/attachments/", {"file": file}, format="multipart", headers=headers)


def body_of(response) -> bytes:
    return response.getvalue()


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_photo_is_attached_without_its_place_and_read_as_it_is_kept(storage_url, alice, alice_client, note, kind):
    response = upload(alice_client, note, SAMPLES[kind](), name="café [1].txt", content_type="text/html")

    attachment = Attachment.objects.get()
    shown = response.json()
    name = f"café [1].txt{services.attachments._ENDINGS[kind][0]}"
    assert response.status_code == 201
    assert response["Location"] == attachment.path == f"/api/attachments/{attachment.pk}/"
    assert shown == {
        "id": str(attachment.pk),
        "name": name,
        "content_type": kind,
        "size": attachment.size,
        "url": shown["url"],
        "markdown": rf"![café \[1\].txt{name.removeprefix('café [1].txt')}](/api/attachments/{attachment.pk}/)",
    }
    read = alice_client.get(attachment.path)
    content = body_of(read)
    assert (read.status_code, read["Content-Type"], len(content)) == (200, kind, attachment.size)
    assert SECRET not in content


def test_a_file_is_answered_in_a_sandbox(files, alice_client, note):
    shown = upload(alice_client, note).json()

    response = alice_client.get(f"/api/attachments/{shown['id']}/")

    assert body_of(response) == PNG
    assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Disposition"] == 'inline; filename="photo.png"'
    assert response["Cache-Control"] == "private, no-cache"
    assert response["Accept-Ranges"] == "bytes"
    assert response["Content-Length"] == str(len(PNG))


def test_a_pdf_is_saved_and_not_shown(files, alice_client, note):
    shown = upload(alice_client, note, PDF, name="paper.pdf").json()

    response = alice_client.get(shown["url"])

    assert body_of(response) == PDF
    assert response["Content-Type"] == "application/pdf"
    assert response["Content-Disposition"] == 'attachment; filename="paper.pdf"'


@pytest.mark.parametrize("content", [b"<svg onload='alert(1)'/>", b"<!DOCTYPE html>", b"MZ"])
def test_what_is_no_image_is_refused_and_not_kept(files, alice_client, note, content):
    response = upload(alice_client, note, content)

    assert (response.status_code, response.json()["code"]) == (415, "unsupported_file")
    assert not Attachment.objects.exists()
    assert not [path for path in files.rglob("*") if path.is_file()]


def test_a_link_opens_its_file_without_a_token(files, client, alice_client, note):
    shown = upload(alice_client, note).json()

    assert body_of(client.get(shown["url"])) == PNG
    assert client.get(f"/api/attachments/{shown['id']}/").status_code == 401


def test_a_link_is_good_for_ten_minutes(files, client, alice_client, note):
    shown = upload(alice_client, note).json()

    with time_machine.travel(timezone.now() + timedelta(seconds=590)):
        assert body_of(client.get(shown["url"])) == PNG
    with time_machine.travel(timezone.now() + timedelta(seconds=610)):
        response = client.get(shown["url"])

    assert (response.status_code, response.json()["code"]) == (403, "link_expired")


def test_the_list_shows_fresh_links(files, client, alice_client, note):
    first, second = (upload(alice_client, note, name=f"{n}.png").json() for n in range(2))

    with time_machine.travel(timezone.now() + timedelta(seconds=610), tick=False):
        page = client_of(note.user).get(f"/api/notes/{note.pk}/attachments/").json()

        assert [shown["id"] for shown in page["results"]] == [second["id"], first["id"]]
        assert body_of(client.get(page["results"][1]["url"])) == PNG


@pytest.mark.parametrize("change", ["another file", "another user", "no signature", "nonsense", "empty"])
def test_a_link_opens_nothing_else(files, client, alice_client, charlie, note, change):
    shown, other = upload(alice_client, note).json(), upload(alice_client, note).json()
    token = shown["url"].partition("=")[2]
    path = other["id"] if change == "another file" else shown["id"]
    token = {
        "another user": f"{charlie.pk}:{token.partition(':')[2]}",
        "no signature": token.rpartition(":")[0],
        "nonsense": "x" * 200,
        "empty": "",
    }.get(change, token)

    response = client.get(f"/api/attachments/{path}/", {"token": token})

    assert (response.status_code, response.json()["code"]) == (403, "link_expired")


def test_a_link_reads_and_does_not_delete(files, client, alice_client, note):
    shown = upload(alice_client, note).json()

    assert client.delete(shown["url"]).status_code == 401
    assert Attachment.objects.exists()


def test_a_link_ends_with_the_account(files, client, alice, alice_client, note):
    shown = upload(alice_client, note).json()
    alice.is_active = False
    alice.save()

    response = client.get(shown["url"])

    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_attachments_of_a_trashed_note_are_not_there_until_it_is_restored(files, client, alice_client, note):
    shown = upload(alice_client, note).json()
    paths = [f"/api/attachments/{shown['id']}/", shown["url"], f"/api/notes/{note.pk}/attachments/"]
    alice_client.delete(f"/api/notes/{note.pk}/")

    assert [alice_client.get(path).status_code for path in paths] == [404, 404, 404]
    assert upload(alice_client, note).status_code == 404
    alice_client.post(f"/api/notes/{note.pk}/restore/")

    answers = [alice_client.get(path) for path in paths]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert [body_of(answer) for answer in answers[:2]] == [PNG, PNG]


def test_a_stranger_neither_attaches_nor_reads_nor_deletes(files, alice_client, charlie_client, note):
    shown = upload(alice_client, note).json()

    assert upload(charlie_client, note).status_code == 404
    assert charlie_client.get(f"/api/attachments/{shown['id']}/").status_code == 404
    assert charlie_client.delete(f"/api/attachments/{shown['id']}/").status_code == 404
    assert charlie_client.get(f"/api/notes/{note.pk}/attachments/").status_code == 404
    assert Attachment.objects.count() == 1


@pytest.mark.parametrize(
    ("header", "status", "content_range", "part"),
    [
        ("bytes=0-3", 206, "bytes 0-3/{size}", slice(0, 4)),
        ("bytes=10-", 206, "bytes 10-{last}/{size}", slice(10, None)),
        ("bytes=-5", 206, "bytes {fifth}-{last}/{size}", slice(-5, None)),
        ("bytes=0-99999999", 200, None, slice(None)),
        ("bytes=-99999999", 200, None, slice(None)),
        ("bytes=5-2", 200, None, slice(None)),
        ("bytes=0-1,4-5", 200, None, slice(None)),
        ("lines=0-1", 200, None, slice(None)),
        ("bytes=-", 200, None, slice(None)),
    ],
)
def test_a_part_is_answered(files, alice_client, note, header, status, content_range, part):
    path = upload(alice_client, note)["Location"]
    size = len(PNG)

    response = alice_client.get(path, headers={"Range": header})

    assert (response.status_code, body_of(response)) == (status, PNG[part])
    expected = content_range and content_range.format(size=size, last=size - 1, fifth=size - 5)
    assert response.get("Content-Range") == expected
    assert response["Content-Length"] == str(len(PNG[part]))


@pytest.mark.parametrize("header", ["bytes=99999999-", "bytes=-0"])
def test_a_part_that_is_not_there_is_a_416(files, alice_client, note, header):
    path = upload(alice_client, note)["Location"]

    response = alice_client.get(path, headers={"Range": header})

    assert (response.status_code, response.json()["code"]) == (416, "range_not_satisfiable")
    assert response["Content-Range"] == f"bytes */{len(PNG)}"


def test_a_part_of_another_file_than_the_client_has_is_all_of_it(files, alice_client, note):
    path = upload(alice_client, note)["Location"]
    etag = alice_client.head(path)["ETag"]

    same = alice_client.get(path, headers={"Range": "bytes=0-3", "If-Range": etag})
    other = alice_client.get(path, headers={"Range": "bytes=0-3", "If-Range": '"other"'})

    assert (same.status_code, body_of(same)) == (206, PNG[:4])
    assert (other.status_code, body_of(other)) == (200, PNG)


def test_who_has_the_file_gets_a_304(files, alice_client, note):
    path = upload(alice_client, note)["Location"]
    etag = alice_client.head(path)["ETag"]

    response = alice_client.get(path, headers={"If-None-Match": etag})

    assert (response.status_code, response.content, response["ETag"]) == (304, b"", etag)


def test_a_head_tells_the_length_and_opens_no_file(files, alice_client, note, monkeypatch):
    path = upload(alice_client, note)["Location"]
    monkeypatch.setattr(storage, "read", None)

    response = alice_client.head(path)

    assert (response.status_code, response["Content-Length"]) == (200, str(len(PNG)))


def test_without_a_storage_uploads_are_refused_and_nothing_else_changes(no_storage, alice_client, note):
    response = upload(alice_client, note)

    assert (response.status_code, response.json()["code"]) == (503, "storage_not_configured")
    assert response["Retry-After"] == "3600"
    assert alice_client.get(f"/api/notes/{note.pk}/attachments/").json()["results"] == []


def test_a_file_that_the_storage_lost_is_not_there(files, alice_client, note):
    attachment = AttachmentFactory(note=note)

    response = alice_client.get(attachment.path)

    assert (response.status_code, response.json()["code"]) == (404, "not_found")


# --- Room -------------------------------------------------------------------------------------------------------------


def test_bytes_count_towards_the_account_and_come_back(files, alice, alice_client, note):
    alice_client.patch(f"/api/notes/{note.pk}/", {"title": "x"}, format="json")
    before = StorageUse.objects.get(pk=alice.pk).size_bytes

    path = upload(alice_client, note)["Location"]
    after = StorageUse.objects.get(pk=alice.pk).size_bytes
    assert alice_client.delete(path).status_code == 204

    assert (after - before, StorageUse.objects.get(pk=alice.pk).size_bytes) == (len(PNG), before)
    assert FileToDelete.objects.count() == 1


def test_a_new_count_of_the_account_finds_the_same(files, alice, alice_client, note):
    upload(alice_client, note)
    known = StorageUse.objects.get(pk=alice.pk).size_bytes

    assert services.budgets.count_user(alice.pk) == known


def test_a_full_account_is_told_before_the_file_is_read(files, alice_client, note, settings, monkeypatch):
    settings.NOTES_BYTES_PER_USER = 100
    monkeypatch.setattr(uploads.UploadParser, "parse", None)

    response = upload(alice_client, note)

    assert (response.status_code, response.json()["code"]) == (413, "account_full")
    assert {name: response.json()[name] for name in ("limit", "used", "left")} == {"limit": 100, "used": 0, "left": 100}


def test_a_file_that_does_not_fit_is_not_kept(files, alice, alice_client, note, settings, monkeypatch):
    alice_client.patch(f"/api/notes/{note.pk}/", {"title": "x"}, format="json")
    used = StorageUse.objects.get(pk=alice.pk).size_bytes
    settings.NOTES_BYTES_PER_USER = used + len(PNG) - 1
    monkeypatch.setattr(services, "require_room", lambda **_: None)  # as if its length were not known

    response = upload(alice_client, note)

    assert (response.status_code, response.json()["code"]) == (413, "account_full")
    assert not Attachment.objects.exists()
    assert not [path for path in files.rglob("*") if path.is_file()]


def test_a_note_has_a_bounded_number_of_them(files, alice_client, note, monkeypatch):
    monkeypatch.setattr(services.attachments, "ATTACHMENTS_MAX", 1)
    upload(alice_client, note)

    response = upload(alice_client, note)

    assert (response.status_code, response.json()["code"]) == (409, "too_many_attachments")


# --- What is sent -----------------------------------------------------------------------------------------------------


def test_a_key_makes_one_attachment_of_two_requests(files, alice_client, note):
    first, second = (upload(alice_client, note, **{"Idempotency-Key": "1"}) for _ in range(2))

    assert first.json() == second.json()
    assert (second.status_code, second["Idempotent-Replayed"]) == (201, "true")
    assert len([path for path in files.rglob("*") if path.is_file()]) == Attachment.objects.count() == 1


@pytest.mark.parametrize(("content", "name"), [(PNG, "other.png"), (saved("PNG", compress_level=1), "photo.png")])
def test_a_key_of_another_name_or_of_other_bytes_is_refused(files, alice_client, note, content, name):
    upload(alice_client, note, **{"Idempotency-Key": "1"})

    response = upload(alice_client, note, content, name, **{"Idempotency-Key": "1"})

    assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")
    assert Attachment.objects.count() == 1


def form(*parts: tuple[str, bytes], boundary: bytes = b"b") -> bytes:
    return (
        b"".join(
            b"--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (boundary, head.encode(), content)
            for head, content in parts
        )
        + b"--%s--\r\n" % boundary
    )


FILE = ('name="file"; filename="photo.png"', PNG)


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        (form(FILE, FILE), 400, "parse_error", None),
        (form(FILE, ('name="user"', b"7")), 400, "invalid", "/user"),
        (form(('name="file"', PNG)), 400, "invalid", "/file"),
        (form(('name="other"; filename="photo.png"', PNG)), 400, "invalid", "/other"),
        (form(('name="file"; filename="photo.png"', b"")), 400, "invalid", "/file"),
        (form(FILE)[:-9], 400, "invalid", "/file"),
        (b"--b--\r\n", 400, "invalid", "/file"),
        (b"nonsense", 400, "invalid", "/file"),
        (b"", 400, "parse_error", None),
    ],
    ids=["two files", "another field", "no file", "another name", "empty", "cut", "no parts", "nonsense", "nothing"],
)
def test_a_wrong_form_says_what_is_wrong(files, alice_client, note, body, status, code, pointer):
    response = alice_client.generic(
        "POST", f"/api/notes/{note.pk}/attachments/", body, content_type="multipart/form-data; boundary=b"
    )

    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code)
    assert [error["pointer"] for error in problem["errors"]][:1] == ([pointer] if pointer else [])
    assert not Attachment.objects.exists()


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data", "image/png", ""])
def test_other_bodies_are_refused(files, alice_client, note, content_type):
    response = alice_client.generic("POST", f"/api/notes/{note.pk}/attachments/", PNG, content_type=content_type)

    assert response.status_code in (400, 415)
    assert not Attachment.objects.exists()


def test_ten_megabytes_are_taken_and_a_byte_more_is_not(files, alice_client, note):
    limit = 10 * 1024 * 1024
    largest = PDF + bytes(limit - len(PDF))

    assert upload(alice_client, note, largest, "a.pdf").status_code == 201
    response = upload(alice_client, note, largest + b"0", "a.pdf")

    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")
    assert response.json()["detail"] == f"The file is larger than {limit} bytes."


def test_a_longer_body_is_refused_by_its_length(files, alice_client, note):
    response = upload(alice_client, note, PDF + bytes(10_600_000), "a.pdf")

    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


def test_a_process_receives_a_few_at_a_time(files, alice, alice_client, charlie, note, settings):
    settings.UPLOADS_AT_ONCE = 4
    with uploads.upload_slot(charlie.pk), uploads.upload_slot(charlie.pk):
        with pytest.raises(uploads.TooManyUploads), uploads.upload_slot(charlie.pk):
            pass
        with uploads.upload_slot(alice.pk), uploads.upload_slot(alice.pk):
            response = upload(alice_client, note)

    assert (response.status_code, response.json()["code"], response["Retry-After"]) == (503, "too_many_uploads", "5")
    assert upload(alice_client, note).status_code == 201


# --- Limits and costs -------------------------------------------------------------------------------------------------


def test_files_count_against_a_limit_of_their_own(files, client, alice_client, note):
    shown = upload(alice_client, note).json()

    by_link = client.get(shown["url"])
    by_token = alice_client.get(f"/api/attachments/{shown['id']}/")

    assert by_link["RateLimit-Policy"] == by_token["RateLimit-Policy"] == '"files";q=600;w=60'
    assert [by_link["RateLimit-Remaining"], by_token["RateLimit-Remaining"]] == ["599", "598"]
    assert body_of(by_link) == body_of(by_token)


def test_a_link_that_is_asked_too_often_is_a_429(files, client, alice_client, note, settings):
    rest = settings.REST_FRAMEWORK
    settings.REST_FRAMEWORK = {**rest, "DEFAULT_THROTTLE_RATES": {**rest["DEFAULT_THROTTLE_RATES"], "files": "1/min"}}
    shown = upload(alice_client, note).json()
    body_of(client.get(shown["url"]))

    response = client.get(shown["url"])

    assert (response.status_code, response.json()["scope"]) == (429, "files")
    assert alice_client.get(f"/api/notes/{note.pk}/").status_code == 200


@pytest.mark.parametrize("count", [1, 10, 100])
def test_a_list_costs_one_query_for_any_number(alice_client, warm, note, count, django_assert_num_queries):
    AttachmentFactory.create_batch(count, note=note)
    warm(alice_client)

    with django_assert_num_queries(1):
        page = alice_client.get(f"/api/notes/{note.pk}/attachments/?page_size=100").json()

    assert len(page["results"]) == count


def test_reading_costs_one_query(files, alice_client, warm, note, django_assert_num_queries):
    path = upload(alice_client, note)["Location"]
    warm(alice_client)

    with django_assert_num_queries(1):
        body_of(alice_client.get(path))


def test_writing_costs_the_same_for_any_number(files, alice_client, warm, note, django_assert_num_queries):
    warm(alice_client)
    upload(alice_client, note)
    AttachmentFactory.create_batch(50, note=note)

    # The note, the room; SAVEPOINT, the note, how many, INSERT, the room, RELEASE.
    with django_assert_num_queries(8):
        upload(alice_client, note)


# --- What becomes of them ---------------------------------------------------------------------------------------------


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
    monkeypatch.setattr(orphans, "BATCH", 2)
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
