"""Indexing notes: which passages are asked about, how often, and what becomes of it when something breaks."""

import signal
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ai_tasks.embeddings import calls, indexing, waiting
from ai_tasks.embeddings.indexing import FAILURES_MAX, TEXTS_MAX, index_due_notes
from ai_tasks.embeddings.rows import EmbeddingModel, EmbeddingUse, NoteIndexing, PassageVector
from ai_tasks.embeddings.texts import EMBEDDED_MAX
from NoteAssist_AI.ai_settings import Price
from notes import services
from notes.models import Note, Topic
from tests.ai_tasks.conftest import EMBEDDING_MODEL
from tests.ai_tasks.test_embeddings_set_up import drop_extension
from tests.database_faults import refusing, without_column
from tests.embedding_behaviours import DIMENSION, EMBEDDINGS, REFUSED, TOKENS_EACH, meaning
from tests.factories import ChapterFactory, NoteFactory, TopicFactory
from tests.processes import running_worker, wait_until
from utils.redis.broker import publish

CAR = "A car drives on the motorway."
CAT = "The kitten is a feline that can purr."
TEXT = f"# A heading of some length\n\n{CAR}\n\n- short\n\n{CAT}\n"


def note_of(user, *texts: str) -> Note:
    chapter = ChapterFactory(note=NoteFactory(user=user))
    for order, text in enumerate(texts):
        TopicFactory(chapter=chapter, explanation=text, order=order)
    return chapter.note


def write(user, topic: Topic, text: str) -> None:
    services.update_topic(user_id=user.pk, topic_id=topic.pk, changes={"explanation": text}, if_match=None)


def topic_of(note: Note) -> Topic:
    return Topic.objects.filter(chapter__note=note).earliest("order")


def unit(text: str) -> list[float]:
    """What is stored for a text that speaks of one thing."""
    return [float(number > 0) for number in meaning(text)]


def make_due() -> None:
    """As if everybody had left the notes alone for a while, and the provider, too."""
    NoteIndexing.objects.filter(due_at__isnull=False).update(due_at=timezone.now() - timedelta(seconds=1))
    EmbeddingModel.objects.update(paused_until=None)


def asked(server) -> list[str]:
    return [text for texts in server.state.embedded for text in texts]


# --- What is asked ----------------------------------------------------------------------------------------------------


def test_each_passage_of_a_note_gets_its_vector(alice, embeddings, state_of):
    note = note_of(alice, TEXT, "", CAT)

    assert index_due_notes() == 1

    assert asked(embeddings) == [CAR, CAT]  # no heading, nothing too short to be quoted, no text twice
    rows = PassageVector.objects.order_by("topic__order", "pk")
    assert [(row.user_id, row.topic.order, row.model, row.dimension) for row in rows] == [
        (alice.pk, 0, EMBEDDING_MODEL, DIMENSION),
        (alice.pk, 0, EMBEDDING_MODEL, DIMENSION),
        (alice.pk, 2, EMBEDDING_MODEL, DIMENSION),
    ]
    assert rows[0].vector == unit(CAR)
    assert rows[1].vector == rows[2].vector == unit(CAT)
    shown = state_of(note)
    assert shown.pop("indexed_at").startswith("20")
    assert shown == {
        "state": "current",
        "model": EMBEDDING_MODEL,
        "dimension": DIMENSION,
        "passages": 3,
        "skipped": 0,
        "error": None,
    }


def test_nothing_is_asked_twice(alice, embeddings, state_of):
    note = note_of(alice, TEXT)
    index_due_notes()
    write(alice, topic_of(note), f"{CAT}\n\nA treaty ends the war.\n\n{CAR}")
    assert state_of(note)["state"] == "waiting"
    make_due()

    index_due_notes()

    assert asked(embeddings) == [CAR, CAT, "A treaty ends the war."]
    assert PassageVector.objects.count() == 3
    write(alice, topic_of(note), CAR)
    other = note_of(alice, f"{CAT}\n\n{CAR}")  # the same words elsewhere
    make_due()
    index_due_notes()
    assert len(asked(embeddings)) == 4
    assert asked(embeddings)[3:] == [CAT], "the vector of a passage that is gone is gone, too"
    assert [state_of(each)["passages"] for each in (note, other)] == [1, 2]
    index_due_notes()
    assert len(asked(embeddings)) == 4


