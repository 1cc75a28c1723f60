"""Questions to notes that say it in other words: found by vectors, beside the search by words, and never without it."""

import json

import pytest

from ai_tasks.asking.passages import Scope, find_passages, fused
from ai_tasks.embedding_rows import EmbeddingModel, EmbeddingUse, PassageVector
from ai_tasks.embeddings.indexing import index_due_notes
from ai_tasks.embeddings.searching import NEAREST_MAX
from ai_tasks.handlers.ask import NOT_IN_NOTES
from notes.models import Note, Topic
from tests.ai_tasks.asking import answer_of, ask, blocks_of
from tests.ai_tasks.test_embeddings_set_up import drop_extension
from tests.embedding_behaviours import TOKENS_EACH
from tests.factories import ChapterFactory, NoteFactory, TopicFactory

CAT = "The kitten likes to purr."
WAR = "A treaty ended the fighting between soldiers."
QUESTION = "Which feline is there?"
"""It shares no telling word with ``CAT``."""


def topic_of(user, text, *, tags=()) -> Topic:
    chapter = ChapterFactory(title="Chapter", note=NoteFactory(user=user, title="Note", tags=list(tags)))
    return TopicFactory(chapter=chapter, title="Topic", explanation=text)


def found_in(user, question, **scope) -> list[str]:
    return [passage.text.strip() for passage in find_passages(question, Scope(user.pk, **scope)).passages]


def test_what_is_said_in_other_words_is_found(alice, embeddings):
    topic_of(alice, f"{CAT}\n\nSomething else entirely.")
    topic_of(alice, WAR)
    assert found_in(alice, QUESTION) == []

    index_due_notes()

    assert found_in(alice, QUESTION) == [CAT]
    assert found_in(alice, "Which battle?") == [WAR]
    assert found_in(alice, "What about volcanoes?") == ["Something else entirely."]  # it speaks of nothing, too


def test_what_both_searches_find_comes_first(alice, embeddings):
    both, words, meaning = "A feline is a kitten.", "Feline money: the bank's interest.", "Kittens purr all day."
    for text in (words, meaning, both):
        topic_of(alice, text)
    index_due_notes()

    found = found_in(alice, "feline")

    assert found[0] == both
    assert sorted(found) == sorted([both, words, meaning])


def test_fusion_counts_places_alone():
    assert fused([1, 2, 3], []) == [1, 2, 3]
    assert fused([1, 2], [3, 2]) == [2, 1, 3]
    assert fused([1, 2], [3]) == [1, 3, 2]
    assert fused([], []) == []
    assert fused([5, 6, 7], [7]) == [7, 5, 6]


def test_a_question_without_telling_words_is_looked_for_by_what_it_means(alice, embeddings):
    topic_of(alice, "Nothing of the kind is here.")
    index_due_notes()

    assert found_in(alice, "What is it?") == ["Nothing of the kind is here."]


def test_the_scope_holds_for_vectors_as_for_words(alice, charlie, embeddings):
    inside = topic_of(alice, CAT, tags=["pets"])
    other = topic_of(alice, "Kittens, kittens and more kittens.", tags=["other"])
    trashed = topic_of(alice, "A kitten in the trash can purr.", tags=["pets"])
    theirs = topic_of(charlie, "Charlie has a kitten of his own.", tags=["pets"])
    assert index_due_notes() == 4
    Note.objects.filter(pk=trashed.chapter.note_id).update(deleted_at="2026-01-01T00:00Z")

    assert sorted(found_in(alice, QUESTION)) == sorted([CAT, other.explanation])
    assert found_in(alice, QUESTION, tags=("pets",)) == [CAT]
    assert found_in(alice, QUESTION, note_ids=(inside.chapter.note_id,)) == [CAT]
    assert found_in(alice, QUESTION, note_ids=(theirs.chapter.note_id, trashed.chapter.note_id)) == []
    assert found_in(charlie, QUESTION) == [theirs.explanation]


def test_nearer_passages_out_of_scope_take_no_place_of_those_in_it(alice, embeddings):
    inside = topic_of(alice, "The kitten sat in a car.", tags=["pets"])
    for number in range(NEAREST_MAX):
        topic_of(alice, f"Kitten number {number}.")
    index_due_notes()

    assert found_in(alice, QUESTION, tags=("pets",)) == [inside.explanation]
    Note.objects.exclude(pk=inside.chapter.note_id).update(deleted_at="2026-01-01T00:00Z")
    assert found_in(alice, QUESTION) == [inside.explanation]


def test_a_passage_that_has_changed_since_is_not_shown_for_what_it_said(alice, embeddings):
    topic = topic_of(alice, CAT)
    index_due_notes()
    Topic.objects.filter(pk=topic.pk).update(explanation="It says something else now.", blocks=None)

    assert found_in(alice, QUESTION) == []


@pytest.mark.parametrize(("least", "found"), [(0.9, []), (0.6, [CAT])])
def test_what_is_not_near_enough_is_not_found(alice, embeddings, settings, least, found):
    settings.EMBEDDINGS_MIN_SIMILARITY = least
    topic_of(alice, CAT)
    index_due_notes()

    assert found_in(alice, "A feline in a vehicle?") == found  # a cosine of 0.71


