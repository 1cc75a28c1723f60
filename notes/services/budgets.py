"""The byte budgets of notes and users: recorded sizes, and their limits.

Each note has its size in a column, and each user has a row with the total of all that they store. A write adds only the
difference, so its cost does not grow with the note. A size that is not known yet (None) is counted when it is first
needed, and is never treated as 0.

A note's size is changed under the note's lock. The user's row is the last lock that a write takes.
"""

from collections.abc import Mapping

from django.conf import settings
from django.db import connection
from django.db.models import F, Sum, Value
from django.db.models.functions import Coalesce, Greatest

from notes.models import NOTE_MAX_BYTES, Attachment, Note, StorageUse
from notes.sizes import stored_size
from utils.http.errors import ApplicationError


class OverBudget(ApplicationError):
    """A write would exceed a budget. The response has ``limit``, ``used`` and ``left``, usually in bytes."""

    status_code = 413

    def __init__(self, *, used: int, limit: int) -> None:
        super().__init__(limit=limit, used=used, left=max(0, limit - used))


class NoteTooLarge(OverBudget):
    code = "note_too_large"
    detail = "The note would be too large. Move some of it to another note."


class AccountFull(OverBudget):
    code = "account_full"
    detail = "Your account's storage is full. Delete something first."


def count_note(note_id: int) -> None:
    """Count and record the size of a note without one. Call it under the note's lock, before the note is changed."""
    Note.objects.filter(pk=note_id).update(size_bytes=stored_size())


def charge_notes(*, user_id: int, growth: Mapping[int, int]) -> None:
    """Record by how many bytes these notes of one user grow (or shrink, below 0) in this transaction.

    Call it last, for notes claimed by ``begin_edit``. Raises :class:`NoteTooLarge` and :class:`AccountFull`. A note or
    account that is already over its budget may be written to if it does not grow.
    """
    for note_id, grown in growth.items():
        if grown:
            _grow_note(note_id, grown)
    charge_user(user_id=user_id, grown=sum(growth.values()))


def _grow_note(note_id: int, grown: int) -> None:
    notes = Note.objects.filter(pk=note_id)
    fitting = notes if grown <= 0 else notes.filter(size_bytes__lte=NOTE_MAX_BYTES - grown)
    if not fitting.update(size_bytes=Greatest(F("size_bytes") + grown, Value(0))):
        used = notes.values_list("size_bytes", flat=True).get()
        raise NoteTooLarge(used=used or 0, limit=NOTE_MAX_BYTES)


def check_new_note(size: int) -> None:
    """Raises :class:`NoteTooLarge`."""
    if size > NOTE_MAX_BYTES:
        raise NoteTooLarge(used=0, limit=NOTE_MAX_BYTES)


def charge_user(*, user_id: int, grown: int) -> None:
    """Record by how many bytes the user's total grows in this transaction. It takes the last lock of a write.

    The sizes of the user's notes must be up to date. Raises :class:`AccountFull`.
    """
    if not grown:
        return
    limit = settings.NOTES_BYTES_PER_USER
    if _grow_known_total(user_id, grown, at_most=limit if grown > 0 else None):
        return
    used = locked_use(user_id)
    if used is None:
        used = count_user(user_id) - grown
    else:
        _grow_known_total(user_id, grown, at_most=None)
    if grown > 0 and used + grown > limit:
        raise AccountFull(used=used, limit=limit)


def require_room(*, user_id: int, size: int) -> None:
    """Check early whether ``charge_user`` would accept this size. Raises :class:`AccountFull`."""
    used = StorageUse.objects.filter(pk=user_id).values_list("size_bytes", flat=True).first() or 0
    if used + size > settings.NOTES_BYTES_PER_USER:
        raise AccountFull(used=used, limit=settings.NOTES_BYTES_PER_USER)


def _grow_known_total(user_id: int, grown: int, *, at_most: int | None) -> bool:
    """Add to the user's total; False if it is unknown or would exceed ``at_most``."""
    with connection.cursor() as cursor:
        cursor.execute(
            # Never below 0, even if a process of the previous release has written without counting.
            "UPDATE notes_storageuse SET size_bytes = greatest(size_bytes + %s, 0) "
            "WHERE user_id = %s AND size_bytes IS NOT NULL AND (%s::bigint IS NULL OR size_bytes + %s <= %s)",
            [grown, user_id, at_most, grown, at_most],
        )
        return cursor.rowcount == 1


def locked_use(user_id: int) -> int | None:
    """The user's recorded total, locked until the transaction ends; None if it is not known."""
    StorageUse.objects.bulk_create([StorageUse(user_id=user_id)], ignore_conflicts=True)
    return StorageUse.objects.select_for_update(no_key=True).get(pk=user_id).size_bytes


def count_user(user_id: int) -> int:
    """Count all that a user stores, record it and return it. The caller holds ``locked_use``.

    Add a new kind of data that counts towards the total here, and charge it by ``charge_user``.
    """
    size = Coalesce("size_bytes", stored_size())
    notes = Note.objects.owned_by(user_id).aggregate(total=Sum(size))["total"] or 0
    attachments = Attachment.objects.filter(user_id=user_id).aggregate(total=Sum("size"))["total"] or 0
    total = notes + attachments
    StorageUse.objects.filter(pk=user_id).update(size_bytes=total)
    return total
