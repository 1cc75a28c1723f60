"""Forecasts: calibrated by students whose truth is known, the same for the same log, and cheap for many cards."""

import random
from datetime import UTC, datetime, timedelta
from math import log

import fsrs
import pytest

from benchmarks.forecast import COURSES, of, outcomes_of
from benchmarks.students import mean
from study.forecasting.forecast import SAMPLE_MAX, Days, band_of, forecast, likely_day
from study.forecasting.forgetting import days_until_due, first_seen, recall, seen_again
from study.forecasting.habits import SECONDS_DEFAULT, Habits, Reviewed, habits_of, strength_of
from study.forecasting.simulation import FaceState, Rules, Simulation, Student

DAY = 86_400.0
STUDENTS = 40


@pytest.fixture(scope="module")
def outcomes():
    return [outcome for seed in range(1000, 1000 + STUDENTS) for outcome in outcomes_of(seed)[0]]


@pytest.mark.parametrize("course", COURSES)
def test_a_forecast_errs_by_three_points_at_most_on_average(outcomes, course):
    """Other students than those that the figures in the docs are from."""
    found = of(outcomes, course)

    assert len(found) == STUDENTS
    assert mean([abs(one.error) for one in found]) <= 0.03


@pytest.mark.parametrize("course", COURSES)
def test_a_chapters_forecast_errs_as_little(outcomes, course):
    assert mean([abs(one.error) for one in of(outcomes, course, chapters=True)]) <= 0.03


def test_the_truth_is_within_the_band_about_as_often_as_it_says(outcomes):
    within = mean([float(one.is_within) for course in COURSES for one in of(outcomes, course)])

    assert 0.7 <= within <= 0.9  # 80 % of so few students


def test_eight_of_ten_values_are_within_the_band():
    """Of nine each stands for a ninth: the lowest tenth ends before the end of the first one."""
    assert band_of(range(8, -1, -1)) == pytest.approx((0.4, 4, 7.6))
    assert band_of(range(100)) == pytest.approx((9.5, 49.5, 89.5))
    assert band_of([0.5]) == (0.5, 0.5, 0.5)


def test_the_plan_is_never_worse_than_due_first(outcomes):
    gained = [a.truth - b.truth for a, b in zip(of(outcomes, "plan"), of(outcomes, "due_first"), strict=True)]

    assert min(gained) > -0.01  # answers are drawn anew in each course
    assert mean(gained) > 0.03


def test_the_numbers_are_those_of_the_library():
    chance = random.Random(1)
    scheduler = fsrs.Scheduler(desired_retention=0.87, learning_steps=[], relearning_steps=[], enable_fuzzing=False)
    for _ in range(200):
        card, day = fsrs.Card(card_id=0), datetime(2026, 1, 1, 12, tzinfo=UTC)
        stability = difficulty = 0.0
        for view in range(8):
            days, rating = chance.choice([0, 1, 3, 10, 50]), chance.randint(1, 4)
            day += timedelta(days=days)
            if view:
                known = recall(days, stability)
                assert known == pytest.approx(scheduler.get_card_retrievability(card, day), rel=1e-12)
                stability, difficulty = seen_again(stability, difficulty, days, rating)
            else:
                stability, difficulty = first_seen(rating)
            card, _ = scheduler.review_card(card, fsrs.Rating(rating), day)
            assert (stability, difficulty) == pytest.approx((card.stability, card.difficulty), rel=1e-9)
            assert days_until_due(stability, 0.87, most=36500) == (card.due - day).days


@pytest.mark.parametrize("truth", [0.5, 1.0, 2.0])
def test_strength_is_found_in_a_log(truth):
    """All lasts so many times as long as was predicted, and two answers of a hundred are slips."""
    chance = random.Random(2)
    reviews = []
    for _ in range(5000):
        days, stability = chance.randint(1, 40), 20.0
        reviews.append((recall(days, stability), chance.random() < 0.98 * recall(days, truth * stability)))

    found, deviation = strength_of(reviews)

    assert found == pytest.approx(log(truth), abs=3 * deviation)
    assert deviation < 0.1


