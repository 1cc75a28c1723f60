"""Uploads of attachments: room in the account, keys, forms that are wrong, bodies that are too long."""

import pytest
from django.http import HttpResponse

from notes import services
from notes.models import Attachment, StorageUse
from tests.ai_tasks.conftest import in_threads
from tests.conftest import client_of
from tests.database_faults import barrier, in_background
from tests.factories import NoteFactory
from tests.files.images import PDF, saved
from tests.files.uploading import PNG, upload
from utils.models import FileToDelete
from utils.streaming import uploads


@pytest.fixture
def note(alice):
    return NoteFactory(user=alice)


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


def test_a_full_account_is_told_before_the_file_is_read(files, alice_client, note, settings):
    settings.NOTES_BYTES_PER_USER = 100

    response = alice_client.post(
        f"/api/notes/{note.pk}/attachments/", b"no form" * 100, content_type="multipart/form-data; boundary=x"
    )

    assert (response.status_code, response.json()["code"]) == (413, "account_full")
    assert {name: response.json()[name] for name in ("limit", "used", "left")} == {"limit": 100, "used": 0, "left": 100}


def test_a_file_that_does_not_fit_is_not_kept(files, alice, alice_client, note, settings):
    alice_client.patch(f"/api/notes/{note.pk}/", {"title": "x"}, format="json")
    used = StorageUse.objects.get(pk=alice.pk).size_bytes
    settings.NOTES_BYTES_PER_USER = used + len(PNG) - 1

    response = upload(alice_client, note, **{"Transfer-Encoding": "chunked"})  # which tells no length

    assert (response.status_code, response.json()["code"]) == (413, "account_full")
    assert not Attachment.objects.exists()
    assert not [path for path in files.rglob("*") if path.is_file()]


def test_a_note_has_a_bounded_number_of_them(files, alice_client, note, monkeypatch):
    monkeypatch.setattr(services.attachments, "ATTACHMENTS_MAX", 1)
    upload(alice_client, note)

    response = upload(alice_client, note)

    assert (response.status_code, response.json()["code"]) == (409, "too_many_attachments")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_counted", [True, False], ids=["counted", "not counted yet"])
def test_of_two_uploads_at_once_that_do_not_fit_together_one_is_taken(files, alice, settings, is_counted):
    """Both are told at first that there is room: neither has a row before both files are stored."""
    content = PDF + bytes(10_000)  # so that the form around it, which counts at first, is small beside it
    notes = NoteFactory.create_batch(2, user=alice, title="12345")
    if is_counted:
        StorageUse.objects.create(user=alice, size_bytes=10)
    settings.NOTES_BYTES_PER_USER = 10 + 2 * len(content) - 1
    settings.UPLOADS_AT_ONCE = 4  # so two of one user

    def send_both() -> list[HttpResponse]:
        return in_threads(2, lambda index: upload(client_of(alice), notes[index], content, "a.pdf"))

    with barrier("BEFORE INSERT", "notes_attachment") as both_are_stored, in_background(send_both) as sent:
        both_are_stored.wait_for(2)
        both_are_stored.open()

    responses = sent.result()

    assert sorted(response.status_code for response in responses) == [201, 413]
    (refused,) = [response.json() for response in responses if response.status_code == 413]
    assert (refused["code"], refused["used"], refused["left"]) == ("account_full", 10 + len(content), len(content) - 1)
    assert StorageUse.objects.get(pk=alice.pk).size_bytes == 10 + len(content)
    assert Attachment.objects.count() == len([path for path in files.rglob("*") if path.is_file()]) == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_uploads_at_once_the_last_place_of_a_note_is_taken_once(files, alice, settings, monkeypatch):
    note = NoteFactory(user=alice)
    settings.UPLOADS_AT_ONCE = 4  # so two of one user
    monkeypatch.setattr(services.attachments, "ATTACHMENTS_MAX", 1)

    def send_both() -> list[HttpResponse]:
        return in_threads(2, lambda _: upload(client_of(alice), note))

    with barrier("AFTER INSERT", "notes_attachment") as both_are_recorded, in_background(send_both) as sent:
        both_are_recorded.wait_for(2)
        both_are_recorded.open()

    responses = sent.result()

    assert sorted(response.status_code for response in responses) == [201, 409]
    assert Attachment.objects.count() == len([path for path in files.rglob("*") if path.is_file()]) == 1


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


@pytest.mark.parametrize(
    ("content_type", "status"),
    [("application/json", 415), ("multipart/form-data", 400), ("image/png", 415), ("", 415)],
)
def test_other_bodies_are_refused(files, alice_client, note, content_type, status):
    response = alice_client.generic("POST", f"/api/notes/{note.pk}/attachments/", PNG, content_type=content_type)

    assert response.status_code == status
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
