"""The start of every write to a note: the note is claimed, and its previous state is kept as a version.

The claim raises the note's version by one conditional UPDATE. It also locks the note until COMMIT, so that data read
after it cannot change. A write to two notes claims them in the order of their ids. An edit of the note's own fields
locks it first, and then writes all in one UPDATE.

A version is always kept before an AI answer is applied or a version is restored. Before an edit, it is kept if there
was none in the last ten minutes. A note older than the budgets may be too large for a version: then no version is kept,
edits may only make it smaller, and no other write is allowed.

Other apps register functions in ``AppConfig.ready``, which are called with the ids of the notes that are being written.
They run inside the write's transaction, which holds the notes' locks, and make at most one statement for any number of
notes. An exception in one undoes the write. They are not called for writes that change no text: tags and status of many
notes at once, and moving notes into the trash and out of it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from notes.models import NOTE_MAX_BYTES, Note, NoteVersion
from notes.search.vectors import words_of_note
from notes.services.budgets import NoteTooLarge, count_note
from notes.services.keeping import keep_version
from notes.sizes import text_size
from notes.title_order import title_key
from utils.database.compiled_queries import Row, read_rows
from utils.http.errors import Conflict, PreconditionFailed

KEEPING_INTERVAL = timedelta(minutes=10)
LARGEST_KEPT = 32 * 1024 * 1024
"""No version is kept of a larger note, as making one takes several times its size in memory."""

Versions = Collection[int] | None
"""The versions of the note at which a write is allowed; None for any."""


class NoteState(NamedTuple):
    """A note at one version. The ETag of a chapter or topic has both, as it may be moved to another note."""

    note_id: int
    version: int


NoteStates = Collection[NoteState] | None
"""The note states at which a write to a chapter or topic is allowed; None for any."""


class LockedNote(NamedTuple):
    """A note's own fields, and whether a version of it was kept within ``KEEPING_INTERVAL``."""

    version: int
    title: str
    status: str
    tags: list[str]
    size_bytes: int | None
    is_kept: bool


_LOCK = """
SELECT version, title, status, tags, size_bytes,
       EXISTS (SELECT FROM notes_noteversion v
               WHERE v.note_id = n.id AND v.created_at > statement_timestamp() - make_interval(secs => %s))
FROM notes_note n WHERE id = %s AND user_id = %s AND deleted_at IS NULL FOR NO KEY UPDATE
"""
# A note without a search vector gets none: it and its parts are found by the vectors of earlier releases.
_EDIT = """
UPDATE notes_note SET title = %s, status = %s, tags = %s::varchar[],
                      words = CASE WHEN words IS NOT NULL THEN %s::tsvector END, title_key = %s, size_bytes = %s,
                      version = version + 1, updated_at = statement_timestamp()
WHERE id = %s
"""


NotesChanged = Callable[[Sequence[int]], None]

_told: list[NotesChanged] = []


def on_notes_changed(function: NotesChanged) -> NotesChanged:
    """Register a function that is called with the ids of notes whose texts are written. Usable as a decorator."""
    if function not in _told:
        _told.append(function)
    return function


def notify_of_notes(note_ids: Sequence[int]) -> None:
    """Call all registered functions."""
    for function in _told:
        function(note_ids)


class NoteChanged(PreconditionFailed):
    """The note's version is not among the expected ones. The response has ``current_version``."""

    detail = "The note has changed since you read it."


class MovedMeanwhile(Conflict):
    """A chapter or topic was moved or deleted after its note was looked up and before the note was claimed."""

    code = "moved_meanwhile"
    detail = "It was moved or deleted in the meantime. Try again."


