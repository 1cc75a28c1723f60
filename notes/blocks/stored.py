"""Blocks with their ids: how a topic's row and its kept versions store them, and how writes update them.

``Topic.blocks`` has a digest of the text and a line for each block: its id, a letter for its kind, and its length in
characters. The texts of the blocks are cut from the topic's text. If the digest belongs to another text, as after a
write by a process of the previous release, the topic counts as having no blocks.

Every write to an explanation updates its topic's blocks and calls the functions that apps have registered in
``AppConfig.ready``. They are called inside the write's transaction, after the write, and run at most two statements for
any number of blocks. An exception in one undoes the write.
"""

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from notes.blocks.matching import match
from notes.blocks.splitting import Kind, split

ID_LENGTH = 12
_ID_BYTES = 9
_LETTERS = {
    Kind.HEADING: "h",
    Kind.PARAGRAPH: "p",
    Kind.LIST: "l",
    Kind.QUOTE: "q",
    Kind.TABLE: "t",
    Kind.MATH: "m",
    Kind.HTML: "w",
    Kind.CODE: "c",
}
_KINDS = {letter: kind for kind, letter in _LETTERS.items()}


class Block(NamedTuple):
    """A part of a text. ``id`` is random and unique among all of a user's blocks."""

    id: str
    kind: Kind
    text: str

    @property
    def hash(self) -> str:
        """32 hexadecimal digits: a hash of the exact text with normalized line ends."""
        return text_digest(self.text)

    def says_the_same(self, other: "Block") -> bool:
        """Whether both have the same hash."""
        return self.text == other.text or _unix(self.text) == _unix(other.text)


def text_digest(text: str) -> str:
    """The hash of a block with this text."""
    return blake2b(_unix(text).encode(), digest_size=16).hexdigest()


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n")


def new_blocks(text: str) -> list[Block]:
    """The blocks of a text, with new ids."""
    pieces = split(text)
    return [Block(new_id, *piece) for new_id, piece in zip(_new_ids(len(pieces)), pieces, strict=True)]


def edited_blocks(before: Sequence[Block], text: str) -> list[Block]:
    """The blocks of a text that replaces another; matching blocks keep their ids."""
    pieces = split(text)
    found = match(before, pieces)
    ids = iter(_new_ids(found.count(None)))
    return [Block(next(ids) if at is None else before[at].id, *piece) for at, piece in zip(found, pieces, strict=True)]


def new_id() -> str:
    return _new_ids(1)[0]


def _new_ids(count: int) -> list[str]:
    letters = urlsafe_b64encode(secrets.token_bytes(_ID_BYTES * count)).decode()
    return [letters[at : at + ID_LENGTH] for at in range(0, len(letters), ID_LENGTH)]


def encode(blocks: Sequence[Block]) -> str:
    """The blocks in the format of ``Topic.blocks``."""
    text = "".join(block.text for block in blocks)
    return "\n".join([_digest(text), *(f"{block.id}{_LETTERS[block.kind]}{len(block.text)}" for block in blocks)])


def decode(stored: str | None, text: str) -> list[Block] | None:
    """The blocks of the text; None if it has none yet."""
    if stored is None:
        return None
    digest, *entries = stored.split("\n")
    if digest != _digest(text):
        return None
    blocks, start = [], 0
    for entry in entries:
        end = start + int(entry[ID_LENGTH + 1 :])
        blocks.append(Block(entry[:ID_LENGTH], _KINDS[entry[ID_LENGTH]], text[start:end]))
        start = end
    return blocks


def ids_of(stored: str | None) -> list[str]:
    """The blocks' ids, without comparing the digest with a text."""
    return [] if stored is None else [entry[:ID_LENGTH] for entry in stored.split("\n")[1:]]


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()


BlocksChanged = Callable[[Sequence[int], Mapping[str, Block], Sequence[str]], None]
"""Called with the ids of the written topics, the blocks that changed or were restored, by id, and the ids of the
removed ones."""

_told: list[BlocksChanged] = []


def on_blocks_changed(function: BlocksChanged) -> BlocksChanged:
    """Register a function that is called for every write that changes or removes blocks. Usable as a decorator."""
    if function not in _told:
        _told.append(function)
    return function


def off_blocks_changed(function: BlocksChanged) -> None:
    """Undo :func:`on_blocks_changed`."""
    _told.remove(function)


@dataclass(slots=True)
class BlockChanges:
    """The changes of one write to the blocks of its topics."""

    topic_ids: list[int] = field(default_factory=list)
    changed: dict[str, Block] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)

    def add(self, topic_id: int, before: Sequence[Block], after: Sequence[Block], *, are_new: bool = True) -> None:
        """Compare a topic's blocks. With ``are_new``, added ids are new, so other apps cannot refer to them yet."""
        old = {block.id: block for block in before}
        changed = {
            block.id: block
            for block in after
            if (not block.says_the_same(old[block.id]) if block.id in old else not are_new)
        }
        removed = old.keys() - {block.id for block in after}
        self.changed |= changed
        if changed or removed:
            self.topic_ids.append(topic_id)
            self.removed += [block.id for block in before if block.id in removed]

    def join(self, other: "BlockChanges") -> None:
        """Add the changes of the same write to another topic."""
        self.topic_ids += other.topic_ids
        self.changed |= other.changed
        self.removed += other.removed

    def remove(self, topic_id: int, block_ids: Sequence[str]) -> None:
        """Record that a topic is deleted with its blocks."""
        if block_ids:
            self.topic_ids.append(topic_id)
            self.removed += block_ids

    def notify(self) -> None:
        """Call all registered functions, if anything changed."""
        if self.topic_ids:
            for function in _told:
                function(self.topic_ids, self.changed, self.removed)


def blocks_for_new(explanation: str) -> str:
    """The value of ``Topic.blocks`` for a new topic."""
    return encode(new_blocks(explanation))


def blocks_for_edit(topic_id: int, *, before: str, stored: str | None, after: str) -> tuple[str, BlockChanges]:
    """The value of ``Topic.blocks`` after an edit of the explanation, and the changes to report after the write.

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
    """The value of ``Topic.blocks`` after a topic is restored, and the changes to report after the write.

    ``now`` and ``kept`` have the topic's ``explanation`` and ``blocks``; ``now`` is empty for a deleted topic. With
    ``may_wait``, blocks without ids are left to the worker.
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
    """The changes to report after topics are deleted, given their ``blocks``."""
    changes = BlockChanges()
    for topic_id, stored in topics.items():
        changes.remove(topic_id, ids_of(stored))
    return changes
