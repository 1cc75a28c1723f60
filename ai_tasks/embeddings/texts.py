"""Defines which text of a block is embedded."""

from notes.blocks.splitting import Kind
from notes.blocks.stored import Block, text_digest

EMBEDDED_MAX = 3_000
"""In characters. Only the beginning of a longer block is embedded; word search finds the rest."""
EMBEDDED_MIN = 12
"""Shorter texts cannot be quoted."""


def embedded_text(block: Block) -> str | None:
    """The text of a block to embed; None: nothing to embed. White space at its ends is ignored."""
    if block.kind is Kind.HEADING:
        return None
    text = block.text.strip()[:EMBEDDED_MAX]
    return text if len(text) >= EMBEDDED_MIN else None


def embedded_hash(block: Block) -> str | None:
    """The hash of ``embedded_text``."""
    text = embedded_text(block)
    return None if text is None else text_digest(text)