def test_what_another_user_wrote_is_asked_again(alice, charlie, embeddings):
    """Whether somebody else has written a text is nobody's business, so nobody's time or bill tells it."""
    note_of(alice, CAR)
    note_of(charlie, CAR)

    index_due_notes()

    assert asked(embeddings) == [CAR, CAR]


def test_a_call_takes_a_bounded_number_of_texts_of_bounded_length(alice, embeddings):
    note_of(
        alice, "\n\n".join(f"Paragraph number {n} is this." for n in range(2 * TEXTS_MAX + 3)), "long words " * 5000
    )

    index_due_notes()

    assert [len(texts) for texts in embeddings.state.embedded] == [TEXTS_MAX, TEXTS_MAX, 4]
    assert max(map(len, asked(embeddings))) == EMBEDDED_MAX


def test_a_note_is_left_alone_while_somebody_writes_in_it(alice, embeddings):
    services.create_note(
        user_id=alice.pk,
        data={"title": "N", "chapters": [{"title": "C", "topics": [{"title": "T", "explanation": CAR}]}]},
    )

    assert index_due_notes() == 0
    make_due()
    assert index_due_notes() == 1
    assert asked(embeddings) == [CAR]


def test_a_note_in_the_trash_is_not_asked_about_until_it_is_restored(alice, embeddings, alice_client):
    note = note_of(alice, CAR)
    waiting.follow_notes([note.pk])
    make_due()
    services.delete_note(user_id=alice.pk, note_id=note.pk)

    index_due_notes()

    assert asked(embeddings) == []
    assert alice_client.get(f"/api/notes/{note.pk}/indexing/").status_code == 404
    services.restore_note(user_id=alice.pk, note_id=note.pk)
    assert index_due_notes() == 1
    assert asked(embeddings) == [CAR]


def test_another_model_indexes_everything_anew(alice, embeddings, settings, state_of):
    note = note_of(alice, TEXT)
    index_due_notes()
    settings.EMBEDDINGS_MODEL = "better"
    assert state_of(note)["state"] == "waiting"

    assert index_due_notes() == 1

    assert asked(embeddings) == [CAR, CAT] * 2
    assert set(PassageVector.objects.values_list("model", flat=True)) == {"better"}
    assert PassageVector.objects.count() == 2
    assert (state_of(note)["state"], state_of(note)["model"]) == ("current", "better")


def test_another_dimension_indexes_everything_anew_once_it_is_certain(alice, embeddings):
    first, second = note_of(alice, CAR), note_of(alice, CAT)
    index_due_notes()
    write(alice, topic_of(first), f"{CAR}\n\nA battle of soldiers.")
    make_due()
    embeddings.state.embedding_default = "longer"

    index_due_notes()
    make_due()
    index_due_notes()

    assert set(PassageVector.objects.values_list("dimension", flat=True)) == {DIMENSION + 2}
    assert PassageVector.objects.filter(topic__chapter__note=second).count() == 1
    assert NoteIndexing.objects.filter(due_at=None, dimension=DIMENSION + 2).count() == 2


def test_one_answer_of_another_dimension_is_a_mistake(alice, embeddings, state_of):
    note = note_of(alice, CAR)
    index_due_notes()
    write(alice, topic_of(note), CAT)
    make_due()
    embeddings.state.embedding_script.append("longer")

    assert index_due_notes() == 0

    assert state_of(note)["error"]["code"] == "answer_unreadable"
    assert EmbeddingModel.objects.get().dimension == DIMENSION
    make_due()
    assert index_due_notes() == 1
    assert set(PassageVector.objects.values_list("dimension", flat=True)) == {DIMENSION}


