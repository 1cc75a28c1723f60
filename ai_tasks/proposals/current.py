"""A proposal compared with the topic's present text."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from ai_tasks.models import Proposal
from notes.blocks.hunks import Hunk, Layout, is_same_text
from notes.blocks.stored import Block, decode, text_digest
from notes.services import text_hash

GONE = "gone"


class Ground(NamedTuple):
    """What a hunk would change now: the text, None if that is gone, and whether it is another one than it was."""

    text: str | None
    drifted: bool

    @property
    def digest(self) -> str:
        """A digest of this text."""
        return GONE if self.text is None else blake2b(self.text.encode(), digest_size=8).hexdigest()


class Current:
    """The hunks of a proposal, and what each of them would change now."""

    def __init__(
        self, proposal: Proposal, *, explanation: str, blocks: Sequence[Block], code: str, code_language: str
    ) -> None:
        self.proposal = proposal
        self.hunks = [Hunk(**hunk) for hunk in proposal.hunks]
        self.layout = Layout(**proposal.layout)
        self.code, self.code_language, self.explanation = code, code_language, explanation
        self.blocks = blocks
        self._texts = {block.id: block.text for block in blocks}

    def ground(self, hunk: Hunk) -> Ground:
        """For an open hunk what it would change now, for a decided one what it did."""
        if not (hunk.is_open and self.proposal.status == Proposal.Status.OPEN) or hunk.op == "insert":
            return Ground(hunk.before, hunk.drifted)
        if hunk.is_whole:
            return self._whole(hunk)
        text = self._texts.get(hunk.block_id or "")
        if text is not None and hunk.before is not None and is_same_text(text, hunk.before):
            return Ground(hunk.before, False)
        return Ground(text, True)

    def _whole(self, hunk: Hunk) -> Ground:
        if self.proposal.field == Proposal.Field.CODE:
            has_drifted = text_hash(self.code, self.code_language) != self.proposal.base_hash
            return Ground(self.code, True) if has_drifted else Ground(hunk.before, False)
        has_drifted = text_hash(self.explanation) != self.proposal.base_hash
        return Ground(self.explanation, True) if has_drifted else Ground(hunk.before, False)

    def shown_hunks(self) -> list[dict[str, Any]]:
        return [self._shown(hunk) for hunk in self.hunks]

    def _shown(self, hunk: Hunk) -> dict[str, Any]:
        ground = self.ground(hunk)
        after = ground.text if hunk.op == "move" and ground.text is not None else hunk.after
        return {
            "n": hunk.n,
            "op": hunk.op,
            "block_id": hunk.block_id,
            "after_block": hunk.after_block,
            "before_hash": None if ground.text is None else text_digest(ground.text),
            "before": ground.text,
            "after": after,
            "status": hunk.status,
            "drifted": ground.drifted,
        }

    def shown(self, note_id: int) -> dict[str, Any]:
        return {**shown_without_hunks(self.proposal, note_id), "hunks": self.shown_hunks()}


def shown(proposal: Proposal) -> dict[str, Any]:
    """A proposal of ``for_detail`` as the API shows it."""
    row: Any = proposal
    current = Current(
        proposal,
        explanation=row.explanation,
        blocks=decode(row.blocks, row.explanation) or [],  # none: an old process wrote the text, so all are gone
        code=row.code,
        code_language=row.language,
    )
    return current.shown(row.note_id)


def shown_without_hunks(proposal: Proposal, note_id: int) -> dict[str, Any]:
    return {
        "id": proposal.pk,
        "task_id": proposal.task_id,
        "note_id": note_id,
        "topic_id": proposal.topic_id,
        "field": proposal.field,
        "base_version": proposal.base_version,
        "base_hash": proposal.base_hash,
        "status": proposal.status,
        "created_at": proposal.created_at,
    }
