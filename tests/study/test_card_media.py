"""Pictures of cards that belong to no note."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from accounts.services import deletion
from notes.models import Attachment, StorageUse
from notes.services import purge_orphans
from study.models import Card
from tests.factories import CardFactory
from tests.files.images import png
from tests.study.test_account_files import export_of, report_of
from utils.models import FileToDelete

MEDIA = "/api/study/media/"


@pytest.fixture(autouse=True)
def _stored(files: Path) -> Path:
    return files


def sent(client: Any, content: bytes | None = None, name: str = "cell.png", **headers: str) -> Any:
    file = SimpleUploadedFile(name, png() if content is None else content)
    return client.post(MEDIA, {"file": file}, format="multipart", headers=headers)


def test_a_file_for_cards_is_kept(alice, alice_client, charlie_client):
    response = sent(alice_client)

    assert response.status_code == 201
    shown = response.json()
    attachment = Attachment.objects.get()
    assert (attachment.user_id, attachment.note_id, attachment.name) == (alice.pk, None, "cell.png")
    assert (response["Location"], shown["markdown"]) == (attachment.path, f"![cell.png]({attachment.path})")
    assert (shown["content_type"], shown["size"]) == ("image/png", attachment.size)
    assert StorageUse.objects.get(pk=alice.pk).size_bytes == attachment.size
    opened = alice_client.get(attachment.path)
    assert (opened.status_code, len(b"".join(opened.streaming_content))) == (200, attachment.size)
    assert charlie_client.get(attachment.path).status_code == 404
    assert charlie_client.delete(attachment.path).status_code == 404
    assert alice_client.delete(attachment.path).status_code == 204
    assert StorageUse.objects.get(pk=alice.pk).size_bytes == 0


def test_a_file_sent_again_with_its_key_is_kept_once(alice_client):
    first = sent(alice_client, Idempotency_Key="k")
    second = sent(alice_client, Idempotency_Key="k")

    assert (first.json()["id"], second.status_code) == (second.json()["id"], 201)
    assert Attachment.objects.count() == 1


@pytest.mark.parametrize(("content", "code"), [(b"MZ", "unsupported_file"), (png()[:40], "unreadable_file")])
def test_other_files_are_refused(alice_client, content, code):
    response = sent(alice_client, content)

    assert (response.status_code, response.json()["code"]) == ({"unsupported_file": 415}.get(code, 400), code)
    assert not Attachment.objects.exists()


def test_a_full_account_keeps_no_file(alice_client, settings, files):
    settings.NOTES_BYTES_PER_USER = 50

    response = sent(alice_client)

    assert (response.status_code, response.json()["code"]) == (413, "account_full")
    assert not [path for path in files.rglob("*") if path.is_file()]


def test_a_user_has_so_many_files_of_cards(alice_client, monkeypatch, files):
    monkeypatch.setattr("notes.services.attachments.CARD_ATTACHMENTS_MAX", 1)
    assert sent(alice_client).status_code == 201

    response = sent(alice_client)

    assert (response.status_code, response.json()["code"]) == (409, "too_many_attachments")
    assert len([path for path in files.rglob("*") if path.is_file()]) == 1


def test_without_storage_nothing_is_taken(alice_client, no_storage):
    response = sent(alice_client)

    assert (response.status_code, response.json()["code"]) == (503, "storage_not_configured")


def test_nobody_sends_a_file_without_signing_in(client):
    assert client.post(MEDIA, {"file": SimpleUploadedFile("a.png", png())}).status_code == 401


def test_a_card_keeps_its_picture(alice, alice_client):
    kept, orphan = (sent(alice_client).json() for _ in range(2))
    CardFactory(user=alice, front=kept["markdown"])
    long_ago = timezone.now() - timedelta(days=30)
    Attachment.objects.update(unnamed_since=long_ago, checked_at=long_ago)

    assert purge_orphans() == 1

    assert [str(pk) for pk in Attachment.objects.values_list("pk", flat=True)] == [kept["id"]]
    assert orphan["id"] != kept["id"]


def test_an_account_moves_with_the_pictures_of_its_cards(alice, alice_client, charlie):
    shown = sent(alice_client).json()
    CardFactory(user=alice, front=f"What is this? {shown['markdown']}")
    archive = export_of(alice)

    first = report_of(charlie, archive)
    second = report_of(charlie, archive)

    picture = Attachment.objects.get(user=charlie)
    assert Card.objects.get(user=charlie).front == f"What is this? ![cell.png]({picture.path})"
    assert (first["study_cards.json"][0], second["study_cards.json"][0]) == ("created", "unchanged")
    assert first[f"attachments/{shown['id']}.png"] == ("skipped", ["It is an attachment of the notes that show it."])
    assert picture.size == Attachment.objects.get(user=alice).size


def test_the_files_go_with_the_account(alice, alice_client):
    sent(alice_client)
    file = Attachment.objects.get().file

    deletion.delete_account(user_id=alice.pk)

    assert not Attachment.objects.exists()
    assert list(FileToDelete.objects.values_list("name", flat=True)) == [file]
