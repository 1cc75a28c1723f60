"""The memory state of a face: a fold over the log of its reviews, by FSRS 6.

It reads no clock and no table. The same events always give exactly the same state, in any order: :func:`fold` first
sorts them by ``(reviewed_at, id)``.

FSRS counts study days, not spans of 24 hours: a card seen late in the evening and early the next morning was seen on
two days. So the library gets days, and its intervals in days end at the start of a study day.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import fsrs
from fsrs.scheduler import FUZZ_RANGES

from study.days import day_of, start_of

MAXIMUM_INTERVAL = 36500
"""In days."""
RATINGS = {"again": fsrs.Rating.Again, "hard": fsrs.Rating.Hard, "good": fsrs.Rating.Good, "easy": fsrs.Rating.Easy}
_STATES = {"learning": fsrs.State.Learning, "review": fsrs.State.Review, "relearning": fsrs.State.Relearning}
_NAMES = {state: name for name, state in _STATES.items()}
_LAST = datetime(2000, 1, 1, tzinfo=UTC)
"""The time of the last review that is passed to the library, which uses only the number of days since then."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The settings in force when a review was made."""

    desired_retention: float = 0.9
    learning_steps: tuple[int, ...] = (60, 600)
    relearning_steps: tuple[int, ...] = (600,)
    time_zone: str = "UTC"
    day_starts_at: str = "04:00"

    def as_json(self) -> dict[str, Any]:
        return {
            "desired_retention": self.desired_retention,
            "learning_steps": list(self.learning_steps),
            "relearning_steps": list(self.relearning_steps),
            "time_zone": self.time_zone,
            "day_starts_at": self.day_starts_at,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Terms":
        steps = {name: tuple(data[name]) for name in ("learning_steps", "relearning_steps")}
        return cls(**{**data, **steps})

    def day_of(self, at: datetime) -> date:
        return day_of(at, time_zone=self.time_zone, day_starts_at=self.day_starts_at)

    def start_of(self, day: date) -> datetime:
        return start_of(day, time_zone=self.time_zone, day_starts_at=self.day_starts_at)


class Event(NamedTuple):
    """A log entry, with the fields that affect memory. ``kind`` is ``review``, ``reset`` or ``baseline``."""

    id: UUID
    kind: str
    reviewed_at: datetime
    terms: Terms
    rating: str = ""
    data: dict[str, Any] | None = None
    made_for: UUID | None = None
    """The card's id in the account where the review was made, if it was imported: it seeds the fuzz of intervals."""

    @property
    def position(self) -> tuple[datetime, UUID]:
        return self.reviewed_at, self.id


class Remembered(Protocol):
    """The state that the next review of a face depends on."""

    @property
    def state(self) -> str: ...
    @property
    def step(self) -> int | None: ...
    @property
    def stability(self) -> float | None: ...
    @property
    def difficulty(self) -> float | None: ...
    @property
    def reps(self) -> int: ...
    @property
    def last_day(self) -> date | None: ...


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory state of a face, as stored in its columns. A new face was never seen, or not since its reset."""

    state: str = "new"
    step: int | None = None
    stability: float | None = None
    difficulty: float | None = None
    due_at: datetime | None = None
    reps: int = 0
    lapses: int = 0
    last_day: date | None = None
    """The study day of the last review."""
    introduced_at: datetime | None = None
    """When it was first seen."""
    recalled_at: datetime | None = None
    """When it was last seen in state ``review``."""
    last_event_at: datetime | None = None
    last_event_id: UUID | None = None

    @property
    def position(self) -> tuple[datetime, UUID] | None:
        """The log position of the last event that is included."""
        if self.last_event_at is None or self.last_event_id is None:
            return None
        return self.last_event_at, self.last_event_id


def fold(events: Iterable[Event], *, card_id: UUID, memory: Memory | None = None) -> Memory:
    """Return the memory state after these events of one face, in any order, without undone reviews.

    ``memory`` is the state to start from; all events must come after its :attr:`Memory.position`.
    """
    memory = memory or Memory()
    for event in sorted(events, key=lambda event: event.position):
        memory = _after(memory, event, card_id)
    return memory


def _after(memory: Memory, event: Event, card_id: UUID) -> Memory:
    match event.kind:
        case "review":
            card_id = event.made_for or card_id
            memory = review(memory, event.rating, event.reviewed_at, event.terms, card_id=card_id)
        case "reset":
            memory = Memory()
        case "baseline":
            memory = _from_baseline(event)
        case _:
            raise ValueError(f"{event.kind} is no event that memory is made of.")
    return replace(memory, last_event_at=event.reviewed_at, last_event_id=event.id)


def review(memory: Memory, rating: str, reviewed_at: datetime, terms: Terms, *, card_id: UUID) -> Memory:
    """Return the memory state after one review."""
    day = _day_of_review(memory, reviewed_at, terms)
    reps = memory.reps + 1
    after = _reviewed(memory, rating, day, terms)
    was_review = memory.state == "review"
    return replace(
        memory,
        state=after.state,
        step=after.step,
        stability=after.stability,
        difficulty=after.difficulty,
        due_at=_due_at(after, reviewed_at, day, terms, chance=_chance(card_id, reps)),
        reps=reps,
        lapses=memory.lapses + (was_review and rating == "again"),
        last_day=day,
        introduced_at=reviewed_at if memory.state == "new" else memory.introduced_at,
        recalled_at=reviewed_at if was_review else memory.recalled_at,
    )


def next_intervals(memory: Remembered, now: datetime, terms: Terms, *, card_id: UUID) -> dict[str, int]:
    """For each rating, the seconds until the face would be due again if reviewed now."""
    day = _day_of_review(memory, now, terms)
    chance = _chance(card_id, memory.reps + 1)
    due = {rating: _due_at(_reviewed(memory, rating, day, terms), now, day, terms, chance=chance) for rating in RATINGS}
    return {rating: round((due_at - now).total_seconds()) for rating, due_at in due.items()}


def _day_of_review(memory: Remembered, reviewed_at: datetime, terms: Terms) -> date:
    day = terms.day_of(reviewed_at)
    # A day cannot precede the last review, even if the student flew west.
    return day if memory.last_day is None else max(day, memory.last_day)


def _due_at(after: "_Reviewed", reviewed_at: datetime, day: date, terms: Terms, *, chance: int) -> datetime:
    if after.state != "review":
        return reviewed_at + after.interval
    return terms.start_of(day + timedelta(days=_fuzzed(after.interval.days, chance)))


def forget() -> None:
    """Clear the cache of review results, for benchmarks."""
    _reviewed_after.cache_clear()


def recall(memory: Memory, at: datetime, terms: Terms) -> float | None:
    """The probability of recall, 0 to 1; None if the face was never learned."""
    if memory.stability is None or memory.last_day is None:
        return None
    days = (max(terms.day_of(at), memory.last_day) - memory.last_day).days
    card = _Card(_LAST, "review", None, memory.stability, memory.difficulty)
    return _scheduler(terms).get_card_retrievability(card, _LAST + timedelta(days=days))


def _from_baseline(event: Event) -> Memory:
    """The memory state taken over from another program. ``data`` holds stability, difficulty, due_at, reps, lapses,
    reviewed_at."""
    data = event.data or {}
    reviewed_at = datetime.fromisoformat(data["reviewed_at"])
    return Memory(
        state="review",
        stability=data["stability"],
        difficulty=data["difficulty"],
        due_at=datetime.fromisoformat(data["due_at"]),
        reps=data["reps"],
        lapses=data["lapses"],
        last_day=event.terms.day_of(reviewed_at),
        introduced_at=reviewed_at,
        recalled_at=reviewed_at,
    )


class _Card(fsrs.Card):
    """The library's card, made for one call."""

    def __init__(
        self, last_review: datetime | None, state: str, step: int | None, stability: float | None, difficulty: Any
    ) -> None:
        # Without an id, the library sleeps 1 ms to create one.
        library_state = _STATES.get(state, fsrs.State.Learning)
        super().__init__(0, library_state, step, stability, difficulty, due=_LAST, last_review=last_review)

    def __copy__(self) -> "_Card":
        return self  # the library's copy would take a third of a review's time


class _Reviewed(NamedTuple):
    """The library's result of one review. In state ``review`` the interval is in whole days, without fuzz."""

    state: str
    step: int | None
    stability: float | None
    difficulty: float | None
    interval: timedelta


def _reviewed(memory: Remembered, rating: str, day: date, terms: Terms) -> _Reviewed:
    days = None if memory.last_day is None else (day - memory.last_day).days
    return _reviewed_after(days, memory.state, memory.step, memory.stability, memory.difficulty, rating, terms)


@lru_cache(maxsize=4096)
def _reviewed_after(
    days: int | None,
    state: str,
    step: int | None,
    stability: float | None,
    difficulty: float | None,
    rating: str,
    terms: Terms,
) -> _Reviewed:
    """The result of a review ``days`` after the last one (None: the first). Cached: a review follows its preview."""
    card = _Card(None if days is None else _LAST, state, step, stability, difficulty)
    today = _LAST + timedelta(days=days or 0)
    after, _ = _scheduler(terms).review_card(card, RATINGS[rating], today)
    return _Reviewed(_NAMES[after.state], after.step, after.stability, after.difficulty, after.due - today)


@lru_cache(maxsize=256)
def _scheduler_of(desired_retention: float, learning: tuple[int, ...], relearning: tuple[int, ...]) -> fsrs.Scheduler:
    return fsrs.Scheduler(
        desired_retention=desired_retention,
        learning_steps=[timedelta(seconds=step) for step in learning],
        relearning_steps=[timedelta(seconds=step) for step in relearning],
        maximum_interval=MAXIMUM_INTERVAL,
        enable_fuzzing=False,  # the library draws it from the process-wide random generator
    )


def _scheduler(terms: Terms) -> fsrs.Scheduler:
    return _scheduler_of(terms.desired_retention, terms.learning_steps, terms.relearning_steps)


def _chance(card_id: UUID, reps: int) -> int:
    """The random number of one review, below 2**32.

    It is the same for all ratings, so that a better rating never gives a shorter interval.
    """
    return int.from_bytes(blake2b(f"{card_id}:{reps}".encode(), digest_size=4).digest())


def _fuzzed(days: int, chance: int) -> int:
    """Add fuzz to an interval, within the library's ranges, so that cards learned together are not all due together."""
    least, most = fuzz_range(days)
    return least + (chance * (most - least + 1) >> 32)


@lru_cache(maxsize=4096)
def fuzz_range(days: int) -> tuple[int, int]:
    """The minimum and maximum of an interval after fuzz, in days."""
    if days < FUZZ_RANGES[0]["start"]:
        return days, days
    spread = 1.0 + sum(part["factor"] * max(min(float(days), part["end"]) - part["start"], 0.0) for part in FUZZ_RANGES)
    least = max(2, round(days - spread))
    return least, max(least, min(round(days + spread), MAXIMUM_INTERVAL))