def test_without_a_log_habits_are_assumed_and_wide():
    habits = habits_of([])

    assert (habits.seconds, habits.strength) == (SECONDS_DEFAULT, pytest.approx(0.0, abs=0.02))
    assert habits.strength_spread > 0.5


@pytest.mark.parametrize(
    ("durations", "seconds"),
    [
        ([5000] * 19, SECONDS_DEFAULT),  # too few
        ([5000] * 20, 5.0),
        ([5000] * 30 + [600_000], pytest.approx(5 + 15 / 31)),  # a break counts as four times the median
        ([1] * 20, 2.0),
        ([600_000] * 20, 120.0),
        ([None] * 50, SECONDS_DEFAULT),
        ([0] * 50, SECONDS_DEFAULT),
    ],
)
def test_a_view_takes_as_long_as_usual(durations, seconds):
    assert habits_of([Reviewed("good", 0.9, False, duration) for duration in durations]).seconds == seconds


def faces_of(count: int, chapters: int = 10) -> list[FaceState]:
    chance = random.Random(3)
    return [
        FaceState(chance.randrange(chapters))
        if chance.random() < 0.3
        else FaceState(
            chance.randrange(chapters),
            chance.uniform(1, 60),
            chance.uniform(1, 10),
            -chance.randint(0, 30),
            chance.randint(-5, 30),
        )
        for _ in range(count)
    ]


def days_of(count: int, minutes: float) -> Days:
    return Days([60 * minutes] * count, [DAY] * count)


def forecast_of(faces, days, *, target=0.9):
    rules = Rules()
    due_first = rules.due_first(new_per_day=20, reviews_per_day=200)
    return forecast(faces, days, habits=Habits(), plan=rules, due_first=due_first, target=target)


def test_the_same_is_forecast_for_the_same_log():
    faces, days = faces_of(300), days_of(15, 20)

    assert forecast_of(faces, days) == forecast_of(faces, days)


def test_a_band_is_in_order_and_study_helps():
    found = forecast_of(faces_of(300), days_of(15, 20))

    for bands in (found.overall, *found.groups.values()):
        for band in bands:
            assert 0 <= band.p10 <= band.p50 <= band.p90 <= 1
        assert bands.plan.p50 > bands.no_study.p50


def test_of_many_faces_some_stand_for_all():
    """Of 6,000 every fifteenth or so; what is forecast without study is nearly what all of them give."""
    faces = faces_of(6000)

    found = forecast_of(faces, days_of(31, 60))

    student = Student(Habits(), strength=1.0, slips=0.02, seconds=8.0, chance=lambda: 0.5)
    exact = mean(Simulation(faces, [1] * len(faces), rules=Rules(), student=student, last_day=30).recalls())
    assert found.simulated == pytest.approx(SAMPLE_MAX, abs=10)
    assert found.overall.no_study.p50 == pytest.approx(exact, abs=0.005)


def test_each_chapter_is_simulated_whatever_its_size():
    faces = [*faces_of(6000), *(FaceState(99) for _ in range(3))]

    found = forecast_of(faces, days_of(31, 60))

    assert set(found.groups) == {*range(10), 99}
    assert found.groups[99].no_study.p50 == 0


def test_time_for_all_is_feasible_and_lacks_nothing():
    found = forecast_of(faces_of(50), days_of(15, 60))

    assert (found.feasible, found.minutes_short) == (True, 0)


def test_the_minutes_that_are_short_are_about_what_it_takes():
    faces, days = faces_of(300), days_of(11, 2)

    found = forecast_of(faces, days)
    assert not found.feasible
    assert found.minutes_short is not None
    more = found.minutes_short / 11
    enough = forecast_of(faces, days_of(11, 2 + 1.15 * more))
    still_short = forecast_of(faces, days_of(11, 2 + 0.85 * more))

    assert enough.feasible
    assert not still_short.feasible


