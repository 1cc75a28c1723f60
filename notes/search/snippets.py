"""Snippets of what was found: HTML, with the words that were found in ``<mark>``."""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from django.utils.html import escape

from notes.search.query import Term
from notes.search.words import stems, words_in

SNIPPET_LENGTH = 240
"""In characters, or as long as the first match."""
BEFORE_MATCH = 60
_PART_LENGTH = 1_000
"""In characters: a text is read part by part until a match is found."""


class _Place(NamedTuple):
    """A unit of the text: what it is found by, and where it stands."""

    position: int
    lexemes: tuple[str, ...]
    whole: str
    start: int
    stop: int


def snippet(text: str, terms: Sequence[Term]) -> str:
    """The part of the text around the first match, escaped, with every match marked; its beginning if there is none."""
    text = unicodedata.normalize("NFC", text)
    marks = _first_marks(text, terms)
    start, stop = _window(text, marks)
    html: list[str] = []
    done = start
    for mark_start, mark_stop in marks:
        if mark_start < done or mark_stop > stop:
            continue
        html += [escape(text[done:mark_start]), "<mark>", escape(text[mark_start:mark_stop]), "</mark>"]
        done = mark_stop
    return "".join([*html, escape(text[done:stop])]).strip()


def _window(text: str, marks: Sequence[tuple[int, int]]) -> tuple[int, int]:
    if not marks:
        return 0, _word_end(text, SNIPPET_LENGTH)
    is_near = marks[0][1] + BEFORE_MATCH <= SNIPPET_LENGTH
    start = 0 if is_near else max(0, marks[0][0] - BEFORE_MATCH)
    while 0 < start < marks[0][0] and not text[start - 1].isspace():
        start += 1
    return start, _word_end(text, max(start + SNIPPET_LENGTH, marks[0][1]))


def _word_end(text: str, stop: int) -> int:
    """The end of the word that reaches beyond ``stop``, or its start if that is far."""
    for end in range(stop, min(stop + 30, len(text))):
        if text[end].isspace():
            return end
    return min(stop, len(text)) if stop + 30 < len(text) else len(text)


def _first_marks(text: str, terms: Sequence[Term]) -> list[tuple[int, int]]:
    """The marks up to the first one and as far as a snippet reaches beyond it; none if there are none in the text."""
    read = _PART_LENGTH
    while read < len(text):
        end = next((place for place in range(read, min(read + _PART_LENGTH, len(text))) if text[place].isspace()), None)
        if end is None:
            break
        marks = _marks(text[:end], terms)
        if marks and marks[0][1] + 2 * SNIPPET_LENGTH <= end:
            return marks
        read = 4 * end
    return _marks(text, terms)


def _marks(text: str, terms: Sequence[Term]) -> list[tuple[int, int]]:
    """Where the terms stand, in order, without overlaps."""
    places = _places(text)
    at = {place.position: place for place in places}
    found: list[tuple[int, int]] = []
    for term in terms:
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


def _merged(marks: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, stop in marks:
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def _places(text: str) -> list[_Place]:
    places: list[_Place] = []
    position = 0
    for (units, other, is_dense), start, stop in words_in(text):
        for index, unit in enumerate(units):
            if is_dense and stop - start == len(units):
                places.append(_Place(position, (unit,), "", start + index, min(start + index + len(unit), stop)))
            else:
                forms = _forms(unit) if not is_dense else (unit,)
                places.append(_Place(position, (*forms, other) if other else forms, other, start, stop))
            position += 1
    return places


@lru_cache(maxsize=5_000)
def _forms(unit: str) -> tuple[str, ...]:
    """A word as it is written, and its stem."""
    return (unit, *stems([unit]))
