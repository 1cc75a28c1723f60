"""Attaching files to notes, and reading them by token and by link."""

import shutil
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from notes import services
from notes.models import Attachment
from tests.conftest import client_of
from tests.factories import AttachmentFactory, NoteFactory
from tests.files.images import PDF, SAMPLES, SECRET
from tests.files.uploading import PNG, body_of, upload


@pytest.fixture
def note(alice):
    return NoteFactory(user=alice)


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

    with time_machine.travel(timezone.now() + timedelta(seconds=570)):
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


def test_a_head_tells_the_length_and_opens_no_file(files, alice_client, note):
    path = upload(alice_client, note)["Location"]
    shutil.rmtree(files)

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
