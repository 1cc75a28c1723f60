"""What a student's own reviews say about them: how long they take, how they answer, and how long they remember."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import NormalDist, fmean, median
from typing import NamedTuple

from study.forecasting.forgetting import DECAY

SECONDS_DEFAULT, SECONDS_MIN, SECONDS_MAX = 9.0, 2.0, 120.0
"""For one view, where there are fewer than ``DURATIONS_MIN`` to take the mean of, and its bounds."""
DURATIONS_MIN = 20
LONGEST_TIMES = 4
SECONDS_ASSUMED, SECONDS_MEASURED = 0.5, 0.12
"""How far the time that views take may differ from that, as a standard deviation of its logarithm."""
SLIPS = 0.04
"""Up to so many answers are wrong whatever is remembered. How many, a log cannot tell from forgetting."""
STUDENTS_DIFFER = 0.5
"""How much the strength of students differs, as a standard deviation of its logarithm: what is known without a log."""
MODEL_ERRS = 0.15
"""How far the days ahead differ from those of the log, likewise: a log never makes a forecast surer than that."""
PRIOR_ANSWERS = 20
"""What is assumed of answers weighs as much as so many of the student's."""
_STRENGTHS = [exp(-2 + n / 20) for n in range(81)]


class Reviewed(NamedTuple):
    """A review of the log, as far as habits go."""

    rating: str
    predicted: float | None
    """The recall that was expected, for a face that was in state ``review``."""
    is_first: bool
    """Whether a new face was seen."""
    duration_ms: int | None


@dataclass(frozen=True)
class Habits:
    """How a student reviews. Without arguments: what is assumed of one whose log is empty."""

    seconds: float = SECONDS_DEFAULT
    """For one view of a card."""
    seconds_spread: float = SECONDS_ASSUMED
    """The standard deviation of its logarithm."""
    recalled: tuple[float, float, float] = (0.08, 0.85, 0.07)
    """Of the reviews that were recalled: hard, good, easy."""
    first: tuple[float, float, float, float] = (0.2, 0.1, 0.6, 0.1)
    """Of the first views: again, hard, good, easy."""
    steps_forgotten: float = 0.1
    """Of the views that repeat a card on the same day: again."""
    strength: float = 0.0
    """The logarithm of the strength: everything is remembered so many times as long as FSRS thinks."""
    strength_spread: float = sqrt(STUDENTS_DIFFER**2 + MODEL_ERRS**2)
    """Its standard deviation."""

    def strength_at(self, quantile: float) -> float:
        return exp(NormalDist(self.strength, self.strength_spread).inv_cdf(quantile))

    def seconds_at(self, quantile: float) -> float:
        return exp(NormalDist(log(self.seconds), self.seconds_spread).inv_cdf(quantile))


def habits_of(reviews: Sequence[Reviewed]) -> Habits:
    """The habits that a log shows, the newest few thousand reviews of it."""
    assumed = Habits()
    durations = [review.duration_ms / 1000 for review in reviews if review.duration_ms]
    is_timed = len(durations) >= DURATIONS_MIN
    measured = [review for review in reviews if review.predicted is not None]
    steps = [review.rating for review in reviews if review.predicted is None and not review.is_first]
    passed = [review.rating for review in measured if review.rating != "again"]
    first = [review.rating for review in reviews if review.is_first]
    mean, deviation = strength_of(
        (review.predicted, review.rating != "again") for review in measured if review.predicted is not None
    )
    return Habits(
        seconds=_usual(durations) if is_timed else SECONDS_DEFAULT,
        seconds_spread=SECONDS_MEASURED if is_timed else SECONDS_ASSUMED,
        recalled=tuple(_shares(passed, ("hard", "good", "easy"), assumed.recalled)),  # type: ignore[arg-type]
        first=tuple(_shares(first, ("again", "hard", "good", "easy"), assumed.first)),  # type: ignore[arg-type]
        steps_forgotten=_shares(steps, ("again",), (assumed.steps_forgotten,))[0],
        strength=mean,
        strength_spread=sqrt(deviation**2 + MODEL_ERRS**2),
    )


def _usual(durations: Sequence[float]) -> float:
    """The mean, as it is sums that count. A break is no view, so none counts for more than some times the median."""
    most = LONGEST_TIMES * median(durations)
    return min(max(fmean(min(seconds, most) for seconds in durations), SECONDS_MIN), SECONDS_MAX)


def _shares(ratings: Sequence[str], names: Sequence[str], assumed: Sequence[float]) -> list[float]:
    total = len(ratings) + PRIOR_ANSWERS
    return [(ratings.count(name) + PRIOR_ANSWERS * share) / total for name, share in zip(names, assumed, strict=True)]


def strength_of(reviews: Iterable[tuple[float, bool]]) -> tuple[float, float]:
    """The logarithm of the strength and its standard deviation, by what was predicted and whether it was recalled.

    A posterior on a grid: the prior is a normal distribution around 0, each review a throw of a coin.
    """
    bins: dict[int, list[tuple[float, bool]]] = {}
    for predicted, was_recalled in reviews:
        bins.setdefault(round(100 * predicted), []).append((predicted, was_recalled))
    counted = [
        (fmean(predicted for predicted, _ in bin), len(bin), sum(was_recalled for _, was_recalled in bin))
        for bin in bins.values()
    ]
    scores = []
    for strength in _STRENGTHS:
        score = -0.5 * (log(strength) / STUDENTS_DIFFER) ** 2
        for predicted, count, recalled in counted:
            chance = max((1 - SLIPS / 2) * _for_stronger(predicted, strength), 1e-4)
            score += recalled * log(chance) + (count - recalled) * log(1 - chance)
        scores.append(score)
    weights = [exp(score - max(scores)) for score in scores]
    total = sum(weights)
    mean = sum(weight * log(strength) for weight, strength in zip(weights, _STRENGTHS, strict=True)) / total
    variance = sum(weight * (log(strength) - mean) ** 2 for weight, strength in zip(weights, _STRENGTHS, strict=True))
    return mean, sqrt(variance / total)


def _for_stronger(predicted: float, strength: float) -> float:
    """The recall at the same moment, if stability were so many times as great."""
    return float((1 + (max(predicted, 1e-4) ** (1 / DECAY) - 1) / strength) ** DECAY)
