"""Converts schedules between Anki's format and ``study.memory``.

Anki counts review days from the day its collection was created (``created``), and learning steps in seconds since 1970.
With FSRS, a card's ``data`` holds stability and difficulty; without, the card has an interval and an ease factor. The
conversion between the two is Anki's own (``memory_state_from_sm2`` of fsrs-rs), with the default parameters of FSRS 6
and a retention of 0.9, at which stability equals the interval.
"""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fsrs.scheduler import DEFAULT_PARAMETERS

from study.memory import MAXIMUM_INTERVAL, Memory, Terms

NEW, LEARNING, REVIEW, RELEARNING = range(4)
SUSPENDED = -1
_TYPES = {"new": NEW, "learning": LEARNING, "review": REVIEW, "relearning": RELEARNING}
_LEARNING_QUEUE = 1
_W8, _W9, _W10 = DEFAULT_PARAMETERS[8:11]
_STABILITY_MIN = 0.001
_EASE_MIN, _EASE_MAX = 1.3, 5.0
_EASE_DEFAULT = 2.5
_COUNT_MAX = 100_000
_FIRST_TIMESTAMP = 10**9
"""A larger due number is a timestamp in seconds since 1970; a smaller one is a day."""
_HALF_A_DAY = timedelta(hours=12)
_DAY = timedelta(days=1)
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Learned:
    """The state of a face in another program: the ``data`` of a ``baseline`` event (``study.memory``)."""

    stability: float
    difficulty: float
    due_at: datetime
    reps: int
    lapses: int
    reviewed_at: datetime

    def as_json(self) -> dict[str, Any]:
        return {
            "stability": self.stability,
            "difficulty": self.difficulty,
            "due_at": self.due_at.isoformat(),
            "reps": self.reps,
            "lapses": self.lapses,
            "reviewed_at": self.reviewed_at.isoformat(),
        }


def learned(card: dict[str, Any], *, created: int, terms: Terms, now: datetime) -> Learned | None:
    """The learning state of a card given by ``collection_process``; None if it is new or in its learning steps."""
    if card["type"] not in (REVIEW, RELEARNING):
        return None
    data = _json(card["data"])
    interval = min(max(card["interval"], 1), MAXIMUM_INTERVAL)
    stability = _within(data.get("s"), _STABILITY_MIN, MAXIMUM_INTERVAL) or float(interval)
    difficulty = _within(data.get("d"), 1.0, 10.0) or _difficulty(card["factor"], stability)
    due_at = _due_at(card["due"], created, terms, now)
    reviewed_at = _timestamp(data.get("lrt")) or due_at - interval * _DAY
    return Learned(
        stability,
        difficulty,
        due_at,
        reps=min(max(card["reps"], 1), _COUNT_MAX),
        lapses=min(max(card["lapses"], 0), _COUNT_MAX),
        reviewed_at=min(max(reviewed_at, _EARLIEST), now),
    )


def _due_at(due: int, created: int, terms: Terms, now: datetime) -> datetime:
    if due > _FIRST_TIMESTAMP:
        at = _timestamp(due) or now
    else:
        begins = _timestamp(created) or now
        # The middle of Anki's day, which may start at another hour than the student's.
        at = begins + _HALF_A_DAY + min(max(due, -MAXIMUM_INTERVAL), MAXIMUM_INTERVAL) * _DAY
    at = min(max(at, _EARLIEST), now + (MAXIMUM_INTERVAL - 1) * _DAY)
    return terms.start_of(terms.day_of(at))


def _timestamp(seconds: Any) -> datetime | None:
    """The time if it is between 2000, before Anki existed, and 2200; None for any other value."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 946_684_800 < seconds < 7_258_118_400:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _json(text: str) -> dict[str, Any]:
    try:
        data = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _within(value: Any, least: float, most: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        return None
    return min(max(float(value), least), most)


def _growth(stability: float) -> float:
    """The relative growth of stability in a review at recall 0.9, per point of difficulty below 11."""
    return math.exp(_W8) * stability**-_W9 * math.expm1(_W10 * 0.1)


def _difficulty(factor: int, stability: float) -> float:
    ease = factor / 1000 if factor > 0 else _EASE_DEFAULT
    return min(max(11 - (ease - 1) / _growth(stability), 1.0), 10.0)


def _ease(difficulty: float, stability: float) -> float:
    return min(max(1 + (11 - difficulty) * _growth(stability), _EASE_MIN), _EASE_MAX)


def row_of(memory: Memory, terms: Terms, *, created: datetime, position: int, suspended: bool) -> dict[str, Any]:
    """The columns of Anki's table ``cards`` for a face, in a collection created at ``created``, the start of a study
    day.

    ``position`` is the position of a new face among the others.
    """
    kind = _TYPES[memory.state]
    columns = {"type": kind, "queue": kind, "due": position, "ivl": 0, "factor": 0, "left": 0, "data": ""}
    if kind != NEW:
        assert memory.due_at is not None
        assert memory.stability is not None
        assert memory.difficulty is not None
        columns["data"] = json.dumps(
            {
                "s": round(memory.stability, 4),
                "d": round(memory.difficulty, 3),
                "dr": terms.desired_retention,
                **({"lrt": int(memory.last_event_at.timestamp())} if memory.last_event_at else {}),
            },
            separators=(",", ":"),
        )
    if kind in (LEARNING, RELEARNING):
        assert memory.due_at is not None
        steps = terms.learning_steps if kind == LEARNING else terms.relearning_steps
        left = max(1, len(steps) - (memory.step or 0))
        columns |= {"queue": _LEARNING_QUEUE, "due": int(memory.due_at.timestamp()), "left": left * 1001}
    if kind == REVIEW:
        assert memory.due_at is not None
        columns["due"] = (terms.day_of(memory.due_at) - terms.day_of(created)).days
    if kind in (REVIEW, RELEARNING):
        assert memory.stability is not None
        assert memory.difficulty is not None
        columns["ivl"] = _interval(memory, terms)
        columns["factor"] = round(1000 * _ease(memory.difficulty, memory.stability))
    if suspended:
        columns["queue"] = SUSPENDED
    return {**columns, "reps": memory.reps, "lapses": memory.lapses}


def _interval(memory: Memory, terms: Terms) -> int:
    """In days."""
    if memory.state == "review" and memory.due_at is not None and memory.last_day is not None:
        return max(1, (terms.day_of(memory.due_at) - memory.last_day).days)
    return max(1, round(memory.stability or 1))
