"""Compares two answers by meaning, not by spelling.

Ignored: case, accents, ``ß`` and ``ss``, ``ä`` and ``ae``, white space, kinds of dashes and quotation marks, width and
script of digits, thousands separators, trailing zeros of a decimal, the decimal mark of either language, ``½`` and
``0.5``, Markdown emphasis, a full stop or comma after a word. Everything else counts: signs in names (``C++``, ``C#``),
the sign of a number, its unit, word order.
"""

# ruff: noqa: RUF001  # letters that look like others are meant

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from notes.text import normalize
from study.quizzes.numbers import read_number, read_unit

DENSE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af"
"""Letters of scripts without spaces between words, or with particles attached to words."""

_DENSE_LETTER = re.compile(f"[{DENSE}]")
_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_RAISED = re.compile("[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_TYPED = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "-"),
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bc\u066c", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb\u2033\uff02", '"'),
        "\u2044": "/",
        "\u066b": ".",
        "\u00d7": "x",
    }
)
_EMPHASIS = re.compile(r"(\*\*|__|\*|`|~~|==)(?=\S)(.{1,200}?)(?<=\S)\1")
_MIXED = re.compile(r"(?<![\d.,/])(\d{1,6}) (\d{1,6})/(\d{1,6})(?![\d/.,])")
_TEN_TO = re.compile(r"(?<=\d) ?[x*·] ?10\^(?=[-+]?\d)")
_AROUND = re.compile(f"(?<=[{DENSE}])(?=[-+]?[0-9])|(?<=[0-9])(?=[{DENSE}])")
_BETWEEN = re.compile(f"(?<=[{DENSE}]) (?=[{DENSE}])")
_MARKS = re.compile("(?<=[a-z\u0250-\u02af\u0370-\u03ff])[\u0300-\u036f]+")
_LETTERS = str.maketrans({"ı": "i", "ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "ё": "е", "þ": "th", "ð": "d"})
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
_TRAILING = ".,;:。、，；：…"
_ENDS_NUMBER = re.compile(rf"\Z|\s|[)\]}}\"!?;]|[.,:](?=\s|\Z)|[{DENSE}]")
_CURRENCY = "€$£¥"

Key = tuple[object, ...]


@lru_cache(maxsize=2048)
def plain(text: str) -> str:
    """The text with one form for each character; case and accents stay."""
    text = _RAISED.sub(lambda found: "^" + found[0].translate(_SUPERSCRIPT), text)
    text = "".join(_spelled(character) for character in text) if not text.isascii() else text
    text = normalize("NFKC", text).translate(_TYPED)
    text = " ".join(text.split())
    for _ in range(3):  # nested emphasis
        text = _EMPHASIS.sub(r"\2", text)
    text = _MIXED.sub(_improper, text)
    text = _TEN_TO.sub("e", text)
    return _BETWEEN.sub("", _AROUND.sub(" ", text)).strip(" \"'")


def _spelled(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category == "No" and "VULGAR" in unicodedata.name(character, ""):
        return " " + unicodedata.normalize("NFKC", character)
    if category == "Cf" or "\ufe00" <= character <= "\ufe0f":
        return ""
    return character


def _improper(found: re.Match[str]) -> str:
    whole, above, below = int(found[1]), int(found[2]), int(found[3])
    return found[0] if above >= below else f"{whole * below + above}/{below}"


def letters(text: str, *, umlauts: bool = False) -> str:
    """A plain text without case and accents. ``umlauts``: write ``ä`` as ``ae``, as on keyboards without the key."""
    folded = unicodedata.normalize("NFC", text.casefold())
    if umlauts:
        folded = folded.translate(_UMLAUTS)
    return _MARKS.sub("", unicodedata.normalize("NFD", folded.translate(_LETTERS)))


@lru_cache(maxsize=1024)
def keys(text: str, decimal: str) -> tuple[Key, Key]:
    """The comparison keys of an answer, for both spellings of umlauts. Empty keys: the answer is empty.

    ``decimal`` is the decimal mark of its language, see ``study.quizzes.numbers``.
    """
    written = plain(text)
    return _key(written, decimal, umlauts=False), _key(written, decimal, umlauts=True)


def _key(written: str, decimal: str, *, umlauts: bool) -> Key:
    key: list[object] = []
    at = 0
    while at < len(written):
        if written[at] == " ":
            at += 1
            continue
        unit = written[at] if written[at] in _CURRENCY else None
        start = at + (2 if unit and written[at + 1 : at + 2] == " " else 1 if unit else 0)
        number = read_number(written, start, decimal=decimal)
        if number is not None:
            end = number.end
            if unit is None and (found := read_unit(written, end)):
                unit, end = found
            if _ENDS_NUMBER.match(written, end):
                # Inside other text, trailing zeros count: "Python 3.10" is not "Python 3.1".
                decimals = None if unit or not key else number.decimals
                key.append((number.value, unit, decimals))
                at = end
                continue
        end = written.find(" ", at)
        end = len(written) if end < 0 else end
        if word := letters(written[at:end], umlauts=umlauts).rstrip(_TRAILING):
            key.append(word)
        at = end
    return tuple(key)


def same_answer(expected: str, given: str, *, decimal: str, given_decimal: str | None = None) -> bool:
    """Whether two answers are equal. An empty answer equals nothing."""
    if len(given) > 4 * len(expected) + 200:
        return False
    mine, theirs = keys(expected, decimal), keys(given, given_decimal or decimal)
    if not mine[0] or not theirs[0]:
        return False
    return mine[0] == theirs[0] or mine[1] == theirs[1] or plain(expected) == plain(given)


def all_differ(texts: Iterable[str], *, decimal: str) -> bool:
    """Whether all texts are different and none is empty."""
    seen: set[Key] = set()
    for text in texts:
        both = keys(text, decimal)
        if not both[0] or seen.intersection(both):
            return False
        seen.update(both)
    return True


def stands_in(answer: str, text: str) -> bool:
    """Whether the text contains the answer's words in sequence, ignoring case and accents."""
    needle = _comparable(answer).rstrip(_TRAILING)
    if not needle:
        return False
    hay = _comparable(text)
    parted_before, parted_after = _is_word_letter(needle[0]), _is_word_letter(needle[-1])
    at = hay.find(needle)
    while at >= 0:
        end = at + len(needle)
        if not (parted_before and at and hay[at - 1].isalnum()) and not (parted_after and hay[end : end + 1].isalnum()):
            return True
        at = hay.find(needle, at + 1)
    return False


@lru_cache(maxsize=2048)
def _comparable(text: str) -> str:
    return letters(plain(text))


def is_dense(text: str) -> bool:
    """Whether a text has letters of a script without spaces between words."""
    return _DENSE_LETTER.search(text) is not None


def _is_word_letter(character: str) -> bool:
    return character.isalnum() and not _DENSE_LETTER.match(character)
