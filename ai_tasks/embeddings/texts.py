"""What of a note is embedded: the text of each block that a question may be answered from."""

from notes.blocks.splitting import Kind
from notes.blocks.stored import Block, text_digest

EMBEDDED_MAX = 3_000
"""In characters. Of a longer block the beginning is embedded; the rest is found by its words."""
EMBEDDED_MIN = 12
"""What is shorter cannot be quoted."""


def embedded_text(block: Block) -> str | None:
    """What a model is asked about a block; None: nothing. White space at its ends does not make it another text."""
    if block.kind is Kind.HEADING:
        return None
    text = block.text.strip()[:EMBEDDED_MAX]
    return text if len(text) >= EMBEDDED_MIN else None


def embedded_hash(block: Block) -> str | None:
    """The hash of that text."""
    text = embedded_text(block)
    return None if text is None else text_digest(text)
