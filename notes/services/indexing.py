"""Words and blocks of large texts, which a worker makes: of 2 MB they take seconds of CPU.

A write of more than ``LARGE_BYTES`` leaves its rows without words and marks their note as due in the same transaction:
``words_due_at`` is set, and the note has no words itself. So all that is in it is found as in the release before
(``notes.search.conditions``) until the words are made, within seconds. New topics of such a write have no blocks; the
worker or their first GET makes them. Small texts get all of it when they are written.

The message to the worker is only a hint: beat sends it every 15 s, too.
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
"""Of text that one write makes words of. Words and blocks of as much take up to 90 ms of CPU."""
MAKE_WORDS_TASK = "notes.make_words"
_TOPICS_TOGETHER = 20
_USERS_TOGETHER = 100

_one_at_a_time = threading.Lock()
"""In each process: large notes would else take the places of mails and sweeps."""


def is_large(*texts: str) -> bool:
    return text_size(*texts) > LARGE_BYTES


def words_of_edit(user_id: int, *, note_id: int, title: str, explanation: str, code: str, **_: Any) -> str | None:
    """What a topic of a note that is being written to is found by now. None if it is large: its note becomes due."""
    if not is_large(title, explanation, code):
        return words_of_topic(user_id, title=title, explanation=explanation, code=code)
    make_words_later(Note.objects.filter(pk=note_id))
    return None


def words_went_along(note_id: int, **moved: QuerySet[Any]) -> None:
    """Make the note due to which chapters and topics moved, if one of them has no words yet: one statement."""
    without = reduce(or_, (Exists(rows.filter(words=None)) for rows in moved.values()))
    make_words_later(Note.objects.filter(without, pk=note_id))


def make_words_later(notes: QuerySet[Note]) -> datetime:
    """Have words made of what has none in these notes, and return since when they are due.

    Notes from before there were words wait for ``index_notes``.
    """
    now = timezone.now()
    if notes.filter(words__isnull=False).update(words=None, words_due_at=now):
        tell_worker()
    return now


def tell_worker() -> None:
    """Have a worker look after COMMIT which notes are due."""
    transaction.on_commit(lambda: publish(MAKE_WORDS_TASK), robust=True)


def make_due_words(should_stop: Callable[[], bool] = lambda: False) -> int:
    """Make the words of all notes that are due, one of each user in turn; return how many notes got theirs.

    Does nothing while another thread of this process is at it. A note that fails or was written to meanwhile is left
    to the next run, so that it holds up no other.
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
    except Exception:  # PostgreSQL tells of a vector that is too long as it does of a lost connection
        logger.exception("The words of note %s could not be made. The next run tries again.", note_id)
        return False


def _oldest_of_each_user(left: Sequence[int]) -> list[int]:
    due = Note.objects.filter(words_due_at__isnull=False).exclude(pk__in=left)
    oldest = due.order_by("user_id", "words_due_at").distinct("user_id")
    return list(oldest.values_list("pk", flat=True)[:_USERS_TOGETHER])


def make_words(note_id: int) -> bool:
    """Make the words of what has none in a note that is due, and the blocks of such topics; whether it is done.

    The note is locked only while they are written, and they are written only if it is at the version that was read.
    Otherwise it stays due, and what was written before stays written.
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
