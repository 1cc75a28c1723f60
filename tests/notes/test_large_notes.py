"""A large text is stored at once; its words, and the blocks of new topics, are made by a worker soon after."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from NoteAssist_AI.celery import app
from notes import services
from notes.models import Chapter, Note, NoteLink, Topic
from notes.services import indexing
from tests.database_faults import after_queries, barrier, in_background, refusing
from utils.async_optimization import make_words

WORDS = "word " * 14_000
"""70 kB."""
FOUND_LATER = "client/server"
"""The search of the release before has no parts of it."""
TOO_LARGE = "54000"
"""What PostgreSQL says of a vector that is too long."""


def content(*explanations, title="A note"):
    topics = [{"title": f"topic {number}", "explanation": text} for number, text in enumerate(explanations)]
    return {"title": title, "chapters": [{"title": "A chapter", "topics": topics}]}


@pytest.fixture
def large(alice, alice_client, send):
    """A note of two topics, the second of which is large, as a request left it."""
    response = send(alice_client, "post", "/api/notes/", content("small", f"{FOUND_LATER} {WORDS}"))
    assert response.status_code == 201
    return Note.objects.get(pk=response.json()["id"])


@pytest.fixture
def indexed(large):
    """The same, once the worker is done."""
    assert indexing.make_due_words() == 1
    return Note.objects.get(pk=large.pk)


def listed(client, search):
    return [row["title"] for row in client.get("/api/notes/", {"search": search}).json()["results"]]


def without_words(note):
    return [row.pk for row in Topic.objects.filter(chapter__note=note, words=None)]


def messages(redis_connection):
    """The names of the tasks in the workers' queue."""
    return [json.loads(envelope)["headers"]["task"] for envelope in redis_connection.lrange("celery", 0, -1)]


def topic_of(note, number):
    return Topic.objects.get(chapter__note=note, order=number)


def blocks(client, topic):
    return client.get(f"/api/topics/{topic.pk}/blocks/").json()["results"]


def write(client, send, topic, **changes):
    response = send(client, "patch", f"/api/topics/{topic.pk}/", changes)
    assert response.status_code == 200, response.content


# --- When ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "is_due"), [(60_000, False), (70_000, True)])
def test_only_a_large_note_is_left_to_the_worker(alice_client, send, empty_redis, size, is_due):
    send(alice_client, "post", "/api/notes/", content("x" * size))

    note = Note.objects.get()
    assert (note.words is None, note.words_due_at is not None) == (is_due, is_due)
    assert [topic.blocks is None for topic in Topic.objects.all()] == [is_due]
    assert [topic.words is None for topic in Topic.objects.all()] == [is_due]
    assert messages(empty_redis) == ["notes.make_words"] * is_due


def test_the_worker_makes_words_blocks_and_nothing_else(alice_client, large):
    before = {row.pk: row for row in Topic.objects.filter(chapter__note=large)}

    assert indexing.make_due_words() == 1

    note = Note.objects.get(pk=large.pk)
    assert (note.version, note.updated_at) == (large.version, large.updated_at)
    assert note.words_due_at is None
    assert f"{note.user_id:x}:note" in note.words
    assert Chapter.objects.get(note=note).words
    for topic in Topic.objects.filter(chapter__note=note):
        assert (topic.title, topic.explanation) == (before[topic.pk].title, before[topic.pk].explanation)
        assert topic.words
        assert topic.blocks
    assert indexing.make_due_words() == 0


def test_a_lost_message_is_made_up_for_by_beat(alice_client, send, empty_redis):
    send(alice_client, "post", "/api/notes/", content(f"{FOUND_LATER} {WORDS}"))
    empty_redis.delete("celery")
    [entry] = [entry for entry in app.conf.beat_schedule.values() if entry["task"] == "notes.make_words"]
    assert (make_words.name, entry["schedule"].run_every.total_seconds()) == ("notes.make_words", 15)

    make_words()

    assert listed(alice_client, "server") == ["A note"]


# --- What is found ------------------------------------------------------------------------------------------------


def test_a_large_note_is_found_at_once_as_in_the_release_before_and_soon_by_every_word(alice_client, large):
    assert listed(alice_client, "word") == ["A note"]
    assert listed(alice_client, "small topic chapter") == ["A note"]
    assert listed(alice_client, "server") == []

    indexing.make_due_words()

    assert listed(alice_client, "server") == ["A note"]  # no page from before is shown
    assert listed(alice_client, "small topic chapter") == ["A note"]


def test_others_do_not_find_it(charlie_client, large):
    assert listed(charlie_client, "word") == []

    indexing.make_due_words()

    assert listed(charlie_client, "word") == []
    assert charlie_client.get(f"/api/topics/{topic_of(large, 1).pk}/blocks/").status_code == 404


