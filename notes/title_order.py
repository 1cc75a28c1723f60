"""The order of titles: a key whose bytes sort as people expect.

PostgreSQL's language collations need ICU, which some installations lack. A key has three levels, as in Unicode's
collation algorithm (UTS #10): letters without accents and case, with numbers by their value; then accents; then case.
So ``note 2`` comes before ``note 10``, and ä between a and b. Scripts are in Unicode's order.
"""

# ruff: noqa: RUF001  # letters that look like Latin ones are meant

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

PRIMARY_MAX_BYTES = 1_000
ACCENTS_MAX_BYTES = 200
CASE_MAX_BYTES = 100

_LEVEL, _NO_ACCENT, _LOWER, _UPPER = "\x01", "\x02", "\x02", "\x03"
_PARTS = re.compile(r"(?P<number>\d+)|(?P<space>\s+)|(?P<others>[^\d\s]+)", re.DOTALL)
_NUMBER = re.compile(r"\d+")
_NEXT = "\U0010fffd"
_LETTERS = {
    "đ": "d", "ð": "d", "ħ": "h", "\u0131": "i", "ł": "l", "ø": "o", "ŧ": "t", "æ": "ae", "œ": "oe", "þ": "th",
    # Ukrainian and Belarusian letters, whose code points are not in alphabetical order.
    "ґ": f"г{_NEXT}", "є": f"е{_NEXT}", "і": f"и{_NEXT}", "ї": f"и{_NEXT}{_NEXT}", "ў": f"у{_NEXT}",
}  # fmt: skip
_UNDIVIDED = frozenset("йЙ")
"""A separate letter, not one with an accent."""


def key_without_case(title: str) -> str:
    """The common beginning of the keys of titles that differ only by case."""
    if title.isascii():  # a fast path, as a note may have ten thousand links
        numbered = _NUMBER.sub(_by_value, " ".join(title.split()))
        return f"{numbered.translate(_PRIMARY_OF_ASCII)[:PRIMARY_MAX_BYTES]}{_LEVEL}{_LEVEL}"
    return f"{_key(title, _LEVELS[:2])}{_LEVEL}"


def title_key(title: str) -> str:
    """The key of a title: at most 1.4 kB, to be compared byte by byte (``COLLATE "C"``), never empty."""
    return _key(title, _LEVELS)


def _key(title: str, levels: Sequence["_Level"]) -> str:
    weights: list[list[str]] = [[] for _ in levels]
    primary = weights[0]
    for found in _PARTS.finditer(" ".join(unicodedata.normalize("NFKC", title).split())):
        if found.lastgroup == "number":
            primary.append(_by_value(found))
        elif found.lastgroup == "space":
            primary.append(" ")
        else:
            for of_level, level in zip(weights, levels, strict=True):
                of_level.append(found[0].translate(level.weights))
    return _LEVEL.join(
        _cut("".join(of_level).rstrip(level.usual), level.limit)
        for of_level, level in zip(weights, levels, strict=True)
    )


class _Weights(dict[int, str]):
    """For ``str.translate``: a character's weight at one level of a key. Weights are cached, as computing is slow."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self._level = level

    def __missing__(self, code: int) -> str:
        self[code] = weight = _weights(chr(code))[self._level]
        return weight


class _Level(NamedTuple):
    weights: _Weights
    usual: str
    """The most common weight, which is omitted at the end of a level."""
    limit: int
    """The maximum length in bytes."""


_LEVELS = (
    _Level(_Weights(0), "", PRIMARY_MAX_BYTES),
    _Level(_Weights(1), _NO_ACCENT, ACCENTS_MAX_BYTES),
    _Level(_Weights(2), _LOWER, CASE_MAX_BYTES),
)
_PRIMARY_OF_ASCII = _Weights(0)
_PRIMARY_OF_ASCII[ord(" ")] = " "


def _by_value(number: re.Match[str]) -> str:
    written = number[0]
    if not written.isascii():
        written = "".join(str(unicodedata.digit(digit)) for digit in written)
    digits = written.lstrip("0") or "0"
    return f"{len(digits):03}{digits}"


def _weights(character: str) -> tuple[str, str, str]:
    """A character's weight at each level."""
    category = unicodedata.category(character)
    if category in ("Cf", "Cc"):
        return "", "", ""
    if category[0] == "M":
        return "", character, ""
    if not character.isalnum():
        return f"!{character}", "", ""  # signs sort before numbers and letters
    whole = unicodedata.normalize("NFD", character) if character not in _UNDIVIDED else character
    base, marks = whole[0], whole[1:]
    if not marks or unicodedata.combining(marks[0]):
        folded = base.casefold()
    else:  # Hangul: the parts of a syllable are in order
        folded, marks = whole, ""
    folded = "".join(_LETTERS.get(letter, letter) for letter in folded)
    return (
        _hiragana(folded),
        (marks if folded == base.casefold() else f"{marks}\x03") + _NO_ACCENT,
        _UPPER if base != base.lower() else _LOWER,
    )


def _hiragana(letter: str) -> str:
    """Convert katakana to hiragana, as they sort together."""
    return chr(ord(letter) - 0x60) if len(letter) == 1 and "\u30a1" <= letter <= "\u30f6" else letter


def _cut(text: str, limit: int) -> str:
    return text.encode()[:limit].decode(errors="ignore")
