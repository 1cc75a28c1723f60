"""The start of every write to a note: the note is claimed, and its previous state is kept as a version.

The claim raises the note's version by one conditional UPDATE. It also locks the note until COMMIT, so that whatever is
read after it cannot change. A write to two notes claims them in the order of their ids.

A version is always kept before an AI answer is applied or a version is restored; before an edit, if none was kept in
the last ten minutes. A note from before there were budgets may be too large for a version: none is kept of it then.
Edits may make it smaller, and nothing else may change it.
"""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from notes.changed import tell_of_notes
from notes.models import NOTE_MAX_BYTES, Note, NoteVersion
from notes.services.budgets import NoteTooLarge, count_note
from notes.services.keeping import keep_version
from utils.database.compiled_queries import Row, read_rows
from utils.http.errors import Conflict, PreconditionFailed

KEEPING_INTERVAL = timedelta(minutes=10)
LARGEST_KEPT = 32 * 1024 * 1024
"""The size of a note beyond which no version of it is kept, as one takes several times that much memory."""

Versions = Collection[int] | None
"""The versions of the note at which a write is allowed; None for any."""


class NoteState(NamedTuple):
    """A note at one version. For a chapter or topic the note matters, too, as it may be moved to another one."""

    note_id: int
    version: int


NoteStates = Collection[NoteState] | None
"""The states of its note at which a write to a chapter or topic is allowed; None for any."""


class NoteChanged(PreconditionFailed):
    """The note's version is not among the expected ones. The response has ``current_version``."""

    detail = "The note has changed since you read it."


class MovedMeanwhile(Conflict):
    """A chapter or topic was moved or deleted after its note was looked up and before the note was claimed."""

    code = "moved_meanwhile"
    detail = "It was moved or deleted at the same time. Try again."


def begin_edit(
    *,
    user_id: int,
    note_id: int,
    if_match: Versions = None,
    reason: NoteVersion.Reason = NoteVersion.Reason.EDIT,
    unless: Q | Exists | None = None,
) -> Row | None:
    """Claim the user's note for one write in the caller's transaction, and keep its state as a version if that is due.

    Returns the note's ``title``, ``tags`` and ``size_bytes`` before the write. ``unless`` is a condition under which
    the write would change nothing. Then the note keeps its version, and the answer is None: there is nothing to write.

    Raises ``Note.DoesNotExist`` (also for a note in the trash), :class:`NoteChanged`, and ``NoteTooLarge`` if a version
    must be kept of a note that is too large for one.
    """
    mine = Note.objects.owned_by(user_id).live().filter(pk=note_id)
    expected = mine if if_match is None else mine.filter(version__in=if_match)
    to_change = expected if unless is None else expected.filter(~unless)
    if not to_change.update(version=F("version") + 1, updated_at=Now()):
        if unless is not None and expected.filter(unless).exists():
            return None
        raise NoteChanged(current_version=mine.values_list("version", flat=True).get())
    [claimed] = read_rows(_claimed, note_id=note_id)
    if claimed["size_bytes"] is None:
        count_note(note_id)
        [claimed] = read_rows(_claimed, note_id=note_id)
    is_too_large = claimed["size_bytes"] > LARGEST_KEPT
    if reason != NoteVersion.Reason.EDIT and is_too_large:
        raise NoteTooLarge(used=claimed["size_bytes"], limit=NOTE_MAX_BYTES)
    if reason != NoteVersion.Reason.EDIT or not (claimed["is_kept"] or is_too_large):
        keep_version(note_id=note_id, version=claimed["version"] - 1, reason=reason)
    tell_of_notes([note_id])
    return claimed


def _claimed(note_id: int) -> QuerySet[Note, Any]:
    """The note as it is to be changed, and whether a version was kept within ``KEEPING_INTERVAL``."""
    kept_lately = NoteVersion.objects.filter(note=OuterRef("pk"), created_at__gt=Now() - KEEPING_INTERVAL)
    return Note.objects.filter(pk=note_id).values("version", "title", "tags", "size_bytes", is_kept=Exists(kept_lately))


def versions_of(note_id: int, states: NoteStates) -> Versions:
    """The versions of this note among the states; those of other notes are left out."""
    return None if states is None else [state.version for state in states if state.note_id == note_id]


def begin_edits(*, user_id: int, notes: Mapping[int, Versions]) -> None:
    """Claim several of the user's notes, each with its ``if_match``, in an order that prevents deadlocks."""
    for note_id in sorted(notes):
        begin_edit(user_id=user_id, note_id=note_id, if_match=notes[note_id])
