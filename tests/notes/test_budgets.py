"""The byte budgets of notes and users."""

import io
import json
import zipfile

import pytest

from ai_tasks import ledger
from ai_tasks.models import AITask
from notes import services
from notes.models import NOTE_MAX_BYTES, Note, NoteVersion, StorageUse, Topic
from notes.services import editing
from tests.ai_tasks.ledger_helpers import ANSWER
from tests.factories import ChapterFactory, NoteFactory, TopicFactory
from tests.notes.sizes import PIECE, assert_sizes_are_those_of_a_recount, size_of, total_of

SOURCES = [{"title": "Büch", "url": "https://example.com/ü"}]


def problem(response):
    return {name: response.json().get(name) for name in ("code", "limit", "used", "left")}


def legacy_note(user, *, pieces: int) -> Note:
    """A note from before there were budgets."""
    note = NoteFactory(user=user, title="old")
    for chapter_number in range(-(-pieces // 90)):
        chapter = ChapterFactory(note=note, title="c", order=chapter_number)
        Topic.objects.bulk_create(
            Topic(chapter=chapter, order=order, title="t", explanation=PIECE)
            for order in range(min(90, pieces - 90 * chapter_number))
        )
    return note


def test_a_note_grows_to_five_megabytes_and_no_further(alice, alice_client, make_note, send):
    chapter = make_note(alice, 0, title="n").chapters.get()
    responses = [
        send(alice_client, "post", "/api/topics/", {"chapter": chapter.pk, "title": "t", "explanation": PIECE})
        for _ in range(53)
    ]

    assert [response.status_code for response in responses] == [201] * 52 + [413]
    used = len("n") + len("chapter 0") + 52 * 100_001
    assert problem(responses[-1]) == {
        "code": "note_too_large",
        "limit": 5 * 1024 * 1024,
        "used": used,
        "left": 5 * 1024 * 1024 - used,
    }
    assert Topic.objects.count() == 52
    assert_sizes_are_those_of_a_recount(alice)


def test_bytes_of_every_text_count_and_nothing_else(alice, make_note):
    note = make_note(alice, title="Ü", tags=["ä", "b"], status="published")
    chapter = services.create_chapter(user_id=alice.pk, note_id=note.pk, title="ö")
    body = {"title": "t", "explanation": "é\n", "code": "x = '→'", "code_language": "python", "sources": SOURCES}
    services.create_topic(user_id=alice.pk, chapter_id=chapter.pk, data=body)

    in_topic = [body["title"], body["explanation"], body["code"], SOURCES[0]["title"], SOURCES[0]["url"]]
    expected = sum(len(text.encode()) for text in ["Ü", "ä", "b", "ö", *in_topic])
    assert size_of(note) == total_of(alice) == expected


def test_every_kind_of_write_keeps_the_sizes_right(alice, make_note):
    mine = {"user_id": alice.pk}
    note, other = make_note(alice, 3, 2, tags=["ä"]), make_note(alice, 1)
    first, second = note.chapters.all()
    topic, moved, gone = first.topics.all()
    target = other.chapters.get()
    writes = [
        lambda: services.update_note(**mine, note_id=note.pk, changes={"title": "Übung", "tags": ["ö", "zwei"]}),
        lambda: services.update_note(**mine, note_id=note.pk, changes={"status": "archived"}),
        lambda: services.update_chapter(**mine, chapter_id=first.pk, title="länger als vorher"),
        lambda: services.create_chapter(**mine, note_id=note.pk, title="né", order=0),
        lambda: services.update_topic(**mine, topic_id=topic.pk, changes={"code": "→", "sources": SOURCES}),
        lambda: services.update_topic(**mine, topic_id=topic.pk, changes={"explanation": ""}),
        lambda: services.move_topic(**mine, topic_id=moved.pk, chapter_id=second.pk, order=0),
        lambda: services.move_topic(**mine, topic_id=topic.pk, chapter_id=target.pk, order=0),
        lambda: services.delete_topic(**mine, topic_id=gone.pk),
        lambda: services.move_chapter(**mine, chapter_id=second.pk, note_id=other.pk, order=0),
        lambda: services.delete_chapter(**mine, chapter_id=first.pk),
        lambda: services.restore_version(**mine, note_id=note.pk, version=1),
        lambda: services.delete_note(**mine, note_id=note.pk),
        lambda: services.restore_note(**mine, note_id=note.pk),
        lambda: services.import_notes(**mine, notes=[{"title": "a"}, {"title": "b", "tags": ["c"]}]),
    ]
    for write in writes:
        write()
        assert_sizes_are_those_of_a_recount(alice)


def test_a_full_account_refuses_what_grows_and_tells_how_much_there_is(alice, alice_client, make_note, send, settings):
    note = make_note(alice, title="1234567890", tags=["trash"])
    services.delete_note(user_id=alice.pk, note_id=note.pk)
    settings.NOTES_BYTES_PER_USER = 20

    refused = send(alice_client, "post", "/api/notes/", {"title": "123456"})
    accepted = send(alice_client, "post", "/api/notes/", {"title": "12345"})

    assert refused.status_code == 413
    assert problem(refused) == {"code": "account_full", "limit": 20, "used": 15, "left": 5}
    assert (accepted.status_code, total_of(alice)) == (201, 20)
    assert_sizes_are_those_of_a_recount(alice)


def test_the_first_write_of_an_account_that_is_full_already_is_refused(alice, alice_client, send, settings):
    NoteFactory(user=alice, title="1234567890")
    settings.NOTES_BYTES_PER_USER = 8

    refused = send(alice_client, "post", "/api/notes/", {"title": "1"})

    assert problem(refused) == {"code": "account_full", "limit": 8, "used": 10, "left": 0}
    assert Note.objects.count() == 1


def test_a_note_of_unknown_size_is_counted_at_its_next_write_and_never_taken_for_empty(alice, alice_client, send):
    note = legacy_note(alice, pieces=52)
    chapter = note.chapters.get()
    assert size_of(note) is None

    refused = send(alice_client, "post", "/api/topics/", {"chapter": chapter.pk, "title": "t", "code": PIECE})
    assert refused.status_code == 413
    assert problem(refused)["used"] == len("old") + len("c") + 52 * 100_001
    renamed = send(alice_client, "patch", f"/api/notes/{note.pk}/", {"title": "new title"})

    assert renamed.status_code == 200
    assert_sizes_are_those_of_a_recount(alice)


def test_a_note_over_its_budget_can_be_read_exported_made_smaller_and_deleted(alice, alice_client, send, make_note):
    note = legacy_note(alice, pieces=60)
    chapter = note.chapters.get()
    first, second = chapter.topics.all()[:2]
    path = f"/api/notes/{note.pk}/"

    assert alice_client.get(path).status_code == 200
    with zipfile.ZipFile(io.BytesIO(b"".join(alice_client.get("/api/users/me/export/").streaming_content))) as archive:
        [exported] = json.loads(archive.read("notes.json"))
    assert [topic["explanation"] for topic in exported["chapters"][0]["topics"]] == [PIECE] * 60
    assert send(alice_client, "patch", f"/api/topics/{first.pk}/", {"explanation": "shorter"}).status_code == 200
    assert send(alice_client, "patch", path, {"title": "odd"}).status_code == 200  # as long as "old"
    assert send(alice_client, "patch", path, {"title": "longer"}).json()["code"] == "note_too_large"
    assert send(alice_client, "delete", f"/api/topics/{second.pk}/").status_code == 204
    assert send(alice_client, "post", f"/api/topics/{first.pk}/move/", {"order": 3}).status_code == 200
    assert send(alice_client, "delete", path).status_code == 204
    assert send(alice_client, "post", f"{path}restore/").status_code == 200
    assert_sizes_are_those_of_a_recount(alice)


def test_moving_into_a_full_note_is_refused_and_moves_nothing(alice, alice_client, make_note, send):
    full = legacy_note(alice, pieces=52)
    note = make_note(alice, 1)
    chapter = note.chapters.get()
    topic = chapter.topics.get()
    services.update_topic(user_id=alice.pk, topic_id=topic.pk, changes={"explanation": PIECE})

    for path, body in (
        (f"/api/topics/{topic.pk}/move/", {"order": 0, "chapter": full.chapters.get().pk}),
        (f"/api/chapters/{chapter.pk}/move/", {"order": 0, "note": full.pk}),
    ):
        assert problem(send(alice_client, "post", path, body))["code"] == "note_too_large"

    assert Topic.objects.get(pk=topic.pk).chapter_id == chapter.pk
    assert note.chapters.get() == chapter


def test_a_full_account_can_still_move_what_it_has(alice, alice_client, make_note, send, settings):
    topic = make_note(alice, 1).chapters.get().topics.get()
    target = make_note(alice, 0).chapters.get()
    settings.NOTES_BYTES_PER_USER = 1

    moved = send(alice_client, "post", f"/api/topics/{topic.pk}/move/", {"order": 0, "chapter": target.pk})

    assert moved.status_code == 200
    assert_sizes_are_those_of_a_recount(alice)


def test_restoring_a_version_that_does_not_fit_is_refused(alice, alice_client, make_note, send, settings):
    note = make_note(alice, title="a long title")
    services.update_note(user_id=alice.pk, note_id=note.pk, changes={"title": "short"})
    settings.NOTES_BYTES_PER_USER = 10

    refused = send(alice_client, "post", f"/api/notes/{note.pk}/versions/1/restore/")

    assert problem(refused) == {"code": "account_full", "limit": 10, "used": 5, "left": 5}
    assert Note.objects.get().title == "short"
    assert NoteVersion.objects.count() == 1


def test_of_a_note_too_large_for_a_version_none_is_kept(alice, alice_client, make_note, send, monkeypatch):
    note = make_note(alice, title="a title")
    monkeypatch.setattr(editing, "LARGEST_KEPT", 5)
    NoteVersion.objects.create(note=note, version=0, reason="edit", snapshot={"title": "x", "chapters": []})
    NoteVersion.objects.update(created_at="2020-01-01T00:00:00Z")

    assert send(alice_client, "patch", f"/api/notes/{note.pk}/", {"title": "a tit"}).status_code == 200
    Note.objects.update(size_bytes=6)
    assert send(alice_client, "post", f"/api/notes/{note.pk}/versions/0/restore/").json()["code"] == "note_too_large"

    assert NoteVersion.objects.count() == 1


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ("note", "Done. Your note would be too large with the answer, so it was not written to it"),
        ("account", "Done. Your account has no room for the answer, so it was not written to your topic"),
    ],
)
def test_an_answer_that_does_not_fit_is_kept_and_not_applied(alice, settings, budget, message):
    if budget == "note":
        topic = legacy_note(alice, pieces=53).chapters.get().topics.first()
        Topic.objects.filter(pk=topic.pk).update(explanation="")
        Topic.objects.filter(chapter=topic.chapter, order=1).update(explanation="x" * (NOTE_MAX_BYTES - 5_100_058))
    else:
        topic = TopicFactory(chapter__note__user=alice, explanation="")
        settings.NOTES_BYTES_PER_USER = 10
    task = ledger.submit(
        user_id=alice.pk, topic_id=topic.pk, apply=True, request_type="generate_explanation", request_data={}
    ).task

    ledger.succeed(ledger.claim(task.pk), ANSWER)

    ended = AITask.objects.get()
    assert (ended.status, ended.applied_at, ended.message) == ("succeeded", None, message)
    assert ended.result == ANSWER.result
    assert Topic.objects.get(pk=topic.pk).explanation == ""
    assert Note.objects.get().version == 1
    assert not NoteVersion.objects.exists()


