"""Formulas on lines of their own, of which no part is Markdown."""

import re
from collections.abc import Callable

from notes.blocks.splitting import Kind, split

_SET_OFF = re.compile(r"\$\$(?!\$)(?:[^$]|\$(?!\$))+\$\$")


def replace_set_off(text: str, replacement: Callable[[str], str]) -> str:
    """The text with another block in place of each ``$$…$$`` that is one: its LaTeX is given, Markdown is expected.

    Readers of Markdown look into such a formula, and take one with a line that begins with ``+`` for a list.
    """
    if "$$" not in text:
        return text
    parts = []
    for piece in split(text):
        formula = piece.text.strip()
        is_whole = piece.kind is Kind.MATH and _SET_OFF.fullmatch(formula)
        parts.append(f"\n{replacement(formula[2:-2])}\n\n" if is_whole else piece.text)
    return "".join(parts)
