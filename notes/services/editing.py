"""How every write in a note begins: the note is claimed, and what it was before is kept.

The claim raises the note's version by one conditional UPDATE, so it is also a lock until COMMIT: whatever is read in
the note after it stays as it was read. Writes to two notes claim them in the order of their ids.

What is kept: the state before an answer of AI is applied or a version is restored, always; the state before an edit, if
none was kept in the last ten minutes. Of each note the last fifty.
"""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.functions import Now

from notes.models import Note, NoteVersion
from utils.compiled_reads import read_rows
from utils.exceptions import Conflict, PreconditionFailed

KEEPING_INTERVAL = timedelta(minutes=10)
VERSIONS_KEPT = 50

Versions = Collection[int] | None
"""Versions one of which a note must have to be written to; None for any."""


class NoteState(NamedTuple):
    """A note at one of its versions: what a chapter or topic was read in, since it may move to another note."""

    note_id: int
    version: int


NoteStates = Collection[NoteState] | None
"""States one of which the note of a chapter or topic must be in for it to be written to; None for any."""


class NoteChanged(PreconditionFailed):
    """The note's version is none of those that the writer expected. Tells ``current_version``."""

    detail = "The note has changed since you read it."


class MovedMeanwhile(Conflict):
    """A chapter or topic left its place between being found and its note being claimed. Another try finds out."""

    code = "moved_meanwhile"
    detail = "It was moved or deleted at the same moment. Try again."


def begin_edit(
    *,
    user_id: int,
    note_id: int,
    if_match: Versions = None,
    reason: NoteVersion.Reason = NoteVersion.Reason.EDIT,
) -> None:
    """Claim the user's note for one write in the caller's transaction, and keep what it is now if that is due.

    Raises ``Note.DoesNotExist`` (also for a note in the trash) and :class:`NoteChanged`.
    """
    mine = Note.objects.owned_by(user_id).live().filter(pk=note_id)
    expected = mine if if_match is None else mine.filter(version__in=if_match)
    if not expected.update(version=F("version") + 1, updated_at=Now()):
        raise NoteChanged(current_version=mine.values_list("version", flat=True).get())
    [claimed] = read_rows("claimed note", _claimed, note_id=note_id)
    if reason != NoteVersion.Reason.EDIT or not claimed["is_kept"]:
        _keep(note_id=note_id, version=claimed["version"] - 1, reason=reason)


def _claimed(note_id: int) -> QuerySet[Note, Any]:
    """The note's version, and whether what it was has been kept lately."""
    kept_lately = NoteVersion.objects.filter(note=OuterRef("pk"), created_at__gt=Now() - KEEPING_INTERVAL)
    return Note.objects.filter(pk=note_id).values("version", is_kept=Exists(kept_lately))


def versions_of(note_id: int, states: NoteStates) -> Versions:
    """The versions of this note among the states: one that was seen of another note is none of them."""
    return None if states is None else [state.version for state in states if state.note_id == note_id]


def begin_edits(*, user_id: int, notes: Mapping[int, Versions]) -> None:
    """Claim several of the user's notes, each with its ``if_match``, so that no two writers wait for each other."""
    for note_id in sorted(notes):
        begin_edit(user_id=user_id, note_id=note_id, if_match=notes[note_id])


def _keep(*, note_id: int, version: int, reason: NoteVersion.Reason) -> None:
    note = Note.objects.for_detail().get(pk=note_id)
    NoteVersion.objects.create(note_id=note_id, version=version, reason=reason, snapshot=_snapshot(note))
    kept = NoteVersion.objects.filter(note_id=note_id).order_by("-version")
    NoteVersion.objects.filter(pk__in=kept.values("pk")[VERSIONS_KEPT:]).delete()


def _snapshot(note: Note) -> dict[str, Any]:
    """The whole note as JSON, with the ids that a restoration gives back."""
    return {
        "title": note.title,
        "status": note.status,
        "tags": note.tags,
        "chapters": [
            {
                "id": chapter.pk,
                "title": chapter.title,
                "topics": [
                    {
                        "id": topic.pk,
                        "title": topic.title,
                        "explanation": topic.explanation,
                        "code": topic.code,
                        "code_language": topic.code_language,
                        "sources": topic.sources,
                    }
                    for topic in chapter.topics.all()
                ],
            }
            for chapter in note.chapters.all()
        ],
    }
