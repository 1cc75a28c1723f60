"""What will be remembered on the day of an exam, with a band, and whether that reaches the goal. No clock, no table.

The band comes from ``RUNS`` courses of a student who remembers worse than the log says, as well, or better, each with
chance answers of its own. All are seeded: what is known being the same, the forecast is the same to the last bit.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from statistics import fmean
from typing import NamedTuple

from study.forecasting.course import Course, Mind, Outlook, Rules, Visit
from study.forecasting.forgetting import recall
from study.forecasting.habits import SLIPS, Habits

RUNS = 9
SAMPLE_MAX = 400
"""So many faces are simulated at most. Of more every n-th of each chapter is, in the order of recall."""
SAMPLE_LEAST = 8
"""Of each chapter, if there are not too many."""
LONG_DAYS = 60
"""An exam that is further away is simulated with fewer faces, so that it costs no more."""
REPEATED_FACES = 600
"""A course of fewer faces is repeated, so that chance evens out."""
# What students differ in is independent: each run has another quantile of each, the middle one the medians.
_SLIPS_OF_RUN = [((4 * run + 6) % RUNS + 0.5) / RUNS for run in range(RUNS)]
_SECONDS_OF_RUN = [((7 * run + 3) % RUNS + 0.5) / RUNS for run in range(RUNS)]
FIRST_TRY = 8.0
"""The search for the missing time begins with so many seconds a day."""
FINENESS = 16
"""It ends when it knows the missing time to such a part of it, or to one view."""


class Band(NamedTuple):
    """Expected recall from 0 to 1: with a probability of 80 % it is between ``p10`` and ``p90``."""

    p10: float
    p50: float
    p90: float


class Bands(NamedTuple):
    """The recall without any study, with the plan, and with the queue as it is."""

    no_study: Band
    plan: Band
    due_first: Band


@dataclass(frozen=True)
class Forecast:
    overall: Bands
    groups: dict[int, Bands]
    feasible: bool
    minutes_short: int | None
    """How many minutes are missing until the exam; None if the goal is not reached however many there are."""
    simulated: int
    """How many faces were simulated."""


@dataclass(frozen=True)
class Days:
    """The days until the exam: for how many seconds the student studies on each, and how many there are in all."""

    planned: Sequence[float]
    most: Sequence[float]

    def with_more(self, pieces: int, seconds: float) -> list[float]:
        """The seconds of each day, with so many pieces more, spread evenly, as far as a day has so much time.

        Where there are fewer pieces than days some days get one and others none, the last one first: time that is too
        short for a view is of no use.
        """
        days = len(self.planned)
        return [
            min(planned + seconds * ((day + 1) * pieces // days - day * pieces // days), most)
            for day, (planned, most) in enumerate(zip(self.planned, self.most, strict=True))
        ]


def forecast(
    faces: Sequence[Outlook], days: Days, *, habits: Habits, plan: Rules, due_first: Rules, target: float
) -> Forecast:
    """Forecast the recall of some faces, at least one, on the last of these days."""
    chosen, weights = _sample(faces, days)
    sample = [faces[n] for n in chosen]
    groups = [face.group for face in sample]

    def bands(runs: list[list[float]]) -> tuple[Band, dict[int, Band]]:
        means = [_means(recalls, weights, groups) for recalls in runs]
        return band_of([mean for mean, _ in means]), {
            group: band_of([of_groups[group] for _, of_groups in means]) for group in set(groups)
        }

    last_day = len(days.planned) - 1
    minds = [_mind(habits, run) for run in range(RUNS)]
    no_study = bands([Course(sample, weights, rules=plan, mind=mind, last_day=last_day).recalls() for mind in minds])
    planned = bands([_recalls(sample, weights, days.planned, plan, mind) for mind in minds])
    queued = bands([_recalls(sample, weights, days.planned, due_first, _mind(habits, run)) for run in range(RUNS)])
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
    faces: Sequence[Outlook], seconds: Sequence[float], *, day: int, habits: Habits, rules: Rules
) -> list[Visit]:
    """What is studied on a day, if until then the likeliest happens: what is asked is known. All faces count."""
    mind = Mind(habits, habits.strength_at(0.5), SLIPS / 2, habits.seconds, chance=lambda: 0.5)
    course = Course(faces, [1] * len(faces), rules=rules, mind=mind, last_day=len(seconds) - 1)
    visits: list[Visit] = []
    for n in range(day + 1):
        visits = course.study(n, seconds[n])
    return visits


def _mind(habits: Habits, run: int) -> Mind:
    return Mind(
        habits,
        strength=habits.strength_at((run + 0.5) / RUNS),
        slips=SLIPS * _SLIPS_OF_RUN[run],
        seconds=habits.seconds_at(_SECONDS_OF_RUN[run]),
        chance=random.Random(run).random,
    )


def _recalls(
    faces: Sequence[Outlook], weights: Sequence[float], seconds: Sequence[float], rules: Rules, mind: Mind
) -> list[float]:
    course = Course(faces, weights, rules=rules, mind=mind, last_day=len(seconds) - 1)
    for day, left in enumerate(seconds):
        course.study(day, left)
    return course.recalls()


def _missing(
    faces: Sequence[Outlook], weights: Sequence[float], days: Days, rules: Rules, habits: Habits, *, by: float
) -> int | None:
    """How many minutes more in all raise the recall by so much: found by doubling and halving.

    They come in pieces that are as long as a visit, as less would be too short to study anything.
    """
    middle, groups = _mind(habits, RUNS // 2), [0] * len(faces)
    repetitions = min(max(REPEATED_FACES // len(faces), 1), RUNS)

    def reached(seconds: Sequence[float]) -> float:
        minds = [replace(middle, chance=random.Random(seed).random) for seed in range(repetitions)]
        return fmean(_means(_recalls(faces, weights, seconds, rules, mind), weights, groups)[0] for mind in minds)

    needed = reached(days.planned) + by
    piece = Course(faces, weights, rules=rules, mind=middle, last_day=len(days.planned) - 1).longest_visit
    least, most = 0, max(1, round(FIRST_TRY * len(days.planned) / piece))
    while reached(days.with_more(most, piece)) < needed:
        if days.with_more(most, piece) == list(days.most):
            return None
        least, most = most, 2 * most
    while most - least > max(1, most // FINENESS):
        half = (least + most) // 2
        least, most = (least, half) if reached(days.with_more(half, piece)) >= needed else (half, most)
    return max(1, ceil((sum(days.with_more(most, piece)) - sum(days.planned)) / 60))


def _sample(faces: Sequence[Outlook], days: Days) -> tuple[list[int], list[float]]:
    """Which faces are simulated, in their order, and how many each stands for."""
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


def _known(face: Outlook, last_day: int) -> float:
    return 0.0 if face.stability is None else recall(last_day - face.seen, face.stability)


def _means(recalls: Sequence[float], weights: Sequence[float], groups: Sequence[int]) -> tuple[float, dict[int, float]]:
    """The mean recall, and that of each chapter."""
    known, faces = defaultdict[int, float](float), defaultdict[int, float](float)
    for share, weight, group in zip(recalls, weights, groups, strict=True):
        known[group] += share * weight
        faces[group] += weight
    return sum(known.values()) / sum(faces.values()), {group: known[group] / faces[group] for group in faces}


def band_of(values: Sequence[float]) -> Band:
    """The runs stand for equal shares of what may be, each for the middle of its own: of nine the lowest is at 1/18."""
    ordered = sorted(values)

    def at(share: float) -> float:
        place = min(max(share * len(ordered) - 0.5, 0.0), len(ordered) - 1.0)
        below = int(place)
        above = min(below + 1, len(ordered) - 1)
        return ordered[below] + (ordered[above] - ordered[below]) * (place - below)

    return Band(at(0.1), at(0.5), at(0.9))