def test_the_nearest_are_a_bounded_number(alice, embeddings, django_assert_num_queries):
    for number in range(NEAREST_MAX + 3):
        blocks_of(topic_of(alice, f"Kitten number {number}."), alice)
    index_due_notes()

    # What is known of the model, whether there are vectors, counting the call, the search in a transaction of its own;
    # what the index of words names, and the topics that are near.
    with django_assert_num_queries(8):
        assert len(found_in(alice, QUESTION)) == NEAREST_MAX


def test_a_question_costs_a_call_that_is_counted(alice, embeddings):
    topic_of(alice, CAT)
    index_due_notes()

    found_in(alice, QUESTION)

    assert embeddings.state.embedded == [[CAT], [QUESTION]]
    use = EmbeddingUse.objects.get(user=alice)
    assert (use.calls, use.tokens) == (2, 2 * TOKENS_EACH)


def test_nobody_is_asked_for_who_has_no_vectors(alice, charlie, embeddings):
    topic_of(charlie, CAT)
    index_due_notes()
    topic_of(alice, "A feline is there.")

    assert found_in(alice, QUESTION) == ["A feline is there."]
    assert embeddings.state.embedded == [[CAT]]


# --- Embeddings that fail ---------------------------------------------------------------------------------------------

RUBBISH = ["500", "429", "401", "404", "400", "cut", "nan", "zero", "unequal", "too_few", "longer", "page", "hang"]


@pytest.mark.parametrize("behaviour", RUBBISH)
def test_whatever_embeddings_do_words_answer(alice, embeddings, monkeypatch, caplog, behaviour):
    monkeypatch.setattr("ai_tasks.embeddings.searching.QUESTION_SECONDS", 0.3)
    topic_of(alice, "A feline is there.")
    topic_of(alice, CAT)
    index_due_notes()
    embeddings.state.embedding_default = behaviour

    if behaviour == "unequal":  # of one text alone
        assert sorted(found_in(alice, QUESTION)) == sorted(["A feline is there.", CAT])
        return
    assert found_in(alice, QUESTION) == ["A feline is there."]
    assert "answered by word search only" in caplog.text


def test_a_provider_that_is_out_is_not_asked_by_every_question(alice, embeddings):
    topic_of(alice, CAT)
    index_due_notes()
    embeddings.state.embedding_default = "500"

    assert [found_in(alice, QUESTION) for _ in range(3)] == [[], [], []]

    assert embeddings.state.embedded == [[CAT], [QUESTION]]
    EmbeddingModel.objects.update(paused_until=None)
    embeddings.state.embedding_default = "ok"
    assert found_in(alice, QUESTION) == [CAT]
    assert EmbeddingModel.objects.get().failures == 0


def test_a_server_that_is_gone_fails_no_question(alice, embeddings, settings):
    topic_of(alice, CAT)
    index_due_notes()
    settings.EMBEDDINGS_BASE_URL = "http://127.0.0.1:1/v1"

    assert found_in(alice, "kitten") == [CAT]


def test_a_database_that_knows_no_vectors_fails_no_question(alice, embeddings, caplog):
    topic_of(alice, CAT)
    index_due_notes()
    drop_extension()

    assert found_in(alice, "kitten") == [CAT]
    assert "the vector search failed" in caplog.text


def test_off_a_question_takes_the_queries_that_it_took(alice, embeddings, settings, django_assert_num_queries):
    blocks_of(topic_of(alice, CAT), alice)
    index_due_notes()
    settings.EMBEDDINGS_ARE_ON = False

    with django_assert_num_queries(2):
        assert found_in(alice, "kitten") == [CAT]
    assert embeddings.state.embedded == [[CAT]]


# --- A whole task -----------------------------------------------------------------------------------------------------


def test_a_question_is_answered_from_what_was_found_by_its_meaning(
    transactional_db, alice, alice_client, openai_server, embeddings
):
    topic = topic_of(alice, CAT)
    index_due_notes()
    (block,) = blocks_of(topic, alice)
    openai_server.state.answer = answer_of(("A kitten.", [(block.id, "The kitten likes to purr")]))

    task = ask(alice_client, QUESTION)

    assert task["status"] == "succeeded"
    (sentence,) = task["result"]["sentences"]
    assert (sentence["verdict"], sentence["quotes"][0]["block_id"]) == ("supported", block.id)
    (request,) = openai_server.state.requests
    assert CAT in json.dumps(request["body"]["messages"])


def test_offline_what_was_found_by_its_meaning_is_quoted(transactional_db, alice, alice_client, offline, embeddings):
    topic_of(alice, CAT)
    index_due_notes()

    (sentence,) = ask(alice_client, QUESTION)["result"]["sentences"]

    assert (sentence["text"], sentence["verdict"]) == (CAT, "supported")


def test_what_is_near_nothing_asks_no_model(transactional_db, alice, alice_client, openai_server, embeddings):
    topic_of(alice, CAT)
    index_due_notes()

    task = ask(alice_client, "Which battle was it?")

    assert task["result"]["sentences"] == []
    assert task["result"]["notice"].startswith(NOT_IN_NOTES)
    assert openai_server.state.requests == []


def test_vectors_are_what_is_compared(alice, embeddings):
    """Not words: the same passage with another's vector is found for another's question."""
    topic_of(alice, CAT)
    topic_of(alice, WAR)
    index_due_notes()
    cat, war = PassageVector.objects.order_by("topic")
    PassageVector.objects.filter(pk=cat.pk).update(vector=war.vector)

    assert sorted(found_in(alice, "Which battle?")) == sorted([CAT, WAR])
    assert found_in(alice, "Which automobile?") == []