def test_an_applied_answer_counts(alice, make_note):
    topic = make_note(alice, 1).chapters.get().topics.get()
    task = ledger.submit(
        user_id=alice.pk, topic_id=topic.pk, apply=True, request_type="generate_explanation", request_data={}
    ).task

    ledger.succeed(ledger.claim(task.pk), ANSWER)

    assert Topic.objects.get().explanation == ANSWER.result["content"]
    assert_sizes_are_those_of_a_recount(alice)


def test_a_strangers_attempts_change_no_size(alice, charlie, charlie_client, make_note, send):
    note = make_note(alice, 1)
    topic = note.chapters.get().topics.get()
    sizes = (size_of(note), total_of(alice))

    assert send(charlie_client, "patch", f"/api/topics/{topic.pk}/", {"explanation": PIECE}).status_code == 404
    assert send(charlie_client, "delete", f"/api/topics/{topic.pk}/").status_code == 404

    assert (size_of(note), total_of(alice)) == sizes
    assert not StorageUse.objects.filter(pk=charlie.pk).exists()


@pytest.mark.parametrize("size", [1, 10, 100])
def test_a_write_costs_the_same_in_a_note_of_any_size(
    alice, alice_client, make_note, send, warm, size, django_assert_num_queries
):
    note = make_note(alice, *[1] * size)
    topic = note.chapters.first().topics.get()
    send(alice_client, "patch", f"/api/topics/{topic.pk}/", {"code": "y"})
    warm(alice_client)

    # A savepoint's two; the place; the claim and what was claimed; the size before, the change, the topic; both sizes.
    with django_assert_num_queries(10):
        assert send(alice_client, "patch", f"/api/topics/{topic.pk}/", {"code": "longer"}).status_code == 200
