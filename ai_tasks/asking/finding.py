"""Finds a quote in a block, word for word.

Letters are compared in composed form (NFC). In prose, case is ignored and any run of white space equals one space. In
code, formulas and HTML both count; only the kind of line end is ignored. The folded text serves for finding only: what
is shown is the block's own text.
"""

import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

from notes.blocks.splitting import Kind
from notes.text import normalize

QUOTE_MIN = 12
"""In characters. Shorter quotes match by chance."""
SPAN_MAX = 5_000
"""In characters of the block. It keeps an answer from growing much longer than what the model wrote."""
EXACT_KINDS = frozenset({Kind.CODE, Kind.MATH, Kind.HTML})

_MATCHES_TRIED = 100
"""How many matches are tried. A match is rejected if it starts or ends inside a letter: ``ß`` folds to two."""


class Span(NamedTuple):
    """A range of a text: half-open, in code points."""

    start: int
    end: int


class Quote:
    """A text that a block is said to contain."""

    def __init__(self, text: str) -> None:
        self._text = text.strip()

    @cached_property
    def folded(self) -> str | None:
        """The form to search for in prose; None if it is too short, or has neither letter nor digit."""
        text = _one_spaced(self._text)
        return text.casefold() if self._is_enough(text) else None

    @cached_property
    def exact(self) -> str | None:
        """The form to search for in code; None as above."""
        text = _unix(self._text)
        return text if self._is_enough(text) else None

    @staticmethod
    def _is_enough(text: str) -> bool:
        return len(text) >= QUOTE_MIN and any(character.isalnum() for character in text)


class Haystack:
    """A block's text, prepared for finding quotes. Each search takes time linear in the length of the text."""

    def __init__(self, text: str, *, kind: Kind) -> None:
        self._text = text
        self._is_exact = kind in EXACT_KINDS

    def find(self, quote: Quote) -> Span | None:
        """The first occurrence of the whole quote."""
        wanted = quote.exact if self._is_exact else quote.folded
        if wanted is None:
            return None
        at = self._folded.find(wanted)
        for _ in range(_MATCHES_TRIED):
            if at < 0:
                return None
            if span := self._span(at, at + len(wanted)):
                return span if span.end - span.start <= SPAN_MAX else None
            at = self._folded.find(wanted, at + 1)
        return None

    @cached_property
    def _folded(self) -> str:
        return _unix(self._text) if self._is_exact else _one_spaced(self._text).casefold()

    @cached_property
    def _letters(self) -> tuple[list[int], list[Span]]:
        """The start of each letter in the folded text, and its range in the original text."""
        starts, spans, at = [], [], 0
        for span in _letters_of(self._text, is_exact=self._is_exact):
            starts.append(at)
            spans.append(span)
            at += len(self._folded_letter(span))
        starts.append(at)
        return starts, spans

    def _folded_letter(self, span: Span) -> str:
        letter = self._text[span.start : span.end]
        if self._is_exact:
            return _unix(letter)
        return " " if letter.isspace() else normalize("NFC", letter).casefold()

    def _span(self, start: int, end: int) -> Span | None:
        """The original range of a range of the folded text; None if that starts or ends inside a letter."""
        starts, spans = self._letters
        first, after = bisect_left(starts, start), bisect_left(starts, end)
        if starts[first] != start or starts[after] != end:
            return None
        return Span(spans[first].start, spans[after - 1].end)


def _one_spaced(text: str) -> str:
    return normalize("NFC", " ".join(text.split()))


def _unix(text: str) -> str:
    return normalize("NFC", text.replace("\r\n", "\n"))


def _letters_of(text: str, *, is_exact: bool) -> Iterator[Span]:
    """Splits a text into the units that are normalized separately: letters with their combining marks, and runs of
    white space.

    In prose, leading and trailing white space is left out, as in the folded text.
    """
    at, stop = (0, len(text)) if is_exact else (len(text) - len(text.lstrip()), len(text.rstrip()))
    while at < stop:
        end = at + 1
        if is_exact and text.startswith("\r\n", at):
            end = at + 2
        elif not is_exact and text[at].isspace():
            while end < stop and text[end].isspace():
                end += 1
        else:
            while end < stop and _goes_on(text[end]):
                end += 1
        yield Span(at, end)
        at = end


def _goes_on(character: str) -> bool:
    """Whether a character may combine with the one before it: a mark, or a vowel or final consonant of Hangul."""
    if character.isascii():
        return False
    return "\u1160" <= character <= "\u11ff" or unicodedata.category(character).startswith("M")
