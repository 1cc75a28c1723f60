"""Splits texts into the words of the search index.

Texts and queries are split by the same rules:

- Letters are compared without case, accents and compatibility forms: ``resume`` is ``Résumé``, ``ss`` is ``ß``.
- A word ends at every sign. Words that are written together (``client/server``) are adjacent words.
- ``camelCase`` is also indexed as its parts; ``C++``, ``C#``, ``F*`` and ``.NET`` also without the signs.
- In scripts without spaces between words, each pair of neighbouring characters is a word (a *bigram*), and so is the
  last character, so that every part of a text is found.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from Stemmer import Stemmer

WORD_MAX_LENGTH = 100
"""The length in characters; of a longer word only the beginning is indexed."""

# Characters that belong to a word but are not letters: combining marks and invisible characters.
_MARKS = (
    "\u00ad\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u0610-\u061a\u0640\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u0900-\u0963\u0966-\u0dff\u0e00-\u0eff\u0f18-\u0f39\u0f3e-\u0f84"
    "\u0f86-\u0fbc\u1000-\u1049\u1050-\u109f\u1780-\u17d3\u17dd\u17e0-\u17e9\u180b-\u180f\u1ab0-\u1aff\u1dc0-\u1dff"
    "\u200b-\u200d\u2060\u20d0-\u20ff\u3005\u3099\u309a\ufe00-\ufe0f\ufe20-\ufe2f\ufeff\U000e0100-\U000e01ef"
)
_PICTURES = "\u2190-\u21ff\u2200-\u22ff\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff"
_SIGNS = r"(?:\+\+|#|(?<![^\W_][^\W_])[+*](?![\w*]))?"
_DOT = r"(?:(?<![\w.)\]])\.(?=[^\W\d_]))?"
_CHUNK = re.compile(r"""[^\s!"$%&'(),/:;<=>?@\[\\\]^_`{|}~-]+""")
"""A chunk contains whole words. It is a single character class, so matching is fast."""
_CHUNK_KNOWN_LENGTH = 40
_WORD = re.compile(rf"{_DOT}(?:[^\W_]|[{_MARKS}])+{_SIGNS}|[{_PICTURES}]")
_PIECE = re.compile(rf"(?:[^\W_]|[{_MARKS}])+|[{_PICTURES}]")

_DENSE = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u19e0-\u19ff\u1a20-\u1aaf"
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3041-\u3096\u3099-\u30fa\u30fc-\u30ff\u3105-\u318e"
    "\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\U00016fe0-\U00018aff\U0001b000-\U0001b2ff\U00020000-\U0003ffff"
)
"""Scripts without spaces between words, and Hangul, whose endings are attached to the word."""
_RUNS = re.compile(rf"[{_DENSE}]+|[^{_DENSE}]+")
_IS_DENSE = re.compile(rf"[{_DENSE}]")
_HUMPS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")

_FOLDED_SCRIPTS = ("LATIN", "GREEK", "CYRILLIC", "HEBREW", "ARABIC")
_PLAIN = {"đ": "d", "ø": "o", "ł": "l", "æ": "ae", "œ": "oe", "\u0131": "i", "þ": "th", "ð": "d", "ħ": "h", "ŧ": "t"}
"""Letters that Unicode does not decompose."""
_stemmer = Stemmer("english", 0)


_FULL_WIDTH_SIGNS = dict(zip("＋＃＊．", "+#*.", strict=True))  # noqa: RUF001


class Word(NamedTuple):
    """A word: its units are adjacent, and each can be found alone."""

    units: tuple[str, ...]
    other: str = ""
    """Another form of the whole word, at its first position: with its signs, or with its camelCase parts joined."""
    is_dense: bool = False


class Lexemes(NamedTuple):
    """The lexemes of a chunk with their positions, counted from 0, and the number of positions."""

    placed: tuple[tuple[int, str], ...]
    width: int