def test_a_large_edit_hides_nothing_that_was_found(alice_client, send, indexed):
    first, second = topic_of(indexed, 0), topic_of(indexed, 1)

    write(alice_client, send, second, explanation=f"one/two {WORDS}")

    assert without_words(indexed) == [second.pk]
    assert listed(alice_client, "small") == ["A note"]
    assert listed(alice_client, "word") == ["A note"]
    assert listed(alice_client, "server") == []
    write(alice_client, send, first, explanation="three/four")
    assert listed(alice_client, "four") == ["A note"]
    assert indexing.make_due_words() == 1
    for sought in ("two", "four", "word"):
        assert listed(alice_client, sought) == ["A note"]
    assert listed(alice_client, "server") == []


@pytest.mark.parametrize("kind", ["topic", "chapter"])
def test_what_moves_before_its_words_are_made_is_found_in_its_new_note(alice, alice_client, send, large, kind):
    there = services.create_note(user_id=alice.pk, data=content("other", title="There"))
    if kind == "topic":
        path, target = f"/api/topics/{topic_of(large, 1).pk}/move/", {"chapter": there["chapters"][0]["id"]}
    else:
        path, target = f"/api/chapters/{Chapter.objects.get(note=large).pk}/move/", {"note": there["id"]}

    assert send(alice_client, "post", path, {**target, "order": 0}).status_code == 200

    assert listed(alice_client, "word") == ["There"]
    assert indexing.make_due_words() == 2
    assert listed(alice_client, "server") == ["There"]
    assert listed(alice_client, "chapter server") == ["There"]


def test_a_new_large_topic_of_a_small_note_is_found_in_the_end(alice, alice_client, send):
    note = services.create_note(user_id=alice.pk, data=content("small"))
    body = {"chapter": note["chapters"][0]["id"], "title": "New", "explanation": f"{FOUND_LATER} {WORDS}"}

    assert send(alice_client, "post", "/api/topics/", body).status_code == 201

    assert listed(alice_client, "word small") == ["A note"]
    assert indexing.make_due_words() == 1
    assert listed(alice_client, "server") == ["A note"]


def test_a_restored_version_and_a_copy_are_found_in_the_end(alice_client, charlie_client, send, indexed):
    write(alice_client, send, topic_of(indexed, 1), explanation="short")
    assert listed(alice_client, "server") == []

    assert send(alice_client, "post", f"/api/notes/{indexed.pk}/versions/1/restore/").status_code == 200
    share = send(alice_client, "post", f"/api/notes/{indexed.pk}/shares/", {}).json()
    slug = share["url"].rstrip("/").rpartition("/")[2]
    assert send(charlie_client, "post", f"/api/shares/{slug}/copy/", {}).status_code == 201

    for client in (alice_client, charlie_client):
        assert listed(client, "word") == ["A note"]
        assert listed(client, "server") == []
    assert indexing.make_due_words() == 2
    for client in (alice_client, charlie_client):
        assert listed(client, "server") == ["A note"]


def test_links_of_a_large_note_are_there_at_once(alice, alice_client, send):
    meant = services.create_note(user_id=alice.pk, data={"title": "Loops"})["id"]
    send(alice_client, "post", "/api/notes/", content(f"[[loops]] [[Émile 007]] [[Loops]] {WORDS}", title="From"))

    assert list(NoteLink.objects.order_by("id").values_list("target", flat=True)) == ["loops", "Émile 007", "Loops"]
    found = alice_client.get(f"/api/notes/{meant}/backlinks/").json()["results"]
    assert [link["title"] for link in found] == ["From", "From"]


# --- Blocks -------------------------------------------------------------------------------------------------------


def test_blocks_are_the_same_before_and_after_the_worker(alice_client, large):
    topic = topic_of(large, 1)

    before = blocks(alice_client, topic)

    assert "".join(block["text"] for block in before) == topic.explanation
    indexing.make_due_words()
    assert blocks(alice_client, topic) == before


def test_blocks_that_somebody_knows_are_kept_by_a_large_edit(alice_client, send, indexed, told):
    topic = topic_of(indexed, 0)
    [block] = blocks(alice_client, topic)

    write(alice_client, send, topic, explanation=f"small\n\n{WORDS}")

    assert blocks(alice_client, topic)[0]["id"] == block["id"]
    assert told == [([topic.pk], {block["id"]: "small\n\n"}, [])]


def test_a_version_that_was_kept_before_its_blocks_were_made_comes_back_with_those_of_today(
    alice_client, send, large, told
):
    send(alice_client, "patch", f"/api/notes/{large.pk}/", {"title": "Renamed"})
    indexing.make_due_words()
    first, second = topic_of(large, 0), topic_of(large, 1)
    known = blocks(alice_client, first) + blocks(alice_client, second)
    write(alice_client, send, first, explanation="small\n\nand more")
    told.clear()

    assert send(alice_client, "post", f"/api/notes/{large.pk}/versions/1/restore/").status_code == 200

    assert blocks(alice_client, first) + blocks(alice_client, second) == known
    [(topics, changed, removed)] = told
    assert (topics, changed, len(removed)) == ([first.pk], {known[0]["id"]: "small"}, 1)


# --- Others that write ----------------------------------------------------------------------------------------------


def reads_topics(sql):
    """The worker has read what it makes words of, and has locked nothing yet."""
    return sql.startswith("SELECT") and 'FROM "notes_topic"' in sql and '"notes_topic"."words" IS NULL' in sql


