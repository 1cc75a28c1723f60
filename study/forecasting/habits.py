"""Estimates a student's habits from the review log: time per view, answers, and strength of memory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import NormalDist, fmean, median
from typing import NamedTuple

from study.forecasting.forgetting import DECAY

SECONDS_DEFAULT, SECONDS_MIN, SECONDS_MAX = 9.0, 2.0, 120.0
"""Seconds per view: the default with fewer than ``DURATIONS_MIN`` durations, and the bounds."""
DURATIONS_MIN = 20
LONGEST_TIMES = 4
SECONDS_ASSUMED, SECONDS_MEASURED = 0.5, 0.12
"""The standard deviation of the log of the time per view: assumed, and measured."""
SLIPS = 0.04
"""The maximum share of answers that are wrong although remembered. A log cannot tell slips from forgetting."""
STUDENTS_DIFFER = 0.5
"""Prior standard deviation of log strength between students."""
MODEL_ERRS = 0.15
"""Standard deviation of log strength between the log and the future: the least uncertainty of a forecast."""
PRIOR_ANSWERS = 20
"""The weight of the assumed answer shares, in answers."""
_STRENGTHS = [exp(-2 + n / 20) for n in range(81)]


class Reviewed(NamedTuple):
    """The part of a review that habits use."""

    rating: str
    predicted: float | None
    """The expected recall; only for a face in state ``review``."""
    is_first: bool
    """Whether it was the first view of a face."""
    duration_ms: int | None


@dataclass(frozen=True)
class Habits:
    """A student's habits. The defaults are the assumptions for an empty log."""

    seconds: float = SECONDS_DEFAULT
    """Per view."""
    seconds_spread: float = SECONDS_ASSUMED
    """Standard deviation of the log of ``seconds``."""
    recalled: tuple[float, float, float] = (0.08, 0.85, 0.07)
    """Shares of hard, good and easy among recalled reviews."""
    first: tuple[float, float, float, float] = (0.2, 0.1, 0.6, 0.1)
    """Shares of again, hard, good and easy among first views."""
    steps_forgotten: float = 0.1
    """Share of again among repeated views on the same day."""
    strength: float = 0.0
    """Log strength: memories last exp(strength) times as long as FSRS predicts."""
    strength_spread: float = sqrt(STUDENTS_DIFFER**2 + MODEL_ERRS**2)
    """Standard deviation of ``strength``."""

    def strength_at(self, quantile: float) -> float:
        return exp(NormalDist(self.strength, self.strength_spread).inv_cdf(quantile))

    def seconds_at(self, quantile: float) -> float:
        return exp(NormalDist(log(self.seconds), self.seconds_spread).inv_cdf(quantile))


def habits_of(reviews: Sequence[Reviewed]) -> Habits:
    """Estimate habits from the newest few thousand reviews."""
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
    """The mean, since totals matter. Each duration is capped at a multiple of the median: a break is not a view."""
    most = LONGEST_TIMES * median(durations)
    return min(max(fmean(min(seconds, most) for seconds in durations), SECONDS_MIN), SECONDS_MAX)


def _shares(ratings: Sequence[str], names: Sequence[str], assumed: Sequence[float]) -> list[float]:
    total = len(ratings) + PRIOR_ANSWERS
    return [(ratings.count(name) + PRIOR_ANSWERS * share) / total for name, share in zip(names, assumed, strict=True)]


def strength_of(reviews: Iterable[tuple[float, bool]]) -> tuple[float, float]:
    """Log strength and its standard deviation, from pairs of predicted recall and actual result.

    A posterior on a grid: the prior is normal around 0, each review is a Bernoulli trial.
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
    """The recall at the same time if stability were ``strength`` times as large."""
    return float((1 + (max(predicted, 1e-4) ** (1 / DECAY) - 1) / strength) ** DECAY)
