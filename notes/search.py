"""What a search text means: a few words, each of which must be found.

A word is found stemmed, as English, in titles, explanations and code, or exactly in a tag: a tag of several words is
found where the text spells it out. Stop words ("the") are passed over, unless the text has no others.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

from django.contrib.postgres.search import SearchQuery, SearchVectorField
from django.db.models import F, Func, IntegerField, Q, TextField, Value
from django.db.models.functions import Left
from django.db.models.lookups import Exact, GreaterThan
from django.utils.html import escape

from notes.text import fold

SEARCH_CONFIG = "english"
SEARCH_MAX_LENGTH = 200
SEARCH_MAX_WORDS = 10
SNIPPET_SOURCE_LENGTH = 10_000
"""How many characters of a text a snippet is taken from: making one costs time by length."""

# Of the private use area, and taken out of the text before: only Postgres writes these two,
MARK_START, MARK_STOP = "\ue000", "\ue001"
# and only we these, which keep angle brackets from being read as tags, whose content Postgres would drop.
_LESS, _GREATER = "\ue002", "\ue003"

_SEPARATORS = re.compile(r"[\s,<>]+")


class TooManyWords(ValueError):
    """The text has more than ``SEARCH_MAX_WORDS`` words."""


class SearchTerms(NamedTuple):
    """A search text as the values of its queries, whose SQL depends on nothing but how many words there are."""

    words: Sequence[str]
    text: str
    """All of the words."""
    runs: Sequence[str]
    """What a tag may spell out: every run of neighbouring words, folded, by its start and then by its end."""

    @classmethod
    def of(cls, words: Sequence[str]) -> Self:
        folded = [fold(word) for word in words]
        return cls(words, " ".join(words), [" ".join(folded[start:stop]) for start, stop in _runs(len(words))])

    @classmethod
    def parse(cls, text: str) -> Self:
        """The terms of a text. Raises :class:`TooManyWords`."""
        return cls.of(split_words(text))

    def runs_with(self, position: int) -> list[str]:
        """Every run that has the word at this position in it."""
        runs = zip(_runs(len(self.words)), self.runs, strict=True)
        return [run for (start, stop), run in runs if start <= position < stop]


class LexemeCount(Func):
    """The size of a query: 0 if it is nothing but stop words and punctuation, which match nothing."""

    function = "numnode"
    output_field = IntegerField()


class Concatenation(Func):
    """Several vectors as one."""

    template = "(%(expressions)s)"
    arg_joiner = " || "
    output_field = SearchVectorField()


def split_words(text: str) -> list[str]:
    """The distinct words of a search text. Raises :class:`TooManyWords`."""
    words = list(dict.fromkeys(word for word in _SEPARATORS.split(unicodedata.normalize("NFC", text)) if word))
    if len(words) > SEARCH_MAX_WORDS:
        raise TooManyWords(f"A search has at most {SEARCH_MAX_WORDS} words.")
    return words


def full_text(text: str) -> SearchQuery:
    """All words of the text, stemmed. Nothing in the text is an operator, so none is an error."""
    return SearchQuery(text, config=SEARCH_CONFIG)


def any_word(words: Sequence[str]) -> SearchQuery:
    """At least one of the words, of which there must be one."""
    query = full_text(words[0])
    for word in words[1:]:
        query |= full_text(word)
    return query


def every_word(terms: SearchTerms, found: Callable[[SearchQuery], Q], *, tags: str) -> Q:
    """The condition that each word is found: by ``found``, or in the array of tags at the path ``tags``."""
    condition = Q(GreaterThan(LexemeCount(full_text(terms.text)), 0)) | Q(**{f"{tags}__overlap": terms.runs})
    for position, word in enumerate(terms.words):
        query = full_text(word)
        condition &= (
            Q(Exact(LexemeCount(query), 0)) | found(query) | Q(**{f"{tags}__overlap": terms.runs_with(position)})
        )
    return condition


def _runs(count: int) -> list[tuple[int, int]]:
    return [(start, stop) for start in range(count) for stop in range(start + 1, count + 1)]


def without_tags(text: Func) -> Func:
    """Angle brackets as spaces: Postgres takes ``<int>`` for a tag, and what follows ``<script>`` for its content."""
    return Func(text, Value("<>"), Value("  "), function="translate", output_field=TextField())


def snippet_source(text: F | Func) -> Func:
    """The part of a text that headlines are taken from, in the spelling that :func:`to_html` reads."""
    old, new = f"<>{_LESS}{_GREATER}{MARK_START}{MARK_STOP}", f"{_LESS}{_GREATER}"
    return Func(
        Left(text, SNIPPET_SOURCE_LENGTH), Value(old), Value(new), function="translate", output_field=TextField()
    )


def to_html(headline: str) -> str:
    """A headline of :func:`snippet_source` as safe HTML: everything escaped, matches in ``<mark>``."""
    text = headline.replace(_LESS, "<").replace(_GREATER, ">")
    return escape(text).replace(MARK_START, "<mark>").replace(MARK_STOP, "</mark>")
