"""Compares what a student writes from memory with the blocks of a topic, without a model.

Both texts are split into statements: sentences, list items, rows, headings. A topic's statement is covered to the
degree that one statement of the student contains its content words. It is contradicted if the two share most words and
one negates what the other states. Only the presence of words and negations is compared, not synonyms, antonyms
("impossible") or word order.
"""

# ruff: noqa: RUF001  # letters that look like others are meant

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any, NamedTuple

from ai_tasks.providers.offline.prose import sentence_ends
from notes.blocks.splitting import Kind
from notes.search.words import stems
from notes.text import normalize
from study.quizzes.answers import DENSE, letters
from study.quizzes.languages import BUT, DENYING_LETTERS, FUNCTION_WORDS, NEGATIONS

COVERED, PARTIAL = 0.8, 0.4
"""The minimum share of a block's words to count as covered, or as partly covered."""
CONTRADICTED = 0.6
"""The minimum share of common words for a contradiction."""
STATEMENT_WORDS_MAX = 40
STATEMENTS_MAX = 2_000
"""The maximum number of a topic's statements that are compared, from its start; prose of 100 kB has about 1,250."""
EVIDENCE_MAX = 300
_COMPARISONS = 80_000
"""The maximum number of compared pairs of statements, in total."""
_NOT_RECALLED = (Kind.HEADING, Kind.CODE, Kind.MATH, Kind.HTML)
"""Kinds of blocks that count only if there are no others."""

_SENTENCE_MARK = re.compile("[.!?\u2026\u3002\uff01\uff1f]")
_STARTS = re.compile(r"\s*(?:#{1,6}\s|[|>]|<|```|~~~|\$\$|[-*+]\s|\d{1,9}[.)]\s)")
_STANDS_ALONE = re.compile(r"\s*(?:#{1,6}\s|\||```|~~~|\$\$)")
_MARKS = re.compile(r"^\s*(?:#{1,6}\s+|>\s*|[-*+]\s+|\d{1,9}[.)]\s+)+")
_TOKEN = re.compile(rf"[{DENSE}]+|[^\W_{DENSE}]+(?:[.,'\u2019][^\W_{DENSE}]+)*|[;:,.—–，、；：]")
_CLAUSE_END = frozenset(";:,.—–，、；：")
_COMPARED_MAX = 50
"""Each statement is compared with at least this many, however many there are."""


class Compared(NamedTuple):
    """The result for a block: covered, partial, missing or contradicted, and the student's words as evidence."""

    block_id: str
    state: str
    evidence: str | None


@dataclass(frozen=True, slots=True)
class _Statement:
    text: str
    terms: frozenset[str]
    denied: frozenset[str]
    """The terms that occur only negated."""
    numbers: frozenset[str]

    @property
    def key(self) -> tuple[frozenset[str], frozenset[str]]:
        return self.terms, self.denied

    def contradicts(self, other: "_Statement") -> bool:
        """Whether one of the two negates most of what the other states."""
        shared = self.terms & other.terms
        return any(
            one.denied and 2 * len(one.denied & shared - another.denied) >= len(one.denied)
            for one, another in ((self, other), (other, self))
        )


class Comparison(NamedTuple):
    score: int
    blocks: list[Compared]
    """The blocks with words."""
    is_whole: bool
    """Whether the whole topic was compared: see ``STATEMENTS_MAX``."""


