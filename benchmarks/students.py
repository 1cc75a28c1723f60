"""Simulated students with a known truth, who study by the rules of the product: what forecasts are measured with.

Nothing of the truth is known to a forecast. Each student remembers by FSRS with parameters of their own (all 21 differ,
and besides how long things last), each card is easier or harder for them, and some answers are slips. They answer, take
time and skip days in a way of their own. The schedule is the product's, which knows none of that.
"""

import copy
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp
from typing import Any

from fsrs.scheduler import DEFAULT_PARAMETERS, LOWER_BOUNDS_PARAMETERS, UPPER_BOUNDS_PARAMETERS

from study.forecasting.forgetting import days_until_due, first_seen, recall, seen_again
from study.forecasting.habits import Habits, Reviewed, habits_of
from study.forecasting.simulation import FaceState, Rules
from study.memory import MAXIMUM_INTERVAL, fuzz_range

NAMES = ("again", "hard", "good", "easy")
NEW_PER_DAY, REVIEWS_PER_DAY = 20, 200
HISTORIES, HORIZONS, MINUTES = (0, 5, 20, 60, 120), (3, 7, 14, 30, 60), (5, 10, 20, 40)
SIZES = (60, 150, 300, 600, 1000)


class Mind:
    """How one student really remembers."""

    def __init__(self, chance: random.Random) -> None:
        spread = [w * exp(chance.gauss(0, 0.15)) for w in DEFAULT_PARAMETERS]
        bounds = zip(spread, LOWER_BOUNDS_PARAMETERS, UPPER_BOUNDS_PARAMETERS, strict=True)
        self.w = [min(max(w, least), most) for w, least, most in bounds]
        strength = exp(chance.gauss(0, 0.35))
        self.w[:4] = [min(w * strength, 100.0) for w in self.w[:4]]
        self.decay = -min(max(DEFAULT_PARAMETERS[20] * exp(chance.gauss(0, 0.2)), 0.1), 0.8)
        self.factor = 0.9 ** (1 / self.decay) - 1
        self.slips = min(chance.expovariate(1 / 0.015), 0.1)

    def recall(self, days: int, stability: float) -> float:
        return (1 - self.slips) * self._curve(days, stability)

    def first(self, rating: int) -> tuple[float, float]:
        w = self.w
        return w[rating - 1], min(max(w[4] - exp(w[5] * (rating - 1)) + 1, 1.0), 10.0)

    def again(self, stability: float, difficulty: float, days: int, rating: int) -> tuple[float, float]:
        w, lost = self.w, 1 - self._curve(days, stability)
        if days < 1:
            change = exp(w[17] * (rating - 3 + w[18])) * stability ** -w[19]
            grown = stability * (change if rating == 1 else max(change, 1.0))
        elif rating == 1:
            grown = w[11] * difficulty ** -w[12] * ((stability + 1) ** w[13] - 1) * exp(lost * w[14])
            grown = min(grown, stability / exp(w[17] * w[18]))
        else:
            bonus = {2: w[15], 3: 1.0, 4: w[16]}[rating]
            growth = exp(w[8]) * (11 - difficulty) * stability ** -w[9] * (exp(lost * w[10]) - 1)
            grown = stability * (1 + growth * bonus)
        damped = difficulty - w[6] * (rating - 3) * (10 - difficulty) / 9
        reverted = w[7] * (w[4] - exp(w[5] * 3) + 1) + (1 - w[7]) * damped
        return max(grown, 0.001), min(max(reverted, 1.0), 10.0)

    def _curve(self, days: int, stability: float) -> float:
        return float((1 + self.factor * days / stability) ** self.decay)


@dataclass(slots=True)
class Memory:
    """A card as the product sees it, and as it is."""

    stability: float
    difficulty: float
    seen: int
    due: int
    true_stability: float
    true_difficulty: float