def test_words_of_an_older_version_are_not_written(alice_client, send, large):
    topic = topic_of(large, 1)

    with after_queries(reads_topics, lambda: write(alice_client, send, topic, explanation=f"one/two {WORDS}")):
        assert indexing.make_words(large.pk) is False

    assert topic.pk in without_words(large)
    assert Note.objects.get(pk=large.pk).words_due_at is not None
    assert indexing.make_words(large.pk) is True
    assert listed(alice_client, "server") == []
    assert listed(alice_client, "two") == ["A note"]


def test_a_note_that_is_deleted_meanwhile_is_passed_over(large, caplog):
    with after_queries(reads_topics, lambda: Note.objects.filter(pk=large.pk).delete()):
        assert indexing.make_due_words() == 0

    assert caplog.records == []
    assert indexing.make_words(large.pk) is False


def test_users_take_turns(alice, charlie):
    notes = [(user.pk, content(WORDS, title=f"n{number}")) for user in (alice, charlie) for number in range(2)]
    first, second, other, last = (services.create_note(user_id=user_id, data=data)["id"] for user_id, data in notes)
    due = []

    def look():
        """Before each note."""
        due.append(set(Note.objects.filter(words_due_at__isnull=False).values_list("pk", flat=True)))
        return False

    assert indexing.make_due_words(look) == 4

    assert due == [{first, second, other, last}, {second, other, last}, {second, last}, {last}]


@pytest.mark.django_db(transaction=True)
def test_a_note_that_postgresql_refuses_holds_up_no_other(alice, charlie, alice_client, charlie_client):
    texts = {alice: "refused", charlie: FOUND_LATER}
    refused, other = (
        services.create_note(user_id=user.pk, data=content(f"{text} {WORDS}"))["id"] for user, text in texts.items()
    )

    with refusing("BEFORE UPDATE", "notes_topic", sqlstate=TOO_LARGE, when="NEW.explanation LIKE 'refused%'"):
        assert indexing.make_due_words() == 1

    assert listed(charlie_client, "server") == ["A note"]
    assert listed(alice_client, "refused") == ["A note"]  # as in the release before
    assert Note.objects.get(pk=refused).words_due_at is not None
    assert Note.objects.get(pk=other).words_due_at is None


def test_a_note_that_is_written_to_all_the_time_is_left_to_the_next_run(alice, alice_client, large):
    services.create_note(user_id=alice.pk, data=content(f"{FOUND_LATER} {WORDS}", title="Other"))
    reads = []

    def write_to_large():
        reads.append(Note.objects.filter(words_due_at__isnull=False).count())
        if len(reads) > 2:
            pytest.fail("It is tried again and again.")
        services.update_note(user_id=alice.pk, note_id=large.pk, changes={"tags": [f"tag{len(reads)}"]})

    with after_queries(reads_topics, write_to_large):
        assert indexing.make_due_words() == 1

    assert reads == [2, 2]  # each once
    assert Note.objects.get(title="Other").words_due_at is None
    assert Note.objects.get(pk=large.pk).words_due_at is not None
    assert indexing.make_due_words() == 1
    assert sorted(listed(alice_client, "server")) == ["A note", "Other"]


def test_blocks_that_are_there_are_not_made_again(alice_client, send, indexed):
    topic = topic_of(indexed, 1)
    write(alice_client, send, topic, explanation=f"one/two {WORDS}")
    before = topic_of(indexed, 1).blocks
    assert before is not None

    assert indexing.make_words(indexed.pk)

    assert topic_of(indexed, 1).blocks == before  # new ones would have other ids
    assert listed(alice_client, "two") == ["A note"]


def test_a_worker_that_stops_leaves_the_rest(large):
    assert indexing.make_due_words(lambda: True) == 0
    assert Note.objects.get(pk=large.pk).words_due_at is not None


@pytest.mark.django_db(transaction=True)
def test_one_thread_of_a_process_is_at_it(large):
    with barrier("BEFORE UPDATE", "notes_topic") as written, in_background(indexing.make_due_words) as first:
        written.wait_for_one()
        assert indexing.make_due_words() == 0
        written.open()

    assert first.result() == 1
    assert indexing.make_due_words() == 0


@pytest.mark.parametrize("topics", [1, 10, 19])
def test_the_worker_takes_two_statements_for_each_topic(alice, topics):
    services.create_note(user_id=alice.pk, data=content(WORDS, *["small"] * (topics - 1)))
    note = Note.objects.get()

    # The note, its topics, the lock; then the lock again, chapters, one chapter and the note. And two savepoints.
    with CaptureQueriesContext(connection) as queries:
        assert indexing.make_words(note.pk)

    assert len([query for query in queries if "SAVEPOINT" not in query["sql"]]) == 7 + 2 * topics


def test_a_note_from_before_there_were_words_waits_for_its_command(alice, alice_client, send, large):
    Note.objects.update(words_due_at=None)

    write(alice_client, send, topic_of(large, 1), explanation=f"one/two {WORDS}")

    assert indexing.make_due_words() == 0
    assert listed(alice_client, "word") == ["A note"]
