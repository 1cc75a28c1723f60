"""Display formulas (``$$…$$``), whose content is not Markdown."""

import re
from collections.abc import Callable

from notes.blocks.splitting import Kind, split

_SET_OFF = re.compile(r"\$\$(?!\$)(?:[^$]|\$(?!\$))+\$\$")


def replace_set_off(text: str, replacement: Callable[[str], str]) -> str:
    """Replace each block that is a ``$$…$$`` formula. ``replacement`` converts its LaTeX to Markdown.

    Without this, Markdown parsers would interpret the formula: a line that begins with ``+`` would become a list.
    """
    if "$$" not in text:
        return text
    parts = []
    for piece in split(text):
        formula = piece.text.strip()
        is_whole = piece.kind is Kind.MATH and _SET_OFF.fullmatch(formula)
        parts.append(f"\n{replacement(formula[2:-2])}\n\n" if is_whole else piece.text)
    return "".join(parts)
