"""Hunks: the differences between two texts, block by block.

The order of all blocks, old and new, is fixed when the texts are compared: an old block keeps its place, and a new or
moved block comes after the unmoved old block that it follows. So the result of applying a set of hunks does not depend
on their order, or on whether they are applied in one or more steps.

The separator between two blocks does not belong to a hunk; it follows from the two blocks. It is the separator in both
texts, in the new one or in the old one, if it keeps the blocks apart, and otherwise a blank line. There is one
exception: if the same two blocks are neighbours in both texts, a different separator is a hunk.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from notes.blocks.matching import in_same_order, match
from notes.blocks.splitting import Piece, split
from notes.blocks.stored import Block

HUNKS_MAX = 2000
"""Texts that differ in more places get a single hunk, which replaces the whole text."""

Key = str | int
"""A block of either text: the id of an old one, the hunk's number of a new one, or ``START`` or ``END``."""
START, END = 0, -1

_LEAD = re.compile(r"(?:[ \t]*(?:\r\n|\r|\n))*")
_BLANK = " \t\r\n"


class Parts(NamedTuple):
    """A block's text in three parts: blank lines before it (only in a first block), its content, its separator."""

    lead: str
    core: str
    tail: str


def parts_of(text: str) -> Parts:
    core = text.rstrip(_BLANK)
    if not core:
        return Parts("", "", text)
    found = _LEAD.match(core)
    start = found.end() if found else 0
    return Parts(text[:start], core[start:], text[len(core) :])


def is_same_text(one: str, other: str) -> bool:
    """Whether two texts of a block are equal, ignoring blank lines around it and the kind of line ends."""
    return one == other or parts_of(_unix(one)).core == parts_of(_unix(other)).core


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n")


@dataclass(slots=True)
class Hunk:
    """One change. ``block_id`` is None for a block that does not exist yet, and if the whole text is replaced.

    ``after_block`` is the id of the old block after which a new or moved one comes; None means the start.
    """

    n: int
    op: str
    block_id: str | None
    after_block: str | None
    before: str | None
    after: str | None
    status: str = "open"
    drifted: bool = False
    """Whether the block's text differed from ``before`` when the user decided."""
    seen: str | None = None
    """A digest of the block's text when the user was told that it had drifted."""

    @property
    def is_open(self) -> bool:
        return self.status == "open"

    @property
    def is_whole(self) -> bool:
        """Whether the hunk replaces the whole text."""
        return self.op == "replace" and self.after_block is None and self.block_id is None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Layout:
    """The blocks of the old and of the new text in order, each with its separator; ``START`` first."""

    old: list[tuple[Key, str]]
    new: list[tuple[Key, str]]

    def as_json(self) -> dict[str, Any]:
        return {"old": self.old, "new": self.new}


def compare(old: Sequence[Block], text: str) -> tuple[list[Hunk], Layout]:
    """The hunks that turn these blocks into ``text``, in document order; none if the texts are equal."""
    before = "".join(block.text for block in old)
    if before == text:
        return [], Layout([], [])
    hunks, layout = _Comparison(old, split(text)).compare()
    if len(hunks) > HUNKS_MAX:
        return [Hunk(1, "replace", None, None, before, text)], Layout([], [])
    return hunks, layout


class _Comparison:
    def __init__(self, old: Sequence[Block], new: Sequence[Piece]) -> None:
        self.old, self.new = old, new
        self.old_parts = [parts_of(block.text) for block in old]
        self.new_parts = [parts_of(piece.text) for piece in new]
        self.found = match([Piece(block.kind, block.text) for block in old], new)
        self.new_at = {at: new_at for new_at, at in enumerate(self.found) if at is not None}
        self.hunks: list[Hunk] = []
        self.keys: dict[int, Key] = {new_at: old[at].id for at, new_at in self.new_at.items()}
        """The keys of the new text's blocks, by their positions."""

    def compare(self) -> tuple[list[Hunk], Layout]:
        staying = {at for at, _ in in_same_order(self.found)}
        placed: defaultdict[int, list[int]] = defaultdict(list)
        anchor = -1
        for new_at, at in enumerate(self.found):
            if at in staying:
                anchor = at
            else:
                placed[anchor].append(new_at)
        self._place(-1, placed[-1])
        for at, block in enumerate(self.old):
            if at in staying:
                self._replace(at)
                self._place(at, placed[at])
            elif at not in self.new_at:
                self._add("delete", block.id, before=block.text)
        return self.hunks, Layout(self._old_layout(), self._new_layout())

    def _add(self, op: str, block_id: str | None, *, before: str | None = None, after: str | None = None) -> Hunk:
        hunk = Hunk(len(self.hunks) + 1, op, block_id, None, before, after)
        self.hunks.append(hunk)
        return hunk

    def _place(self, anchor: int, new_places: Sequence[int]) -> None:
        """Add hunks for the new and moved blocks that come after an old one."""
        after_block = None if anchor < 0 else self.old[anchor].id
        for new_at in new_places:
            at = self.found[new_at]
            if at is None:
                hunk = self._add("insert", None, after=self.new[new_at].text)
                self.keys[new_at] = hunk.n
            else:
                hunk = self._add("move", self.old[at].id, before=self.old[at].text, after=self.old[at].text)
                self._replace(at)
            hunk.after_block = after_block

    def _replace(self, at: int) -> None:
        """Add a hunk for a block of both texts, if it has changed."""
        new_at = self.new_at[at]
        before, after = self.old_parts[at], self.new_parts[new_at]
        if (
            before.core != after.core
            or (before.tail != after.tail and self._have_same_next(at, new_at))
            or (before.lead != after.lead and at == new_at == 0)
        ):
            self._add("replace", self.old[at].id, before=self.old[at].text, after=self.new[new_at].text)

    def _have_same_next(self, at: int, new_at: int) -> bool:
        if at + 1 == len(self.old) or new_at + 1 == len(self.new):
            return at + 1 == len(self.old) and new_at + 1 == len(self.new)
        return self.found[new_at + 1] == at + 1

    def _old_layout(self) -> list[tuple[Key, str]]:
        tails: list[tuple[Key, str]] = [
            (block.id, parts.tail) for block, parts in zip(self.old, self.old_parts, strict=True)
        ]
        return [(START, self.old_parts[0].lead if self.old else ""), *tails]

    def _new_layout(self) -> list[tuple[Key, str]]:
        tails = [(self.keys[at], parts.tail) for at, parts in enumerate(self.new_parts)]
        return [(START, self.new_parts[0].lead if self.new else ""), *tails]
