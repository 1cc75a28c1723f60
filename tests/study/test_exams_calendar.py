"""The calendar of an exam: what its link opens, for whom, and that other programs read it."""

from datetime import date, datetime
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Calendar

from study.calendars import LINE_MAX_BYTES, calendar_of
from study.models import Exam
from study.services import create_exam, update_exam, update_settings

EXAMS = "/api/study/exams/"
AT = datetime.fromisoformat("2026-03-30T09:00:00+02:00")


def exam_of(user, **values) -> Exam:
    data = {"title": "Biology", "at": AT, "time_zone": "Europe/Berlin", "note_ids": [], "tags": ["cells"]}
    data |= {"minutes_per_day": [30, 30, 30, 30, 30, 60, 0], "target": 0.9}
    return create_exam(user_id=user.pk, data=data | values)


@pytest.fixture
def exam(alice, clock):
    return exam_of(alice)


@pytest.fixture
def link(alice_client, send, exam):
    """The path of the link's URL."""
    response = send(alice_client, "post", f"{EXAMS}{exam.pk}/calendar-link/")
    assert response.status_code == 201, response.content
    return urlsplit(response.json()["url"]).path


def test_the_link_opens_a_calendar_without_a_token(exam, link):
    response = Client().get(link)

    assert (response.status_code, response["Content-Type"]) == (200, "text/calendar; charset=utf-8")
    assert response["Cache-Control"] == "private, no-cache"
    assert Client().get(link, HTTP_IF_NONE_MATCH=response["ETag"]).status_code == 304
    head = Client().head(link)
    assert (head.status_code, head.content) == (200, b"")
    its_exam, *days = Calendar.from_ical(response.content).events
    assert (str(its_exam["SUMMARY"]), its_exam.start) == ("Biology", AT)
    assert str(its_exam["UID"]) == f"{exam.pk}@noteassist"
    assert [(day.start, str(day["SUMMARY"])) for day in days[:7]] == [
        (date(2026, 3, 2), "Study 30 min: Biology"),
        (date(2026, 3, 3), "Study 30 min: Biology"),
        (date(2026, 3, 4), "Study 30 min: Biology"),
        (date(2026, 3, 5), "Study 30 min: Biology"),
        (date(2026, 3, 6), "Study 30 min: Biology"),
        (date(2026, 3, 7), "Study 60 min: Biology"),
        (date(2026, 3, 9), "Study 30 min: Biology"),  # none on Sundays
    ]
    assert (len(days), days[-1].start) == (25, date(2026, 3, 30))
    assert len({str(event["UID"]) for event in (its_exam, *days)}) == 26


def test_the_url_is_whole_and_shown_once(alice_client, send, exam, settings):
    settings.PUBLIC_URL = "https://notes.example"

    response = send(alice_client, "post", f"{EXAMS}{exam.pk}/calendar-link/")

    url = response.json()["url"]
    token = url.removeprefix("https://notes.example/api/study/calendars/").removesuffix(".ics")
    assert len(token) == 32
    assert (list(response.json()), response["Cache-Control"]) == (["url"], "no-store")
    shown = alice_client.get(f"{EXAMS}{exam.pk}/")
    assert (shown.json()["has_calendar_link"], shown.json()["version"]) == (True, 1)
    assert token not in shown.content.decode()
    kept = Exam.objects.get()
    assert len(kept.calendar_hash) == 32
    assert token.encode() not in bytes(kept.calendar_hash)


def test_a_new_link_revokes_the_old_one_and_deleting_it_the_last(alice_client, send, exam, link):
    path = f"{EXAMS}{exam.pk}/calendar-link/"

    new = urlsplit(send(alice_client, "post", path).json()["url"]).path
    after_new = (Client().get(link).status_code, Client().get(new).status_code)
    deleted, again = send(alice_client, "delete", path), send(alice_client, "delete", path)

    assert after_new == (404, 200)
    assert (deleted.status_code, again.status_code) == (204, 204)
    assert Client().get(new).status_code == 404
    assert alice_client.get(f"{EXAMS}{exam.pk}/").json()["has_calendar_link"] is False


def test_all_wrong_tokens_are_answered_alike(alice_client, send, exam, link):
    send(alice_client, "delete", f"{EXAMS}{exam.pk}/calendar-link/")
    tokens = ["A" * 32, "-", "a" * 2000, link.rpartition("/")[2].removesuffix(".ics"), str(exam.pk)]

    answers = [Client().get(f"/api/study/calendars/{token}.ics", HTTP_X_REQUEST_ID="same") for token in tokens]

    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1


