"""One change to many notes: all of them or none, in a fixed number of statements.

No versions are kept: only tags, the status and the trash change, and the opposite action undoes the request.
"""

from collections.abc import Sequence
from typing import Any, Literal

from django.db.models import Case, F, Func, TextField, Value, When
from django.db.models.functions import Greatest, Now

from notes.derived import WordsField
from notes.models import NOTE_MAX_BYTES, TAGS_MAX, Note
from notes.search.vectors import words_of_note
from notes.services.budgets import NoteTooLarge, charge_user
from notes.sizes import stored_size, text_size
from utils.http.errors import FieldError, InvalidRequest, NotFound
from utils.page_cache.invalidation import changing_pages_of

BULK_MAX = 500
Action = Literal["tag", "untag", "status", "trash", "restore"]


def change_notes(*, user_id: int, ids: Sequence[int], action: Action, value: str | None = None) -> int:
    """Change these notes of the user; return how many were changed. Notes without a change keep their version.

    ``value`` is the normalized tag to add or remove, or the status. Notes in the trash can only be restored and
    trashed. Raises ``NotFound`` and ``InvalidRequest`` with a pointer to the first id that is wrong, and
    ``OverBudget``.
    """
    with changing_pages_of(user_id):
        notes = _lock(user_id, ids, only_live=action not in ("trash", "restore"))
        changed = [pk for pk, note in notes.items() if not _is_so(note, action, value)]
        if action == "tag":
            _check_room([ids.index(pk) for pk in changed if len(notes[pk].tags) >= TAGS_MAX])
        grown = {"tag": text_size(value or ""), "untag": -text_size(value or "")}.get(action, 0)
        rows = Note.objects.filter(pk__in=changed)
        if grown:
            rows.filter(size_bytes=None).update(size_bytes=stored_size())
        derived = _words([notes[pk] for pk in changed], action, value, user_id) if action in ("tag", "untag") else {}
        fitting = rows.filter(size_bytes__lte=NOTE_MAX_BYTES - grown) if grown > 0 else rows
        done = fitting.update(version=F("version") + 1, updated_at=Now(), **_changes(action, value, grown), **derived)
        if done < len(changed):
            used = rows.order_by("-size_bytes").values_list("size_bytes", flat=True)[0]
            raise NoteTooLarge(used=used or 0, limit=NOTE_MAX_BYTES)
        charge_user(user_id=user_id, grown=grown * done)
        return done


def _lock(user_id: int, ids: Sequence[int], *, only_live: bool) -> dict[int, Note]:
    """The notes by id, locked in the same order as by all writes. Raises ``NotFound``."""
    mine = Note.objects.owned_by(user_id).live() if only_live else Note.objects.owned_by(user_id)
    rows = mine.filter(pk__in=ids).order_by("pk").select_for_update(no_key=True)
    notes = {note.pk: note for note in rows.only("title", "tags", "status", "deleted_at")}
    for position, pk in enumerate(ids):
        if pk not in notes:
            raise NotFound(errors=[_wrong(position, "not_found", "Not found.")])
    return notes


def _check_room(full: Sequence[int]) -> None:
    if full:
        raise InvalidRequest(errors=[_wrong(min(full), "too_many", f"A note has at most {TAGS_MAX} tags.")])


def _wrong(position: int, code: str, detail: str) -> FieldError:
    return {"pointer": f"/ids/{position}", "code": code, "detail": detail}


def _is_so(note: Note, action: Action, value: str | None) -> bool:
    match action:
        case "tag":
            return value in note.tags
        case "untag":
            return value not in note.tags
        case "status":
            return note.status == value
        case "trash":
            return note.deleted_at is not None
        case "restore":
            return note.deleted_at is None


def _changes(action: Action, value: str | None, grown: int) -> dict[str, Any]:
    size = Greatest(F("size_bytes") + grown, Value(0))
    tag = Value(value, output_field=TextField())
    match action:
        case "tag":
            return {"tags": Func(F("tags"), tag, function="array_append"), "size_bytes": size}
        case "untag":
            return {"tags": Func(F("tags"), tag, function="array_remove"), "size_bytes": size}
        case "status":
            return {"status": value}
        case "trash":
            return {"deleted_at": Now()}
        case "restore":
            return {"deleted_at": None}


def _words(notes: Sequence[Note], action: Action, value: str | None, user_id: int) -> dict[str, Any]:
    """The search vectors of the notes with their new tags; none for notes that have no vector yet."""
    if not notes:
        return {}
    found = []
    for note in notes:
        tags = [*note.tags, value or ""] if action == "tag" else [tag for tag in note.tags if tag != value]
        words = words_of_note(user_id, title=note.title, tags=tags)
        found.append(When(pk=note.pk, words__isnull=False, then=Value(words, output_field=WordsField())))
    return {"words": Case(*found, default=None)}
