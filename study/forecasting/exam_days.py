"""The days of study until an exam, in its time zone, and how long the student studies on each."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from study.days import day_of, start_of


class ExamDay(NamedTuple):
    """A day of study until an exam."""

    day: date
    planned: float
    """How many seconds the student studies, in whole minutes."""
    most: float
    """How many seconds the day has."""


def days_until(
    at: datetime,
    now: datetime,
    *,
    time_zone: str,
    day_starts_at: str,
    minutes_per_day: Sequence[int],
    studied_today: float = 0.0,
) -> list[ExamDay]:
    """Today and each day up to that of the exam, which ends with the exam.

    ``minutes_per_day``: from Monday to Sunday. ``studied_today``: so many seconds of today's are over. A day may be
    shorter than its minutes: today, that of the exam, and where clocks are put forward.
    """
    first, last = (day_of(moment, time_zone=time_zone, day_starts_at=day_starts_at) for moment in (now, at))
    found = []
    for day in (first + timedelta(days=n) for n in range((last - first).days + 1)):
        begins, ends = (
            start_of(one, time_zone=time_zone, day_starts_at=day_starts_at) for one in (day, day + timedelta(days=1))
        )
        most = max(0.0, (min(ends, at) - max(begins, now)).total_seconds())
        planned = 60 * minutes_per_day[day.weekday()] - (studied_today if day == first else 0.0)
        found.append(ExamDay(day, 60 * (max(0.0, min(planned, most)) // 60), most))
    return found