def test_a_deleted_exam_has_no_calendar(alice_client, send, exam, link):
    send(alice_client, "delete", f"{EXAMS}{exam.pk}/")

    assert Client().get(link).status_code == 404


def test_a_calendar_of_an_account_that_is_no_longer_active_is_gone(alice, exam, link):
    alice.is_active = False
    alice.save()

    assert Client().get(link).status_code == 404


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_a_calendar_is_only_read(link, method):
    assert getattr(Client(), method)(link).status_code == 405


def test_a_change_is_a_newer_sequence_of_the_same_event(alice, exam, link, clock):
    before = Calendar.from_ical(Client().get(link).content).events[0]
    clock.forward(hours=1)
    update_exam(user_id=alice.pk, exam_id=exam.pk, changes={"title": "Botany"})

    after = Calendar.from_ical(Client().get(link).content).events[0]

    assert before["UID"] == after["UID"]
    assert (before["SEQUENCE"], after["SEQUENCE"]) == (1, 2)
    assert after.DTSTAMP > before.DTSTAMP


def test_after_the_exam_only_the_exam_is_left(exam, link, clock):
    clock.to(2026, 3, 30, 7)

    [event] = Calendar.from_ical(Client().get(link).content).events

    assert str(event["SUMMARY"]) == "Biology"


def test_a_day_of_the_calendar_begins_when_the_students_does(alice, exam, link, clock):
    clock.to(2026, 3, 4, 10)
    update_settings(user_id=alice.pk, changes={"day_starts_at": "23:00"})

    first_day = Calendar.from_ical(Client().get(link).content).events[1]

    assert first_day.start == date(2026, 3, 3)


@pytest.mark.parametrize(
    ("zone", "at", "local"),
    [
        ("Europe/Berlin", "2026-03-29T01:00:00+00:00", "2026-03-29T03:00:00"),
        ("America/New_York", "2026-11-01T06:30:00+00:00", "2026-11-01T01:30:00"),
        ("Australia/Lord_Howe", "2026-04-04T15:30:00+00:00", "2026-04-05T02:00:00"),
    ],
)
def test_where_clocks_change_the_exam_is_at_its_instant(alice, clock, zone, at, local):
    exam = exam_of(alice, time_zone=zone, at=datetime.fromisoformat(at))

    event = Calendar.from_ical(calendar_of(exam, clock.now, day_starts_at="04:00")).events[0]

    assert event.start == datetime.fromisoformat(at)
    assert event.start.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == datetime.fromisoformat(local)


TITLES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)


@settings(max_examples=200, deadline=None)
@given(title=TITLES | st.sampled_from(["a;b,c\\d\nEND:VEVENT\r\nX:1", "é" * 300, "🎓" * 300, "\\n", ":", '"']))
def test_any_title_is_one_line_that_comes_back_and_none_is_longer_than_it_may_be(title):
    exam = Exam(title=title, at=AT, time_zone="UTC", minutes_per_day=[30] * 7, updated_at=AT, version=1)
    now = datetime.fromisoformat("2026-03-29T12:00:00+00:00")

    body = calendar_of(exam, now, day_starts_at="04:00")

    lines = body.split(b"\r\n")
    assert all(len(line) <= LINE_MAX_BYTES for line in lines)
    assert b"\n" not in b"".join(lines)
    for line in lines:
        line.decode()  # none ends within a character
    events = Calendar.from_ical(body).events
    assert len(events) == 3
    assert [without_controls(str(event["SUMMARY"])) for event in events] == [
        without_controls(title), *[f"Study 30 min: {without_controls(title)}"] * 2,
    ]  # fmt: skip


def without_controls(text: str) -> str:
    """Control characters, which a calendar may not have, as spaces; all line breaks as one kind."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(" " if char != "\n" and (char < " " or char == "\x7f") else char for char in text)


def test_calendars_have_a_limit_by_address(exam, link, settings):
    rates = dict.fromkeys(settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]) | {"calendars": "2/min"}
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": rates}

    answers = [Client().get(path) for path in (link, "/api/study/calendars/wrong.ics", link)]

    assert [answer.status_code for answer in answers] == [200, 404, 429]
    assert answers[2].json()["scope"] == "calendars"
    assert 0 < int(answers[2]["Retry-After"]) <= 60
    assert Client(REMOTE_ADDR="203.0.113.9").get(link).status_code == 200