# --- What fails -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "code", "pause"),
    [
        ("500", "provider_failed", 15),
        ("429", "provider_rate_limited", 120),  # as it asked for
        ("401", "provider_key_invalid", 15),
        ("nan", "answer_unreadable", 15),
    ],
)
def test_a_provider_that_fails_is_left_alone_for_a_while(alice, embeddings, state_of, behaviour, code, pause):
    notes = [note_of(alice, CAR), note_of(alice, CAT)]
    embeddings.state.embedding_script.append(behaviour)
    before = timezone.now()

    assert index_due_notes() == 0

    assert len(embeddings.state.embedded) == 1
    known = EmbeddingModel.objects.get()
    assert before <= known.paused_until - timedelta(seconds=pause) <= timezone.now()
    for note in notes:
        shown = state_of(note)
        assert (shown["state"], shown["error"]["code"]) == ("waiting", code)
        assert "Vendor" not in shown["error"]["detail"]
    assert index_due_notes() == 0
    assert len(embeddings.state.embedded) == 1, "it is not asked meanwhile"
    make_due()
    assert index_due_notes() == 2
    assert EmbeddingModel.objects.filter(failures=0, error_code="", paused_until=None).exists()


def test_each_further_failure_doubles_the_pause_up_to_ten_minutes(alice, embeddings):
    note_of(alice, CAR)
    embeddings.state.embedding_default = "500"

    for seconds in (15, 30, 60, 120, 240, 480, 600, 600):
        before = timezone.now()
        index_due_notes()

        assert before <= EmbeddingModel.objects.get().paused_until - timedelta(seconds=seconds) <= timezone.now()
        make_due()


def test_a_text_that_the_model_refuses_keeps_no_other_from_its_vector(alice, embeddings, state_of):
    note = note_of(alice, f"{CAR}\n\nAn {REFUSED} paragraph.\n\n{CAT}")

    assert index_due_notes() == 1

    shown = state_of(note)
    assert (shown["state"], shown["passages"], shown["skipped"], shown["error"]) == ("current", 3, 1, None)
    calls_made = len(embeddings.state.embedded)
    write(alice, topic_of(note), f"An {REFUSED} paragraph.\n\n{CAT}")
    make_due()
    assert index_due_notes() == 1
    assert len(embeddings.state.embedded) == calls_made, "it is not asked about again"


def test_a_server_that_refuses_everything_is_not_taken_for_one_that_refuses_a_text(alice, embeddings, state_of):
    note = note_of(alice, CAR)
    embeddings.state.embedding_default = "400"

    assert index_due_notes() == 0

    assert not PassageVector.objects.exists()
    assert (state_of(note)["state"], state_of(note)["error"]["code"]) == ("waiting", "provider_rejected")


@pytest.fixture
def meanwhile(transactional_db, embeddings, monkeypatch) -> Callable[[Callable[[], object]], None]:
    """Have something done, once, between the question and the answer of the server."""

    def do(action: Callable[[], object]) -> None:
        def answer(handler, body) -> None:
            try:
                action()
            finally:
                connection.close()  # of the server's thread
            EMBEDDINGS["ok"](handler, body)

        monkeypatch.setitem(EMBEDDINGS, "meanwhile", answer)
        embeddings.state.embedding_script.append("meanwhile")

    return do


def test_an_edit_during_the_call_is_not_taken_for_indexed(alice, meanwhile, state_of):
    note = note_of(alice, CAR)
    meanwhile(lambda: write(alice, topic_of(note), CAT))
    index_due_notes()

    assert state_of(note)["state"] == "waiting"
    make_due()
    assert index_due_notes() == 1
    assert [row.vector for row in PassageVector.objects.all()] == [unit(CAT)]
    assert state_of(note)["passages"] == 1


