"""Days of study: they begin at an hour of the student's own, in their time zone, also where clocks are put forward.

A day begins at one instant, and an instant belongs to the day that began last. So days follow each other without a gap
or an overlap, even where the hour at which they begin comes twice or not at all.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, available_timezones

_OF_NO_PLACE = frozenset({"Factory", "localtime"})
"""The server's own zone, which another server has no file for or another one, and what stands for none."""


@cache
def known_time_zones() -> frozenset[str]:
    """The names of zones that are the same on every server."""
    return frozenset(available_timezones()) - _OF_NO_PLACE


@lru_cache(maxsize=4096)
def start_of(day: date, *, time_zone: str, day_starts_at: str) -> datetime:
    """When a day begins, in UTC."""
    hour, minute = day_starts_at.split(":")
    begins = datetime.combine(day, time(int(hour), int(minute)), tzinfo=ZoneInfo(time_zone))
    return begins.astimezone(UTC)


@lru_cache(maxsize=1024)
def day_of(moment: datetime, *, time_zone: str, day_starts_at: str) -> date:
    """The day of study that an instant belongs to."""
    day = moment.astimezone(ZoneInfo(time_zone)).date()
    if moment < start_of(day, time_zone=time_zone, day_starts_at=day_starts_at):
        day -= timedelta(days=1)
    return day
