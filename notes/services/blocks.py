"""Reading the blocks of topics."""

from typing import NamedTuple

from django.db import transaction

from notes import reads
from notes.blocks.stored import Block, decode, encode, new_blocks
from notes.models import Note, Topic

BLOCKS_MAX = 2000
"""The number of blocks on a page."""


class TopicBlocks(NamedTuple):
    """A topic's blocks in order, and the state of its note when they were read."""

    note_id: int
    version: int
    blocks: list[Block]


def get_blocks(*, user_id: int, topic_id: int) -> TopicBlocks:
    """A topic's blocks: one query. If the topic has none yet, they are made; the note's version stays the same.

    Raises ``Topic.DoesNotExist``.
    """
    return _read_blocks(user_id, topic_id) or _make_blocks(user_id, topic_id)


def _read_blocks(user_id: int, topic_id: int) -> TopicBlocks | None:
    row = reads.topic_blocks(topic_id, user_id=user_id)
    blocks = decode(row["blocks"], row["explanation"])
    return None if blocks is None else TopicBlocks(row["chapter__note_id"], row["chapter__note__version"], blocks)


def _make_blocks(user_id: int, topic_id: int) -> TopicBlocks:
    """Make a topic's blocks under its note's lock, so that concurrent requests and writes agree on the ids."""
    with transaction.atomic():
        notes = Note.objects.owned_by(user_id).live().filter(chapters__topics=topic_id)
        list(notes.select_for_update(no_key=True, of=("self",)).values_list("pk"))
        # A separate statement, so that it sees commits made while this request waited for the lock.
        found = _read_blocks(user_id, topic_id)
        if found is None:
            row = reads.topic_blocks(topic_id, user_id=user_id)
            blocks = new_blocks(row["explanation"])
            Topic.objects.filter(pk=topic_id).update(blocks=encode(blocks))
            found = TopicBlocks(row["chapter__note_id"], row["chapter__note__version"], blocks)
        return found
