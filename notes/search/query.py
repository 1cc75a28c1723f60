"""Search texts: ``loops -java "for each" tag:python status:draft``.

A match has every word and every phrase in quotes, whose words must be adjacent, and no word or phrase with a minus
before it. Any text is a valid search: signs without a meaning are ignored.

- A word also matches its other English forms (``loops`` finds ``loop``); a phrase in quotes matches exactly.
- The last word also matches the beginning of words, as the user may still be typing it.
- Words that are written together (``client/server``) match where they are adjacent.
- The most common English words (``the``) are ignored, unless the search has no others.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from notes.search.vectors import TOO_LONG, lexeme_prefix
from notes.search.words import Word, folded, stems, words_in
from notes.text import fold

SEARCH_MAX_LENGTH = 200
SEARCH_MAX_WORDS = 10
STATUSES = ("draft", "published", "archived")
PREFIX_MIN_LENGTH = 2

_TERM = re.compile(
    r'(?P<minus>(?:-(?!-))?)(?:(?P<field>tag|status):)?(?:"(?P<quoted>[^"]*)"?|(?P<word>[^\s,<>"]+))', re.IGNORECASE
)
# The stop words of PostgreSQL's English dictionary.
_COMMON = frozenset(
    "i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers "
    "herself it its itself they them their theirs themselves what which who whom this that these those am is "
    "are was were be been being have has had having do does did doing a an the and but if or because as until "
    "while of at by for with about against between into through during before after above below to from up "
    "down in out on off over under again further then once here there when where why how all any both each few "
    "more most other some such no nor not only own same so than too very s t can will just don should now".split()
)


class TooManyWords(ValueError):
    """The text has more than ``SEARCH_MAX_WORDS`` words and phrases."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One position of a term: the lexemes that may be there, and its distance from the position before."""

    lexemes: tuple[str, ...]
    distance: int = 1
    is_prefix: bool = False
    """Whether words that begin with the first lexeme match, too."""

    def matches(self, lexeme: str) -> bool:
        return lexeme in self.lexemes or (self.is_prefix and lexeme.startswith(self.lexemes[0]))


@dataclass(frozen=True, slots=True)
class Term:
    """A word or a phrase. Its units are adjacent."""

    text: str
    units: tuple[Unit, ...]
    whole: str = ""
    """A single lexeme that matches instead of all units."""
    is_common: bool = False

    def to_tsquery(self, prefix: str) -> str:
        """The tsquery in PostgreSQL's syntax, for a user whose lexemes have this prefix."""
        words = [_either(unit, prefix) for unit in self.units]
        query = words[0]
        if len(words) > 1:
            phrase = words[0]
            for word, unit in zip(words[1:], self.units[1:], strict=True):
                phrase += f" <{unit.distance}> {word}"
            query = f"(({phrase}) | ({' & '.join([*words, _quoted(prefix + TOO_LONG)])}))"
        return f"({_quoted(prefix + self.whole)} | {query})" if self.whole else query


class SearchTerms(NamedTuple):
    """A search text as query parameters. The SQL depends only on the length of each list."""

    wanted: list[str] = []  # never mutated
    """One tsquery for each word or phrase."""
    wanted_words: list[str] = []
    """The text of each, for rows that have no vector yet."""
    unwanted: list[str] = []
    unwanted_words: list[str] = []
    tags: list[str] = []
    unwanted_tags: list[str] = []
    statuses: list[str] = []
    unwanted_statuses: list[str] = []
    is_nothing: bool = False
    """Whether the text has only signs. Then nothing matches, while everything matches an empty text."""

    @classmethod
    def parse(cls, text: str, *, user_id: int) -> Self:
        """The terms of a text, for a search in this user's notes. Raises :class:`TooManyWords`."""
        return cls.of(parse(text), user_id=user_id)

    @classmethod
    def of(cls, query: "ParsedSearch", *, user_id: int) -> Self:
        prefix = lexeme_prefix(user_id)
        return cls(
            [term.to_tsquery(prefix) for term in query.wanted],
            [term.text for term in query.wanted],
            [term.to_tsquery(prefix) for term in query.unwanted],
            [term.text for term in query.unwanted],
            query.tags,
            query.unwanted_tags,
            query.statuses,
            query.unwanted_statuses,
            query.is_nothing,
        )

    def parameters(self) -> dict[str, list[str]]:
        """The lists that are not empty, by name."""
        return {name: value for name, value in self._asdict().items() if isinstance(value, list) and value}

    @property
    def is_empty(self) -> bool:
        return not self.is_nothing and not self.parameters()

    @property
    def sought(self) -> list[str]:
        """For each wanted term, a tsquery for rows that have it and no unwanted term."""
        unwanted = "".join(f" & !({term})" for term in self.unwanted)
        return [f"({term}){unwanted}" for term in self.wanted] if unwanted else self.wanted

    @property
    def is_one_word(self) -> bool:
        """Whether there is one wanted word or phrase and no unwanted one, so that every row with it matches."""
        return len(self.wanted) == 1 and not self.unwanted


