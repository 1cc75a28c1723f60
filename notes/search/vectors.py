"""The search vectors of notes, chapters and topics, made of their texts when these are written.

Each lexeme begins with the user's id, so that a search reads only this user's entries of the index. Positions keep the
order of the words, for phrases. PostgreSQL allows 16,383 positions in a vector, 255 of one lexeme, and 1 MB of lexemes.
A text beyond these limits is marked by the lexeme ``TOO_LONG``; a phrase matches it if all its words do.
"""

import unicodedata
from collections.abc import Iterable
from typing import Any, NamedTuple

from notes.search.words import lexemes_in

POSITION_MAX = 16_383
PLACES_MAX = 255
LEXEME_BYTES_MAX = 900_000
TOO_LONG = "~"
"""A lexeme in vectors that lack positions of some words."""
GAP = 20
"""The number of positions between texts, so that no phrase matches across two of them."""

_EXPLANATION_FIRST = 200
_CODE_FIRST = 12_000
"""The first positions of a topic's texts. A phrase beyond the last position is not found as a phrase."""

_ENTRY_BYTES = 8
"""The size of a lexeme's entry besides its characters: positions, their number, and alignment."""


class Part(NamedTuple):
    """A text of a row, and the weight of matches in it, from A (most) to D."""

    text: str
    weight: str
    first: int = 1
    """The position of its first word, or later if the part before is longer."""


def lexeme_prefix(user_id: int) -> str:
    return f"{user_id:x}:"


def words_of_note(user_id: int, *, title: str, tags: Iterable[str], **_: Any) -> str:
    return vector_of(user_id, [Part(title, "A"), *(Part(tag, "A") for tag in tags)])


def words_of_chapter(user_id: int, *, title: str, **_: Any) -> str:
    return vector_of(user_id, [Part(title, "B")])


def words_of_topic(user_id: int, *, title: str, explanation: str, code: str, **_: Any) -> str:
    parts = [
        Part(title, "B"),
        Part(explanation, "C", first=_EXPLANATION_FIRST),
        Part(code, "D", first=_CODE_FIRST),
    ]
    return vector_of(user_id, parts)


def vector_of(user_id: int, parts: Iterable[Part]) -> str:
    """The search vector of a user's texts in PostgreSQL's syntax: ``'2a:loop':1A,5C '2a:python':2A``.

    Takes time linear in the length of the texts.
    """
    places: dict[str, str] = {}
    room = LEXEME_BYTES_MAX
    position = 0
    is_too_long = False
    own_bytes = len(lexeme_prefix(user_id)) + _ENTRY_BYTES
    for text, weight, first in parts:
        position = max(position + GAP, first)
        found, position = lexemes_in(unicodedata.normalize("NFC", text), position, last=POSITION_MAX)
        is_too_long = is_too_long or position > POSITION_MAX
        separator = f"{weight},"
        for lexeme, numbers in found.items():
            if len(numbers) > PLACES_MAX:
                is_too_long = True
                numbers = numbers[:PLACES_MAX]
            known = places.get(lexeme)
            room -= 2 * len(numbers) + (0 if known else len(lexeme.encode()) + own_bytes)
            if room < 0:
                is_too_long = True
                continue
            numbered = f"{separator.join(map(str, numbers))}{weight}"
            places[lexeme] = f"{known},{numbered}" if known else numbered
    if is_too_long:
        places[TOO_LONG] = str(POSITION_MAX)
    prefix = lexeme_prefix(user_id)
    return " ".join([f"'{prefix}{lexeme}':{numbered}" for lexeme, numbered in places.items()])
