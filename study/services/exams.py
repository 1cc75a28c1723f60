"""Writing exams, and the links to their calendars."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid5

from django.db import transaction
from django.utils import timezone

from notes.models import Note
from study.models import Exam
from study.services.locking import studying
from utils.http.errors import Conflict, InvalidRequest, NotFound, PreconditionFailed, pointer_to

EXAMS_MAX = 50
"""Of one student, those that are over included."""
DAYS_AHEAD_MAX = 730
_NAMESPACE = UUID("d1f0c9a8-3a0c-4d7b-9f53-2f6d1b0e7c41")
TOKEN_BYTES = 24

Versions = Collection[int] | None
"""The versions of the exam at which a write is allowed; None for any."""


class ExamChanged(PreconditionFailed):
    """The exam's version is not among the expected ones. The response has ``current_version``."""

    detail = "The exam has changed since you read it."


class TooManyExams(Conflict):
    code = "too_many_exams"
    detail = f"You can have at most {EXAMS_MAX} exams. Delete one that is over."


class NoSuchTime(InvalidRequest):
    """An exam that is over, or too far ahead."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(errors=[{"pointer": "/at", "code": code, "detail": detail}])


def create_exam(*, user_id: int, data: Mapping[str, Any]) -> Exam:
    """Add an exam: the columns of :class:`Exam` that the student sets.

    Raises :class:`TooManyExams`, :class:`NoSuchTime`, and ``NotFound`` for a note that is not the user's.
    """
    with studying(user_id) as settings:
        if Exam.objects.owned_by(user_id).count() >= EXAMS_MAX:
            raise TooManyExams
        _require_time(data["at"])
        _require_notes(user_id, data["note_ids"])
        now = timezone.now()
        values = {"time_zone": settings.time_zone, **data}
        return Exam.objects.create(user_id=user_id, created_at=now, updated_at=now, **values)


def import_exams(*, user_id: int, rows: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Add exams from an export, given by their columns, that the user does not have yet; those that are over, too.

    Notes must be the user's. An exam keeps its id if the user has it, else it gets one that follows from it, so that
    the same export makes nothing twice. Returns how many were made, and for how many there was no room.
    """
    with studying(user_id):
        mine = set(Exam.objects.owned_by(user_id).values_list("pk", flat=True))
        new: dict[UUID, Exam] = {}
        for row in rows:
            exam_id = uuid5(_NAMESPACE, f"{user_id}\n{row['id']}")
            if not {row["id"], exam_id} & mine:
                new.setdefault(exam_id, Exam(**{**row, "id": exam_id, "user_id": user_id}))
        made = list(new.values())[: max(0, EXAMS_MAX - len(mine))]
        Exam.objects.bulk_create(made)
        return len(made), len(new) - len(made)


def update_exam(*, user_id: int, exam_id: UUID, changes: Mapping[str, Any], if_match: Versions = None) -> Exam:
    """Change an exam. Values that it has already leave the version as it is; notes that it has may be deleted since.

    Raises ``Exam.DoesNotExist``, :class:`ExamChanged`, :class:`NoSuchTime`, and ``NotFound`` for a note.
    """
    with transaction.atomic():
        exam = _locked(user_id, exam_id, if_match)
        changed = {name: value for name, value in changes.items() if getattr(exam, name) != value}
        if not changed:
            return exam
        if "at" in changed:
            _require_time(changed["at"])
        if "note_ids" in changed:
            _require_notes(user_id, changed["note_ids"], known=exam.note_ids)
        for name, value in changed.items():
            setattr(exam, name, value)
        exam.version += 1
        exam.updated_at = timezone.now()
        exam.save(update_fields=[*changed, "version", "updated_at"])
        return exam


def delete_exam(*, user_id: int, exam_id: UUID, if_match: Versions = None) -> None:
    """Delete an exam; the link to its calendar opens nothing. Raises ``Exam.DoesNotExist``, :class:`ExamChanged`."""
    with transaction.atomic():
        _locked(user_id, exam_id, if_match).delete()


def link_calendar(*, user_id: int, exam_id: UUID) -> str:
    """Make the token of a link to the exam's calendar; an older one opens nothing from now on.

    Only its hash is kept. Raises ``Exam.DoesNotExist``.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)
    _set_link(user_id, exam_id, sha256(token.encode()).digest())
    return token


def unlink_calendar(*, user_id: int, exam_id: UUID) -> None:
    """Take the link to the exam's calendar back, if there is one. Raises ``Exam.DoesNotExist``."""
    _set_link(user_id, exam_id, None)


def _set_link(user_id: int, exam_id: UUID, digest: bytes | None) -> None:
    mine = Exam.objects.owned_by(user_id).filter(pk=exam_id)
    if not mine.update(calendar_hash=digest):
        raise Exam.DoesNotExist


def _locked(user_id: int, exam_id: UUID, if_match: Versions) -> Exam:
    exam = Exam.objects.owned_by(user_id).select_for_update(no_key=True).get(pk=exam_id)
    if if_match is not None and exam.version not in if_match:
        raise ExamChanged(current_version=exam.version)
    return exam


def _require_time(at: datetime) -> None:
    ahead = at - timezone.now()
    if ahead.total_seconds() <= 0:
        raise NoSuchTime("in_the_past", "This time is in the past.")
    if ahead.days > DAYS_AHEAD_MAX:
        raise NoSuchTime("too_far_ahead", f"An exam is at most {DAYS_AHEAD_MAX} days ahead.")


def _require_notes(user_id: int, note_ids: Sequence[int], *, known: Sequence[int] = ()) -> None:
    asked = set(note_ids) - set(known)
    if not asked:
        return
    found = set(Note.objects.owned_by(user_id).live().filter(pk__in=asked).values_list("pk", flat=True))
    for index, note_id in enumerate(note_ids):
        if note_id in asked - found:
            pointer = pointer_to("scope", "note_ids", index)
            raise NotFound(errors=[{"pointer": pointer, "code": "not_found", "detail": "There is no such note."}])
