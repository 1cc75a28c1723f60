"""The words of a block. An edit that leaves them unchanged is cosmetic."""

import re
import unicodedata
from typing import Literal

from notes.blocks.splitting import Kind
from notes.text import CACHED_MAX, normalize

_LINE_MARKS = re.compile(r"^(?:[ \t]*>)+|^[ \t]*\+(?=[ \t])|^[ \t]*=+[ \t]*$", re.MULTILINE)
"""Markers that depend on their position: of quotes, list items and underlined headings."""

# Scripts that put no spaces between words: each letter counts as a word where blocks are compared.
_WORD = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
    "|[^\\s\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)


class _Letters(dict[int, int | str | None]):
    """For ``str.translate``: punctuation and markers become spaces, invisible characters are removed."""

    def __missing__(self, code: int) -> int | str | None:
        character = chr(code)
        category = unicodedata.category(character)
        kept: int | str | None = code
        if category == "Cf":
            kept = None
        elif category[0] in "PZ" or category == "Cc" or character in "`~|":
            kept = " "
        if code <= CACHED_MAX:
            self[code] = kept
        return kept


_LETTERS = _Letters()


def _plain(text: str, form: Literal["NFC", "NFKC"]) -> str:
    folded = normalize(form, normalize(form, text).casefold())
    return _LINE_MARKS.sub(" ", folded).translate(_LETTERS)


def words_of(text: str) -> list[str]:
    """The words in order, without punctuation and Markdown's markers, ignoring case and character width.

    Punctuation separates words, so that "1.5" and "15" differ. Mathematical and currency signs are kept.
    """
    return _plain(text, "NFKC").split()


def comparable_words(text: str) -> list[str]:
    """The words by which blocks are compared; in scripts without spaces, each letter is a word."""
    return _WORD.findall(_plain(text, "NFC"))


def is_cosmetic(before: str, after: str, *, kind: Kind | str) -> bool:
    """Whether an edit of a block changes only its looks: the words are the same, in the same order.

    In code and formulas every character counts.
    """
    if kind in (Kind.CODE, Kind.MATH):
        return before == after
    return words_of(before) == words_of(after)
