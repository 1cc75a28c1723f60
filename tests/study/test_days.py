"""Days of study begin at the student's own hour, and follow each other without gaps across changes of the clock."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.days import day_of, start_of

BERLIN = {"time_zone": "Europe/Berlin", "day_starts_at": "04:00"}


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2026, 3, 28, 2, 59, 59, tzinfo=UTC), date(2026, 3, 27)),  # 3:59 in winter
        (datetime(2026, 3, 28, 3, 0, tzinfo=UTC), date(2026, 3, 28)),
        (datetime(2026, 3, 29, 1, 59, 59, tzinfo=UTC), date(2026, 3, 28)),  # 3:59 in summer, an hour earlier
        (datetime(2026, 3, 29, 2, 0, tzinfo=UTC), date(2026, 3, 29)),
        (datetime(2026, 10, 25, 2, 59, 59, tzinfo=UTC), date(2026, 10, 24)),
        (datetime(2026, 10, 25, 3, 0, tzinfo=UTC), date(2026, 10, 25)),
    ],
)
def test_a_day_begins_at_four_in_summer_and_in_winter(moment, day):
    assert day_of(moment, **BERLIN) == day


@pytest.mark.parametrize("day_starts_at", ["00:00", "02:00", "02:30", "03:00", "23:59"])
@pytest.mark.parametrize("time_zone", ["Europe/Berlin", "America/New_York", "Africa/Cairo", "Pacific/Apia", "UTC"])
@given(minutes=st.integers(0, 400 * 24 * 60))
def test_every_instant_is_in_the_day_that_began_last(time_zone, day_starts_at, minutes):
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    terms = {"time_zone": time_zone, "day_starts_at": day_starts_at}

    day = day_of(moment, **terms)

    assert start_of(day, **terms) <= moment < start_of(day + timedelta(days=1), **terms)


def test_an_hour_that_comes_twice_begins_one_day():
    terms = {"time_zone": "Europe/Berlin", "day_starts_at": "02:30"}  # 0:30 and 1:30 UTC on 25 October

    days = [day_of(datetime(2026, 10, 25, 0, 29, tzinfo=UTC) + timedelta(minutes=10 * n), **terms) for n in range(12)]

    assert days == sorted(days)
    assert days.count(date(2026, 10, 24)) == 1
