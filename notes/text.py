"""Normalization of texts for comparison."""

import re
import unicodedata
from typing import Literal

from notes.visible import is_variation_selector

_SPACES = re.compile("[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_JOINERS = "\u200c\u200d"
_TAG_LETTERS = re.compile("[\U000e0020-\U000e007f]")
"""Of flags, as that of Scotland."""
_JOINING_SCRIPTS = (
    "ARABIC", "BENGALI", "DEVANAGARI", "GUJARATI", "GURMUKHI", "KANNADA", "MALAYALAM", "MONGOLIAN", "ORIYA", "SINHALA",
    "SYRIAC", "TAMIL", "TELUGU",
)  # fmt: skip
"""Scripts in which a joiner changes what a word says."""


def fold(text: str) -> str:
    """Make texts equal that read alike: composed (NFC), case-folded, with single spaces, without what nobody sees.

    Joiners stay where they say something: inside emoji, and in Arabic, Persian, Urdu and Indic words.
    """
    # Decomposed first: folding composed text leaves some sequences that fold further.
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())
    if folded.isascii():
        return _SPACES.sub(" ", folded).strip()
    # Removing a character may bring others together that compose.
    return unicodedata.normalize("NFC", _SPACES.sub(" ", _without_unseen(folded)).strip())


def _without_unseen(text: str) -> str:
    characters = [
        character
        for character in text
        if character in _JOINERS
        or _TAG_LETTERS.match(character)
        or not (unicodedata.category(character) == "Cf" or is_variation_selector(character))
    ]
    kept: list[str] = []
    for position, character in enumerate(characters):
        if character not in _JOINERS or (kept and _joins(character, kept[-1], _after(characters, position))):
            kept.append(character)
    return "".join(kept)


def _after(characters: list[str], position: int) -> str:
    return next((character for character in characters[position + 1 :] if character not in _JOINERS), "")


def _joins(joiner: str, before: str, after: str) -> bool:
    if before in _JOINERS or not after:
        return False
    if joiner == "\u200d" and _is_picture(before) and _is_picture(after):
        return True
    return any(unicodedata.name(one, "").startswith(_JOINING_SCRIPTS) for one in (before, after))


def _is_picture(character: str) -> bool:
    return unicodedata.category(character) in ("So", "Sk", "Sm") or character in "\u2640\u2642"


CACHED_MAX = 0xFFFF
"""The last character whose properties are remembered: of all that there are, memory would be taken for good."""
_MARKS_MAX = 30
_RUN = re.compile(f"1{{{_MARKS_MAX}}}(?=1)")


class _Combining(dict[int, str]):
    """For ``str.translate``: "1" for each mark that combines with the letter before, "0" for all else."""

    def __missing__(self, code: int) -> str:
        mark = "1" if unicodedata.combining(chr(code)) else "0"
        if code <= CACHED_MAX:
            self[code] = mark
        return mark


_COMBINING = _Combining()


def normalize(form: Literal["NFC", "NFKC"], text: str) -> str:
    """Normalize a text of any length in linear time: more than 30 marks on one letter are parted by a joiner first.

    Python sorts the marks of a letter by insertion, so 100 kB of marks would take seconds. See "Stream-Safe Text
    Format" in https://www.unicode.org/reports/tr15/.
    """
    if text.isascii():
        return text
    marks = text.translate(_COMBINING)
    if _RUN.search(marks):
        pieces, start = [], 0
        for run in _RUN.finditer(marks):
            pieces.append(text[start : run.end()])
            start = run.end()
        text = "\u034f".join([*pieces, text[start:]])
    return unicodedata.normalize(form, text)
