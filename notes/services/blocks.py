"""The blocks of topics, kept up to date by every write to an explanation."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.db import transaction

from notes import reads
from notes.blocks.changes import BlockChanges
from notes.blocks.stored import Block, decode, edited_blocks, encode, ids_of, new_blocks
from notes.models import Note, Topic

BLOCKS_MAX = 2000
"""How many blocks a page shows."""


class TopicBlocks(NamedTuple):
    """A topic's blocks in their order, and the state of its note in which it has them."""

    note_id: int
    version: int
    blocks: list[Block]


def blocks_for_new(explanation: str) -> str:
    """What ``Topic.blocks`` is for a new topic."""
    return encode(new_blocks(explanation))


def blocks_for_edit(topic_id: int, *, before: str, stored: str | None, after: str) -> tuple[str, BlockChanges]:
    """What ``Topic.blocks`` is after an edit of the explanation, and what to tell once it is written.

    A topic that has no blocks yet gets new ones.
    """
    old = decode(stored, before)
    if stored is not None and old is not None and before == after:
        return stored, BlockChanges()
    new = new_blocks(after) if old is None else edited_blocks(old, after)
    changes = BlockChanges()
    changes.add(topic_id, old or [], new)
    return encode(new), changes


def blocks_for_restored(
    topic_id: int, *, now: Mapping[str, Any], kept: Mapping[str, Any], may_wait: bool
) -> tuple[str | None, BlockChanges]:
    """What ``Topic.blocks`` is after a topic is restored, and what to tell once it is written.

    ``now`` and ``kept`` have the topic's ``explanation`` and ``blocks``; ``now`` is empty for one that was deleted.
    With ``may_wait``, blocks that nobody knows yet are left to the worker.
    """
    text, stored = kept["explanation"], kept.get("blocks")
    changes = BlockChanges()
    is_same_text = now.get("explanation") == text
    if is_same_text and stored in (None, now["blocks"]) and now["blocks"] is not None:
        return now["blocks"], changes
    old = decode(now["blocks"], now["explanation"]) if now else None
    new = decode(stored, text)
    if new is None and (old or not may_wait):
        new = edited_blocks(old or [], text)
        stored = encode(new)
    changes.add(topic_id, old or [], new or [], are_new=False)
    return None if new is None else stored, changes


def removed_blocks(topics: Mapping[int, str | None]) -> BlockChanges:
    """What to tell once topics are deleted, given their ``blocks``."""
    changes = BlockChanges()
    for topic_id, stored in topics.items():
        changes.remove(topic_id, ids_of(stored))
    return changes


def get_blocks(*, user_id: int, topic_id: int) -> TopicBlocks:
    """A topic's blocks: one query. A topic that has none yet gets them now, which leaves its note's version as it is.

    Raises ``Topic.DoesNotExist``.
    """
    return _read_blocks(user_id, topic_id) or _make_blocks(user_id, topic_id)


def _read_blocks(user_id: int, topic_id: int) -> TopicBlocks | None:
    row = reads.topic_blocks(topic_id, user_id=user_id)
    blocks = decode(row["blocks"], row["explanation"])
    return None if blocks is None else TopicBlocks(row["chapter__note_id"], row["chapter__note__version"], blocks)


def _make_blocks(user_id: int, topic_id: int) -> TopicBlocks:
    """Give a topic its blocks under its note's lock: requests at once agree, and no write comes in between."""
    with transaction.atomic():
        notes = Note.objects.owned_by(user_id).live().filter(chapters__topics=topic_id)
        list(notes.select_for_update(no_key=True, of=("self",)).values_list("pk"))
        # Read in a statement of its own: it sees what was committed while the lock was waited for.
        found = _read_blocks(user_id, topic_id)
        if found is None:
            row = reads.topic_blocks(topic_id, user_id=user_id)
            blocks = new_blocks(row["explanation"])
            Topic.objects.filter(pk=topic_id).update(blocks=encode(blocks))
            found = TopicBlocks(row["chapter__note_id"], row["chapter__note__version"], blocks)
        return found
