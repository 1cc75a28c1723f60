"""Finds the passages of a student's notes that fit a question: whole blocks, or one part of a long block.

Everything is bounded: the words of the question, the topics compared, the text read, and the text sent to the model.
"""

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any, NamedTuple

from django.contrib.postgres.search import SearchRank
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce

from ai_tasks.embeddings.searching import Near, nearest_passages
from ai_tasks.embeddings.texts import embedded_hash
from ai_tasks.providers.offline.words import ASKING, STOPWORDS
from notes.blocks.splitting import Kind
from notes.blocks.stored import Block, decode
from notes.derived import WordsField
from notes.models import Chapter, Note, Topic
from notes.querysets import Concatenation
from notes.search.conditions import AnyOf, InIndex, Query
from notes.search.query import tsquery_of
from notes.search.words import chunks_in, lexemes_of, stems, words_in
from notes.services import get_blocks

TERMS_MAX = 12
COMPARED_MAX = 500
"""How many topics with one of the words are compared; the newest come first."""
RANKED_MAX = 100
TITLES_MAX = 20
TOPICS_MAX = 20
TEXT_READ_MAX = 400_000
"""In characters, over all topics read for one question."""
PASSAGES_MAX = 20
PASSAGES_MAX_BYTES = 24_000
PASSAGE_MAX = 3_000
"""In characters. Of a longer block, the model gets the part around the first word of the question."""
BEFORE_WORD = 500
CONTEXT_WEIGHT = 0.5
"""The weight of a word that appears only in the titles above a block, not in the block."""
FUSION_CONSTANT = 60
"""The constant k of reciprocal rank fusion, with its usual value."""

_WORDS_AROUND = ("words", "chapter__words", "chapter__note__words")
_NO_WORDS = Value("", output_field=WordsField())


class Term(NamedTuple):
    """A word of a question: the query that finds it in the index, and its forms in texts."""

    tsquery: str
    forms: frozenset[str]
    is_pair: bool = False
    """Whether it is a pair of characters from a script without spaces. Many such pairs are not words."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The notes to search: the named ones, and those with one of the tags. With neither, all of the user's notes."""

    user_id: int
    note_ids: tuple[int, ...] = ()
    tags: tuple[str, ...] = ()

    def topics(self) -> QuerySet[Topic]:
        """The topics in scope, without those in the trash."""
        topics = Topic.objects.owned_by(self.user_id)
        if not self.note_ids and not self.tags:
            return topics
        return topics.filter(Q(chapter__note__in=self.note_ids) | Q(chapter__note__tags__overlap=list(self.tags)))


@dataclass(frozen=True, slots=True)
class LocatedBlock:
    """A block with its topic, its note and the titles above it."""

    block: Block
    topic_id: int
    note_id: int
    titles: tuple[str, ...]
    """The titles of the note, the chapter and the topic."""
    heading: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """The text of a block that is sent to the model: all of it, or one part, verbatim."""

    place: LocatedBlock
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """``passages`` are sent to the model, best first; ``places`` are all blocks that were read."""

    scope: Scope
    terms: list[Term] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    places: list[LocatedBlock] = field(default_factory=list)


def find_passages(question: str, scope: Scope) -> Found:
    """Find the passages in scope that fit a question, by its words and, with embeddings, by its meaning.

    Takes two queries, and one short transaction for each topic that has no blocks yet. Embeddings add four queries and
    one call to their provider.
    """
    terms = question_terms(question, user_id=scope.user_id)
    near = nearest_passages(question, user_id=scope.user_id, topics=scope.topics())
    places = list(read_blocks(_best_topics(terms, scope), user_id=scope.user_id)) if terms else []
    places += _read_near(near, places, scope)
    by_words, by_meaning = _ranked_by_words(terms, places), _ranked_by_meaning(near, places)
    return Found(scope, terms, _told(fused(by_words, by_meaning), terms, places), places)


def _read_near(near: Sequence[Near], places: Sequence[LocatedBlock], scope: Scope) -> Iterator[LocatedBlock]:
    """The blocks of the near topics that were not read yet, nearest first."""
    read = {place.topic_id for place in places}
    wanted = [pk for pk in dict.fromkeys(each.topic_id for each in near) if pk not in read]
    if not wanted:
        return iter(())
    nearness = Case(*(When(pk=pk, then=number) for number, pk in enumerate(wanted)))
    return read_blocks(scope.topics().filter(pk__in=wanted).order_by(nearness), user_id=scope.user_id)


