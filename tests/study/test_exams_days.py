"""The days until an exam: each belongs to it once, and none takes more than its minutes, whatever clocks do."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from study.days import start_of
from study.forecasting.exam_days import days_until

ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "UTC"]
WHOLE_DAYS = [1440] * 7


@pytest.mark.parametrize(
    ("time_zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 28), 23),  # the night after it, before 04:00, has an hour less
        ("Europe/Berlin", date(2026, 3, 29), 24),
        ("Europe/Berlin", date(2026, 10, 24), 25),
        ("America/New_York", date(2026, 3, 7), 23),
        ("America/New_York", date(2026, 10, 31), 25),
        ("Australia/Lord_Howe", date(2026, 10, 3), 23.5),
        ("Australia/Lord_Howe", date(2026, 4, 4), 24.5),
    ],
)
def test_a_day_has_the_hours_that_its_clocks_show(time_zone, day, hours):
    begin = start_of(day, time_zone=time_zone, day_starts_at="04:00")

    found, after = days_until(
        begin + timedelta(hours=30), begin, time_zone=time_zone, day_starts_at="04:00", minutes_per_day=WHOLE_DAYS
    )

    assert (found.day, found.most) == (day, 3600 * hours)
    assert found.planned == 60 * min(1440, 60 * hours)
    assert (after.day, after.most) == (day + timedelta(days=1), 3600 * (30 - hours))


def test_the_minutes_are_those_of_the_weekday_where_the_exam_is():
    # 2 March 2026, a Monday, 18:30 UTC is 05:30 on Tuesday on Lord Howe Island.
    now, at = datetime(2026, 3, 2, 18, 30, tzinfo=UTC), datetime(2026, 3, 5, 18, tzinfo=UTC)

    found = days_until(
        at, now, time_zone="Australia/Lord_Howe", day_starts_at="04:00", minutes_per_day=[1, 2, 3, 4, 5, 6, 7]
    )

    assert [(one.day.isoformat(), one.planned // 60) for one in found] == [
        ("2026-03-03", 2), ("2026-03-04", 3), ("2026-03-05", 4), ("2026-03-06", 5),
    ]  # fmt: skip


def test_before_the_day_begins_it_is_still_the_day_before():
    now, at = datetime(2026, 3, 3, 2, 59, tzinfo=UTC), datetime(2026, 3, 3, 3, 30, tzinfo=UTC)

    found = days_until(at, now, time_zone="Europe/Berlin", day_starts_at="04:00", minutes_per_day=WHOLE_DAYS)

    assert [(one.day.isoformat(), one.planned, one.most) for one in found] == [
        ("2026-03-02", 60, 60),  # the minute until 04:00
        ("2026-03-03", 1800, 1800),  # from 04:00 until the exam at 04:30
    ]


@pytest.mark.parametrize(("studied", "planned"), [(0, 1800), (61, 1680), (1800, 0), (9000, 0)])
def test_what_was_studied_today_is_taken_off_today_in_whole_minutes(studied, planned):
    now = datetime(2026, 3, 2, 10, tzinfo=UTC)

    today, tomorrow = days_until(
        now + timedelta(days=1),
        now,
        time_zone="UTC",
        day_starts_at="04:00",
        minutes_per_day=[30] * 7,
        studied_today=studied,
    )

    assert (today.planned, tomorrow.planned) == (planned, 1800)


@settings(max_examples=200, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    now=st.timedeltas(timedelta(0), timedelta(days=730)).map(lambda span: datetime(2026, 1, 1, tzinfo=UTC) + span),
    ahead=st.timedeltas(timedelta(seconds=1), timedelta(days=200)),
    starts_at=st.sampled_from(["00:00", "02:00", "02:30", "04:00", "23:59"]),
    minutes=st.lists(st.integers(0, 1440), min_size=7, max_size=7),
)
def test_days_follow_each_other_up_to_the_exam_and_none_exceeds_its_minutes(zone, now, ahead, starts_at, minutes):
    at = now + ahead

    found = days_until(at, now, time_zone=zone, day_starts_at=starts_at, minutes_per_day=minutes)

    days = [one.day for one in found]
    assert days == [days[0] + timedelta(days=n) for n in range(len(days))]
    assert sum(one.most for one in found) == pytest.approx(ahead.total_seconds())
    assert abs(days[-1] - at.astimezone(ZoneInfo(zone)).date()) <= timedelta(days=1)
    for one in found:
        assert 0 <= one.planned <= min(60 * minutes[one.day.weekday()], one.most)
        assert one.planned % 60 == 0