def begin_edit(
    *,
    user_id: int,
    note_id: int,
    if_match: NoteStates = None,
    reason: NoteVersion.Reason = NoteVersion.Reason.EDIT,
    unless: Q | Exists | None = None,
) -> Row | None:
    """Claim the user's note for one write in the caller's transaction, and keep its state as a version if that is due.

    Returns the note's ``title``, ``tags`` and ``size_bytes`` before the write. ``unless`` is a condition under which
    the write would change nothing. If it holds, the note keeps its version, and None is returned.

    Raises ``Note.DoesNotExist`` (also for a note in the trash), :class:`NoteChanged`, and ``NoteTooLarge`` if a version
    must be kept of a note that is too large for one.
    """
    mine = Note.objects.owned_by(user_id).live().filter(pk=note_id)
    expected = mine
    if if_match is not None:
        expected = mine.filter(version__in=[state.version for state in if_match if state.note_id == note_id])
    to_change = expected if unless is None else expected.filter(~unless)
    if not to_change.update(version=F("version") + 1, updated_at=Now()):
        if unless is not None and expected.filter(unless).exists():
            return None
        raise NoteChanged(current_version=mine.values_list("version", flat=True).get())
    [claimed] = read_rows(_claimed, note_id=note_id)
    if claimed["size_bytes"] is None:
        count_note(note_id)
        [claimed] = read_rows(_claimed, note_id=note_id)
    _keep_if_due(note_id, claimed["version"] - 1, size=claimed["size_bytes"], is_kept=claimed["is_kept"], reason=reason)
    notify_of_notes([note_id])
    return claimed


def lock_note(*, user_id: int, note_id: int, if_match: Versions = None) -> LockedNote:
    """Lock the user's note for an edit of its own fields, and read them: one statement.

    Raises ``Note.DoesNotExist`` (also for a note in the trash) and :class:`NoteChanged`.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [KEEPING_INTERVAL.total_seconds(), note_id, user_id])
        row = cursor.fetchone()
    if row is None:
        raise Note.DoesNotExist
    note = LockedNote(*row)
    if if_match is not None and note.version not in if_match:
        raise NoteChanged(current_version=note.version)
    return note


def edit_note(*, user_id: int, note_id: int, before: LockedNote, title: str, status: str, tags: Sequence[str]) -> int:
    """Write a locked note's own fields and raise its version; return by how many bytes it grows.

    Its state is kept as a version first, if that is due. Raises ``NoteTooLarge``.
    """
    size = before.size_bytes
    if size is None:
        count_note(note_id)
        size = Note.objects.values_list("size_bytes", flat=True).get(pk=note_id) or 0
    _keep_if_due(note_id, before.version, size=size, is_kept=before.is_kept)
    notify_of_notes([note_id])
    grown = text_size(title, *tags) - text_size(before.title, *before.tags)
    if grown > 0 and size + grown > NOTE_MAX_BYTES:
        raise NoteTooLarge(used=size, limit=NOTE_MAX_BYTES)
    words = words_of_note(user_id, title=title, tags=tags)
    with connection.cursor() as cursor:
        cursor.execute(_EDIT, [title, status, list(tags), words, title_key(title), max(size + grown, 0), note_id])
    return grown


def _keep_if_due(
    note_id: int, version: int, *, size: int, is_kept: bool, reason: NoteVersion.Reason = NoteVersion.Reason.EDIT
) -> None:
    is_too_large = size > LARGEST_KEPT
    if reason != NoteVersion.Reason.EDIT and is_too_large:
        raise NoteTooLarge(used=size, limit=NOTE_MAX_BYTES)
    if reason != NoteVersion.Reason.EDIT or not (is_kept or is_too_large):
        keep_version(note_id=note_id, version=version, reason=reason)


def _claimed(note_id: int) -> QuerySet[Note, Any]:
    """The note's fields before the change, and whether a version was kept within ``KEEPING_INTERVAL``."""
    kept_lately = NoteVersion.objects.filter(note=OuterRef("pk"), created_at__gt=Now() - KEEPING_INTERVAL)
    return Note.objects.filter(pk=note_id).values("version", "title", "tags", "size_bytes", is_kept=Exists(kept_lately))


def states_of(note_id: int, versions: Versions) -> NoteStates:
    """The states of a note at these versions."""
    return None if versions is None else [NoteState(note_id, version) for version in versions]


def begin_edits(*, user_id: int, notes: Mapping[int, NoteStates]) -> None:
    """Claim several of the user's notes, each with its ``if_match``, in an order that prevents deadlocks."""
    for note_id in sorted(notes):
        begin_edit(user_id=user_id, note_id=note_id, if_match=notes[note_id])
