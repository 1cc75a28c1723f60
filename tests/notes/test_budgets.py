"""The byte budgets of notes and users."""

import io
import json
import zipfile
from contextlib import suppress
from io import StringIO

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.core.management import call_command

from ai_tasks import ledger
from ai_tasks.models import AITask
from notes import services
from notes.models import NOTE_MAX_BYTES, Note, NoteVersion, StorageUse, Topic
from notes.services import editing, text_hash
from notes.sizes import stored_size
from tests.ai_tasks.conftest import in_threads
from tests.ai_tasks.ledger_helpers import ANSWER
from tests.factories import ChapterFactory, NoteFactory, TopicFactory
from utils.page_cache.invalidation import changing_pages_of

PIECE = "x" * 100_000
SOURCES = [{"title": "Büch", "url": "https://example.com/ü"}]


def problem(response):
    return {name: response.json().get(name) for name in ("code", "limit", "used", "left")}


def size_of(note) -> int | None:
    return Note.objects.values_list("size_bytes", flat=True).get(pk=note.pk)


def total_of(user) -> int | None:
    return StorageUse.objects.values_list("size_bytes", flat=True).get(pk=user.pk)


def assert_sizes_are_those_of_a_recount(user) -> None:
    rows = list(Note.objects.filter(user=user).values_list("size_bytes", stored_size()))
    assert [known for known, _ in rows] == [counted for _, counted in rows]
    assert total_of(user) == sum(counted for _, counted in rows)


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


@pytest.mark.django_db(transaction=True)
def test_writes_at_once_add_up_and_never_pass_the_limit(alice, settings, patient_pool):
    """Also the first ones, which all find that nothing is counted yet."""
    notes = NoteFactory.create_batch(8, user=alice, title="12345")
    settings.NOTES_BYTES_PER_USER = 8 * 5 + 50

    def write(index: int) -> int:
        written = 0
        for length in range(1, 6):
            try:
                services.update_note(
                    user_id=alice.pk, note_id=notes[index].pk, changes={"title": "12345" + 2 * length * "x"}
                )
            except services.AccountFull:
                continue
            written += 2
        return written

    written = in_threads(8, write)

    assert sum(written) == 50
    count_bytes()  # a note whose writes were all refused is not counted yet
    assert total_of(alice) == settings.NOTES_BYTES_PER_USER
    assert_sizes_are_those_of_a_recount(alice)


@pytest.mark.django_db(transaction=True)
def test_writes_of_every_kind_at_once_never_pass_a_notes_limit(alice, monkeypatch, patient_pool):
    """Edits, moves to and fro, restorations and answers, all to two notes that are nearly full."""
    monkeypatch.setattr("notes.services.budgets.NOTE_MAX_BYTES", 1000)
    notes = [NoteFactory(user=alice, title=f"note {number}") for number in range(2)]
    chapters = [ChapterFactory(note=note, title="chapter") for note in notes]
    topics = [TopicFactory(chapter=chapter, title=f"t{order}", explanation=200 * "x", code="", sources=[], order=order)
              for chapter in chapters for order in range(4)]  # fmt: skip
    for note in notes:
        services.update_note(user_id=alice.pk, note_id=note.pk, changes={"title": "first edit"})  # keeps version 1
    most = []

    def write(number: int, at: int) -> None:
        topic, there, text = topics[(5 * number + at) % 8], (number + at) % 2, (40 * at % 300) * "y"
        match number % 6:
            case 0:
                services.update_topic(user_id=alice.pk, topic_id=topic.pk, changes={"code": text})
            case 1:
                services.move_topic(user_id=alice.pk, topic_id=topic.pk, order=0, chapter_id=chapters[there].pk)
            case 2:
                services.restore_version(user_id=alice.pk, note_id=notes[there].pk, version=1)
            case 3:
                data = {"title": "new", "explanation": text}
                services.create_topic(user_id=alice.pk, chapter_id=chapters[there].pk, data=data)
            case 4:
                before = text_hash(Topic.objects.get(pk=topic.pk).explanation)
                with changing_pages_of(alice.pk):
                    services.apply_ai_answer(
                        user_id=alice.pk, topic_id=topic.pk, expected_hash=before, explanation=text
                    )
            case 5:
                services.move_chapter(
                    user_id=alice.pk, chapter_id=chapters[there].pk, order=0, note_id=notes[at % 2].pk
                )

    def work(number: int) -> None:
        for at in range(12):
            # The last two: another thread was there first.
            with suppress(services.NoteTooLarge, services.MovedMeanwhile, ObjectDoesNotExist):
                write(number, at)
            most.extend(Note.objects.values_list("size_bytes", flat=True))

    in_threads(6, work)

    assert max(most) <= 1000
    assert_sizes_are_those_of_a_recount(alice)
    with pytest.raises(services.NoteTooLarge):
        services.create_chapter(user_id=alice.pk, note_id=notes[0].pk, title=300 * "😀")  # 1,200 bytes


@pytest.mark.django_db(transaction=True)
def test_counting_while_others_write_misses_nothing(alice, patient_pool):
    notes = NoteFactory.create_batch(20, user=alice, title="title")

    def work(index: int) -> None:
        if index == 0:
            count_bytes("--again")
        else:
            for note in notes[index::3]:
                services.create_chapter(user_id=alice.pk, note_id=note.pk, title="ü")

    in_threads(4, work)

    assert_sizes_are_those_of_a_recount(alice)


def count_bytes(*arguments: str) -> str:
    output = StringIO()
    call_command("count_bytes", *arguments, stdout=output)
    return output.getvalue()


def test_the_command_counts_what_is_not_known_and_goes_on_where_it_stopped(alice, charlie, make_note):
    NoteFactory.create_batch(3, user=alice, title="title")
    TopicFactory(chapter__note__user=charlie, chapter__note__title="n", chapter__title="c", title="t", code="ü")
    NoteFactory(user=charlie, title="known", size_bytes=5)

    assert count_bytes() == "Counted 4 notes and 2 users.\n"
    assert count_bytes() == "Counted 0 notes and 0 users.\n"

    for user, total in ((alice, 15), (charlie, 10)):
        assert total_of(user) == total
        assert_sizes_are_those_of_a_recount(user)


def test_the_command_counts_again_what_a_process_of_the_release_before_wrote(alice, make_note):
    note = make_note(alice, 1)
    Topic.objects.update(explanation=PIECE)
    NoteFactory(user=alice, title="new")
    assert size_of(note) < 100

    assert count_bytes("--again") == "Counted 2 notes and 1 users.\n"

    assert_sizes_are_those_of_a_recount(alice)
