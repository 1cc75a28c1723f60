"""Simulates the study days until an exam: what is studied each day, and what is remembered on the exam day.

Pure computation: it reads no clock and no table.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import NamedTuple

from study.forecasting.forgetting import AGAIN, EASY, GOOD, HARD, days_until_due, first_seen, recall, seen_again
from study.forecasting.habits import Habits
from study.memory import MAXIMUM_INTERVAL, fuzz_range

VIEWS_MAX = 6
"""The maximum views of a face per day, after its first view."""
AHEAD_DAYS = 7
"""In the last days before the exam, spare time goes to the weakest faces, due or not."""


class FaceState(NamedTuple):
    """A face in an exam's scope. Days count from today; a new face has no stability."""

    group: int
    """The id of its chapter."""
    stability: float | None = None
    difficulty: float = 0.0
    seen: int = 0
    """The day of its last view: 0 or negative."""
    due: int = 0


@dataclass(frozen=True)
class Rules:
    """The order of study. Without limits it is *the plan*; see also :meth:`due_first`."""

    desired_retention: float = 0.9
    learning_steps: int = 2
    relearning_steps: int = 1
    new_per_day: float = inf
    reviews_per_day: float = inf
    spreads_new: bool = True
    """Whether each day starts with an equal share of the remaining new faces."""
    ahead_days: int = AHEAD_DAYS

    def due_first(self, *, new_per_day: int, reviews_per_day: int) -> "Rules":
        """The normal queue: due faces, then new ones, within the student's daily limits."""
        return replace(self, new_per_day=new_per_day, reviews_per_day=reviews_per_day, spreads_new=False, ahead_days=0)


@dataclass(frozen=True)
class Student:
    """The simulated student. ``chance`` returns random numbers from 0 to 1."""

    habits: Habits
    strength: float
    slips: float
    seconds: float
    """Per view."""
    chance: Callable[[], float]

    def recall(self, days: int, stability: float) -> float:
        return (1 - self.slips) * recall(days, stability * self.strength)


class Visit(NamedTuple):
    """A face studied on a day, with the reason: ``new``, ``due`` or ``ahead``."""

    face: int
    """Its index among the faces."""
    why: str
    seconds: float


