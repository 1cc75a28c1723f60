"""Indexing notes: which passages are asked about and how often, what it costs, and whose it is."""

from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ai_tasks.embedding_rows import EmbeddingModel, EmbeddingUse, NoteIndexing, PassageVector
from ai_tasks.embeddings import calls, indexing, waiting
from ai_tasks.embeddings.indexing import TEXTS_MAX, index_due_notes
from ai_tasks.embeddings.texts import EMBEDDED_MAX
from NoteAssist_AI.ai_settings import Price
from notes import services
from tests.ai_tasks.conftest import EMBEDDING_MODEL
from tests.ai_tasks.indexed_notes import CAR, CAT, TEXT, asked, make_due, note_of, topic_of, unit, write
from tests.embedding_behaviours import DIMENSION, TOKENS_EACH

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
