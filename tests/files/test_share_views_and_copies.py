"""Views of a shared note are counted, and whoever may read it may copy it."""

from datetime import timedelta

import pytest

from NoteAssist_AI.celery import app
from notes import services
from notes.models import Attachment, Note, StorageUse
from tests.conftest import client_of
from tests.factories import AttachmentFactory
from tests.files.sharing import make_note, path_of, share, unlock
from tests.files.uploading import PNG
from utils import storage
from utils.async_optimization import drain_views


@pytest.fixture
def note(alice, files):
    return make_note(alice)


# --- Views ------------------------------------------------------------------------------------------------------------


def views(alice_client, note) -> int:
    drain_views()
    return alice_client.get(f"/api/notes/{note.pk}/shares/").json()["results"][0]["views"]


def test_a_page_that_is_shown_counts_and_nothing_else_does(alice_client, note, visitor):
    path = path_of(share(alice_client, note))
    etag = visitor.get(path)["ETag"]
    visitor.get(path)
    visitor.head(path)
    visitor.get(path, headers={"If-None-Match": etag})

    assert views(alice_client, note) == 2
    assert views(alice_client, note) == 2
    schedule = {entry["task"]: entry["schedule"] for entry in app.conf.beat_schedule.values()}
    assert schedule["notes.drain_views"].run_every <= timedelta(seconds=10)


def test_the_form_counts_nothing(alice_client, note, visitor):
    path = path_of(share(alice_client, note, password="same"))
    visitor.get(path)
    assert views(alice_client, note) == 0
    unlock(visitor, path, "same")
    visitor.get(path)

    assert views(alice_client, note) == 1


def test_views_that_a_failed_drain_took_are_counted_by_the_next(alice_client, note, visitor, empty_redis):
    path = path_of(share(alice_client, note))
    visitor.get(path)
    empty_redis.rename(services.shares.VIEWS_KEY, services.shares.TAKEN_KEY)
    visitor.get(path)

    assert [views(alice_client, note), views(alice_client, note)] == [1, 2]


def test_without_redis_views_are_counted_at_once(alice, note, visitor, dead_redis):
    shared = services.create_share(user_id=alice.pk, note_id=note.pk)

    assert visitor.get(f"/s/{shared.slug}/").status_code == 200

    shared.refresh_from_db()
    assert shared.views == 1


# --- Copies -----------------------------------------------------------------------------------------------------------


def copy(client, shared, **body):
    return client.post(f"/api/shares/{shared['slug']}/copy/", body, format="json")


def test_a_copy_is_the_copiers_own(alice, alice_client, charlie, charlie_client, note):
    photo = services.add_attachment(user_id=alice.pk, note_id=note.pk, name="a.png", content=PNG)
    unnamed = AttachmentFactory(note=note)
    topic = note.chapters.get().topics.get()
    topic.explanation = f"![p]({photo.path}) {unnamed.pk}"
    topic.save()
    note.status = Note.Status.PUBLISHED
    note.save()
    charlie_client.post("/api/notes/", {"title": "x"}, format="json")
    before = StorageUse.objects.get(pk=charlie.pk).size_bytes

    response = copy(charlie_client, share(alice_client, note))

    made = response.json()
    copied = Attachment.objects.get(user=charlie)
    assert (response.status_code, response["Location"]) == (201, f"/api/notes/{made['id']}/")
    assert (made["title"], made["status"], made["tags"]) == ("Loops <1>", "draft", ["py&thon"])
    [text] = [topic["explanation"] for chapter in made["chapters"] for topic in chapter["topics"]]
    assert text == f"![p]({copied.path}) {unnamed.pk}"
    assert copied.pk != photo.pk
    assert charlie_client.get(copied.path).getvalue() == PNG
    size = Note.objects.get(pk=made["id"]).size_bytes
    assert StorageUse.objects.get(pk=charlie.pk).size_bytes - before == size + len(PNG)


def test_a_copys_file_stays_when_the_original_goes(alice, alice_client, charlie_client, note, files):
    photo = services.add_attachment(user_id=alice.pk, note_id=note.pk, name="a.png", content=PNG)
    note.chapters.get().topics.update(explanation=photo.path)
    copy(charlie_client, share(alice_client, note))
    copied = Attachment.objects.exclude(pk=photo.pk).get()

    alice_client.delete(photo.path)
    storage.delete_marked()
    assert charlie_client.get(copied.path).getvalue() == PNG
    charlie_client.delete(copied.path)
    storage.delete_marked()

    assert not [path for path in files.rglob("*") if path.is_file()]


def test_a_copy_that_does_not_fit_copies_nothing(alice, alice_client, charlie, charlie_client, note, settings):
    photo = services.add_attachment(user_id=alice.pk, note_id=note.pk, name="a.png", content=PNG)
    note.chapters.get().topics.update(explanation=photo.path)
    shared = share(alice_client, note)
    settings.NOTES_BYTES_PER_USER = len(PNG)

    response = copy(charlie_client, shared)

    assert (response.status_code, response.json()["code"]) == (413, "account_full")
    assert not Note.objects.filter(user=charlie).exists()
    assert not Attachment.objects.filter(user=charlie).exists()


def test_a_copy_of_a_locked_note_needs_its_password(alice_client, charlie_client, note):
    shared = share(alice_client, note, password="open sesame")

    refused = [copy(charlie_client, shared), copy(charlie_client, shared, password="wrong")]

    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(403, "wrong_share_password")] * 2
    assert copy(charlie_client, shared, password="open sesame").status_code == 201


def test_a_copy_of_nothing_is_a_404(alice_client, charlie_client, client, note):
    shared = share(alice_client, note)
    alice_client.delete(f"/api/notes/{note.pk}/")

    assert copy(charlie_client, shared).status_code == 404
    assert copy(charlie_client, {"slug": "nothing"}).status_code == 404
    assert copy(client, shared).status_code == 401


def test_a_key_makes_one_copy_of_two_requests(alice, alice_client, charlie, note):
    path = f"/api/shares/{share(alice_client, note)['slug']}/copy/"
    client = client_of(charlie)

    answers = [client.post(path, {}, format="json", headers={"Idempotency-Key": "1"}) for _ in range(2)]

    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert Note.objects.filter(user=charlie).count() == 1