def compare(blocks: Sequence[tuple[str, str, str]], text: str) -> Comparison:
    """Compare a text with a topic's blocks, given as (id, kind, text).

    The topic's own text scores 100, an empty text 0; the order of statements does not matter.
    """
    words = _Words()
    said: dict[str, list[_Statement]] = {}
    left = STATEMENTS_MAX
    for block_id, _, body in blocks:
        said[block_id] = list(islice((one for one in _statements(body, words) if one.terms), left))
        left -= len(said[block_id])
        if left == 0:
            break
    student = _Student([one for one in _statements(text, words) if one.terms], said)
    kinds = {block_id: kind for block_id, kind, _ in blocks}
    results: list[Compared] = []
    counted: list[tuple[float, int]] = []
    counts_all = all(kinds[block_id] in _NOT_RECALLED for block_id, statements in said.items() if statements)
    for block_id, statements in said.items():
        if not statements:
            continue
        state, share, evidence = _compare_block(statements, student)
        results.append(Compared(block_id, state, evidence))
        if counts_all or kinds[block_id] not in _NOT_RECALLED:
            counted.append((share, sum(len(one.terms) for one in statements)))
    whole = sum(weight for _, weight in counted)
    score = round(100 * sum(share * weight for share, weight in counted) / whole) if whole else 0
    # Only a complete text scores 100, and only a text without matches 0.
    if counted and score == 100 and any(share < 1 for share, _ in counted):
        score = 99
    return Comparison(score, results, is_whole=left > 0)


def _compare_block(statements: Sequence[_Statement], student: "_Student") -> tuple[str, float, str | None]:
    weight = found = 0.0
    best = (0.0, "")
    denying: str | None = None
    for statement in statements:
        share, evidence, contradiction = student.look_up(statement)
        size = len(statement.terms)
        weight += size
        found += 0 if contradiction else share * size
        best = max(best, (share * size, evidence), key=lambda pair: pair[0])
        denying = denying or contradiction
    share = found / weight
    if denying is not None:
        return "contradicted", 0.0, denying[:EVIDENCE_MAX]
    if share >= COVERED:
        return "covered", 1.0, best[1][:EVIDENCE_MAX]
    if share >= PARTIAL:
        return "partial", share, best[1][:EVIDENCE_MAX]
    return "missing", 0.0, None


