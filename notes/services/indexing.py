"""Search vectors (column ``words``) and blocks of large texts. A worker makes them, as 2 MB take seconds of CPU.

A write of more than ``LARGE_BYTES`` leaves its rows without words. In the same transaction it marks the note as due: it
sets ``words_due_at`` and removes the note's own words. Until a worker has made the words, within seconds, the note and
its parts are found by the vectors of earlier releases (``notes.search.conditions``). New topics of such a write have no
blocks; the worker or their first GET makes them. Small texts get words and blocks when they are written.

The message to the worker is only a hint: beat also sends it every 15 s.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

from django.db import transaction
from django.db.models import Exists, Q, QuerySet
from django.utils import timezone

from notes.blocks.stored import encode, new_blocks
from notes.models import Chapter, Note, Topic
from notes.search.vectors import words_of_chapter, words_of_note, words_of_topic
from notes.sizes import text_size
from utils.database.batching import batch_query
from utils.page_cache.invalidation import forget_pages_of
from utils.redis.broker import publish

logger = logging.getLogger(__name__)

LARGE_BYTES = 64 * 1024
"""The maximum size of text for which a write makes words itself; words and blocks take up to 90 ms of CPU."""
MAKE_WORDS_TASK = "notes.make_words"
_TOPICS_TOGETHER = 20
_USERS_TOGETHER = 100

_one_at_a_time = threading.Lock()
"""One run per process: otherwise large notes would take all slots of mails and sweeps."""


def is_large(*texts: str) -> bool:
    return text_size(*texts) > LARGE_BYTES


def words_of_edit(user_id: int, *, note_id: int, title: str, explanation: str, code: str, **_: Any) -> str | None:
    """The words of a topic that is being written. If it is large, None, and its note becomes due."""
    if not is_large(title, explanation, code):
        return words_of_topic(user_id, title=title, explanation=explanation, code=code)
    make_words_later(Note.objects.filter(pk=note_id))
    return None


def make_words_of_moved_later(note_id: int, **moved: QuerySet[Any]) -> None:
    """If one of the chapters or topics moved to this note has no words yet, mark the note as due: one statement."""
    without = reduce(or_, (Exists(rows.filter(words=None)) for rows in moved.values()))
    make_words_later(Note.objects.filter(without, pk=note_id))


def make_words_later(notes: QuerySet[Note]) -> datetime:
    """Mark these notes as due, so that a worker makes missing words; return the time of the mark.

    Notes of releases without words are left to ``index_notes``.
    """
    now = timezone.now()
    if notes.filter(words__isnull=False).update(words=None, words_due_at=now):
        notify_worker()
    return now


def notify_worker() -> None:
    """After COMMIT, tell a worker that notes are due."""
    transaction.on_commit(lambda: publish(MAKE_WORDS_TASK), robust=True)


def make_due_words(should_stop: Callable[[], bool] = lambda: False) -> int:
    """Make the words of all notes that are due, one note of each user in turn; return the number of notes.

    Does nothing while another thread of this process runs it. A note that fails, or is written meanwhile, is left to
    the next run, so that it does not block others.
    """
    if not _one_at_a_time.acquire(blocking=False):
        return 0
    try:
        count = 0
        left: list[int] = []
        while due := _oldest_of_each_user(left):
            for note_id in due:
                if should_stop():
                    return count
                if _are_made(note_id):
                    count += 1
                else:
                    left.append(note_id)
        return count
    finally:
        _one_at_a_time.release()


def _are_made(note_id: int) -> bool:
    try:
        return make_words(note_id)
    except Exception:  # a vector that is too long and a lost connection raise the same exception
        logger.exception("The words of note %s could not be made. The next run tries again.", note_id)
        return False


def _oldest_of_each_user(left: Sequence[int]) -> list[int]:
    due = Note.objects.filter(words_due_at__isnull=False).exclude(pk__in=left)
    oldest = due.order_by("user_id", "words_due_at").distinct("user_id")
    return list(oldest.values_list("pk", flat=True)[:_USERS_TOGETHER])


def make_words(note_id: int) -> bool:
    """Make the missing words and blocks of a note that is due; return whether all are made.

    The note is locked only for the writes, which happen only if its version is still the one that was read. Otherwise
    it stays due, and earlier writes are kept.
    """
    due = Note.objects.filter(pk=note_id, words_due_at__isnull=False)
    note = due.only("user_id", "version", "title", "tags").first()
    if note is None:
        return False
    read = due.filter(version=note.version)
    without = Topic.objects.filter(Q(words=None) | Q(blocks=None), chapter__note=note_id)
    for topics in batch_query(without.only("title", "explanation", "code", "blocks"), _TOPICS_TOGETHER):
        made = [
            (
                topic.pk,
                words_of_topic(note.user_id, title=topic.title, explanation=topic.explanation, code=topic.code),
                encode(new_blocks(topic.explanation)) if topic.blocks is None else None,
            )
            for topic in topics
        ]
        with transaction.atomic():
            if not _lock(read):
                return False
            for topic_id, words, blocks in made:
                Topic.objects.filter(pk=topic_id, words=None).update(words=words)
                if blocks is not None:
                    Topic.objects.filter(pk=topic_id, blocks=None).update(blocks=blocks)
    with transaction.atomic():
        if not _lock(read):
            return False
        for chapter in Chapter.objects.filter(note=note_id, words=None).only("title"):
            words = words_of_chapter(note.user_id, title=chapter.title)
            Chapter.objects.filter(pk=chapter.pk).update(words=words)
        words = words_of_note(note.user_id, title=note.title, tags=note.tags)
        Note.objects.filter(pk=note_id).update(words=words, words_due_at=None)
        forget_pages_of(note.user_id)
    return True


def _lock(notes: QuerySet[Note]) -> bool:
    return notes.select_for_update(no_key=True).values_list("pk", flat=True).first() is not None
