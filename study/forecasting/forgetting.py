"""FSRS 6 with plain numbers and whole days: a fast version of :mod:`study.memory` for many cards.

The parameters are the library's. ``tests/study/test_exams_forecast.py`` checks that both give the same numbers.
"""

from math import exp

from fsrs.scheduler import DEFAULT_PARAMETERS

_W = DEFAULT_PARAMETERS
DECAY = -_W[20]
FACTOR = 0.9 ** (1 / DECAY) - 1
STABILITY_MIN = 0.001
AGAIN, HARD, GOOD, EASY = 1, 2, 3, 4

_EASY_DIFFICULTY = _W[4] - exp(_W[5] * 3) + 1
_GROWTH = exp(_W[8])
_SHORT_TERM = {rating: exp(_W[17] * (rating - 3 + _W[18])) for rating in (AGAIN, HARD, GOOD, EASY)}
_FORGET_MOST = exp(_W[17] * _W[18])
_BONUS = {HARD: _W[15], GOOD: 1.0, EASY: _W[16]}


def recall(days: float, stability: float) -> float:
    """The probability of recall, 0 to 1, some days after the last view."""
    return float((1 + FACTOR * days / stability) ** DECAY)


def first_seen(rating: int) -> tuple[float, float]:
    """Stability and difficulty after the first view."""
    return _W[rating - 1], _clamped(_W[4] - exp(_W[5] * (rating - 1)) + 1)


def seen_again(stability: float, difficulty: float, days: int, rating: int) -> tuple[float, float]:
    """Stability and difficulty after a view ``days`` after the last one."""
    if days < 1:
        change = _SHORT_TERM[rating] * stability ** -_W[19]
        grown = stability * (change if rating == AGAIN else max(change, 1.0))
    elif rating == AGAIN:
        lost = 1 - recall(days, stability)
        grown = min(
            _W[11] * difficulty ** -_W[12] * ((stability + 1) ** _W[13] - 1) * exp(lost * _W[14]),
            stability / _FORGET_MOST,
        )
    else:
        lost = 1 - recall(days, stability)
        growth = _GROWTH * (11 - difficulty) * stability ** -_W[9] * (exp(lost * _W[10]) - 1)
        grown = stability * (1 + growth * _BONUS[rating])
    damped = difficulty - _W[6] * (rating - 3) * (10 - difficulty) / 9
    return max(grown, STABILITY_MIN), _clamped(_W[7] * _EASY_DIFFICULTY + (1 - _W[7]) * damped)


def days_until_due(stability: float, desired_retention: float, *, most: int) -> int:
    """The days until recall falls to the desired retention, without fuzz."""
    return min(max(round(stability / FACTOR * (desired_retention ** (1 / DECAY) - 1)), 1), most)


def _clamped(difficulty: float) -> float:
    return min(max(difficulty, 1.0), 10.0)