@pytest.mark.parametrize("days", [1, 31, 200])
@pytest.mark.parametrize(("faces", "most"), [(1, 1), (3, 8), (10, 20)])
def test_a_few_cards_lack_what_a_few_views_take_however_far_the_exam_is(days, faces, most):
    """Ten times that, if each day had to have time for a view."""
    found = forecast_of([FaceState(0)] * faces, days_of(days, 0))

    assert not found.feasible
    assert found.minutes_short is not None
    assert 1 <= found.minutes_short <= most


def test_time_that_is_missing_comes_in_pieces_that_are_long_enough_and_never_more_than_a_day_has():
    days = Days([60.0] * 5, [3600.0, 3600.0, 3600.0, 3600.0, 65.0])

    assert days.with_more(0, 20.0) == [60.0] * 5
    assert days.with_more(1, 20.0) == [60.0, 60.0, 60.0, 60.0, 65.0]
    assert days.with_more(2, 20.0) == [60.0, 60.0, 80.0, 60.0, 65.0]
    assert days.with_more(10, 20.0) == [100.0] * 4 + [65.0]
    assert days.with_more(10**6, 20.0) == list(days.most)


def test_what_no_time_would_reach_says_so():
    """In the five minutes before the exam."""
    found = forecast_of(faces_of(300), Days([60.0], [300.0]), target=0.95)

    assert (found.feasible, found.minutes_short) == (False, None)


@pytest.mark.parametrize("minutes", [0, 1, 7, 30, 200])
def test_a_days_plan_fits_into_its_seconds(minutes):
    faces = faces_of(400)

    for day in (0, 3, 9, 14):
        visits = likely_day(faces, [60.0 * minutes] * 15, day=day, habits=Habits(), rules=Rules())
        assert sum(visit.seconds for visit in visits) <= 60 * minutes
        assert len({visit.face for visit in visits}) == len(visits)
    assert visits if minutes else not visits


def test_a_plan_spreads_new_faces_then_takes_what_is_due_and_at_the_end_what_is_weakest():
    new = [FaceState(0) for _ in range(10)]
    due = [FaceState(0, 10.0, 5.0, -12, -2), FaceState(0, 10.0, 5.0, -10, 0)]
    weak, strong = FaceState(0, 5.0, 5.0, -1, 50), FaceState(0, 500.0, 5.0, -1, 400)
    faces = [*new, *due, strong, weak]
    tight, wide = [60.0] * 10, [3600.0] * 10

    first = likely_day(faces, tight, day=0, habits=Habits(seconds=8.0), rules=Rules())
    last = likely_day(faces, wide, day=9, habits=Habits(), rules=Rules())

    assert [(visit.face, visit.why) for visit in first[:3]] == [(0, "new"), (10, "due"), (11, "due")]
    assert {visit.why for visit in first[3:]} == {"new"}
    ahead = [visit.face for visit in last if visit.why == "ahead"]
    assert ahead[-1] == 12
    assert len(last) == len(faces)


def test_due_first_keeps_the_limits_of_the_queue():
    faces = faces_of(400)
    rules = Rules().due_first(new_per_day=3, reviews_per_day=5)

    visits = likely_day(faces, [DAY] * 3, day=2, habits=Habits(), rules=rules)

    assert [visit.why for visit in visits] == ["due"] * 5 + ["new"] * 3


def test_what_was_studied_ahead_is_not_due_at_its_old_time():
    face = FaceState(0, 100.0, 5.0, -20, 3)

    visits = [likely_day([face], [60.0] * 6, day=day, habits=Habits(), rules=Rules()) for day in range(6)]

    assert [visit.why for of_day in visits for visit in of_day] == ["ahead"] * 6
