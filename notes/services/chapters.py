"""Writes to chapters. Each answers with the chapter as the API shows it."""

from notes.models import Chapter
from notes.services.editing import MovedMeanwhile, NoteStates, begin_edit, begin_edits, versions_of
from notes.services.positions import CHAPTERS, close_gap, make_room, place, shift
from utils.caching import changing_pages_of


def create_chapter(
    *, user_id: int, note_id: int, title: str, order: int | None = None, if_match: NoteStates = None
) -> Chapter:
    """Add a chapter: at the end, or at ``order``, where the later ones make room.

    Raises ``Note.DoesNotExist``, ``NoteChanged``, ``OrderOutOfRange`` and ``TooManyChildren``.
    """
    with changing_pages_of(user_id):
        begin_edit(user_id=user_id, note_id=note_id, if_match=versions_of(note_id, if_match))
        order = make_room(Chapter.objects.filter(note_id=note_id), order, CHAPTERS)
        chapter = Chapter.objects.create(note_id=note_id, title=title, order=order)
        return Chapter.objects.for_api().get(pk=chapter.pk)


def update_chapter(*, user_id: int, chapter_id: int, title: str | None = None, if_match: NoteStates = None) -> Chapter:
    """Rename a chapter. Raises ``Chapter.DoesNotExist``, ``NoteChanged`` and ``MovedMeanwhile``."""
    with changing_pages_of(user_id):
        note_id = note_of_chapter(chapter_id, user_id)
        begin_edit(user_id=user_id, note_id=note_id, if_match=versions_of(note_id, if_match))
        if title is not None and not Chapter.objects.filter(pk=chapter_id, note_id=note_id).update(title=title):
            raise MovedMeanwhile
        return Chapter.objects.for_api().get(pk=chapter_id)


def delete_chapter(*, user_id: int, chapter_id: int, if_match: NoteStates = None) -> None:
    """Delete a chapter with its topics. Raises ``Chapter.DoesNotExist``, ``NoteChanged`` and ``MovedMeanwhile``."""
    with changing_pages_of(user_id):
        note_id = note_of_chapter(chapter_id, user_id)
        begin_edit(user_id=user_id, note_id=note_id, if_match=versions_of(note_id, if_match))
        order = _order_now(chapter_id, note_id)
        Chapter.objects.filter(pk=chapter_id).only("pk").delete()  # only: deleting loads the row
        close_gap(Chapter.objects.filter(note_id=note_id), order)


def move_chapter(
    *,
    user_id: int,
    chapter_id: int,
    order: int,
    note_id: int | None = None,
    if_match: NoteStates = None,
) -> Chapter:
    """Move a chapter to a place in its note, or in another of the user's notes.

    ``if_match`` is about the note that the chapter is in. Raises ``Chapter.DoesNotExist``, ``Note.DoesNotExist``,
    ``NoteChanged``, ``OrderOutOfRange``, ``TooManyChildren`` and ``MovedMeanwhile``.
    """
    with changing_pages_of(user_id):
        source_id = note_of_chapter(chapter_id, user_id)
        target_id = source_id if note_id is None else note_id
        begin_edits(user_id=user_id, notes={target_id: None, source_id: versions_of(source_id, if_match)})
        old = _order_now(chapter_id, source_id)
        siblings = Chapter.objects.filter(note_id=target_id)
        if target_id == source_id:
            shift(siblings, pk=chapter_id, old=old, new=place(order, last=siblings.count() - 1))
        else:
            order = make_room(siblings, order, CHAPTERS)
            Chapter.objects.filter(pk=chapter_id).update(note_id=target_id, order=order)
            close_gap(Chapter.objects.filter(note_id=source_id), old)
        return Chapter.objects.for_api().get(pk=chapter_id)


def note_of_chapter(chapter_id: int, user_id: int) -> int:
    """Find the note to claim. Raises ``Chapter.DoesNotExist``."""
    return Chapter.objects.owned_by(user_id).values_list("note_id", flat=True).get(pk=chapter_id)


def _order_now(chapter_id: int, note_id: int) -> int:
    """The chapter's place, now that the note is held that it was found in."""
    order = Chapter.objects.filter(pk=chapter_id, note_id=note_id).values_list("order", flat=True).first()
    if order is None:
        raise MovedMeanwhile
    return order