def _ranked_by_meaning(near: Sequence[Near], places: Sequence[LocatedBlock]) -> list[int]:
    """The indexes of the near blocks, nearest first. A block that changed after it was embedded is left out."""
    if not near:
        return []
    rank = {(each.topic_id, each.hash): number for number, each in enumerate(near)}
    found: list[tuple[int, int]] = []
    for index, place in enumerate(places):
        digest = embedded_hash(place.block)
        if digest is not None and (place.topic_id, digest) in rank:
            found.append((rank[place.topic_id, digest], index))
    return [index for _, index in sorted(found)]


def fused(*rankings: Sequence[int]) -> list[int]:
    """Merge rankings by reciprocal rank fusion, best first: only the position in each ranking counts."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for place, each in enumerate(ranking):
            scores[each] = scores.get(each, 0.0) + 1 / (FUSION_CONSTANT + place)
    return sorted(scores, key=lambda each: -scores[each])


def question_terms(question: str, *, user_id: int) -> list[Term]:
    """The distinct words that say what a question is about, at most ``TERMS_MAX``."""
    text = unicodedata.normalize("NFC", question)
    found: dict[str, tuple[str, frozenset[str], bool]] = {}
    for word, start, end in words_in(text):
        if word.is_dense:
            # In a script without spaces a whole sentence is one word, so each pair of characters is searched for.
            found |= {unit: (unit, frozenset([unit]), True) for unit in word.units[:-1] or word.units}
        else:
            forms = frozenset([*word.units, *stems(list(word.units)), *filter(None, [word.other])])
            found.setdefault(" ".join(word.units) + word.other, (text[start:end], forms, False))
    named = {name: each for name, each in found.items() if name not in STOPWORDS and name not in ASKING}
    telling = {name: each for name, each in named.items() if len(name) > 1} or named
    terms = [
        Term(tsquery, forms, is_pair)
        for written, forms, is_pair in telling.values()
        if (tsquery := tsquery_of(written, user_id=user_id))
    ]
    return terms[:TERMS_MAX]


def enough_of(terms: Sequence[Term]) -> int:
    """How many of the terms must be found: half of the words, a third of the pairs. Fewer match by chance."""
    pairs = sum(term.is_pair for term in terms)
    return max(1, (len(terms) - pairs + 1) // 2 + pairs // 3)


def _best_topics(terms: Sequence[Term], scope: Scope) -> QuerySet[Topic, Any]:
    """The topics that contain most of the words, in their text or in the titles above them, best first.

    Only the topics that ``_most_promising`` names are ranked. It is a separate query: in one query PostgreSQL may rank
    the topics of all users first.
    """
    queries = [term.tsquery for term in terms]
    # While a large new topic waits for indexing, its note has no words; its other topics keep theirs.
    context = Concatenation(*(Coalesce(F(words), _NO_WORDS) for words in _WORDS_AROUND))
    words_found = reduce(add, (Case(When(Q(InIndex(context, Query(query))), then=1), default=0) for query in queries))
    return (
        Topic.objects.owned_by(scope.user_id)
        .filter(pk__in=_most_promising(queries, scope))
        .exclude(explanation="")
        .annotate(words_found=words_found, rank=SearchRank(context, AnyOf(queries)))
        .filter(words_found__gte=enough_of(terms))
        .order_by("-words_found", "-rank", "-pk")[:TOPICS_MAX]
    )


def _most_promising(queries: Sequence[str], scope: Scope) -> list[int]:
    """The ids of the topics with the most and the rarest of the words, from the index alone. One query."""
    any_word = AnyOf(queries)
    notes = Note.objects.owned_by(scope.user_id).live().filter(_in_index(any_word)).order_by("-updated_at", "-pk")
    chapters = Chapter.objects.owned_by(scope.user_id).filter(_in_index(any_word)).order_by("-pk")
    conditions = [
        reduce(Q.__and__, (_in_index(Query(query)) for query in queries)),
        Q(chapter__note__in=notes.values("pk")[:TITLES_MAX]),
        Q(chapter__in=chapters.values("pk")[:TITLES_MAX]),
        *(_in_index(Query(query)) for query in queries),
    ]
    parts = [
        scope.topics()
        .filter(condition)
        .order_by("-chapter__note__updated_at", "-pk")
        .values_list("pk", Value(number))[:COMPARED_MAX]
        for number, condition in enumerate(conditions)
    ]
    having = dict[int, set[int]]()
    for pk, number in parts[0].union(*parts[1:], all=True):
        having.setdefault(pk, set()).add(number)
    common = Counter(number for numbers in having.values() for number in numbers)
    worth = {pk: sum(math.log1p(len(having) / common[number]) for number in found) for pk, found in having.items()}
    return sorted(worth, key=lambda pk: (-worth[pk], -pk))[:RANKED_MAX]


def _in_index(query: Query | AnyOf) -> Q:
    return Q(InIndex(F("words"), query))


def topics_with_words(words: Iterable[str], scope: Scope, *, at_most: int) -> QuerySet[Topic, Any] | None:
    """The newest topics in scope that contain all of the words; None if no word can be searched for."""
    queries = [query for word in words if (query := tsquery_of(word, user_id=scope.user_id))]
    if not queries:
        return None
    every_word = reduce(Q.__and__, (_in_index(Query(query)) for query in queries))
    return scope.topics().filter(every_word).order_by("-chapter__note__updated_at", "-pk")[:at_most]


def read_blocks(topics: QuerySet[Topic, Any], *, user_id: int) -> Iterator[LocatedBlock]:
    """The blocks of the topics, in order. Topics without blocks get them now."""
    rows = topics.values_list(
        "pk", "explanation", "blocks", "chapter__note_id", "chapter__note__title", "chapter__title", "title"
    )
    room = TEXT_READ_MAX
    for topic_id, text, stored, note_id, *titles in rows:
        room -= len(text)
        if room < 0:
            return
        blocks = decode(stored, text)
        if blocks is None:
            try:
                blocks = get_blocks(user_id=user_id, topic_id=topic_id).blocks
            except Topic.DoesNotExist:  # deleted just now
                continue
        heading = ""
        for block in blocks:
            yield LocatedBlock(block, topic_id, note_id, tuple(titles), heading)
            if block.kind is Kind.HEADING:
                heading = block.text.strip().strip("#").strip()


def _ranked_by_words(terms: Sequence[Term], places: Sequence[LocatedBlock]) -> list[int]:
    """The indexes of the blocks with most of the words, best first.

    A block counts if it and the titles above it together contain ``enough_of`` the terms.
    """
    if not terms:
        return []
    own = [_terms_in(place.block.text, terms) for place in places]
    having = Counter(number for found in own for number in found)
    weights = [math.log1p(len(places) / (1 + having[number])) for number in range(len(terms))]
    above: dict[tuple[str, ...], frozenset[int]] = {}
    scored: list[tuple[float, int]] = []
    for index, (place, found) in enumerate(zip(places, own, strict=True)):
        if place.block.kind is Kind.HEADING:
            continue
        titles = (*place.titles, place.heading)
        if titles not in above:
            above[titles] = _terms_in("\n".join(titles), terms)
        around = above[titles] - found
        if len(found) + len(around) >= enough_of(terms):
            score = sum(weights[number] for number in found)
            score += CONTEXT_WEIGHT * sum(weights[number] for number in around)
            scored.append((-score, index))
    return [index for _, index in sorted(scored)]


def _told(ranked: Sequence[int], terms: Sequence[Term], places: Sequence[LocatedBlock]) -> list[Passage]:
    """The best passages, as many as fit into the limits of a prompt."""
    passages: list[Passage] = []
    room = PASSAGES_MAX_BYTES
    for index in ranked:
        text = _part_of(places[index].block.text, terms)
        room -= len(text.encode())
        if room < 0 or len(passages) == PASSAGES_MAX:
            break
        passages.append(Passage(places[index], text))
    return passages


def _terms_in(text: str, terms: Sequence[Term]) -> frozenset[int]:
    """The indexes of the terms that a text contains."""
    chunks = set(chunks_in(unicodedata.normalize("NFC", text)))
    words = {lexeme for chunk in chunks for _, lexeme in lexemes_of(chunk).placed}
    words.update(stems(list(words)))
    return frozenset(number for number, term in enumerate(terms) if not words.isdisjoint(term.forms))


def terms_in(text: str, terms: Sequence[Term]) -> int:
    """How many of the terms a text contains."""
    return len(_terms_in(text, terms))


def _part_of(text: str, terms: Sequence[Term]) -> str:
    """The text; of a long one, the part around the first of the words."""
    if len(text) <= PASSAGE_MAX:
        return text
    first = next(
        (at for word, at, _ in words_in(text) if any(not each.forms.isdisjoint(word.units) for each in terms)), 0
    )
    start = max(0, first - BEFORE_WORD)
    start = text.rfind(" ", max(0, start - BEFORE_WORD), start) + 1 or start  # do not start inside a word
    return text[start : start + PASSAGE_MAX]
