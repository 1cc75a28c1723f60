"""The study days until an exam, in its time zone, and the study time of each."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from study.days import day_of, start_of


class ExamDay(NamedTuple):
    """A study day before an exam."""

    day: date
    planned: float
    """The planned seconds, in whole minutes."""
    most: float
    """The length of the day in seconds."""


def days_until(
    at: datetime,
    now: datetime,
    *,
    time_zone: str,
    day_starts_at: str,
    minutes_per_day: Sequence[int],
    studied_today: float = 0.0,
) -> list[ExamDay]:
    """All days from today to the exam day, which ends at the exam.

    ``minutes_per_day`` runs from Monday to Sunday. ``studied_today`` is the time already studied today, in seconds.
    Today, the exam day and days with a clock change may be shorter than their minutes.
    """
    first, last = (day_of(instant, time_zone=time_zone, day_starts_at=day_starts_at) for instant in (now, at))
    found = []
    for day in (first + timedelta(days=n) for n in range((last - first).days + 1)):
        begins, ends = (
            start_of(one, time_zone=time_zone, day_starts_at=day_starts_at) for one in (day, day + timedelta(days=1))
        )
        most = max(0.0, (min(ends, at) - max(begins, now)).total_seconds())
        planned = 60 * minutes_per_day[day.weekday()] - (studied_today if day == first else 0.0)
        found.append(ExamDay(day, 60 * (max(0.0, min(planned, most)) // 60), most))
    return found
