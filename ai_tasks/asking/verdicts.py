"""Gives each sentence of an answer a verdict by its quotes.

The check is that a quote exists in the notes, not that it proves the sentence.
"""

import re
import time
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Literal, NamedTuple, TypedDict

from django.db.models import Q

from ai_tasks.asking.finding import SPAN_MAX, Haystack, Quote, Span
from ai_tasks.asking.passages import Found, LocatedBlock, read_blocks, topics_with_words
from notes.blocks.stored import ID_LENGTH
from notes.search.words import words_in

SENTENCES_MAX = 40
QUOTES_MAX = 100
"""Per answer. Sentences beyond either limit are dropped."""
SEARCH_WORDS_MAX = 6
SEARCH_TOPICS_MAX = 20
"""How many topics are read to find a quote that is not in the retrieved passages."""
SEARCH_SECONDS = 10.0
"""The time limit for such searches of one answer. With 9,000 topics, one search takes up to half a second."""

_BLOCK_ID = re.compile(rf"[A-Za-z0-9_-]{{{ID_LENGTH}}}\Z")

Verdict = Literal["supported", "misquoted", "unsupported"]
State = Literal["current", "changed", "gone"]


class QuoteShown(TypedDict):
    """A quote that was found: ``start`` and ``end`` are half-open, in code points of the block's text.

    ``hash`` is the block's hash when it was quoted. It is stored with the answer and not shown.
    """

    note_id: int
    topic_id: int
    block_id: str
    start: int
    end: int
    text: str
    hash: str
    state: State


class Sentence(TypedDict):
    """A sentence of an answer with those of its quotes that were found."""

    text: str
    verdict: Verdict
    quotes: list[QuoteShown]


class Named(NamedTuple):
    """A quote as the model gave it."""

    block_id: str
    quote: Quote


def judge(sentences: Sequence[tuple[str, list[Named]]], found: Found) -> list[Sentence]:
    """Give each sentence its verdict.

    A sentence is ``supported`` if it has quotes and all of them exist in the scope, even under another block id;
    ``misquoted`` if one does not exist; ``unsupported`` if it has no quotes.
    """
    judged: list[Sentence] = []
    sentences = _bounded(sentences)
    find = Finder(found, (each for _, named in sentences for each in named))
    for text, named in sentences:
        quotes = [find(each) for each in named]
        standing: list[QuoteShown] = []
        for quote in quotes:
            if quote is not None and quote not in standing:
                standing.append(quote)
        verdict: Verdict = "unsupported" if not named else "misquoted" if None in quotes else "supported"
        judged.append({"text": text, "verdict": verdict, "quotes": standing})
    return judged


def _bounded(sentences: Sequence[tuple[str, list[Named]]]) -> list[tuple[str, list[Named]]]:
    """The sentences that have a text, up to ``SENTENCES_MAX`` and ``QUOTES_MAX``."""
    kept: list[tuple[str, list[Named]]] = []
    room = QUOTES_MAX
    for text, named in sentences:
        room -= len(named)
        if room < 0 or len(kept) == SENTENCES_MAX:
            break
        if text:
            kept.append((text, named))
    return kept


def shown_quote(place: LocatedBlock, span: Span) -> QuoteShown:
    return {
        "note_id": place.note_id,
        "topic_id": place.topic_id,
        "block_id": place.block.id,
        "start": span.start,
        "end": span.end,
        "text": place.block.text[span.start : span.end],
        "hash": place.block.hash,
        "state": "current",
    }


class Finder:
    """Finds quotes in a scope: first in the block that the model named, then in the retrieved blocks, then in all
    others."""

    def __init__(self, found: Found, named: Iterable[Named]) -> None:
        told = [passage.place for passage in found.passages]
        ids = {place.block.id for place in told}
        self._scope = found.scope
        self._prepared = [_prepared(place) for place in [*told, *(p for p in found.places if p.block.id not in ids)]]
        self._by_id = {place.block.id: (place, haystack) for place, haystack in self._prepared}
        self._search_until = time.monotonic() + SEARCH_SECONDS
        self._read_unread({each.block_id for each in named})

    def __call__(self, named: Named) -> QuoteShown | None:
        """The quote as the notes have it; None if it is too short, or is in no block of the scope."""
        if named.quote.folded is None and named.quote.exact is None:
            return None
        if named.block_id in self._by_id:
            place, haystack = self._by_id[named.block_id]
            if span := haystack.find(named.quote):
                return shown_quote(place, span)
        return _first(self._prepared, named.quote) or self._search(named.quote)

    def _read_unread(self, block_ids: set[str]) -> None:
        """Read the blocks that the answer names although they were not sent to the model."""
        unread = sorted(block_id for block_id in block_ids - self._by_id.keys() if _BLOCK_ID.match(block_id))
        if not unread:
            return
        naming = reduce(Q.__or__, (Q(blocks__contains=block_id) for block_id in unread[:QUOTES_MAX]))
        for place in read_blocks(self._scope.topics().filter(naming)[:QUOTES_MAX], user_id=self._scope.user_id):
            self._by_id[place.block.id] = _prepared(place)

    def _search(self, quote: Quote) -> QuoteShown | None:
        """Search all notes of the scope by the words of the quote, until the answer's search time is over."""
        for words in _search_words(quote):
            if time.monotonic() > self._search_until:
                return None
            topics = topics_with_words(words, self._scope, at_most=SEARCH_TOPICS_MAX)
            if topics is not None:
                places = read_blocks(topics, user_id=self._scope.user_id)
                if shown := _first(map(_prepared, places), quote):
                    return shown
        return None


def _prepared(place: LocatedBlock) -> tuple[LocatedBlock, Haystack]:
    return place, Haystack(place.block.text, kind=place.block.kind)


def _first(prepared: Iterable[tuple[LocatedBlock, Haystack]], quote: Quote) -> QuoteShown | None:
    for place, haystack in prepared:
        if span := haystack.find(quote):
            return shown_quote(place, span)
    return None


def _search_words(quote: Quote) -> list[list[str]]:
    """Lists of words to search for, in order. The first and last word of a quote may be cut: they are left out in later
    tries."""
    text = (quote.folded or quote.exact or "")[:SPAN_MAX]
    found = [text[start:end] for _, start, end in words_in(text)]
    tries = [found, found[1:-1]] if len(found) > 2 else [found, found[:-1], found[1:]]
    longest = (sorted(dict.fromkeys(words), key=len, reverse=True)[:SEARCH_WORDS_MAX] for words in tries if words)
    return [list(words) for words in dict.fromkeys(map(tuple, longest))]