def test_a_note_that_ends_its_workers_is_given_up(alice, embeddings, state_of):
    note = note_of(alice, CAR)
    waiting.follow_notes([note.pk])
    make_due()
    for _ in range(FAILURES_MAX):
        assert indexing._claim() is not None
        NoteIndexing.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))

    assert indexing._claim() is None

    shown = state_of(note)
    assert (shown["state"], shown["error"]["code"]) == ("failed", "worker_lost")
    write(alice, topic_of(note), CAT)
    make_due()
    assert index_due_notes() == 1
    assert state_of(note)["state"] == "current"


def test_what_is_wrong_on_our_side_is_tried_again_and_then_told(transactional_db, alice, embeddings, state_of):
    note = note_of(alice, CAR)
    with without_column("ai_tasks_passagevector", "hash"):
        for _ in range(FAILURES_MAX):
            assert index_due_notes() == 0
            make_due()

    assert (state_of(note)["state"], state_of(note)["error"]["code"]) == ("failed", "internal_error")
    assert asked(embeddings) == []


def test_a_worker_that_lost_its_note_changes_nothing(alice, meanwhile):
    note_of(alice, CAR)
    meanwhile(lambda: NoteIndexing.objects.update(attempt=7))

    with refusing("BEFORE INSERT", "ai_tasks_passagevector", sqlstate="P0001"):
        index_due_notes()

    row = NoteIndexing.objects.get()
    assert (row.attempt, row.failures) == (7, 0)
    assert row.lease_expires_at is not None


def test_two_workers_never_have_the_same_note(alice, embeddings):
    waiting.follow_notes([note_of(alice, CAR).pk])
    make_due()

    assert indexing._claim() is not None
    assert indexing._claim() is None


# --- What it costs ----------------------------------------------------------------------------------------------------


def test_off_there_is_no_query_no_row_and_no_call(alice, settings, state_of):
    note = note_of(alice, CAR)
    settings.EMBEDDINGS_ARE_ON = False

    with CaptureQueriesContext(connection) as queries:
        assert index_due_notes() == 0
        waiting.follow_notes([note.pk])

    assert len(queries) == 0
    assert state_of(note)["state"] == "off"
    assert not NoteIndexing.objects.exists()


@pytest.mark.parametrize("count", [1, 10])
def test_a_write_takes_one_statement_more_whatever_it_writes(alice, embeddings, count, django_assert_num_queries):
    notes = [{"title": "N", "chapters": [{"title": "C", "topics": [{"title": "T", "explanation": CAR}]}]}] * count
    with CaptureQueriesContext(connection) as on:
        services.import_notes(user_id=alice.pk, notes=notes)

    assert sum("ai_tasks_noteindexing" in query["sql"] for query in on) == 1
    assert NoteIndexing.objects.count() == count


def test_tokens_and_money_of_embeddings_stand_in_the_usage(alice, alice_client, charlie_client, embeddings, settings):
    settings.AI_PRICES = {EMBEDDING_MODEL: Price(Decimal(100), Decimal(0))}
    note_of(alice, TEXT)
    index_due_notes()

    usage = alice_client.get("/api/ai/usage/").json()

    assert usage["features"] == {
        "embeddings": {
            "tasks": 0,
            "input_tokens": 2 * TOKENS_EACH,
            "output_tokens": 0,
            "cost": {"amount": "0.001400", "currency": "USD"},
        }
    }
    assert usage["input_tokens_today"] == 2 * TOKENS_EACH
    assert (usage["tasks_today"], usage["estimated"]) == (0, False)
    assert usage["budget"]["spent"] == {"amount": "0.001400", "currency": "USD"}
    assert charlie_client.get("/api/ai/usage/").json()["features"] == {}
    EmbeddingUse.objects.update(day="2026-01-01")
    assert alice_client.get("/api/ai/usage/").json()["features"] == {}
    note_of(alice, "A loan of money at interest.")
    index_due_notes()
    assert alice_client.get("/api/ai/usage/").json()["features"]["embeddings"]["input_tokens"] == TOKENS_EACH