@dataclass(frozen=True, slots=True)
class ParsedSearch:
    """A parsed search text, without duplicates."""

    wanted: list[Term]
    unwanted: list[Term]
    tags: list[str]
    unwanted_tags: list[str]
    statuses: list[str]
    unwanted_statuses: list[str]
    is_nothing: bool


def parse(text: str) -> ParsedSearch:
    """Parse a search text. Raises :class:`TooManyWords`."""
    text = unicodedata.normalize("NFC", text)
    words: dict[bool, dict[str, Term]] = {True: {}, False: {}}
    tags: dict[bool, dict[str, None]] = {True: {}, False: {}}
    statuses: dict[bool, dict[str, None]] = {True: {}, False: {}}
    found = list(_TERM.finditer(text))
    for match in found:
        is_wanted = not match["minus"]
        content = match["quoted"] if match["quoted"] is not None else match["word"]
        field = (match["field"] or "").lower()
        if field == "tag" and (tag := fold(content)):
            tags[is_wanted][tag] = None
        elif field == "status" and content.lower() in STATUSES:
            statuses[is_wanted][content.lower()] = None
        else:
            is_quoted = match["quoted"] is not None
            is_last = match is found[-1] and is_wanted and not is_quoted
            if term := _term(f"{field} {content}" if field else content, is_exact=is_quoted, is_last=is_last):
                words[is_wanted][term.text] = term
    if sum(len(named) for kind in (words, tags, statuses) for named in kind.values()) > SEARCH_MAX_WORDS:
        raise TooManyWords(f"A search has at most {SEARCH_MAX_WORDS} words.")
    wanted = list(words[True].values())
    return ParsedSearch(
        wanted=[term for term in wanted if not term.is_common] or wanted,
        unwanted=list(words[False].values()),
        tags=list(tags[True]),
        unwanted_tags=list(tags[False]),
        statuses=list(statuses[True]),
        unwanted_statuses=list(statuses[False]),
        is_nothing=bool(found) and not any(named for kind in (words, tags, statuses) for named in kind.values()),
    )


def tsquery_of(word: str, *, user_id: int) -> str | None:
    """The tsquery of a word and its other English forms in this user's notes; None if it can match nothing."""
    term = _term(unicodedata.normalize("NFC", word), is_exact=False, is_last=False)
    return term.to_tsquery(lexeme_prefix(user_id)) if term else None


def _term(text: str, *, is_exact: bool, is_last: bool) -> Term | None:
    """The term of a text; None if the text has no words."""
    words = [word for word, _, _ in words_in(text)]
    if not words:
        return None
    is_single = len(words) == 1
    units = list(_units(words, with_stems=is_single and not is_exact))
    last = units[-1]
    if is_last and not words[-1].is_dense and words[-1].other not in last.lexemes:
        if len(units) > 1 or len(last.lexemes[0]) >= PREFIX_MIN_LENGTH:
            typed = words[-1].units[-1]
            units[-1] = Unit(tuple(dict.fromkeys((typed, *last.lexemes))), last.distance, is_prefix=True)
    elif words[-1].is_dense and len(words[-1].units) == 1:
        units[-1] = Unit(last.lexemes, last.distance, is_prefix=True)  # matches any pair that begins with it
    has_humps = is_single and len(words[0].units) > 1 and not words[0].is_dense
    return Term(
        text=folded(text),
        units=tuple(units),
        whole=words[0].other if has_humps else "",
        is_common=is_single and not is_exact and words[0].units[0] in _COMMON and not words[0].other,
    )


def _units(words: Sequence[Word], *, with_stems: bool) -> Iterator[Unit]:
    distance = 1
    for units, other, is_dense in words:
        if other and len(units) == 1:
            yield Unit((other,), distance)
            distance = 1
            continue
        # The pairs of a run cover all of it. Its last character also has a position, which counts for the next word.
        shown = units[:-1] or units if is_dense else units
        for unit in shown:
            # The index of a text that has the word has its stem, too.
            yield Unit((stems([unit])[0],) if with_stems else (unit,), distance)
            distance = 1
        distance += len(units) - len(shown)


def _either(unit: Unit, prefix: str) -> str:
    options = [_quoted(prefix + lexeme) for lexeme in unit.lexemes]
    if unit.is_prefix:
        options[0] += ":*"
    return options[0] if len(options) == 1 else f"({' | '.join(options)})"


def _quoted(lexeme: str) -> str:
    return "'" + lexeme.replace("\\", "\\\\").replace("'", "''") + "'"
