"""Writes to topics. Each returns the topic as the API shows it."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Exists

from notes.blocks.stored import blocks_for_edit, blocks_for_new, removed_blocks
from notes.contents import TOPIC_WRITTEN
from notes.models import Chapter, Note, Topic
from notes.services.budgets import charge_notes
from notes.services.chapters import note_of_chapter
from notes.services.editing import MovedMeanwhile, NoteStates, begin_edit, begin_edits
from notes.services.indexing import is_large, make_words_later, make_words_of_moved_later, words_of_edit
from notes.services.links import add_links, write_links
from notes.services.notes import TopicData
from notes.services.positions import TOPICS, check_order, close_gap, make_room, shift
from notes.sizes import size_of_topic, stored_topic_size, topic_size
from utils.page_cache.invalidation import changing_pages_of


def create_topic(
    *, user_id: int, chapter_id: int, data: TopicData, order: int | None = None, if_match: NoteStates = None
) -> Topic:
    """Add a topic: at the end, or at ``order``; the topics after it are shifted.

    Raises ``Chapter.DoesNotExist``, ``NoteChanged``, ``OrderOutOfRange``, ``TooManyChildren``, ``MovedMeanwhile`` and
    ``OverBudget``.
    """
    with changing_pages_of(user_id):
        note_id = note_of_chapter(chapter_id, user_id)
        begin_edit(user_id=user_id, note_id=note_id, if_match=if_match)
        _check_chapter(chapter_id, note_id)
        order = make_room(Topic.objects.filter(chapter_id=chapter_id), order, TOPICS)
        note = Note(pk=note_id, user_id=user_id)
        explanation, code = data.get("explanation", ""), data.get("code", "")
        if is_large(explanation, code):
            note.words_due_at = make_words_later(Note.objects.filter(pk=note_id))
        blocks = None if note.words_due_at else blocks_for_new(explanation)
        topic = Topic.objects.create(chapter=Chapter(pk=chapter_id, note=note), order=order, blocks=blocks, **data)
        add_links(user_id=user_id, of_notes=[{topic.pk: topic.explanation}])
        charge_notes(user_id=user_id, growth={note_id: topic_size(**data)})
        return Topic.objects.for_api().get(pk=topic.pk)


def update_topic(*, user_id: int, topic_id: int, changes: Mapping[str, Any], if_match: NoteStates = None) -> Topic:
    """Change a topic's texts, not its position. Unchanged texts change nothing.

    Raises ``Topic.DoesNotExist``, ``NoteChanged``, ``MovedMeanwhile`` and ``OverBudget``.
    """
    with changing_pages_of(user_id):
        _, note_id = _parents_of(topic_id, user_id)
        mine = Topic.objects.filter(pk=topic_id, chapter__note_id=note_id)
        is_so = Exists(mine.filter(**changes))
        is_changing = begin_edit(user_id=user_id, note_id=note_id, if_match=if_match, unless=is_so)
        if is_changing:
            row = mine.values("blocks", *TOPIC_WRITTEN).first()
            if row is None:
                raise MovedMeanwhile
            stored = row.pop("blocks")
            after = {**row, **changes}
            text = after["explanation"]
            blocks, told = blocks_for_edit(topic_id, before=row["explanation"], stored=stored, after=text)
            mine.update(**changes, blocks=blocks, words=words_of_edit(user_id, note_id=note_id, **after))
            told.notify()
            write_links(user_id=user_id, texts={topic_id: text}, before={topic_id: row["explanation"]})
            charge_notes(user_id=user_id, growth={note_id: topic_size(**after) - topic_size(**row)})
        return Topic.objects.for_api().get(pk=topic_id)


def delete_topic(*, user_id: int, topic_id: int, if_match: NoteStates = None) -> None:
    """Delete a topic. Raises ``Topic.DoesNotExist``, ``NoteChanged`` and ``MovedMeanwhile``."""
    with changing_pages_of(user_id):
        chapter_id, note_id = _parents_of(topic_id, user_id)
        begin_edit(user_id=user_id, note_id=note_id, if_match=if_match)
        order = _current_order(topic_id, chapter_id, note_id)
        [(freed, blocks)] = Topic.objects.filter(pk=topic_id).values_list(stored_topic_size(), "blocks")
        Topic.objects.filter(pk=topic_id).only("pk").delete()  # only(), as Django loads the row to delete it
        removed_blocks({topic_id: blocks}).notify()
        close_gap(Topic.objects.filter(chapter_id=chapter_id), order)
        charge_notes(user_id=user_id, growth={note_id: -freed})


def move_topic(
    *, user_id: int, topic_id: int, order: int, chapter_id: int | None = None, if_match: NoteStates = None
) -> Topic:
    """Move a topic to another position in its chapter, or to another chapter of any of the user's notes.

    Its current position changes nothing. ``if_match`` refers to the note that the topic is in.

    Raises ``Topic.DoesNotExist``, ``Chapter.DoesNotExist``, ``NoteChanged``, ``OrderOutOfRange``, ``TooManyChildren``,
    ``MovedMeanwhile`` and ``OverBudget``.
    """
    with changing_pages_of(user_id):
        source_id, note_id = _parents_of(topic_id, user_id)
        target_id = source_id if chapter_id is None else chapter_id
        target_note_id = note_id if target_id == source_id else note_of_chapter(target_id, user_id)
        siblings = Topic.objects.filter(chapter_id=target_id)
        if target_id == source_id:
            is_there = Exists(siblings.filter(pk=topic_id, chapter__note_id=note_id, order=order))
            if begin_edit(user_id=user_id, note_id=note_id, if_match=if_match, unless=is_there):
                old = _current_order(topic_id, source_id, note_id)
                shift(siblings, pk=topic_id, old=old, new=check_order(order, last=siblings.count() - 1))
        else:
            begin_edits(user_id=user_id, notes={target_note_id: None, note_id: if_match})
            old = _current_order(topic_id, source_id, note_id)
            _check_chapter(target_id, target_note_id)
            order = make_room(siblings, order, TOPICS)
            Topic.objects.filter(pk=topic_id).update(chapter_id=target_id, order=order)
            close_gap(Topic.objects.filter(chapter_id=source_id), old)
            if target_note_id != note_id:
                make_words_of_moved_later(target_note_id, topics=Topic.objects.filter(pk=topic_id))
                size = size_of_topic(topic_id)
                charge_notes(user_id=user_id, growth={note_id: -size, target_note_id: size})
        return Topic.objects.for_api().get(pk=topic_id)


def _parents_of(topic_id: int, user_id: int) -> tuple[int, int]:
    """The ids of the topic's chapter and note. Raises ``Topic.DoesNotExist``."""
    return Topic.objects.owned_by(user_id).values_list("chapter_id", "chapter__note_id").get(pk=topic_id)


def _current_order(topic_id: int, chapter_id: int, note_id: int) -> int:
    """The topic's ``order``, read after its note is claimed. Raises ``MovedMeanwhile`` if it left its chapter."""
    found = Topic.objects.filter(pk=topic_id, chapter_id=chapter_id, chapter__note_id=note_id)
    order = found.values_list("order", flat=True).first()
    if order is None:
        raise MovedMeanwhile
    return order


def _check_chapter(chapter_id: int, note_id: int) -> None:
    if not Chapter.objects.filter(pk=chapter_id, note_id=note_id).exists():
        raise MovedMeanwhile
