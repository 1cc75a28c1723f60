"""Study days: they start at an hour that the student chooses, in the student's time zone.

Each day starts at one instant, and every instant belongs to the day that started last. So days never overlap and have
no gaps, even where a clock change skips or repeats the starting hour.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, available_timezones

_OF_NO_PLACE = frozenset({"Factory", "localtime"})
"""Names to leave out: the server's local zone, which differs between servers, and the placeholder for no zone."""


@cache
def known_time_zones() -> frozenset[str]:
    """The names of the time zones that are the same on every server."""
    return frozenset(available_timezones()) - _OF_NO_PLACE


@lru_cache(maxsize=4096)
def start_of(day: date, *, time_zone: str, day_starts_at: str) -> datetime:
    """When a study day starts, in UTC."""
    hour, minute = day_starts_at.split(":")
    begins = datetime.combine(day, time(int(hour), int(minute)), tzinfo=ZoneInfo(time_zone))
    return begins.astimezone(UTC)


@lru_cache(maxsize=1024)
def day_of(at: datetime, *, time_zone: str, day_starts_at: str) -> date:
    """The study day that an instant belongs to."""
    day = at.astimezone(ZoneInfo(time_zone)).date()
    if at < start_of(day, time_zone=time_zone, day_starts_at=day_starts_at):
        day -= timedelta(days=1)
    return day