@dataclass
class Student:
    """A student, made of a seed alone, with a log of ``history`` days."""

    seed: int
    memories: list[Memory | None] = field(default_factory=list)
    log: list[Reviewed] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = chance = random.Random(self.seed)
        self.mind = Mind(chance)
        self.first = _shares(chance.uniform(0.1, 0.4), chance.uniform(0.05, 0.15), chance.uniform(0.02, 0.15))
        self.recalled = _shares(0.0, chance.uniform(0.02, 0.15), chance.uniform(0.02, 0.12))
        self.steps_forgotten = chance.uniform(0.03, 0.2)
        self.seconds = chance.uniform(4, 15)
        self.desired_retention = chance.choice([0.85, 0.9, 0.9, 0.9, 0.93])
        self.chapters = chance.randint(2, 10)
        self.memories = [None] * chance.choice(SIZES)
        self.chapter_of = [chance.randrange(self.chapters) for _ in self.memories]
        self.ease = [exp(chance.gauss(0, 0.3)) for _ in self.memories]
        self.history = chance.choice(HISTORIES)
        self.horizon = chance.choice(HORIZONS)
        self.minutes = chance.choice(MINUTES)
        before = chance.choice(MINUTES)
        queue = self.rules.due_first(new_per_day=NEW_PER_DAY, reviews_per_day=REVIEWS_PER_DAY)
        for day in range(self.history):
            if chance.random() < 0.8:
                self.study(day, 10**6, 60 * before, queue)

    @property
    def rules(self) -> Rules:
        """Those of the plan."""
        return Rules(desired_retention=self.desired_retention, learning_steps=2, relearning_steps=1)

    def habits(self) -> Habits:
        return habits_of(self.log[-2000:])

    def outlooks(self) -> list[FaceState]:
        """The cards as the product sees them, today being the day after the history."""
        today = self.history
        return [
            FaceState(chapter)
            if memory is None
            else FaceState(chapter, memory.stability, memory.difficulty, memory.seen - today, memory.due - today)
            for chapter, memory in zip(self.chapter_of, self.memories, strict=True)
        ]

    def truth(self, rules: Rules | None) -> list[float]:
        """How well each card is known on the day of the exam, after days of study by these rules, or of none."""
        later = copy.deepcopy(self)
        later.chance = random.Random(self.seed + 1)
        last = self.history + self.horizon
        for day in range(self.history, last + 1) if rules else ():
            later.study(day, last, 60 * self.minutes, rules)  # type: ignore[arg-type]
        return [
            0.0 if memory is None else self.mind.recall(last - memory.seen, memory.true_stability)
            for memory in later.memories
        ]

    def study(self, day: int, last: int, seconds: float, rules: Rules) -> None:
        """Study until the time is over; the last card is finished."""
        left = seconds
        fresh = [n for n, memory in enumerate(self.memories) if memory is None][::-1]
        new, reviews = rules.new_per_day, rules.reviews_per_day
        if rules.spreads_new:
            for _ in range(-(-len(fresh) // (last - day + 1))):
                if left > 0:
                    left -= self._learn(fresh.pop(), day)
        due = sorted((memory.due, n) for n, memory in enumerate(self.memories) if memory and memory.due <= day)
        for _, n in due:
            if left > 0 and reviews > 0:
                left, reviews = left - self._review(n, day), reviews - 1
        while left > 0 and fresh and new > 0:
            left, new = left - self._learn(fresh.pop(), day), new - 1
        if day > last - rules.ahead_days:
            known = sorted(
                (recall(last - memory.seen, memory.stability), n)
                for n, memory in enumerate(self.memories)
                if memory and memory.seen < day
            )
            for _, n in known:
                if left > 0:
                    left -= self._review(n, day)

    def _learn(self, n: int, day: int) -> float:
        rating = self.chance.choices((1, 2, 3, 4), self.first)[0]
        true_stability, true_difficulty = self.mind.first(rating)
        self.memories[n] = Memory(*first_seen(rating), day, day, self.ease[n] * true_stability, true_difficulty)
        seconds = self._answered(rating, None, is_first=True)
        return seconds + self._repeat(n, day, {1: 2, 2: 2, 3: 1, 4: 0}[rating], steps=2)

    def _review(self, n: int, day: int) -> float:
        memory = self.memories[n]
        assert memory is not None
        days = day - memory.seen
        predicted = recall(days, memory.stability)
        is_known = self.chance.random() < self.mind.recall(days, memory.true_stability)
        rating = self.chance.choices((1, 2, 3, 4), self.recalled)[0] if is_known else 1
        self._see(memory, day, rating)
        return self._answered(rating, predicted) + self._repeat(n, day, 0 if is_known else 1, steps=1)

    def _repeat(self, n: int, day: int, to_go: int, *, steps: int) -> float:
        memory, seconds, views = self.memories[n], 0.0, 0
        assert memory is not None
        while to_go > 0 and views < 6:
            views += 1
            rating = 1 if self.chance.random() < self.steps_forgotten else 3
            to_go = steps if rating == 1 else to_go - 1
            self._see(memory, day, rating)
            seconds += self._answered(rating, None)
        days = days_until_due(memory.stability, self.desired_retention, most=MAXIMUM_INTERVAL)
        memory.due = day + self.chance.randint(*fuzz_range(days))
        return seconds

    def _see(self, memory: Memory, day: int, rating: int) -> None:
        days = day - memory.seen
        memory.stability, memory.difficulty = seen_again(memory.stability, memory.difficulty, days, rating)
        truth = self.mind.again(memory.true_stability, memory.true_difficulty, days, rating)
        memory.true_stability, memory.true_difficulty = truth
        memory.seen = day

    def _answered(self, rating: int, predicted: float | None, *, is_first: bool = False) -> float:
        seconds = self.seconds * exp(self.chance.gauss(0, 0.4))
        self.log.append(Reviewed(NAMES[rating - 1], predicted, is_first, int(1000 * seconds)))
        return seconds


def _shares(again: float, hard: float, easy: float) -> Sequence[float]:
    return (again, hard, 1 - again - hard - easy, easy)


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def by_chapter(student: Student, values: Sequence[float]) -> dict[int, float]:
    found: dict[int, list[Any]] = {}
    for chapter, value in zip(student.chapter_of, values, strict=True):
        found.setdefault(chapter, []).append(value)
    return {chapter: mean(of_chapter) for chapter, of_chapter in found.items()}
