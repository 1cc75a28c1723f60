"""The trash: emptied by hand or after some days, with all that is in it and what it counted."""

from datetime import timedelta

import pytest
from django.utils import timezone

from notes import services
from notes.blocks.stored import off_blocks_changed, on_blocks_changed
from notes.management.commands.count_bytes import Command as CountBytes
from notes.models import Chapter, KeptTopic, Note, NoteVersion, StorageUse, Topic
from notes.services import purge_trash, trash
from tests.factories import AITaskFactory
from utils.async_optimization import purge_trash as purge_task

TRASH = "/api/notes/trash/"


def put_into_trash(note, days=0.0) -> None:
    services.delete_note(user_id=note.user_id, note_id=note.pk)
    Note.objects.filter(pk=note.pk).update(deleted_at=timezone.now() - timedelta(days=days))


def total(user) -> int | None:
    return StorageUse.objects.filter(pk=user.pk).values_list("size_bytes", flat=True).first()


def counted(user) -> int:
    """What the user's notes are when they are counted anew."""
    CountBytes().handle(again=True)
    return total(user)


def test_notes_of_more_than_thirty_days_go_with_all_that_is_in_them_and_no_others(alice, charlie, make_note):
    old, young, live = make_note(alice, 2, 1), make_note(alice, 1), make_note(alice, 1)
    his = make_note(charlie, 1)
    services.update_note(user_id=alice.pk, note_id=old.pk, changes={"title": "kept"})
    task = AITaskFactory(user=alice, topic=old.chapters.first().topics.first())
    put_into_trash(old, days=30.1)
    put_into_trash(his, days=31)
    put_into_trash(young, days=29.9)

    purge_task()

    assert set(Note.objects.values_list("pk", flat=True)) == {young.pk, live.pk}
    assert (Chapter.objects.count(), Topic.objects.count()) == (2, 2)
    assert not NoteVersion.objects.exists()
    assert not KeptTopic.objects.exists()
    task.refresh_from_db()
    assert task.topic_id is None
    assert (total(alice), total(charlie)) == (total(alice), 0)
    assert total(alice) == counted(alice)


def test_the_days_are_a_setting(alice, make_note, settings):
    settings.TRASH_DAYS = 2
    put_into_trash(make_note(alice), days=2.1)
    put_into_trash(make_note(alice), days=1.9)

    assert (purge_trash(), Note.objects.count()) == (1, 1)


@pytest.mark.parametrize("count", [4, 5, 7])
def test_all_that_is_due_goes_in_batches(alice, make_note, monkeypatch, count):
    monkeypatch.setattr(trash, "BATCH_SIZE", 2)
    for _ in range(count):
        put_into_trash(make_note(alice, 1), days=31)

    assert purge_trash() == count
    assert not Note.objects.exists()
    assert total(alice) == 0


def test_what_is_purged_is_gone_from_the_list_at_once(
    alice, alice_client, make_note, django_capture_on_commit_callbacks
):
    put_into_trash(make_note(alice), days=31)
    assert len(alice_client.get("/api/notes/?trash=true").json()["results"]) == 1

    with django_capture_on_commit_callbacks(execute=True):
        purge_trash()

    assert alice_client.get("/api/notes/?trash=true").json()["results"] == []


def test_a_size_that_was_not_counted_is_counted_as_it_goes(alice, make_note):
    put_into_trash(make_note(alice, 1), days=31)
    make_note(alice, 1)
    Note.objects.update(size_bytes=None)

    purge_trash()

    assert total(alice) == counted(alice)


def test_blocks_that_go_are_told(alice, make_note):
    note = make_note(alice, 2)
    ids = {
        block.id
        for topic in Topic.objects.all()
        for block in services.get_blocks(user_id=alice.pk, topic_id=topic.pk).blocks
    }
    told = []

    def hear(topic_ids, changed, removed):
        told.append((len(topic_ids), changed, set(removed)))

    on_blocks_changed(hear)
    put_into_trash(note, days=31)
    purge_trash()
    off_blocks_changed(hear)

    assert told == [(2, {}, ids)]


class TestByHand:
    def test_all_of_it_goes_and_nothing_else(self, alice, alice_client, charlie, make_note, send):
        put_into_trash(make_note(alice, 2))
        put_into_trash(make_note(alice))
        live, his = make_note(alice, 1), make_note(charlie)
        put_into_trash(his)
        assert len(alice_client.get("/api/notes/?trash=true").json()["results"]) == 2

        response = send(alice_client, "delete", TRASH, {"count": 2})

        assert (response.status_code, response.content) == (204, b"")
        assert set(Note.objects.values_list("pk", flat=True)) == {live.pk, his.pk}
        assert alice_client.get("/api/notes/?trash=true").json()["results"] == []
        assert total(alice) == counted(alice)

    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_another_count_deletes_nothing(self, alice, alice_client, make_note, send, count):
        for _ in range(2):
            put_into_trash(make_note(alice))

        response = send(alice_client, "delete", TRASH, {"count": count})

        assert (response.status_code, response.json()["code"], response.json()["count"]) == (409, "trash_changed", 2)
        assert Note.objects.count() == 2

    def test_an_empty_trash_is_emptied(self, alice_client, send):
        assert send(alice_client, "delete", TRASH, {"count": 0}).status_code == 204

    @pytest.mark.parametrize("body", [None, {}, {"count": "1"}, {"count": -1}, {"count": True}, {"count": 1, "x": 1}])
    def test_what_is_no_count_is_refused(self, alice, alice_client, make_note, send, body):
        put_into_trash(make_note(alice))

        assert send(alice_client, "delete", TRASH, body).status_code == 400
        assert Note.objects.count() == 1

    def test_batches_are_one_transaction(self, alice, alice_client, make_note, send, monkeypatch):
        monkeypatch.setattr(trash, "BATCH_SIZE", 2)
        for _ in range(5):
            put_into_trash(make_note(alice, 1))

        assert send(alice_client, "delete", TRASH, {"count": 5}).status_code == 204
        assert (Note.objects.count(), total(alice)) == (0, 0)
