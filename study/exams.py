"""Forecasts and plans of exams: loads the cards and the student's reviews, and runs the simulation."""

from collections import Counter
from datetime import date, datetime
from math import ceil
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from notes.models import Chapter
from study.days import day_of, start_of
from study.forecasting.exam_days import ExamDay, days_until
from study.forecasting.forecast import Bands, Days, forecast, likely_day
from study.forecasting.habits import Habits, Reviewed, habits_of
from study.forecasting.simulation import FaceState, Rules
from study.models import Card, Exam, StudySettings
from study.shown import card_as_shown
from utils.http.errors import Conflict, InvalidRequest

FACES_MAX = 20_000
"""The maximum number of faces per exam, taken in the order of the queue."""
CHAPTERS_MAX = 100
REVIEWS_READ = 2000
"""How many of the student's newest reviews are read."""
REST = -1
"""The group for cards without a chapter, and for chapters beyond those that are shown."""

# Cards selected by note and cards selected by tag each use an index of their own.
_SCOPE = """
WITH notes AS (
    SELECT o.id FROM notes_note o WHERE o.user_id = %(user)s AND o.deleted_at IS NULL
    AND (o.id = ANY(%(notes)s) OR o.tags && %(tags)s::varchar[])
), cards AS (
    SELECT c.id, c.topic_id FROM notes JOIN notes_chapter h ON h.note_id = notes.id
    JOIN notes_topic t ON t.chapter_id = h.id JOIN study_card c ON c.topic_id = t.id WHERE c.user_id = %(user)s
    UNION SELECT c.id, c.topic_id FROM study_card c WHERE c.user_id = %(user)s AND c.tags && %(tags)s::varchar[]
)
SELECT f.card_id, f.n, t.chapter_id, f.stability, f.difficulty, f.last_day, f.due_at
FROM cards JOIN study_face f ON f.card_id = cards.id LEFT JOIN notes_topic t ON t.id = cards.topic_id
WHERE f.active ORDER BY f.due_at NULLS LAST, f.created_at, f.card_id, f.n LIMIT %(most)s
"""
_LOG = """
SELECT e.rating, e.predicted, coalesce(f.introduced_at = e.reviewed_at, false), e.duration_ms, e.reviewed_at, e.card_id
FROM study_studyevent e LEFT JOIN study_face f ON f.card_id = e.card_id AND f.n = e.face
WHERE e.user_id = %(user)s AND e.kind = 'review'
AND NOT EXISTS (SELECT 1 FROM study_studyevent u WHERE u.user_id = e.user_id AND u.undoes = e.event_id)
ORDER BY e.reviewed_at DESC, e.event_id LIMIT %(most)s
"""


class ExamIsOver(Conflict):
    code = "exam_over"
    detail = "This exam is over and can no longer be planned."


class DayOutsidePlan(InvalidRequest):
    """A day in the past, or after the exam."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(errors=[{"pointer": "/day", "code": code, "detail": detail}])


class ScopeFace(NamedTuple):
    """A face of a card in an exam's scope."""

    card_id: UUID
    n: int
    chapter_id: int | None
    stability: float | None
    difficulty: float | None
    last_day: date | None
    due_at: datetime | None


class ForecastInput(NamedTuple):
    """The input of a forecast and of a plan."""

    faces: list[ScopeFace]
    states: list[FaceState]
    """One per face; its group is a chapter's id, or ``REST``."""
    is_capped: bool
    habits: Habits
    days: list[ExamDay]
    rules: Rules

    @property
    def seconds(self) -> list[float]:
        return [day.planned for day in self.days]


def scope_statement(exam: Exam) -> tuple[str, dict[str, Any]]:
    """The SQL that selects an exam's faces, and its parameters."""
    return _SCOPE, {"user": exam.user_id, "notes": exam.note_ids, "tags": exam.tags, "most": FACES_MAX + 1}


def log_statement(user_id: int) -> tuple[str, dict[str, Any]]:
    """The SQL that reads the student's newest reviews, and its parameters."""
    return _LOG, {"user": user_id, "most": REVIEWS_READ}


