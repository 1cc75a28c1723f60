"""Schedules are a fold over the append-only log, however it came to be."""

import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from study.models import Card, Face, StudyEvent
from study.services import Review, record_reviews, undo_review, update_settings
from tests.factories import CardFactory, UserFactory
from tests.study.conftest import columns_of, folded_anew


@pytest.mark.parametrize("change", [{"rating": "easy"}, {"reviewed_at": datetime(2020, 1, 1, tzinfo=UTC)}, {"face": 2}])
def test_the_database_refuses_to_change_an_entry(card, review, change):
    review(card)

    with pytest.raises(IntegrityError, match="is recorded and cannot change"), transaction.atomic():
        StudyEvent.objects.update(**change)


MOMENTS = st.integers(0, 60 * 24 * 60)
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("review"), st.sampled_from([1, 2]), st.sampled_from(["again", "hard", "good", "easy"]), MOMENTS
        ),
        st.tuples(st.just("again"), st.integers(0, 30), st.none(), st.none()),
        st.tuples(st.just("undo"), st.none(), st.none(), st.none()),
        st.tuples(
            st.just("settings"), st.sampled_from(["UTC", "Asia/Tokyo", "America/New_York"]), st.none(), st.none()
        ),
    ),
    max_size=25,
)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS, batch=st.integers(1, 7))
def test_any_order_batching_duplicates_and_undoing_equal_the_log_folded_anew(db, clock, steps, batch):
    clock.to(2026, 3, 2, 10)
    user = UserFactory()
    card = CardFactory(user=user, kind="reversed")
    start = clock.now
    clock.forward(days=61)
    sent: list[Review] = []
    waiting: list[Review] = []

    def flush() -> None:
        if waiting:
            record_reviews(user_id=user.pk, reviews=list(waiting))
            waiting.clear()

    for kind, one, rating, minutes in steps:
        if kind == "review":
            review = Review(uuid4(), card.pk, one, rating, start + timedelta(minutes=minutes), None)
            sent.append(review)
            waiting.append(review)
        elif kind == "again" and sent:
            waiting.append(sent[one % len(sent)])
        elif kind == "settings":
            flush()
            update_settings(user_id=user.pk, changes={"time_zone": one})
        elif kind == "undo":
            flush()
            undone = StudyEvent.objects.filter(kind="undo").values("undoes")
            live = StudyEvent.objects.filter(card_id=card.pk, kind="review").exclude(event_id__in=undone)
            if last := live.order_by("reviewed_at", "event_id").last():
                undo_review(user_id=user.pk, review_id=last.event_id)
        if len(waiting) >= batch:
            flush()
    flush()

    assert columns_of(card) == folded_anew(card)
    assert StudyEvent.objects.filter(card_id=card.pk, kind="review").count() == len(sent)


def test_the_same_reviews_in_another_order_give_the_same_columns(alice, charlie, clock):
    pairs = {}
    ids = [UUID(int=n) for n in range(1, 9)]
    pk = UUID(int=99)
    for user, order in ((alice, ids), (charlie, ids[::-1])):
        Card.objects.all().delete()
        clock.to(2026, 3, 2, 10)
        card = CardFactory(pk=pk, user=user)
        start = clock.now
        clock.forward(days=90)
        for n in order:
            at = start + timedelta(days=n.int * 3)
            rating = "again" if n.int % 4 == 0 else "good"
            record_reviews(user_id=user.pk, reviews=[Review(n, pk, 1, rating, at, None)])
        StudyEvent.objects.filter(user=charlie).exists()
        pairs[user.pk] = columns_of(card)
        StudyEvent.objects.all().delete()

    assert pairs[alice.pk] == pairs[charlie.pk]


@pytest.mark.django_db(transaction=True)
def test_one_review_sent_by_many_at_once_is_recorded_once(patient_pool, alice):
    card = CardFactory(user=alice)
    card.refresh_from_db(fields=["created_at"])
    review = Review(uuid4(), card.pk, 1, "good", card.created_at, None)
    found: list[str] = []

    def record() -> None:
        try:
            [outcome], _ = record_reviews(user_id=alice.pk, reviews=[review])
            found.append(outcome.outcome)
        finally:
            connection.close()

    threads = [threading.Thread(target=record) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found) == ["duplicate"] * 7 + ["recorded"]
    assert (StudyEvent.objects.count(), Face.objects.get().reps) == (1, 1)
