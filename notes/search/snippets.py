"""Snippets of search results: HTML with the matched words in ``<mark>``."""

import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from django.utils.html import escape

from notes.search.query import Term
from notes.search.words import chunks_at, forms_of, stems, words_in

SNIPPET_LENGTH = 240
"""The length in characters; a longer first match is shown in full."""
BEFORE_MATCH = 60
_PART_LENGTH = 1_000
"""The length in characters of the parts of a text, which is read part by part until a match is found."""


class _TextUnit(NamedTuple):
    """A unit of the text: its lexemes and its position."""

    position: int
    lexemes: tuple[str, ...]
    whole: str
    start: int
    stop: int


class Marker:
    """Marks the same terms in several texts."""

    def __init__(self, terms: Sequence[Term]) -> None:
        self.terms = terms
        units = {unit for term in terms for unit in term.units}
        self._words = {lexeme for unit in units for lexeme in unit.lexemes}
        self._words |= {term.whole for term in terms if term.whole}
        self._beginnings = tuple(unit.lexemes[0] for unit in units if unit.is_prefix)
        self._known: dict[str, tuple[Sequence[_TextUnit], int]] = {}
        """For each chunk of text: its units if a term may match there, and its number of positions."""

    def snippet(self, text: str) -> str:
        """The part of the text around the first match, escaped, with all matches marked; without one, its beginning."""
        text = unicodedata.normalize("NFC", text)
        marks = self._first_marks(text)
        start, stop = _window(text, marks)
        html: list[str] = []
        done = start
        for mark_start, mark_stop in marks:
            if mark_start < done or mark_stop > stop:
                continue
            html += [escape(text[done:mark_start]), "<mark>", escape(text[mark_start:mark_stop]), "</mark>"]
            done = mark_stop
        return "".join([*html, escape(text[done:stop])]).strip()

    def _first_marks(self, text: str) -> list[tuple[int, int]]:
        """The start and end of matches, at least all those in the snippet around the first one; empty without a match.

        The text is read part by part until they are found.
        """
        read = _PART_LENGTH
        while read < len(text):
            places = range(read, min(read + _PART_LENGTH, len(text)))
            end = next((place for place in places if text[place].isspace()), None)
            if end is None:
                break
            marks = self._marks(text[:end])
            if marks and marks[0][1] + 2 * SNIPPET_LENGTH <= end:
                return marks
            read = 4 * end
        return self._marks(text)

    def _marks(self, text: str) -> list[tuple[int, int]]:
        """The start and end of each match, in order, without overlaps."""
        places = self._places(text)
        at = {place.position: place for place in places}
        found: list[tuple[int, int]] = []
        for term in self.terms:
            first, rest = term.units[0], term.units[1:]
            for place in places:
                if term.whole and place.whole == term.whole:
                    found.append((place.start, place.stop))
                    continue
                if not any(map(first.matches, place.lexemes)):
                    continue
                last, position = place, place.position
                for unit in rest:
                    position += unit.distance
                    following = at.get(position)
                    if following is None or not any(map(unit.matches, following.lexemes)):
                        break
                    last = following
                else:
                    found.append((place.start, last.stop))
        return _merged(sorted(found))

    def _places(self, text: str) -> list[_TextUnit]:
        """The units of the chunks of text in which a part of a term may match."""
        places: list[_TextUnit] = []
        position = 0
        for chunk, start in chunks_at(text):
            known = self._known.get(chunk)
            if known is None:
                known = self._known[chunk] = self._analyse(chunk)
            found, width = known
            for place in found:
                places.append(
                    _TextUnit(
                        position + place.position, place.lexemes, place.whole, start + place.start, start + place.stop
                    )
                )
            position += width
        return places

    def _analyse(self, chunk: str) -> tuple[Sequence[_TextUnit], int]:
        forms, width = forms_of(chunk)
        may_match = not self._words.isdisjoint(forms) or any(form.startswith(self._beginnings) for form in forms)
        return list(_places_in(chunk)) if may_match else (), width


def snippet(text: str, terms: Sequence[Term]) -> str:
    """See :meth:`Marker.snippet`."""
    return Marker(terms).snippet(text)


def _window(text: str, marks: Sequence[tuple[int, int]]) -> tuple[int, int]:
    if not marks:
        return 0, _word_end(text, SNIPPET_LENGTH)
    is_near = marks[0][1] + BEFORE_MATCH <= SNIPPET_LENGTH
    start = 0 if is_near else max(0, marks[0][0] - BEFORE_MATCH)
    while 0 < start < marks[0][0] and not text[start - 1].isspace():
        start += 1
    return start, _word_end(text, max(start + SNIPPET_LENGTH, marks[0][1]))


def _word_end(text: str, stop: int) -> int:
    """The end of the word at ``stop``; its start if the end is far away."""
    for end in range(stop, min(stop + 30, len(text))):
        if text[end].isspace():
            return end
    return min(stop, len(text)) if stop + 30 < len(text) else len(text)


def _merged(marks: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, stop in marks:
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def _places_in(chunk: str) -> Iterator[_TextUnit]:
    """The units of a chunk; positions are counted from its beginning."""
    position = 0
    for (units, other, is_dense), start, stop in words_in(chunk):
        for index, unit in enumerate(units):
            if is_dense and stop - start == len(units):
                begin = start + index
                yield _TextUnit(position, (unit,), "", begin, min(begin + len(unit), stop))
            else:
                forms = (unit, *stems([unit])) if not is_dense else (unit,)
                yield _TextUnit(position, (*forms, other) if other else forms, other, start, stop)
            position += 1
