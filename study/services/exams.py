"""Writes exams and their calendar links."""

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
"""Per student, past exams included."""
DAYS_AHEAD_MAX = 730
_NAMESPACE = UUID("d1f0c9a8-3a0c-4d7b-9f53-2f6d1b0e7c41")
TOKEN_BYTES = 24

Versions = Collection[int] | None
"""The exam versions at which a write is allowed; None for any."""


class ExamChanged(PreconditionFailed):
    """The exam's version is not among the expected ones. The response has ``current_version``."""

    detail = "The exam has changed since you read it."


class TooManyExams(Conflict):
    code = "too_many_exams"
    detail = f"You can have at most {EXAMS_MAX} exams. Delete one that is over."


class InvalidExamTime(InvalidRequest):
    """The time is in the past, or too far ahead."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(errors=[{"pointer": "/at", "code": code, "detail": detail}])


def create_exam(*, user_id: int, data: Mapping[str, Any]) -> Exam:
    """Add an exam, given the columns of :class:`Exam` that the student sets.

    Raises :class:`TooManyExams`, :class:`InvalidExamTime`, and ``NotFound`` for another user's note.
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
    """Add exams of an export, given by their columns, past ones included.

    Notes must be the user's. Ids derive from the exported ids. An exam that the user has under either id is skipped, so
    importing twice creates no duplicates. Return how many were created, and how many did not fit.
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
    """Change an exam. Unchanged values do not increase the version; its notes may have been deleted since.

    Raises ``Exam.DoesNotExist``, :class:`ExamChanged`, :class:`InvalidExamTime`, and ``NotFound`` for a note.
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
    """Delete an exam and its calendar link. Raises ``Exam.DoesNotExist``, :class:`ExamChanged`."""
    with transaction.atomic():
        _locked(user_id, exam_id, if_match).delete()


def link_calendar(*, user_id: int, exam_id: UUID) -> str:
    """Create the token of a calendar link; an older token stops working.

    Only the hash is stored. Raises ``Exam.DoesNotExist``.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)
    _set_link(user_id, exam_id, sha256(token.encode()).digest())
    return token


def unlink_calendar(*, user_id: int, exam_id: UUID) -> None:
    """Revoke the exam's calendar link, if there is one. Raises ``Exam.DoesNotExist``."""
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
        raise InvalidExamTime("in_the_past", "This time is in the past.")
    if ahead.days > DAYS_AHEAD_MAX:
        raise InvalidExamTime("too_far_ahead", f"An exam is at most {DAYS_AHEAD_MAX} days ahead.")


def _require_notes(user_id: int, note_ids: Sequence[int], *, known: Sequence[int] = ()) -> None:
    asked = set(note_ids) - set(known)
    if not asked:
        return
    found = set(Note.objects.owned_by(user_id).live().filter(pk__in=asked).values_list("pk", flat=True))
    for index, note_id in enumerate(note_ids):
        if note_id in asked - found:
            pointer = pointer_to("scope", "note_ids", index)
            raise NotFound(errors=[{"pointer": pointer, "code": "not_found", "detail": "There is no such note."}])
