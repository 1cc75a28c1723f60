"""Memory is a fold over the log: the same events give the same bits, in any order."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import fsrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.memory import RATINGS, Event, Memory, Terms, fold, next_intervals, recall, review

CARD = UUID(int=1)
START = datetime(2026, 3, 2, 10, tzinfo=UTC)
TERMS = Terms()
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 200 * 24 * 60),
        st.sampled_from(["again", "hard", "good", "easy", "good", "reset"]),
        st.sampled_from([TERMS, Terms(0.8, (), (), "Asia/Tokyo", "00:00"), Terms(0.95, (60,), (300, 600))]),
    ),
    max_size=20,
)


def events(made: list[tuple[int, str, Terms]]) -> list[Event]:
    return [
        Event(
            UUID(int=1000 - n),
            "reset" if what == "reset" else "review",
            START + timedelta(minutes=minutes),
            terms,
            what,
        )
        for n, (minutes, what, terms) in enumerate(made)
    ]


@given(EVENTS, st.randoms())
def test_any_order_gives_the_same_memory(made, chance):
    log = events(made)
    shuffled = random.Random(chance.random()).sample(log, len(log))

    assert fold(shuffled, card_id=CARD) == fold(log, card_id=CARD)


@given(EVENTS, st.integers(0, 20))
def test_a_log_may_be_folded_in_parts(made, parts):
    log = sorted(events(made), key=lambda event: event.position)

    first = fold(log[:parts], card_id=CARD)

    assert fold(log[parts:], card_id=CARD, memory=first) == fold(log, card_id=CARD)


@given(EVENTS)
def test_every_memory_is_one_that_can_be(made):
    memory = fold(events(made), card_id=CARD)

    if memory.state == "new":
        assert (memory.due_at, memory.stability, memory.reps) == (None, None, 0)
        return
    assert memory.due_at > memory.introduced_at
    assert 1 <= memory.difficulty <= 10
    assert memory.stability > 0
    assert (memory.step is None) == (memory.state == "review")
    assert memory.lapses < memory.reps


def test_learning_steps_come_first_and_then_days():
    first = review(Memory(), "good", START, TERMS, card_id=CARD)
    second = review(first, "good", START + timedelta(minutes=10), TERMS, card_id=CARD)

    assert (first.state, first.step, first.due_at) == ("learning", 1, START + timedelta(minutes=10))
    assert (second.state, second.step, second.due_at) == ("review", None, datetime(2026, 3, 4, 4, tzinfo=UTC))
    assert (second.reps, second.lapses, second.introduced_at, second.recalled_at) == (2, 0, START, None)


def test_stability_and_difficulty_are_those_of_the_library():
    card, at = fsrs.Card(card_id=1, due=START), START
    memory = Memory()
    for days, rating in ((0, "good"), (0, "good"), (2, "good"), (9, "again"), (0, "hard"), (3, "easy")):
        at += timedelta(days=days, minutes=20)
        card, _ = fsrs.Scheduler(enable_fuzzing=False).review_card(card, RATINGS[rating], at)
        memory = review(memory, rating, at, TERMS, card_id=CARD)

        assert (memory.stability, memory.difficulty) == (card.stability, card.difficulty)
    assert (memory.reps, memory.lapses) == (6, 1)


def test_late_one_evening_and_early_the_next_morning_are_two_days():
    known = Memory(state="review", stability=1.0, difficulty=5.0, last_day=START.date(), reps=1)
    morning = datetime(2026, 3, 3, 5, tzinfo=UTC)
    night = datetime(2026, 3, 3, 3, tzinfo=UTC)

    assert recall(known, morning, TERMS) == pytest.approx(0.9, abs=1e-9)
    assert recall(known, night, TERMS) == 1.0


def test_the_fuzz_is_that_of_the_card_and_its_reviews():
    known = Memory(state="review", stability=100.0, difficulty=5.0, last_day=START.date(), reps=1)
    at = START + timedelta(days=100)

    def due(card: int, reps: int = 1) -> datetime:
        return review(replace(known, reps=reps), "good", at, TERMS, card_id=UUID(int=card)).due_at

    assert due(1) == due(1)
    assert len({due(card) for card in range(40)}) > 10
    assert len({due(1, reps) for reps in range(40)}) > 10


@given(st.floats(0.01, 30000), st.floats(1, 10), st.integers(0, 5000), st.integers(0, 100))
def test_a_better_rating_never_comes_up_sooner(stability, difficulty, days, reps):
    known = Memory("review", None, stability, difficulty, START, reps, 0, START.date())

    intervals = next_intervals(known, START + timedelta(days=days), TERMS, card_id=CARD)

    assert intervals["hard"] <= intervals["good"] <= intervals["easy"]


def test_the_next_intervals_are_what_a_review_would_give():
    known = review(Memory(), "easy", START, TERMS, card_id=CARD)
    now = known.due_at + timedelta(hours=3)

    intervals = next_intervals(known, now, TERMS, card_id=CARD)

    for rating, seconds in intervals.items():
        assert now + timedelta(seconds=seconds) == review(known, rating, now, TERMS, card_id=CARD).due_at
    assert intervals["again"] == 600


def test_across_a_change_of_the_clock_a_card_comes_up_when_the_day_begins():
    berlin = Terms(time_zone="Europe/Berlin")
    known = Memory("review", None, 2.0, 5.0, START, 1, 0, datetime(2026, 3, 26, tzinfo=UTC).date())

    after = review(
        known, "again", datetime(2026, 3, 28, 20, tzinfo=UTC), replace(berlin, relearning_steps=()), card_id=CARD
    )

    assert after.due_at == datetime(2026, 3, 29, 2, tzinfo=UTC)  # 4:00 in summer


def test_a_day_that_comes_again_is_the_same_day():
    """A student who flies west reviews on a day that has ended for them already."""
    tokyo, hawaii = Terms(time_zone="Asia/Tokyo", learning_steps=()), Terms(time_zone="Pacific/Honolulu")
    first = review(Memory(), "good", START, tokyo, card_id=CARD)  # 2 March in Tokyo
    second = review(first, "good", START + timedelta(hours=1), hawaii, card_id=CARD)  # 1 March in Honolulu

    assert (first.last_day, second.last_day) == (START.date(), START.date())
    assert second.due_at > hawaii.start_of(START.date())


def test_a_baseline_is_what_another_program_remembered():
    data = {
        "stability": 12.5, "difficulty": 4.0, "due_at": "2026-03-20T04:00:00+00:00", "reps": 7, "lapses": 2,
        "reviewed_at": "2026-03-08T12:00:00+00:00",
    }  # fmt: skip
    memory = fold([Event(UUID(int=2), "baseline", START, TERMS, data=data)], card_id=CARD)

    assert (memory.state, memory.stability, memory.difficulty) == ("review", 12.5, 4.0)
    assert (memory.due_at, memory.reps, memory.lapses) == (datetime(2026, 3, 20, 4, tzinfo=UTC), 7, 2)
    assert memory.last_day.isoformat() == "2026-03-08"


def test_a_known_history_gives_the_days_that_it_gave_when_it_was_recorded():
    """Another seed, or another version of the library, would move every card that is learned already."""
    memory, moment, due = Memory(), START, []
    for days, rating in ((0, "good"), (0, "good"), (3, "good"), (12, "hard"), (40, "easy")):
        moment += timedelta(days=days)
        memory = review(memory, rating, moment, TERMS, card_id=UUID(int=7))
        assert memory.due_at is not None
        due.append(memory.due_at.date().isoformat())

    assert due == ["2026-03-02", "2026-03-04", "2026-03-21", "2026-04-26", "2026-10-20"]
    assert (memory.stability, memory.difficulty) == (172.32721471706284, 2.9725386768547852)
