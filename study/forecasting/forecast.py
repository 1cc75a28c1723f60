"""Forecasts the recall on the day of an exam, with an uncertainty band, and whether it reaches the target.

The band comes from ``RUNS`` simulations of a student whose memory is worse than, equal to or better than the log
suggests, each with its own random answers. All are seeded, so the same input gives exactly the same forecast. It reads
no clock and no table.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from statistics import fmean
from typing import NamedTuple

from study.forecasting.forgetting import recall
from study.forecasting.habits import SLIPS, Habits
from study.forecasting.simulation import FaceState, Rules, Simulation, Student, Visit

RUNS = 9
SAMPLE_MAX = 400
"""The maximum number of simulated faces. From more, every n-th of each chapter is taken, in order of recall."""
SAMPLE_LEAST = 8
"""The minimum per chapter, if there are not too many chapters."""
LONG_DAYS = 60
"""A more distant exam is simulated with fewer faces, to limit the cost."""
REPEATED_FACES = 600
"""A simulation of fewer faces is repeated, to average out chance."""
# Students differ in independent quantities: each run uses other quantiles of them, the middle run the medians.
_SLIPS_OF_RUN = [((4 * run + 6) % RUNS + 0.5) / RUNS for run in range(RUNS)]
_SECONDS_OF_RUN = [((7 * run + 3) % RUNS + 0.5) / RUNS for run in range(RUNS)]
FIRST_TRY = 8.0
"""The search for the missing time starts with this many seconds per day."""
FINENESS = 16
"""It ends when the missing time is known to 1/16, or to one view."""


class Band(NamedTuple):
    """Expected recall, 0 to 1. With a probability of 80 % it is between ``p10`` and ``p90``."""

    p10: float
    p50: float
    p90: float


class Bands(NamedTuple):
    """The recall without any study, with the plan, and with the normal queue."""

    no_study: Band
    plan: Band
    due_first: Band


@dataclass(frozen=True)
class Forecast:
    overall: Bands
    groups: dict[int, Bands]
    feasible: bool
    minutes_short: int | None
    """The missing minutes until the exam; None if no amount of time reaches the target."""
    simulated: int
    """The number of simulated faces."""


@dataclass(frozen=True)
class Days:
    """The days until the exam: the study seconds and the total seconds of each."""

    planned: Sequence[float]
    most: Sequence[float]

    def with_more(self, pieces: int, seconds: float) -> list[float]:
        """The study seconds of each day after adding ``pieces``, spread evenly, as far as each day has time.

        With fewer pieces than days, some days get one piece and others none, starting from the last day: a piece
        shorter than a view is useless.
        """
        days = len(self.planned)
        return [
            min(planned + seconds * ((day + 1) * pieces // days - day * pieces // days), most)
            for day, (planned, most) in enumerate(zip(self.planned, self.most, strict=True))
        ]


def forecast(
    faces: Sequence[FaceState], days: Days, *, habits: Habits, plan: Rules, due_first: Rules, target: float
) -> Forecast:
    """Forecast the recall of at least one face on the last of these days."""
    chosen, weights = _sample(faces, days)
    sample = [faces[n] for n in chosen]
    groups = [face.group for face in sample]

    def bands(runs: list[list[float]]) -> tuple[Band, dict[int, Band]]:
        means = [_means(recalls, weights, groups) for recalls in runs]
        return band_of([mean for mean, _ in means]), {
            group: band_of([of_groups[group] for _, of_groups in means]) for group in set(groups)
        }

    last_day = len(days.planned) - 1
    students = [_student(habits, run) for run in range(RUNS)]
    no_study = bands(
        [Simulation(sample, weights, rules=plan, student=student, last_day=last_day).recalls() for student in students]
    )
    planned = bands([_recalls(sample, weights, days.planned, plan, student) for student in students])
    queued = bands([_recalls(sample, weights, days.planned, due_first, _student(habits, run)) for run in range(RUNS)])
    reached = planned[0].p50
    missing = None
    if reached < target:
        missing = _missing(sample, weights, days, plan, habits, by=target - reached)
    return Forecast(
        overall=Bands(no_study[0], planned[0], queued[0]),
        groups={group: Bands(no_study[1][group], planned[1][group], queued[1][group]) for group in set(groups)},
        feasible=reached >= target,
        minutes_short=0 if reached >= target else missing,
        simulated=len(sample),
    )


def likely_day(
    faces: Sequence[FaceState], seconds: Sequence[float], *, day: int, habits: Habits, rules: Rules
) -> list[Visit]:
    """The visits of a day, if the student gives the likeliest answers until then. All faces are simulated."""
    student = Student(habits, habits.strength_at(0.5), SLIPS / 2, habits.seconds, chance=lambda: 0.5)
    simulation = Simulation(faces, [1] * len(faces), rules=rules, student=student, last_day=len(seconds) - 1)
    visits: list[Visit] = []
    for n in range(day + 1):
        visits = simulation.study(n, seconds[n])
    return visits


def _student(habits: Habits, run: int) -> Student:
    return Student(
        habits,
        strength=habits.strength_at((run + 0.5) / RUNS),
        slips=SLIPS * _SLIPS_OF_RUN[run],
        seconds=habits.seconds_at(_SECONDS_OF_RUN[run]),
        chance=random.Random(run).random,
    )


def _recalls(
    faces: Sequence[FaceState], weights: Sequence[float], seconds: Sequence[float], rules: Rules, student: Student
) -> list[float]:
    simulation = Simulation(faces, weights, rules=rules, student=student, last_day=len(seconds) - 1)
    for day, left in enumerate(seconds):
        simulation.study(day, left)
    return simulation.recalls()


def _missing(
    faces: Sequence[FaceState], weights: Sequence[float], days: Days, rules: Rules, habits: Habits, *, by: float
) -> int | None:
    """The total extra minutes that raise the recall to the target, found by doubling and bisection.

    Time is added in pieces as long as a visit: shorter pieces are too short to study anything.
    """
    middle, groups = _student(habits, RUNS // 2), [0] * len(faces)
    repetitions = min(max(REPEATED_FACES // len(faces), 1), RUNS)

    def reached(seconds: Sequence[float]) -> float:
        students = [replace(middle, chance=random.Random(seed).random) for seed in range(repetitions)]
        return fmean(
            _means(_recalls(faces, weights, seconds, rules, student), weights, groups)[0] for student in students
        )

    needed = reached(days.planned) + by
    piece = Simulation(faces, weights, rules=rules, student=middle, last_day=len(days.planned) - 1).longest_visit
    least, most = 0, max(1, round(FIRST_TRY * len(days.planned) / piece))
    while reached(days.with_more(most, piece)) < needed:
        if days.with_more(most, piece) == list(days.most):
            return None
        least, most = most, 2 * most
    while most - least > max(1, most // FINENESS):
        half = (least + most) // 2
        least, most = (least, half) if reached(days.with_more(half, piece)) >= needed else (half, most)
    return max(1, ceil((sum(days.with_more(most, piece)) - sum(days.planned)) / 60))


def _sample(faces: Sequence[FaceState], days: Days) -> tuple[list[int], list[float]]:
    """Choose the faces to simulate, in order, and how many faces each stands for."""
    last_day = len(days.planned) - 1
    most = max(SAMPLE_MAX // 4, round(SAMPLE_MAX * min(1.0, (LONG_DAYS / max(last_day, 1)) ** 0.5)))
    if len(faces) <= most:
        return list(range(len(faces))), [1] * len(faces)
    of_group = defaultdict[int, list[int]](list)
    for n, face in enumerate(faces):
        of_group[face.group].append(n)
    least = max(1, min(SAMPLE_LEAST, most // len(of_group)))
    weight_of: dict[int, float] = {}
    for members in of_group.values():
        members.sort(key=lambda n: (_known(faces[n], last_day), n))
        size = min(len(members), max(least, round(most * len(members) / len(faces))))
        step = len(members) / size
        weight_of |= {members[int((n + 0.5) * step)]: step for n in range(size)}
    chosen = sorted(weight_of)
    return chosen, [weight_of[n] for n in chosen]


def _known(face: FaceState, last_day: int) -> float:
    return 0.0 if face.stability is None else recall(last_day - face.seen, face.stability)


def _means(recalls: Sequence[float], weights: Sequence[float], groups: Sequence[int]) -> tuple[float, dict[int, float]]:
    """The mean recall over all faces, and per chapter."""
    known, faces = defaultdict[int, float](float), defaultdict[int, float](float)
    for share, weight, group in zip(recalls, weights, groups, strict=True):
        known[group] += share * weight
        faces[group] += weight
    return sum(known.values()) / sum(faces.values()), {group: known[group] / faces[group] for group in faces}


def band_of(values: Sequence[float]) -> Band:
    """The band of the runs. Each stands for the middle of an equal share of outcomes: of nine runs, the lowest is at
    1/18."""
    ordered = sorted(values)

    def at(share: float) -> float:
        place = min(max(share * len(ordered) - 0.5, 0.0), len(ordered) - 1.0)
        below = int(place)
        above = min(below + 1, len(ordered) - 1)
        return ordered[below] + (ordered[above] - ordered[below]) * (place - below)

    return Band(at(0.1), at(0.5), at(0.9))
