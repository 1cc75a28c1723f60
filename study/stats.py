"""Statistics of a student's reviews, and the load ahead. Each function is one query."""

from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import (
    Case,
    CharField,
    Count,
    DateField,
    Exists,
    F,
    Func,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Greatest

from study.models import Card, Face, StudyEvent, StudySettings

DAYS_MAX = 365
TAGS_SHOWN_MAX = 50


class _DayOf(Func):
    """The study day of a timestamp column."""

    template = "((%(expressions)s))::date"
    arg_joiner = " "
    output_field = DateField()

    def __init__(self, column: str, settings: StudySettings) -> None:
        in_zone = Func(F(column), Value(settings.time_zone), template="%(expressions)s", arg_joiner=" AT TIME ZONE ")
        super().__init__(in_zone, Func(Value(f"{settings.day_starts_at}:00"), template="- (%(expressions)s)::interval"))


def statistics(settings: StudySettings, now: datetime, *, days: int) -> dict[str, Any]:
    """The last ``days`` study days, today included, and the load of as many days ahead: four queries."""
    today = settings.terms.day_of(now)
    first = today - timedelta(days=days - 1)
    since = settings.terms.start_of(first)
    by_day = _by_day(_reviews(settings.user_id).filter(reviewed_at__gte=since), settings)
    shown = [by_day.get(first + timedelta(days=n)) or _of_day(first + timedelta(days=n)) for n in range(days)]
    measured = sum(day["measured"] for day in shown)
    predicted = sum(day["predicted"] or 0.0 for day in shown)
    recalled = sum(day["recalled"] for day in shown)
    return {
        "days": [{**{name: day[name] for name in _SHOWN}, "day": day["day"].isoformat()} for day in shown],
        "retention": _retention(measured, recalled, predicted / measured if measured else None),
        "tags": _by_tag(settings.user_id, since),
        "load": _load(settings, today, days),
        "cards": _cards(settings.user_id),
    }


# The log has no foreign key to cards, as it outlives them, so the join is written by hand.
_TAGS = """
SELECT tag, count(*) AS measured, count(*) FILTER (WHERE e.rating <> %(again)s), avg(e.predicted)
FROM study_studyevent e JOIN study_card c ON c.id = e.card_id CROSS JOIN unnest(c.tags) AS tag
WHERE e.user_id = %(user)s AND e.reviewed_at >= %(since)s AND e.kind = 'review' AND e.predicted IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM study_studyevent u WHERE u.user_id = e.user_id AND u.undoes = e.event_id)
GROUP BY tag ORDER BY measured DESC, tag LIMIT %(most)s
"""
_SHOWN = ("day", "reviews", "again", "hard", "good", "easy", "duration_ms")


def _reviews(user_id: int) -> QuerySet[StudyEvent]:
    """Reviews that were not undone."""
    undone = StudyEvent.objects.filter(user_id=user_id, undoes=OuterRef("event_id"))
    return StudyEvent.objects.owned_by(user_id).filter(~Exists(undone), kind=StudyEvent.Kind.REVIEW)


def _by_day(reviews: QuerySet[StudyEvent], settings: StudySettings) -> dict[date, dict[str, Any]]:
    rows = (
        reviews.annotate(day=_DayOf("reviewed_at", settings))
        .values("day")
        .annotate(
            reviews=Count("pk"),
            **{rating: Count("pk", filter=Q(rating=rating)) for rating in StudyEvent.Rating.values},
            duration_ms=Sum("duration_ms", default=0),
            measured=Count("predicted"),
            recalled=Count("predicted", filter=~Q(rating=StudyEvent.Rating.AGAIN)),
            predicted=Sum("predicted"),
        )
    )
    return {row["day"]: dict(row) for row in rows}


def _of_day(day: date) -> dict[str, Any]:
    """A day without reviews."""
    return {"day": day, "measured": 0, "recalled": 0, "predicted": None, **dict.fromkeys(_SHOWN[1:], 0)}


def _retention(measured: int, recalled: int, predicted: float | None) -> dict[str, Any]:
    return {
        "reviews": measured,
        "recalled": recalled,
        "true": recalled / measured if measured else None,
        "predicted": predicted,
    }


def _by_tag(user_id: int, since: datetime) -> list[dict[str, Any]]:
    """The retention of each tag, tags with most reviews first; a card counts for each of its tags."""
    values: dict[str, Any] = {"user": user_id, "since": since, "again": "again", "most": TAGS_SHOWN_MAX}
    with connection.cursor() as cursor:
        cursor.execute(_TAGS, values)
        return [{"tag": tag, **_retention(*sums)} for tag, *sums in cursor.fetchall()]


def _load(settings: StudySettings, today: date, days: int) -> list[dict[str, Any]]:
    """How many faces are due on each day; overdue ones count for today."""
    last = settings.terms.start_of(today + timedelta(days=days))
    rows = (
        Face.objects.filter(user_id=settings.user_id, active=True, due_at__lt=last)
        .annotate(day=Greatest(_DayOf("due_at", settings), Value(today, output_field=DateField())))
        .values("day")
        .annotate(faces=Count("pk"))
    )
    found = {row["day"]: row["faces"] for row in rows}
    return [
        {"day": day.isoformat(), "faces": found.get(day, 0)} for day in (today + timedelta(days=n) for n in range(days))
    ]


def _cards(user_id: int) -> dict[str, int]:
    """How many faces are in each state; faces of proposed and suspended cards are counted separately."""
    # Only inactive faces, of proposed or suspended cards, need their card.
    card = Card.objects.filter(pk=OuterRef("card"))
    why = card.values(why=Case(When(proposed=True, then=Value("proposed")), default=Value("suspended")))
    where = Case(When(active=True, then=F("state")), default=Subquery(why, output_field=CharField()))
    rows = Face.objects.filter(user_id=user_id).annotate(where=where).values("where").annotate(count=Count("pk"))
    names = ("proposed", *Face.State.values, "suspended")
    return {**dict.fromkeys(names, 0), **{row["where"]: row["count"] for row in rows}}