class _Student:
    """An index of the student's statements by word."""

    def __init__(self, statements: Sequence[_Statement], said: dict[str, list[_Statement]]) -> None:
        distinct = {one.key: one for one in statements}
        self._exact = distinct
        self._all = list(distinct.values())
        own = {one.key for of_block in said.values() for one in of_block}
        self._is_own = [one.key in own for one in self._all]
        """Whether the topic contains the same statement, which then contradicts nothing."""
        self._with: dict[str, list[int]] = defaultdict(list)
        for at, one in enumerate(self._all):
            for term in one.terms:
                self._with[term].append(at)
        total = sum(len(of_block) for of_block in said.values())
        self._looked_at = max(_COMPARED_MAX, _COMPARISONS // max(total, 1))

    def look_up(self, statement: _Statement) -> tuple[float, str, str | None]:
        """The covered share of the statement, the text that covers it, and a text that contradicts it.

        A statement that negates less of it than another one does is about something else.
        """
        share, evidence, denied, contradiction = 0.0, "", 0.0, None
        if exact := self._exact.get(statement.key):
            share, evidence = 1.0, exact.text
        for at in self._candidates(statement):
            other = self._all[at]
            overlap = len(statement.terms & other.terms) / len(statement.terms)
            if overlap >= CONTRADICTED and statement.contradicts(other):
                if overlap > denied and not self._is_own[at]:
                    denied, contradiction = overlap, other.text
                continue
            if statement.numbers - other.numbers:
                overlap = min(overlap, COVERED - 0.1)  # a different number is a different fact
            if overlap > share:
                share, evidence = overlap, other.text
        return share, evidence, contradiction if denied >= share else None

    def _candidates(self, statement: _Statement) -> Iterator[int]:
        """The statements that share words with this one, rarest words first; a bounded number."""
        seen: set[int] = set()
        for places in sorted((self._with[term] for term in statement.terms if term in self._with), key=len):
            for at in places:
                if at not in seen:
                    seen.add(at)
                    yield at
                if len(seen) >= self._looked_at:
                    return


class _Words:
    """Normalises the words of both texts; each word is folded and stemmed once."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self.of_units: dict[str, list[_Statement]] = {}

    def __call__(self, word: str) -> str:
        found = self._known.get(word)
        if found is None:
            found = self._known[word] = stems([letters(word)])[0]
        return found


def _statements(text: str, words: _Words) -> Iterator[_Statement]:
    for unit in _units(text):
        found = words.of_units.get(unit)
        if found is None:
            found = words.of_units[unit] = list(_of_unit(unit, words))
        yield from found


def _of_unit(unit: str, words: _Words) -> Iterator[_Statement]:
    start = 0
    ends = sentence_ends(unit) if _SENTENCE_MARK.search(unit) else [len(unit)]
    for end in ends:
        if sentence := " ".join(unit[start:end].split()):
            yield from _read(sentence, words)
        start = end


def _units(text: str) -> Iterator[str]:
    """Paragraphs, list items, rows and headings: a sentence never extends beyond one of these."""
    lines: list[str] = []
    for line in text.splitlines():
        if not line.strip() or _STARTS.match(line) or (lines and _STANDS_ALONE.match(lines[-1])):
            if lines:
                yield "\n".join(lines)
            lines = []
        if line.strip():
            lines.append(
                line if _STANDS_ALONE.match(line) and not line.lstrip().startswith("#") else _MARKS.sub("", line)
            )
    if lines:
        yield "\n".join(lines)


def _read(sentence: str, words: _Words) -> Iterator[_Statement]:
    """The sentence as a statement; a very long one as several statements."""
    tokens = _TOKEN.findall(normalize("NFKC", sentence).lower())
    for start in range(0, len(tokens), STATEMENT_WORDS_MAX):
        yield _statement(sentence, tokens[start : start + STATEMENT_WORDS_MAX], words)


def _statement(sentence: str, tokens: Sequence[str], words: _Words) -> _Statement:
    terms: set[str] = set()
    small: set[str] = set()
    denied: set[str] = set()
    asserted: set[str] = set()
    numbers: set[str] = set()
    for clause in _clauses(tokens):
        before: list[str] = []
        after: list[str] = []
        denies = denies_all = False
        for token in clause:
            if _is_dense(token):
                # Without spaces between words, a negation may be anywhere.
                denies_all = denies_all or DENYING_LETTERS.search(token) is not None
                found = [part for run in DENYING_LETTERS.sub(" ", token).split() for part in _pieces(run)]
            elif token in NEGATIONS or token in _CONTRACTED:
                denies = True
                continue
            elif token in FUNCTION_WORDS:
                small.add(token)
                continue
            else:
                found = [words(token)]
                if any(character.isdigit() for character in token):
                    numbers.update(found)
            (after if denies else before).extend(found)
        terms.update(before, after)
        if denies_all or (denies and not after):
            denied.update(before, after)  # "Das Herz steht nicht"
        else:
            denied.update(after)
            asserted.update(before)
    return _Statement(sentence, frozenset(terms or small), frozenset(denied - asserted), frozenset(numbers))


def _clauses(tokens: Sequence[str]) -> Iterator[list[str]]:
    """The tokens split at each mark or word that ends the scope of a negation."""
    clause: list[str] = []
    for token in tokens:
        if token in _CLAUSE_END or token in BUT:
            yield clause
            clause = []
        else:
            clause.append(token)
    yield clause


_CONTRACTED = frozenset(
    f"{verb}n{apostrophe}t"
    for verb in "is are was were do does did has have had ca could wo would should must need".split()
    for apostrophe in ("'", "\u2019", "")
)


def _is_dense(token: str) -> bool:
    return "\u0e00" <= token[0] and re.match(f"[{DENSE}]", token) is not None


def _pieces(run: str) -> list[str]:
    """Pairs of letters, for scripts without spaces between words."""
    return [first + second for first, second in pairwise(run)] if len(run) > 1 else [run]


def as_json(results: Sequence[Compared]) -> list[dict[str, Any]]:
    return [result._asdict() for result in results]
