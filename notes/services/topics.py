"""Writes to topics. Each answers with the topic as the API shows it."""

from collections.abc import Mapping
from typing import Any

from notes.models import Chapter, Topic
from notes.services.chapters import note_of_chapter
from notes.services.editing import MovedMeanwhile, NoteStates, begin_edit, begin_edits, versions_of
from notes.services.notes import TopicData
from notes.services.positions import TOPICS, close_gap, make_room, place, shift
from utils.caching import changing_pages_of


def create_topic(
    *, user_id: int, chapter_id: int, data: TopicData, order: int | None = None, if_match: NoteStates = None
) -> Topic:
    """Add a topic: at the end, or at ``order``, where the later ones make room.

    Raises ``Chapter.DoesNotExist``, ``NoteChanged``, ``OrderOutOfRange``, ``TooManyChildren`` and ``MovedMeanwhile``.
    """
    with changing_pages_of(user_id):
        note_id = note_of_chapter(chapter_id, user_id)
        begin_edit(user_id=user_id, note_id=note_id, if_match=versions_of(note_id, if_match))
        _check_chapter(chapter_id, note_id)
        order = make_room(Topic.objects.filter(chapter_id=chapter_id), order, TOPICS)
        topic = Topic.objects.create(chapter_id=chapter_id, order=order, **data)
        return Topic.objects.for_api().get(pk=topic.pk)


def update_topic(*, user_id: int, topic_id: int, changes: Mapping[str, Any], if_match: NoteStates = None) -> Topic:
    """Change what a topic says, not its place. Raises ``Topic.DoesNotExist``, ``NoteChanged``, ``MovedMeanwhile``."""
    with changing_pages_of(user_id):
        _, note_id = _place_of(topic_id, user_id)
        begin_edit(user_id=user_id, note_id=note_id, if_match=versions_of(note_id, if_match))
        if changes and not Topic.objects.filter(pk=topic_id, chapter__note_id=note_id).update(**changes):
            raise MovedMeanwhile
        return Topic.objects.for_api().get(pk=topic_id)


def delete_topic(*, user_id: int, topic_id: int, if_match: NoteStates = None) -> None:
    """Delete a topic. Raises ``Topic.DoesNotExist``, ``NoteChanged`` and ``MovedMeanwhile``."""
    with changing_pages_of(user_id):
        chapter_id, note_id = _place_of(topic_id, user_id)
        begin_edit(user_id=user_id, note_id=note_id, if_match=versions_of(note_id, if_match))
        order = _order_now(topic_id, chapter_id, note_id)
        Topic.objects.filter(pk=topic_id).only("pk").delete()  # only: deleting loads the row
        close_gap(Topic.objects.filter(chapter_id=chapter_id), order)


def move_topic(
    *, user_id: int, topic_id: int, order: int, chapter_id: int | None = None, if_match: NoteStates = None
) -> Topic:
    """Move a topic to a place in its chapter, or in another chapter of any of the user's notes.

    ``if_match`` is about the note that the topic is in. Raises ``Topic.DoesNotExist``, ``Chapter.DoesNotExist``,
    ``NoteChanged``, ``OrderOutOfRange``, ``TooManyChildren`` and ``MovedMeanwhile``.
    """
    with changing_pages_of(user_id):
        source_id, note_id = _place_of(topic_id, user_id)
        target_id = source_id if chapter_id is None else chapter_id
        target_note_id = note_id if target_id == source_id else note_of_chapter(target_id, user_id)
        begin_edits(user_id=user_id, notes={target_note_id: None, note_id: versions_of(note_id, if_match)})
        old = _order_now(topic_id, source_id, note_id)
        siblings = Topic.objects.filter(chapter_id=target_id)
        if target_id == source_id:
            shift(siblings, pk=topic_id, old=old, new=place(order, last=siblings.count() - 1))
        else:
            _check_chapter(target_id, target_note_id)
            order = make_room(siblings, order, TOPICS)
            Topic.objects.filter(pk=topic_id).update(chapter_id=target_id, order=order)
            close_gap(Topic.objects.filter(chapter_id=source_id), old)
        return Topic.objects.for_api().get(pk=topic_id)


def _place_of(topic_id: int, user_id: int) -> tuple[int, int]:
    """Find the chapter and the note to claim. Raises ``Topic.DoesNotExist``."""
    return Topic.objects.owned_by(user_id).values_list("chapter_id", "chapter__note_id").get(pk=topic_id)


def _order_now(topic_id: int, chapter_id: int, note_id: int) -> int:
    """The topic's place, now that the note is held that it was found in."""
    found = Topic.objects.filter(pk=topic_id, chapter_id=chapter_id, chapter__note_id=note_id)
    order = found.values_list("order", flat=True).first()
    if order is None:
        raise MovedMeanwhile
    return order


def _check_chapter(chapter_id: int, note_id: int) -> None:
    if not Chapter.objects.filter(pk=chapter_id, note_id=note_id).exists():
        raise MovedMeanwhile
