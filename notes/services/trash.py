"""Deletes notes for good: after ``TRASH_DAYS`` in the trash, or when the user empties the trash.

It does not use ``deleted_batches``: while the notes are locked, their sizes must be charged to each user, and their
blocks reported as removed.
"""

from collections.abc import Sequence
from datetime import timedelta
from itertools import groupby
from operator import itemgetter

from django.conf import settings
from django.db.models import Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from notes.blocks.stored import removed_blocks
from notes.models import Attachment, Note, Topic
from notes.services.budgets import charge_user
from notes.sizes import stored_size
from utils.http.errors import Conflict
from utils.page_cache.invalidation import changing_pages_of

BATCH_SIZE = 100
BATCHES_MAX = 200
"""The maximum in one run; the next run continues."""


class TrashChanged(Conflict):
    """The number of notes in the trash differs from the client's. The response has the actual ``count``."""

    code = "trash_changed"
    detail = "The trash has changed since you read it."


def empty_trash(*, user_id: int, count: int) -> None:
    """Delete all of the user's notes that are in the trash, if their number is ``count``.

    In batches, but in one transaction. Raises :class:`TrashChanged`.
    """
    with changing_pages_of(user_id):
        trashed = Note.objects.owned_by(user_id).trashed().order_by("pk")
        note_ids = list(trashed.select_for_update().values_list("pk", flat=True))
        if len(note_ids) != count:
            raise TrashChanged(count=len(note_ids))
        freed = sum(_delete(note_ids[start : start + BATCH_SIZE]) for start in range(0, len(note_ids), BATCH_SIZE))
        charge_user(user_id=user_id, grown=-freed)


def purge_trash() -> int:
    """Delete the notes that were put into the trash more than ``TRASH_DAYS`` ago; return how many.

    Transactions are short, each for at most ``BATCH_SIZE`` notes of one user. A note that is being restored is skipped.
    """
    due = Note.objects.trashed().filter(deleted_at__lt=timezone.now() - timedelta(days=settings.TRASH_DAYS))
    deleted = 0
    for _ in range(BATCHES_MAX):
        found = list(due.order_by("deleted_at", "pk").values_list("user_id", "pk")[:BATCH_SIZE])
        before = deleted
        for user_id, rows in groupby(sorted(found), key=itemgetter(0)):
            note_ids = [pk for _, pk in rows]
            with changing_pages_of(user_id):
                locked = due.filter(pk__in=note_ids).order_by("pk").select_for_update(skip_locked=True)
                note_ids = list(locked.values_list("pk", flat=True))
                charge_user(user_id=user_id, grown=-_delete(note_ids))
            deleted += len(note_ids)
        if len(found) < BATCH_SIZE or deleted == before:
            break
    return deleted


def _delete(note_ids: Sequence[int]) -> int:
    """Delete locked notes with their contents; return their size in bytes, including attachments."""
    notes = Note.objects.filter(pk__in=note_ids)
    size = notes.aggregate(size=Sum(Coalesce("size_bytes", stored_size())))["size"] or 0
    size += Attachment.objects.filter(note__in=note_ids).aggregate(size=Sum("size"))["size"] or 0
    removed = removed_blocks(dict(Topic.objects.filter(chapter__note__in=note_ids).values_list("pk", "blocks")))
    notes.only("pk").delete()  # only(), as Django loads the rows to delete them
    removed.notify()
    return size
