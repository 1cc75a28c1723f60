"""Applies selected hunks to a text's blocks: see ``notes.blocks.hunks``."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from notes.blocks.hunks import END, START, Hunk, Key, Layout, parts_of
from notes.blocks.splitting import Kind, split
from notes.blocks.stored import Block, edited_blocks, new_id


@dataclass(slots=True)
class _Item:
    kind: Kind
    core: str
    tail: str


def carry_out(blocks: Sequence[Block], hunks: Sequence[Hunk], layout: Layout, numbers: Collection[int]) -> list[Block]:
    """Apply the hunks with these numbers and mark them as accepted; return the changed blocks.

    ``blocks`` are the current ones: other edits made since the comparison are kept. A new block gets an id, which is
    stored in its hunk. A hunk whose block was deleted does nothing, but a replacement inserts the block again.
    """
    accepted = [hunk for hunk in hunks if hunk.n in numbers]
    return _Editing(blocks, hunks, layout).carry_out(accepted) if accepted else list(blocks)


def replace_whole(blocks: Sequence[Block], hunk: Hunk) -> list[Block]:
    """As :func:`carry_out`, for a hunk that replaces the whole text."""
    hunk.status = "accepted"
    return edited_blocks(blocks, hunk.after or "")


class _Editing:
    """The current blocks as a linked list, in which inserting and deleting take constant time."""

    def __init__(self, blocks: Sequence[Block], hunks: Sequence[Hunk], layout: Layout) -> None:
        self.hunks = {hunk.n: hunk for hunk in hunks}
        self.moves = {hunk.block_id: hunk for hunk in hunks if hunk.op == "move"}
        self.old, self.new = _sides(layout.old), _sides(layout.new)
        self.order = _order(layout, hunks)
        self.places = {key: place for place, key in enumerate(self.order)}
        self.newline = "\r\n" if any("\r\n" in tail for _, tail in layout.old) else "\n"
        self.end = layout.old[-1][1] if len(layout.old) > 1 else ""
        texts = [parts_of(block.text) for block in blocks]
        self.lead = texts[0].lead if texts else ""
        self.items = {
            block.id: _Item(block.kind, text.core, text.tail) for block, text in zip(blocks, texts, strict=True)
        }
        ids: list[Key] = [START, *self.items, END]
        self.next: dict[Key, Key] = dict(pairwise(ids))
        self.previous: dict[Key, Key] = {after: before for before, after in self.next.items()}
        self.next_before = dict(self.next)
        self.rewritten: set[Key] = set()

    def carry_out(self, accepted: Sequence[Hunk]) -> list[Block]:
        for hunk in accepted:
            hunk.status = "accepted"
        self.inserts: dict[str, int] = {
            hunk.block_id: n for n, hunk in self.hunks.items() if hunk.op == "insert" and hunk.block_id
        }
        self.replaced = {hunk.block_id for hunk in self.hunks.values() if _is_done(hunk, "replace")}
        self.moved = {hunk.block_id for hunk in self.hunks.values() if _is_done(hunk, "move")}
        for hunk in accepted:
            getattr(self, f"_{hunk.op}")(hunk)
        self._part_blocks()
        return self._blocks()

    def _insert(self, hunk: Hunk) -> None:
        hunk.block_id = self._make(hunk.after or "")
        self.inserts[hunk.block_id] = hunk.n
        self._put(hunk.block_id, self._predecessor(hunk.n))

    def _delete(self, hunk: Hunk) -> None:
        if hunk.block_id in self.items:
            self._take(hunk.block_id)
            del self.items[hunk.block_id]

    def _move(self, hunk: Hunk) -> None:
        if hunk.block_id in self.items:
            self._take(hunk.block_id)
            self._put(hunk.block_id, self._predecessor(hunk.n))

    def _replace(self, hunk: Hunk) -> None:
        block_id, text = hunk.block_id or "", hunk.after or ""
        if block_id in self.items:
            item = self.items[block_id]
            item.kind, item.core = _kind_of(text), parts_of(text).core
            self.rewritten.add(block_id)
        else:
            hunk.block_id = self._make(text)
            self._put(hunk.block_id, self._predecessor(block_id))
        move = self.moves.get(block_id)
        if move and move.is_open:
            move.before = move.after = text

    def _make(self, text: str) -> str:
        block_id = new_id()
        parts = parts_of(text)
        self.items[block_id] = _Item(_kind_of(text), parts.core, parts.tail)
        return block_id

    def _take(self, key: Key) -> None:
        before, after = self.previous.pop(key), self.next.pop(key)
        self.next[before], self.previous[after] = after, before

    def _put(self, key: Key, before: Key) -> None:
        after = self.next[before]
        self.next[before] = self.previous[after] = key
        self.previous[key], self.next[key] = before, after

    def _predecessor(self, key: Key) -> Key:
        """The nearest existing block before this one in the order of all blocks."""
        place = self.places.get(key, 1)
        while place > 0:
            place -= 1
            found = self._standing_at(self.order[place])
            if found is not None:
                return found
        return START

    def _standing_at(self, key: Key) -> Key | None:
        """The existing block at this place in the order of all blocks; None if it is deleted or moved elsewhere."""
        if key == START:
            return START
        if isinstance(key, str):
            return key if key in self.items and key not in self.moved else None
        hunk = self.hunks[key]
        return hunk.block_id if hunk.status == "accepted" and hunk.block_id in self.items else None

    def _part_blocks(self) -> None:
        """Set the separator between two blocks that have become neighbours, or one of which has a new text."""
        key: Key = START
        while key != END:
            after = self.next[key]
            if self.next_before.get(key) != after or key in self.rewritten or after in self.rewritten:
                self._part(key, after)
            key = after

    def _part(self, key: Key, after: Key) -> None:
        tails = self._tails(self._known(key), self._known(after))
        if key == START:
            self.lead = next(iter(tails), "")
            return
        item = self.items[str(key)]
        tails = tails or [item.tail]
        if after == END:
            item.tail = tails[0]
            return
        core = self.items[str(after)].core
        item.tail = next((tail for tail in tails if _are_apart(item.core, tail, core)), self.newline * 2)

    def _tails(self, key: Key | None, after: Key | None) -> list[str]:
        """Possible separators of two blocks, the best first; none for a block that neither text had."""
        if key is None:
            return []
        old_after, old_tail = self.old.get(key, (None, None))
        new_after, new_tail = self.new.get(key, (None, None))
        is_new = old_tail is None or key in self.replaced
        if after is not None and after == old_after == new_after:
            # The blank lines before the first block belong to its replacement.
            tails = [new_tail if is_new or (key == START and after in self.replaced) else old_tail]
        elif after is not None and after == new_after:
            tails = [new_tail, old_tail]
        elif after is not None and after == old_after:
            tails = [old_tail, new_tail]
        elif after == END:
            tails = [self.end]
        else:
            tails = [new_tail, old_tail] if is_new else [old_tail, new_tail]
        return [tail for tail in tails if tail is not None]

    def _known(self, key: Key) -> Key | None:
        if isinstance(key, int):
            return key
        return key if key in self.old else self.inserts.get(key)

    def _blocks(self) -> list[Block]:
        blocks: list[Block] = []
        key = self.next[START]
        while key != END:
            item = self.items[str(key)]
            text = item.core + item.tail
            blocks.append(Block(str(key), item.kind, text if blocks else self.lead + text))
            key = self.next[key]
        return blocks


def _is_done(hunk: Hunk, op: str) -> bool:
    return hunk.op == op and hunk.status == "accepted"


def _sides(tails: Sequence[tuple[Key, str]]) -> Mapping[Key, tuple[Key, str]]:
    """For each block the next one, and the separator between them."""
    after = [key for key, _ in tails[1:]] + [END]
    return {key: (following, tail) for (key, tail), following in zip(tails, after, strict=True)}


def _order(layout: Layout, hunks: Sequence[Hunk]) -> list[Key]:
    """The order of all blocks: each old block, followed by the blocks (by their hunks) inserted or moved after it."""
    placed: defaultdict[str | None, list[int]] = defaultdict(list)
    for hunk in hunks:
        if hunk.op in ("insert", "move"):
            placed[hunk.after_block].append(hunk.n)
    order: list[Key] = []
    for key, _ in layout.old:
        order.append(key)
        order += placed[None if key == START else str(key)]
    return order


def _kind_of(text: str) -> Kind:
    pieces = split(text)
    return pieces[0].kind if pieces else Kind.PARAGRAPH


def _are_apart(core: str, tail: str, after: str) -> bool:
    """Whether this separator keeps two blocks apart."""
    if not core or not after:
        return True
    return split(core + tail + after)[0].text == core + tail
