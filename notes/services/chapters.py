"""Writes to chapters. Each returns the chapter as the API shows it."""

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, OuterRef
from django.db.models.functions import JSONObject

from notes.blocks.stored import removed_blocks
from notes.models import Chapter, Note, Topic
from notes.search.vectors import words_of_chapter
from notes.services.budgets import charge_notes
from notes.services.editing import MovedMeanwhile, NoteStates, begin_edit, begin_edits
from notes.services.indexing import make_words_of_moved_later
from notes.services.positions import CHAPTERS, check_order, close_gap, make_room, shift
from notes.sizes import size_of_chapter, size_of_title, stored_chapter_size, text_size
from utils.page_cache.invalidation import changing_pages_of


def create_chapter(
    *, user_id: int, note_id: int, title: str, order: int | None = None, if_match: NoteStates = None
) -> Chapter:
    """Add a chapter: at the end, or at ``order``; the chapters after it are shifted.

    Raises ``Note.DoesNotExist``, ``NoteChanged``, ``OrderOutOfRange``, ``TooManyChildren`` and ``OverBudget``.
    """
    with changing_pages_of(user_id):
        begin_edit(user_id=user_id, note_id=note_id, if_match=if_match)
        order = make_room(Chapter.objects.filter(note_id=note_id), order, CHAPTERS)
        chapter = Chapter.objects.create(note=Note(pk=note_id, user_id=user_id), title=title, order=order)
        charge_notes(user_id=user_id, growth={note_id: text_size(title)})
        return Chapter.objects.for_api().get(pk=chapter.pk)


def update_chapter(*, user_id: int, chapter_id: int, title: str | None = None, if_match: NoteStates = None) -> Chapter:
    """Rename a chapter. Its current title, or None, changes nothing.

    Raises ``Chapter.DoesNotExist``, ``NoteChanged``, ``MovedMeanwhile`` and ``OverBudget``.
    """
    with changing_pages_of(user_id):
        note_id = note_of_chapter(chapter_id, user_id)
        changes = {} if title is None else {"title": title}
        mine = Chapter.objects.filter(pk=chapter_id, note_id=note_id)
        is_so = Exists(mine.filter(**changes))
        if begin_edit(user_id=user_id, note_id=note_id, if_match=if_match, unless=is_so):
            before = size_of_title(chapter_id)
            derived = {} if title is None else {"words": words_of_chapter(user_id, title=title)}
            if not mine.update(**changes, **derived):
                raise MovedMeanwhile
            if title is not None:
                charge_notes(user_id=user_id, growth={note_id: text_size(title) - before})
        return Chapter.objects.for_api().get(pk=chapter_id)


def delete_chapter(*, user_id: int, chapter_id: int, if_match: NoteStates = None) -> None:
    """Delete a chapter with its topics. Raises ``Chapter.DoesNotExist``, ``NoteChanged`` and ``MovedMeanwhile``."""
    with changing_pages_of(user_id):
        note_id = note_of_chapter(chapter_id, user_id)
        begin_edit(user_id=user_id, note_id=note_id, if_match=if_match)
        order = _current_order(chapter_id, note_id)
        topics = Topic.objects.filter(chapter=OuterRef("pk")).values_list(JSONObject(id="pk", blocks="blocks"))
        [(freed, gone)] = Chapter.objects.filter(pk=chapter_id).values_list(
            stored_chapter_size(), ArraySubquery(topics)
        )
        Chapter.objects.filter(pk=chapter_id).only("pk").delete()  # only(), as Django loads the row to delete it
        removed_blocks({topic["id"]: topic["blocks"] for topic in gone}).notify()
        close_gap(Chapter.objects.filter(note_id=note_id), order)
        charge_notes(user_id=user_id, growth={note_id: -freed})


def move_chapter(
    *,
    user_id: int,
    chapter_id: int,
    order: int,
    note_id: int | None = None,
    if_match: NoteStates = None,
) -> Chapter:
    """Move a chapter to another position in its note, or to another of the user's notes.

    Its current position changes nothing. ``if_match`` refers to the note that the chapter is in.

    Raises ``Chapter.DoesNotExist``, ``Note.DoesNotExist``, ``NoteChanged``, ``OrderOutOfRange``, ``TooManyChildren``,
    ``MovedMeanwhile`` and ``OverBudget``.
    """
    with changing_pages_of(user_id):
        source_id = note_of_chapter(chapter_id, user_id)
        target_id = source_id if note_id is None else note_id
        siblings = Chapter.objects.filter(note_id=target_id)
        if target_id == source_id:
            is_there = Exists(siblings.filter(pk=chapter_id, order=order))
            if begin_edit(user_id=user_id, note_id=source_id, if_match=if_match, unless=is_there):
                old = _current_order(chapter_id, source_id)
                shift(siblings, pk=chapter_id, old=old, new=check_order(order, last=siblings.count() - 1))
        else:
            begin_edits(user_id=user_id, notes={target_id: None, source_id: if_match})
            old = _current_order(chapter_id, source_id)
            order = make_room(siblings, order, CHAPTERS)
            Chapter.objects.filter(pk=chapter_id).update(note_id=target_id, order=order)
            close_gap(Chapter.objects.filter(note_id=source_id), old)
            make_words_of_moved_later(
                target_id,
                topics=Topic.objects.filter(chapter=chapter_id),
                chapters=Chapter.objects.filter(pk=chapter_id),
            )
            size = size_of_chapter(chapter_id)
            charge_notes(user_id=user_id, growth={source_id: -size, target_id: size})
        return Chapter.objects.for_api().get(pk=chapter_id)


def note_of_chapter(chapter_id: int, user_id: int) -> int:
    """The id of the chapter's note, for claiming it. Raises ``Chapter.DoesNotExist``."""
    return Chapter.objects.owned_by(user_id).values_list("note_id", flat=True).get(pk=chapter_id)


def _current_order(chapter_id: int, note_id: int) -> int:
    """The chapter's ``order``, read after its note is claimed. Raises ``MovedMeanwhile`` if it left the note."""
    order = Chapter.objects.filter(pk=chapter_id, note_id=note_id).values_list("order", flat=True).first()
    if order is None:
        raise MovedMeanwhile
    return order