def test_the_walk_goes_through_all_notes_a_part_at_a_time(alice, embeddings, monkeypatch):
    monkeypatch.setattr(waiting, "WALK_MAX", 2)
    for _ in range(5):
        note_of(alice, CAR)
    standing = calls.standing_of(indexing.embedding_endpoint())

    assert [waiting.walk(standing) for _ in range(4)] == [2, 2, 1, 0]


def test_without_redis_what_is_due_is_indexed_all_the_same(alice, embeddings, dead_redis):
    first, _ = note_of(alice, CAR), note_of(alice, CAT)
    waiting.follow_notes([first.pk])
    make_due()

    assert index_due_notes() == 1
    assert asked(embeddings) == [CAR]


def test_without_the_extension_nothing_is_asked(alice, embeddings, caplog):
    note_of(alice, CAR)
    drop_extension()

    assert index_due_notes() == 0

    assert asked(embeddings) == []
    assert "CREATE EXTENSION vector" in caplog.text


# --- Whose it is ------------------------------------------------------------------------------------------------------


def test_a_strangers_note_is_like_none(alice, charlie_client, embeddings):
    note = note_of(alice, CAR)
    index_due_notes()

    theirs = charlie_client.get(f"/api/notes/{note.pk}/indexing/")
    none = charlie_client.get("/api/notes/999999999/indexing/")

    assert theirs.status_code == none.status_code == 404


@pytest.mark.parametrize("what", ["topic", "note"])
def test_vectors_go_with_what_they_were_made_of_and_cost_no_statement(alice, embeddings, what):
    note = note_of(alice, CAR, CAT)
    index_due_notes()
    with CaptureQueriesContext(connection) as queries:
        if what == "topic":
            services.delete_topic(user_id=alice.pk, topic_id=topic_of(note).pk, if_match=None)
        else:
            note.delete()

    assert not any("passagevector" in query["sql"] for query in queries)
    assert PassageVector.objects.count() == (1 if what == "topic" else 0)
    assert NoteIndexing.objects.count() == (1 if what == "topic" else 0)


# --- Real workers -----------------------------------------------------------------------------------------------------


def environment(server) -> dict[str, str]:
    return {"EMBEDDINGS_BASE_URL": server.base_url, "EMBEDDINGS_MODEL": EMBEDDING_MODEL}


@pytest.mark.slow
def test_a_killed_workers_note_is_indexed_by_the_next(transactional_db, alice, embeddings, tmp_path, state_of):
    note = note_of(alice, TEXT)
    embeddings.state.embedding_script.append("hang")
    with running_worker(tmp_path / "first", **environment(embeddings)) as worker:
        assert publish("ai_tasks.index_notes")
        wait_until(lambda: embeddings.state.embedded != [])
        assert state_of(note)["state"] == "running"
        worker.kill()
    NoteIndexing.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))

    with running_worker(tmp_path / "second", **environment(embeddings)):
        assert publish("ai_tasks.index_notes")
        wait_until(lambda: state_of(note)["state"] == "current")

    assert PassageVector.objects.count() == 2


@pytest.mark.slow
def test_a_worker_that_is_told_to_end_gives_its_note_back(transactional_db, alice, embeddings, tmp_path):
    note_of(alice, TEXT)
    embeddings.state.embedding_script.append("hang")
    with running_worker(tmp_path / "log", AI_SHUTDOWN_SECONDS="1", **environment(embeddings)) as worker:
        assert publish("ai_tasks.index_notes")
        wait_until(lambda: embeddings.state.embedded != [])
        worker.send(signal.SIGTERM)
        assert worker.wait(30) == 0

    row = NoteIndexing.objects.get()
    assert (row.lease_expires_at, row.failures) == (None, 0)
    assert row.due_at is not None
