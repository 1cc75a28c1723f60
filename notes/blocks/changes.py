"""What a write did to blocks, and the apps that are told of it.

An app registers its function in ``AppConfig.ready``. It is called inside the write's transaction, after the write, and
takes at most two statements, however many blocks there are. What it raises undoes the write.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from notes.blocks.stored import Block

BlocksChanged = Callable[[Sequence[int], Mapping[str, Block], Sequence[str]], None]
"""Called with the ids of the topics written to, the blocks whose text changed or that came back, by id, and the ids of
those that are gone."""

_told: list[BlocksChanged] = []


def on_blocks_changed(function: BlocksChanged) -> BlocksChanged:
    """Register a function that is told of every write that changes or removes blocks. Usable as a decorator."""
    if function not in _told:
        _told.append(function)
    return function


def off_blocks_changed(function: BlocksChanged) -> None:
    """Undo :func:`on_blocks_changed`."""
    _told.remove(function)


@dataclass(slots=True)
class BlockChanges:
    """What one write did to the blocks of its topics."""

    topic_ids: list[int] = field(default_factory=list)
    changed: dict[str, Block] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)

    def add(self, topic_id: int, before: Sequence[Block], after: Sequence[Block], *, are_new: bool = True) -> None:
        """Compare a topic's blocks. ``are_new``: ids that were not there before are new, so nobody can know them."""
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
        """Add what the same write did to another topic."""
        self.topic_ids += other.topic_ids
        self.changed |= other.changed
        self.removed += other.removed

    def remove(self, topic_id: int, block_ids: Sequence[str]) -> None:
        """A topic is deleted with its blocks."""
        if block_ids:
            self.topic_ids.append(topic_id)
            self.removed += block_ids

    def tell(self) -> None:
        """Tell all who registered, if anything changed."""
        if self.topic_ids:
            for function in _told:
                function(self.topic_ids, self.changed, self.removed)