class _Plain(dict[int, str]):
    """For ``str.translate``: a letter without combining marks."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = plain = self._plain(character)
        return plain

    @staticmethod
    def _plain(character: str) -> str:
        if unicodedata.category(character) == "Cf" or character == "\u0640" or _is_variation(character):
            return ""
        if unicodedata.combining(character):
            script = unicodedata.name(character, "").partition(" ")[0]
            return "" if script in ("COMBINING", "HEBREW", "ARABIC") else character
        if unicodedata.name(character, "").startswith(_FOLDED_SCRIPTS):
            base = "".join(part for part in unicodedata.normalize("NFKD", character) if not unicodedata.combining(part))
            return _PLAIN.get(base, base)
        return character


def _is_variation(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


_plain = _Plain()


def folded(text: str) -> str:
    """The normalized text by which words are compared."""
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", text).translate(_plain))


def words_in(text: str) -> Iterator[tuple[Word, int, int]]:
    """The words of a composed (NFC) text, with the start and end of each."""
    for found in _WORD.finditer(_with_plain_signs(text)):
        for word, start, stop in _analyse(found[0]):
            yield word, found.start() + start, found.start() + stop


def chunks_in(text: str) -> list[str]:
    """The chunks of a composed (NFC) text in order, each of one or more words. See :func:`lexemes_of`."""
    return _CHUNK.findall(_with_plain_signs(text))


def chunks_at(text: str) -> Iterator[tuple[str, int]]:
    """The same, with the index at which each begins."""
    return ((found[0], found.start()) for found in _CHUNK.finditer(_with_plain_signs(text)))


def _with_plain_signs(text: str) -> str:
    """Replace full-width signs that belong to words by ASCII signs. Every character keeps its index."""
    for sign, plain in _FULL_WIDTH_SIGNS.items():
        if sign in text:
            text = text.replace(sign, plain)
    return text


def lexemes_of(chunk: str) -> Lexemes:
    return _known_lexemes(chunk) if len(chunk) <= _CHUNK_KNOWN_LENGTH else _lexemes(chunk)


def _lexemes(chunk: str) -> Lexemes:
    if chunk.isascii() and chunk.isalnum() and (chunk.islower() or chunk.istitle() or chunk.isdigit()):
        return Lexemes(((0, chunk.lower()[:WORD_MAX_LENGTH]),), 1)
    found: list[tuple[int, str]] = []
    position = 0
    for written in _WORD.findall(chunk):
        for (units, other, _), _, _ in _analyse(written):
            if other:
                found.append((position, other))
            found += enumerate(units, position)
            position += len(units)
    return Lexemes(tuple(found), position)


_known_lexemes = lru_cache(maxsize=20_000)(_lexemes)


def lexemes_in(text: str, first: int, *, last: int) -> tuple[dict[str, list[int]], int]:
    """The positions of each lexeme of a composed (NFC) text, and of its stem; and the position after the text.

    The text begins at position ``first``; positions after ``last`` are recorded as ``last``.
    """
    found: dict[str, list[int]] = {}
    places_of: dict[str, list[int]] = {}  # positions of chunks that are one lexeme, as most are
    position = first
    for chunk in chunks_in(text):
        places = places_of.get(chunk)
        if places is None:
            placed, width = lexemes_of(chunk)
            if len(placed) != 1:
                for offset, lexeme in placed:
                    found.setdefault(lexeme, []).append(min(position + offset, last))
                position += width
                continue
            places = places_of[chunk] = found.setdefault(placed[0][1], [])
        places.append(position if position < last else last)
        position += 1
    words = list(found)
    for word, stem in zip(words, stems(words), strict=True):
        if stem != word and stem not in found:
            found[stem] = found[word]
    return found, position


def forms_of(chunk: str) -> tuple[Sequence[str], int]:
    """The lexemes of a chunk and their stems, and its number of positions."""
    return _known_forms(chunk) if len(chunk) <= _CHUNK_KNOWN_LENGTH else _forms(chunk)


def _forms(chunk: str) -> tuple[Sequence[str], int]:
    placed, width = lexemes_of(chunk)
    lexemes = [lexeme for _, lexeme in placed]
    return tuple({*lexemes, *stems(lexemes)}), width


_known_forms = lru_cache(maxsize=20_000)(_forms)


def _analyse(written: str) -> Iterator[tuple[Word, int, int]]:
    """The words in a written word, with the start and end of each."""
    if written.isascii():
        bare = written.strip(".+#*")
        word = _humped(bare, bare.lower())
        yield word if bare == written else word._replace(other=written.lower()[:WORD_MAX_LENGTH]), 0, len(written)
        return
    dot, signs = "." * written.startswith("."), written[len(written.rstrip("+#*")) :]
    for run in _RUNS.finditer(written):
        for piece in _PIECE.findall(unicodedata.normalize("NFKC", run[0])):
            for part in _RUNS.findall(piece):
                if not (plain := folded(part)):
                    continue
                if _IS_DENSE.match(part):
                    word = Word((*map("".join, pairwise(plain)), plain[-1]), is_dense=True)
                else:
                    word = _humped(part, plain)
                    if dot or signs:
                        word = word._replace(other=(dot + plain + signs)[:WORD_MAX_LENGTH])
                yield word, run.start(), run.end()


def _humped(written: str, plain: str) -> Word:
    has_humps = written.isascii() and not (written.islower() or written.isupper() or written.istitle())
    units = tuple(hump.lower()[:WORD_MAX_LENGTH] for hump in _HUMPS.findall(written)) if has_humps else ()
    plain = plain[:WORD_MAX_LENGTH]
    return Word(units, other=plain) if len(units) > 1 else Word((plain,))


def stems(words: list[str]) -> list[str]:
    """English stems. Words of other languages lose at most an ending, in texts and queries alike."""
    return _stemmer.stemWords(words)