def load_input(exam: Exam, settings: StudySettings, now: datetime) -> ForecastInput:
    """Load an exam's faces and the student's habits: two queries. Raises :class:`ExamIsOver`."""
    if exam.at <= now:
        raise ExamIsOver
    place = {"time_zone": exam.time_zone, "day_starts_at": settings.day_starts_at}
    with connection.cursor() as cursor:
        cursor.execute(*scope_statement(exam))
        found = [ScopeFace(*row) for row in cursor.fetchall()]
        faces = found[:FACES_MAX]
        cursor.execute(*log_statement(exam.user_id))
        log = cursor.fetchall()
    today = day_of(now, **place)
    habits = habits_of([Reviewed(*row[:4]) for row in log])
    cards, begun = {face.card_id for face in faces}, start_of(today, **place)
    studied = sum(
        habits.seconds if duration_ms is None else duration_ms / 1000
        for _, _, _, duration_ms, reviewed_at, card_id in log
        if reviewed_at >= begun and card_id in cards
    )
    days = days_until(exam.at, now, minutes_per_day=exam.minutes_per_day, studied_today=studied, **place)
    shown = Counter(face.chapter_id for face in faces if face.chapter_id is not None).most_common(CHAPTERS_MAX)
    chapters = {chapter_id for chapter_id, _ in shown}

    def state(face: ScopeFace) -> FaceState:
        group = face.chapter_id if face.chapter_id is not None and face.chapter_id in chapters else REST
        if face.stability is None or face.difficulty is None or face.last_day is None or face.due_at is None:
            return FaceState(group)
        seen = min(0, (face.last_day - today).days)
        return FaceState(group, face.stability, face.difficulty, seen, (day_of(face.due_at, **place) - today).days)

    rules = Rules(
        desired_retention=settings.desired_retention,
        learning_steps=len(settings.learning_steps),
        relearning_steps=len(settings.relearning_steps),
    )
    return ForecastInput(faces, [state(face) for face in faces], len(found) > FACES_MAX, habits, days, rules)


def forecast_of(exam: Exam, settings: StudySettings, now: datetime) -> dict[str, Any]:
    """The forecast of an exam as the API shows it: three queries. Raises :class:`ExamIsOver`."""
    given = load_input(exam, settings, now)
    shown: dict[str, Any] = {
        "faces": len(given.faces),
        "capped": given.is_capped,
        "simulated": 0,
        "minutes": round(sum(given.seconds) / 60),
        "seconds_per_view": round(given.habits.seconds, 1),
        "target": exam.target,
        "feasible": True,
        "minutes_short": 0,
        "overall": None,
        "chapters": [],
    }
    if not given.faces:
        return shown
    found = forecast(
        given.states,
        Days(given.seconds, [day.most for day in given.days]),
        habits=given.habits,
        plan=given.rules,
        due_first=given.rules.due_first(new_per_day=settings.new_per_day, reviews_per_day=settings.reviews_per_day),
        target=exam.target,
    )
    shown |= {
        "simulated": found.simulated,
        "feasible": found.feasible,
        "minutes_short": found.minutes_short,
        "overall": _bands(found.overall),
        "chapters": _chapters(given, found.groups),
    }
    return shown


def _chapters(given: ForecastInput, groups: dict[int, Bands]) -> list[dict[str, Any]]:
    """Each chapter in reading order; last, the rest: cards without a chapter, and chapters beyond those shown."""
    faces = Counter(state.group for state in given.states)
    chapters = Chapter.objects.filter(pk__in=list(groups)).order_by("note", "order", "pk")
    titles: list[tuple[int | None, int | None, str | None]] = list(chapters.values_list("pk", "note_id", "title"))
    named = {pk for pk, _, _ in titles}
    # A chapter deleted in the meantime has no title.
    titles += [(None, None, None) for group in groups if group not in named and group == REST]
    return [
        {
            "chapter_id": pk,
            "note_id": note_id,
            "title": title,
            "faces": faces[REST if pk is None else pk],
            **_bands(groups[REST if pk is None else pk]),
        }
        for pk, note_id, title in titles
    ]


def _bands(bands: Bands) -> dict[str, dict[str, float]]:
    return {
        name: {point: round(value, 4) for point, value in band._asdict().items()}
        for name, band in bands._asdict().items()
    }


def plan_of(exam: Exam, settings: StudySettings, now: datetime, *, day: date | None, limit: int) -> dict[str, Any]:
    """The plan of a day (default: today) as the API shows it: three queries.

    Raises :class:`ExamIsOver` and :class:`DayOutsidePlan`.
    """
    given = load_input(exam, settings, now)
    first, last = given.days[0].day, given.days[-1].day
    day = day or first
    if day < first:
        raise DayOutsidePlan("in_the_past", f"This day is in the past: today is {first.isoformat()}.")
    if day > last:
        raise DayOutsidePlan("after_the_exam", f"The exam is on {last.isoformat()}.")
    index = (day - first).days
    visits = likely_day(given.states, given.seconds, day=index, habits=given.habits, rules=given.rules)
    asked = [(given.faces[visit.face], visit.why) for visit in visits[:limit]]
    cards = Card.objects.owned_by(exam.user_id).for_api().in_bulk({face.card_id for face, _ in asked})
    return {
        "day": day.isoformat(),
        "minutes": ceil(sum(visit.seconds for visit in visits) / 60),
        "minutes_planned": int(given.seconds[index] // 60),
        "count": len(visits),
        "cards": [
            {**card_as_shown(cards[face.card_id]), "face": face.n, "why": why}
            for face, why in asked
            if face.card_id in cards
        ],
    }
