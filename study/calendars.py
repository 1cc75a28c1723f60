"""Renders an exam as a calendar (RFC 5545): the exam, and the planned study time of each day before it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from study.forecasting.exam_days import days_until
from study.models import Exam

CONTENT_TYPE = "text/calendar; charset=utf-8"
LINE_MAX_BYTES = 75
DAYS_SHOWN_MAX = 366
_ESCAPED = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n"})


def calendar_of(exam: Exam, now: datetime, *, day_starts_at: str) -> bytes:
    """The calendar of an exam, with study days from today until the exam."""
    return b"".join(_folded(line) for line in _lines(exam, now, day_starts_at))


def _lines(exam: Exam, now: datetime, day_starts_at: str) -> Iterator[str]:
    stamp = f"DTSTAMP:{_utc(exam.updated_at)}"
    title = _escaped(exam.title)
    yield from ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//NoteAssist AI//Exams//EN", "METHOD:PUBLISH")
    yield from ("BEGIN:VEVENT", f"UID:{exam.pk}@noteassist", stamp, f"SEQUENCE:{exam.version}")
    yield from (f"DTSTART:{_utc(exam.at)}", f"SUMMARY:{title}", "END:VEVENT")
    if exam.at > now:
        days = days_until(
            exam.at,
            now,
            time_zone=exam.time_zone,
            day_starts_at=day_starts_at,
            minutes_per_day=exam.minutes_per_day,
        )
        for day in days[:DAYS_SHOWN_MAX]:
            if minutes := int(day.planned // 60):
                yield from ("BEGIN:VEVENT", f"UID:{exam.pk}-{day.day:%Y%m%d}@noteassist", stamp)
                yield f"SEQUENCE:{exam.version}"
                yield f"DTSTART;VALUE=DATE:{day.day:%Y%m%d}"
                yield f"DTEND;VALUE=DATE:{day.day + timedelta(days=1):%Y%m%d}"
                yield from (f"SUMMARY:Study {minutes} min: {title}", "TRANSP:TRANSPARENT", "END:VEVENT")
    yield "END:VCALENDAR"


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _escaped(text: str) -> str:
    """Escape a text value: line breaks are unified; other control characters, which are not allowed, become spaces."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(" " if _is_control(char) else char for char in lines).translate(_ESCAPED)


def _is_control(char: str) -> bool:
    return char != "\n" and (char < " " or char == "\x7f")


def _folded(line: str) -> bytes:
    """Fold a line after at most 75 bytes, never inside a character."""
    pieces, piece = [], b""
    for char in line:
        encoded = char.encode()
        if len(piece) + len(encoded) > LINE_MAX_BYTES:
            pieces.append(piece)
            piece = b" "
        piece += encoded
    return b"\r\n".join([*pieces, piece]) + b"\r\n"
