"""Budgets count embeddings: without room for a call notes are indexed later, and questions answered by words."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from ai_tasks.embedding_rows import EmbeddingUse, NoteIndexing
from ai_tasks.embeddings.indexing import index_due_notes
from ai_tasks.embeddings.searching import nearest_passages
from ai_tasks.models import SpendingDay
from ai_tasks.prices import BYTES_PER_MESSAGE
from ai_tasks.spending import AIBudgetReached, budget_of, check_limits, next_midnight
from NoteAssist_AI.ai_settings import Price
from notes.models import Topic
from tests.ai_tasks.conftest import EMBEDDING_MODEL
from tests.ai_tasks.indexed_notes import CAR, CAT, TEXT, asked, make_due, note_of
from tests.embedding_behaviours import TOKENS_EACH
from tests.factories import AITaskFactory

PRICE = Decimal("0.0001")
"""Of a token."""
LEAST = 2 * TOKENS_EACH * PRICE
"""Of ``TEXT``, as the provider counts."""
MOST = sum(len(text) + BYTES_PER_MESSAGE for text in (CAR, CAT)) * PRICE
"""Of the same, before it is asked."""


@pytest.fixture
def priced(embeddings, settings):
    settings.AI_PRICES = {EMBEDDING_MODEL: Price(PRICE * 1_000_000, Decimal(0))}
    return embeddings


@pytest.mark.parametrize("setting", ["AI_BUDGET_PER_USER_DAY", "AI_BUDGET_DAY"])
def test_a_budget_that_has_no_room_delays_indexing_to_the_next_day(alice, priced, settings, state_of, setting):
    setattr(settings, setting, MOST - PRICE)
    notes = [note_of(alice, TEXT), note_of(alice, f"{CAT} And more.")]

    assert index_due_notes() == 0

    assert asked(priced) == []
    assert not EmbeddingUse.objects.filter(cost__gt=0).exists()
    for note in notes:
        assert state_of(note)["state"] == "waiting"
        assert state_of(note)["error"]["code"] == "ai_budget_reached"
        assert NoteIndexing.objects.get(pk=note.pk).due_at == next_midnight()
    assert index_due_notes() == 0
    setattr(settings, setting, 10 * MOST)
    make_due()  # it is the next day
    assert index_due_notes() == 2
    assert [state_of(note)["error"] for note in notes] == [None, None]


def test_what_one_user_spends_delays_nobody_else(alice, charlie, priced, settings):
    settings.AI_BUDGET_PER_USER_DAY = MOST
    note_of(alice, TEXT, "A paragraph that makes it too dear.")
    note_of(charlie, CAR)

    assert index_due_notes() == 1

    assert asked(priced) == [CAR]


def test_the_sites_day_has_tasks_and_embeddings(alice, charlie, priced, settings):
    AITaskFactory(user=alice, cost=Decimal(1))
    note_of(alice, TEXT)
    note_of(charlie, CAR)

    index_due_notes()

    assert SpendingDay.objects.get().amount == 1 + LEAST + TOKENS_EACH * PRICE
    assert budget_of(alice.pk, timezone.now()).spent == 1 + LEAST
    EmbeddingUse.objects.update(day=timezone.now().date() - timedelta(days=1))
    note_of(alice, "A loan of money at interest.")
    index_due_notes()
    assert EmbeddingUse.objects.get(user=alice).cost == TOKENS_EACH * PRICE
    today = SpendingDay.objects.get(day=timezone.now().date()).amount
    assert today == 1 + LEAST + 2 * TOKENS_EACH * PRICE


def test_a_request_is_refused_for_what_embeddings_have_spent(alice, priced, settings):
    note_of(alice, TEXT)
    index_due_notes()

    settings.AI_BUDGET_PER_USER_DAY = LEAST
    check_limits(alice.pk, timezone.now())
    settings.AI_BUDGET_PER_USER_DAY = LEAST - PRICE
    with pytest.raises(AIBudgetReached):
        check_limits(alice.pk, timezone.now())


@pytest.mark.parametrize(
    ("behaviour", "cost"), [("500", 0), ("401", 0), ("cut", MOST), ("too_few", MOST), ("backwards", MOST)]
)
def test_a_call_counts_as_the_most_unless_it_was_free_or_counted(alice, priced, behaviour, cost):
    """``backwards`` answers well, and does not say what it took."""
    note_of(alice, TEXT)
    priced.state.embedding_script.append(behaviour)

    index_due_notes()

    assert SpendingDay.objects.get().amount == EmbeddingUse.objects.get().cost == cost


def test_a_question_without_money_for_its_vector_is_answered_by_words(alice, priced, settings):
    note_of(alice, CAT)
    index_due_notes()
    settings.AI_BUDGET_PER_USER_DAY = Decimal(0)

    near = nearest_passages("Which feline purrs?", user_id=alice.pk, topics=Topic.objects.owned_by(alice.pk))

    assert near == []
    assert asked(priced) == [CAT]
