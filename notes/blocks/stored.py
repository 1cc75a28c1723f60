"""Blocks with their ids, and how a topic's row and its kept versions hold them.

Beside the text stand lines: a digest of the text, then for each block its id, a letter for its kind, and its
length in characters. The blocks' texts are cut from the topic's own. What belongs to
another text, as when a process of the release before has written the topic, counts as none.
"""

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

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
        """32 hexadecimal digits; of the exact text, whichever way its lines end."""
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
    """The blocks of a text that replaces another: those that were there keep their ids."""
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
    """The blocks as lines, see above."""
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
    """The blocks' ids alone, whatever the text."""
    return [] if stored is None else [entry[:ID_LENGTH] for entry in stored.split("\n")[1:]]


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()
