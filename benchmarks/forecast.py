"""``python -m benchmarks.forecast``: forecasts of exams compared with what simulated students then know.

For each student the forecast is made from the log alone; then the days until the exam are lived, by the truth that only
the simulation knows. See :mod:`benchmarks.students`.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.plots import COLORS, WIDTH, Canvas
from benchmarks.students import NEW_PER_DAY, REVIEWS_PER_DAY, Student, by_chapter, mean
from study.forecasting.forecast import Band, Days, forecast

STUDENTS = 200
COURSES = ("no_study", "plan", "due_first")


class Outcome(NamedTuple):
    """A forecast, and what became of it: of all cards (``chapter`` is None), or of a chapter's."""

    course: str
    chapter: int | None
    band: Band
    truth: float

    @property
    def error(self) -> float:
        return self.band.p50 - self.truth

    @property
    def is_within(self) -> bool:
        return self.band.p10 - 1e-9 <= self.truth <= self.band.p90 + 1e-9


def outcomes_of(seed: int) -> tuple[list[Outcome], float]:
    """The forecasts of one student and the truth, and how many seconds of CPU the forecast took."""
    student = Student(seed)
    plan = student.rules
    due_first = plan.due_first(new_per_day=NEW_PER_DAY, reviews_per_day=REVIEWS_PER_DAY)
    seconds = [60.0 * student.minutes] * (student.horizon + 1)
    began = time.process_time()
    found = forecast(
        student.outlooks(),
        Days(seconds, [86_400.0] * len(seconds)),
        habits=student.habits(),
        plan=plan,
        due_first=due_first,
        target=0.9,
    )
    took = time.process_time() - began
    outcomes = []
    for course, rules in zip(COURSES, (None, plan, due_first), strict=True):
        truth = student.truth(rules)
        outcomes.append(Outcome(course, None, getattr(found.overall, course), mean(truth)))
        outcomes += [
            Outcome(course, chapter, getattr(found.groups[chapter], course), known)
            for chapter, known in by_chapter(student, truth).items()
        ]
    return outcomes, took


def of(outcomes: Sequence[Outcome], course: str, *, chapters: bool = False) -> list[Outcome]:
    return [one for one in outcomes if one.course == course and (one.chapter is not None) == chapters]


def row(name: str, outcomes: Sequence[Outcome]) -> str:
    errors = sorted(100 * abs(one.error) for one in outcomes)
    uncertain = [one for one in outcomes if one.band.p90 > one.band.p10]  # what is not learned is not known: no guess
    return (
        f"| {name} | {100 * mean([one.truth for one in outcomes]):.1f} | {mean(errors):.2f} | "
        f"{100 * mean([one.error for one in outcomes]):+.2f} | {errors[int(0.95 * len(errors))]:.1f} | "
        f"{100 * mean([float(one.is_within) for one in uncertain]):.0f} |"
    )


def plot(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Each student's recall on the day over the forecast, a panel for each course."""
    side, top, left = 205, 60, 44
    canvas = Canvas(top + side + 46, f"Forecast and truth: {len(of(outcomes, 'plan'))} simulated students, all cards")
    for number, course in enumerate(COURSES):
        x0, y0 = left + number * (side + 35), top + side
        canvas.text(x0, top - 12, course)
        for mark in (0, 25, 50, 75, 100):
            at = side * mark / 100
            canvas.line([(x0, y0 - at), (x0 + side, y0 - at)], "#e5e5e5", 1)
            canvas.line([(x0 + at, y0), (x0 + at, y0 - side)], "#e5e5e5", 1)
            canvas.text(x0 + at, y0 + 16, str(mark), anchor="middle")
            canvas.text(x0 - 6, y0 - at + 4, str(mark), anchor="end")
        canvas.line([(x0, y0), (x0 + side, y0 - side)], "#888", 1)
        for one in of(outcomes, course):
            y = y0 - side * one.truth
            canvas.line([(x0 + side * one.band.p10, y), (x0 + side * one.band.p90, y)], "#cccccc", 1)
        for one in of(outcomes, course):
            canvas.dot(x0 + side * one.band.p50, y0 - side * one.truth, COLORS[number + 1])
    canvas.text(
        WIDTH / 2, top + side + 36, "forecast p50, with p10 to p90 in grey; upwards the truth (%)", anchor="middle"
    )
    canvas.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--students", type=int, default=STUDENTS)
    parser.add_argument("--plot", type=Path, help="where to write an SVG")
    options = parser.parse_args()
    outcomes: list[Outcome] = []
    took = []
    for seed in range(options.students):
        found, seconds = outcomes_of(seed)
        outcomes += found
        took.append(seconds)
    print("| | truth, % | mean error, points | bias | 95 % err less than | within p10 to p90, % |")
    print("|---|---|---|---|---|---|")
    for course in COURSES:
        print(row(course, of(outcomes, course)))
    for course in COURSES:
        print(row(f"{course}, each chapter", of(outcomes, course, chapters=True)))
    gained = [100 * (a.truth - b.truth) for a, b in zip(of(outcomes, "plan"), of(outcomes, "due_first"), strict=True)]
    print(f"\nThe plan gains {mean(gained):.1f} points over due first, from {min(gained):.1f} to {max(gained):.1f}.")
    print(f"It is worse by more than half a point for {sum(gain < -0.5 for gain in gained)} of {len(gained)}.")
    print(f"ms of CPU for a forecast: {1000 * mean(took):.0f} on average, {1000 * max(took):.0f} at most.")
    if options.plot:
        plot(options.plot, outcomes)


if __name__ == "__main__":
    main()
