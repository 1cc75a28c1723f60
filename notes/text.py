"""Normalization of texts for comparison."""

import re
import unicodedata
from typing import Literal

from notes.visible import is_variation_selector

_SPACES = re.compile("[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_JOINERS = "\u200c\u200d"
_TAG_LETTERS = re.compile("[\U000e0020-\U000e007f]")
"""Tag characters in emoji of flags, such as Scotland's."""
_JOINING_SCRIPTS = (
    "ARABIC", "BENGALI", "DEVANAGARI", "GUJARATI", "GURMUKHI", "KANNADA", "MALAYALAM", "MONGOLIAN", "ORIYA", "SINHALA",
    "SYRIAC", "TAMIL", "TELUGU",
)  # fmt: skip
"""Scripts in which a joiner changes the meaning of a word."""


def fold(text: str) -> str:
    """Normalize a text for comparison: composed (NFC), case-folded, single spaces, no invisible characters.

    Joiners are kept where they matter: inside emoji, and in Arabic, Persian, Urdu and Indic words.
    """
    # Decomposed first: folding composed text leaves some sequences that fold further.
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())
    if folded.isascii():
        return _SPACES.sub(" ", folded).strip()
    # Removing a character may make others neighbours that compose.
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
"""The last character whose properties are cached, to bound the memory of the cache."""
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
    """Normalize a text in linear time: a run of more than 30 marks on one letter is first split by a joiner.

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
