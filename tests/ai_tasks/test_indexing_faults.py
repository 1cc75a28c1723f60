"""Indexing notes when the provider, the database, Redis or a worker fails: what becomes of them."""

import signal
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from ai_tasks.embedding_rows import EmbeddingModel, NoteIndexing, PassageVector
from ai_tasks.embeddings import waiting
from ai_tasks.embeddings.indexing import FAILURES_MAX, index_due_notes
from tests.ai_tasks.conftest import EMBEDDING_MODEL
from tests.ai_tasks.indexed_notes import CAR, CAT, TEXT, asked, make_due, note_of, topic_of, unit, write
from tests.ai_tasks.test_embeddings_set_up import drop_extension
from tests.conftest import Interrupted
from tests.database_faults import refusing, without_column
from tests.embedding_behaviours import EMBEDDINGS, REFUSED
from tests.processes import running_worker, wait_until
from utils.redis.broker import publish

# --- The provider and workers -----------------------------------------------------------------------------------------


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


@pytest.fixture
def hang_and_end(embeddings, monkeypatch) -> Callable[[Callable[[], None]], None]:
    """Have each call end its worker, and answer none of them."""

    def do(end: Callable[[], None]) -> None:
        def end_and_hang(handler, body) -> None:
            end()
            EMBEDDINGS["hang"](handler, body)

        monkeypatch.setitem(EMBEDDINGS, "end", end_and_hang)
        embeddings.state.embedding_default = "end"

    return do


def test_a_note_that_ends_its_workers_is_given_up(alice, embeddings, state_of, interrupt, hang_and_end):
    note = note_of(alice, CAR)
    waiting.follow_notes([note.pk])
    make_due()
    hang_and_end(interrupt)
    for _ in range(FAILURES_MAX):
        with pytest.raises(Interrupted):
            index_due_notes()
        NoteIndexing.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))

    assert index_due_notes() == 0

    assert len(asked(embeddings)) == FAILURES_MAX
    embeddings.state.embedding_default = "ok"
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


def test_two_workers_never_have_the_same_note(alice, embeddings, meanwhile):
    note_of(alice, CAR)
    of_the_other = []
    meanwhile(lambda: of_the_other.append(index_due_notes()))

    assert index_due_notes() == 1

    assert of_the_other == [0]
    assert asked(embeddings) == [CAR]


# --- What is absent ---------------------------------------------------------------------------------------------------


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