class Simulation:
    """Simulates the days until an exam, one after the other.

    ``weights``: how many faces of the scope each simulated face stands for. If all are 1, a day's visits fit into its
    seconds. Otherwise a visit may exceed the day, and the next day has that much less.
    """

    def __init__(
        self, faces: Sequence[FaceState], weights: Sequence[float], *, rules: Rules, student: Student, last_day: int
    ) -> None:
        self.rules, self.student, self.last_day = rules, student, last_day
        self.weights = weights
        self._is_whole = all(weight == 1 for weight in weights)
        self._stability = [face.stability for face in faces]
        self._difficulty = [face.difficulty for face in faces]
        self._seen = [face.seen for face in faces]
        self._due = [face.due for face in faces]
        self._queue = [(face.due, n) for n, face in enumerate(faces) if face.stability is not None]
        heapq.heapify(self._queue)
        self._fresh = [n for n, face in enumerate(faces) if face.stability is None][::-1]
        self._fresh_weight = sum(weights[n] for n in self._fresh)
        self._left = 0.0
        self._new_seconds = student.seconds * (1 + self._steps_expected(self._steps_to_go_expected()))
        self._relearning_seconds = student.seconds * self._steps_expected(rules.relearning_steps)

    @property
    def longest_visit(self) -> float:
        """The expected seconds of a longer visit."""
        return max(self._new_seconds, self.student.seconds + self._relearning_seconds)

    def study(self, day: int, seconds: float) -> list[Visit]:
        """Study for at most ``seconds`` on a day; return the visits in order."""
        rules, visits = self.rules, list[Visit]()
        self._left = min(self._left, 0.0) + seconds
        if rules.spreads_new:
            self._learn(day, self._fresh_weight / (self.last_day - day + 1), visits)
            share = sum(self.weights[visit.face] for visit in visits)
        else:
            share = 0.0
        self._review_due(day, visits)
        self._learn(day, rules.new_per_day - share, visits)
        if self._left > 0 and day > self.last_day - rules.ahead_days:
            self._review_ahead(day, visits)
        return visits

    def recalls(self) -> list[float]:
        """The recall of each face on the last day, 0 to 1."""
        return [
            0.0 if stability is None else self.student.recall(self.last_day - seen, stability)
            for stability, seen in zip(self._stability, self._seen, strict=True)
        ]

    def _fits(self, seconds: float) -> bool:
        return self._left >= seconds if self._is_whole else self._left > 0

    def _learn(self, day: int, most: float, visits: list[Visit]) -> None:
        while most > 0 and self._fresh and self._fits(self._new_seconds):
            n = self._fresh.pop()
            weight = self.weights[n]
            most -= weight
            self._fresh_weight -= weight
            self._left -= self._new_seconds * weight
            self._see_first(n, day)
            visits.append(Visit(n, "new", self._new_seconds))

    def _review_due(self, day: int, visits: list[Visit]) -> None:
        queue, most = self._queue, self.rules.reviews_per_day
        while most > 0 and queue and queue[0][0] <= day:
            due, n = queue[0]
            if due == self._due[n]:  # otherwise it was reviewed ahead of time
                if not self._review(n, day, "due", visits):
                    return
                most -= self.weights[n]
            heapq.heappop(queue)

    def _review_ahead(self, day: int, visits: list[Visit]) -> None:
        weakest = sorted(
            (recall(self.last_day - self._seen[n], stability), n)
            for n, stability in enumerate(self._stability)
            if stability is not None and self._seen[n] < day
        )
        for _, n in weakest:
            if not self._review(n, day, "ahead", visits):
                return

    def _review(self, n: int, day: int, why: str, visits: list[Visit]) -> bool:
        """Review a face if time allows; return whether it did."""
        student, days = self.student, day - self._seen[n]
        stability = self._stability[n]
        assert stability is not None  # it is not new
        known = student.recall(days, stability)
        seconds = student.seconds + (1 - known) * self._relearning_seconds
        if not self._fits(seconds):
            return False
        self._left -= seconds * self.weights[n]
        is_recalled = student.chance() < known
        rating = self._draw(student.habits.recalled) + HARD if is_recalled else AGAIN
        self._stability[n], self._difficulty[n] = seen_again(stability, self._difficulty[n], days, rating)
        if not is_recalled:
            self._repeat(n, self.rules.relearning_steps, self.rules.relearning_steps)
        self._enqueue(n, day)
        visits.append(Visit(n, why, seconds))
        return True

    def _see_first(self, n: int, day: int) -> None:
        rating = self._draw(self.student.habits.first) + AGAIN
        self._stability[n], self._difficulty[n] = first_seen(rating)
        self._repeat(n, self._steps_to_go(rating), self.rules.learning_steps)
        self._enqueue(n, day)

    def _steps_to_go(self, rating: int) -> int:
        steps = self.rules.learning_steps
        return 0 if rating == EASY else max(0, steps - 1) if rating == GOOD else steps

    def _steps_to_go_expected(self) -> float:
        first = self.student.habits.first
        return sum(share * self._steps_to_go(rating) for rating, share in enumerate(first, start=AGAIN))

    def _steps_expected(self, to_go: float) -> float:
        return min(to_go / (1 - self.student.habits.steps_forgotten), VIEWS_MAX)

    def _repeat(self, n: int, to_go: int, steps: int) -> None:
        """Repeat a face on the same day until it passes its steps."""
        habits, chance = self.student.habits, self.student.chance
        views = 0
        while to_go > 0 and views < VIEWS_MAX:
            views += 1
            rating = AGAIN if chance() < habits.steps_forgotten else GOOD
            to_go = steps if rating == AGAIN else to_go - 1
            stability = self._stability[n]
            assert stability is not None  # it was seen before
            self._stability[n], self._difficulty[n] = seen_again(stability, self._difficulty[n], 0, rating)

    def _draw(self, shares: Sequence[float]) -> int:
        """Draw an index with probabilities proportional to the shares."""
        x = self.student.chance()
        for number, share in enumerate(shares[:-1]):
            x -= share
            if x < 0:
                return number
        return len(shares) - 1

    def _enqueue(self, n: int, day: int) -> None:
        stability = self._stability[n]
        assert stability is not None  # it was seen
        least, most = fuzz_range(days_until_due(stability, self.rules.desired_retention, most=MAXIMUM_INTERVAL))
        due = day + least + int(self.student.chance() * (most - least + 1))
        self._seen[n], self._due[n] = day, due
        if due <= self.last_day:
            heapq.heappush(self._queue, (due, n))
