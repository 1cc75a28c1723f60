"""Search terms as conditions on notes, chapters and topics.

A word can be found in two ways, and the number of its matches decides which one is cheaper. If there are few, the index
lists them. If there are many, the notes are walked in the requested order until enough match. Both ways check every
term.

A row that has no vector yet (``words`` is NULL) is found by the vector of earlier releases.
"""

from collections.abc import Callable, Sequence
from typing import Any

from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.search import SearchQuery, SearchVectorExact
from django.db import models
from django.db.models import Case, ExpressionWrapper, F, Func, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import Coalesce
from django.db.models.lookups import IsNull

from notes.search.query import SearchTerms

FEW_FOR_PAGE = 1_000
FEW_FOR_RANKING = 2_500
"""The maximum number of matches that counts as few: for a page of a list, and for ranking."""
LOOKED_AT = 200
"""The number of newest notes by which the number of a word's matches is estimated."""
MANY_NOTES = 5_000
"""A word in half of the newest notes counts as frequent if the user has more notes than this."""
LEAST_SEEN = 10
"""A word in fewer of the newest notes never counts as frequent; its matches are counted."""
OLD_CONFIG = "english"


class Query(Func):
    """A tsquery, from its text in PostgreSQL's syntax."""

    template = "(%(expressions)s)::tsquery"
    output_field = models.TextField()

    def __init__(self, text: str) -> None:
        super().__init__(Value(text))


class IndexedQuery(Query):
    """A tsquery whose words are hidden from the planner, so that it uses the index.

    For a frequent word with a limit, the planner would otherwise scan the table with the rows of all users, and read
    each vector.
    """

    template = "(SELECT (%(expressions)s)::tsquery)"


class AnyOf(Func):
    """A tsquery that matches if at least one of several does."""

    template = "(%(expressions)s)"
    arg_joiner = " || "
    output_field = models.TextField()

    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__(*map(Query, texts))


class Has(Func):
    """Whether a row matches, checked row by row, without an index.

    The second condition is used if the first one is NULL, as the row has no vector yet.
    """

    function = "COALESCE"
    output_field = models.BooleanField()
    conditional = True


class InIndex(Func):
    """Whether a vector matches a query; the index can be used."""

    template = "(%(expressions)s)"
    arg_joiner = " @@ "
    output_field = models.BooleanField()
    conditional = True


class _IsAnyOf(Func):
    # Without the cast PostgreSQL would expect the subquery to yield a row for each id.
    template = "(%(expressions)s::bigint[]))"
    arg_joiner = " = ANY ("
    output_field = models.BooleanField()
    conditional = True


class _IfFew(Subquery):
    """The ids of a query as an array; NULL if there are more than ``at_most``."""

    template = (
        "(SELECT CASE WHEN count(*) <= %(at_most)s THEN coalesce(array_agg(hits.hit), '{}') END "
        "FROM (%(subquery)s) AS hits)"
    )
    output_field = ArrayField(models.BigIntegerField())

    def __init__(self, rows: Any, *, at_most: int) -> None:
        super().__init__(rows[: at_most + 1], at_most=at_most)


class _IsFrequent(Func):
    """Whether a term is frequent, estimated from two querysets: see ``few_unless_frequent``."""

    template = (
        "(SELECT EXISTS (SELECT FROM (SELECT count(*) FILTER (WHERE newest.has_term) AS with_it FROM %(expressions)s "
        "AS mine OFFSET %(many)s / greatest(seen.with_it, 1) LIMIT 1) AS beyond WHERE seen.with_it >= %(least)s))"
    )
    arg_joiner = " AS newest) AS seen, LATERAL (SELECT FROM "
    output_field = models.BooleanField()
    conditional = True

    def __init__(self, newest: Any, all_of_user: Any, *, many_notes: int) -> None:
        """``newest``: rows with ``has_term``. The more of them have it, the fewer notes make the term frequent."""
        super().__init__(
            Subquery(newest[:LOOKED_AT]), Subquery(all_of_user), many=many_notes * LOOKED_AT // 2, least=LEAST_SEEN
        )


def _rows(model: str) -> Any:
    return apps.get_model("notes", model).objects.order_by()


def _has(term: str, words: str, *, path: str = "") -> Q:
    """The rows at the lookup path ``path`` that have a term in their own text."""
    found_before: Any = SearchVectorExact(F(f"{path}search"), SearchQuery(words, config=OLD_CONFIG))
    return Q(Has(InIndex(F(f"{path}words"), Query(term)), found_before))


def _note_has(term: str, words: str, *, path: str = "") -> Q:
    """As :func:`_has`, for notes: the vectors of earlier releases did not include tags."""
    return _has(term, words, path=path) | Q(**{f"{path}words": None, f"{path}tags__contains": [words]})


def _exist(rows: Any) -> Q:
    # A scalar subquery, as PostgreSQL may answer EXISTS by reading all rows of all notes first.
    return Q(IsNull(Subquery(rows.values("pk")[:1]), False))


def in_titles_of_note(term: str, words: str) -> Q:
    """The notes that have a term in their title, tags or chapter titles."""
    chapters = _rows("Chapter").filter(_has(term, words), note=OuterRef("pk"))
    return _note_has(term, words) | _exist(chapters)


def in_topics_of_note(term: str, words: str) -> Q:
    return _exist(_rows("Topic").filter(_has(term, words), chapter__note=OuterRef("pk")))


def anywhere_in_note(term: str, words: str) -> Q:
    return in_titles_of_note(term, words) | in_topics_of_note(term, words)


def around_topic(term: str, words: str) -> Q:
    """The topics that have a term in their own text, or in their chapter's title or their note's title or tags."""
    note = _note_has(term, words, path="chapter__note__")
    return _has(term, words) | _has(term, words, path="chapter__") | note


def in_topic(terms: SearchTerms) -> Q:
    """The topics that have at least one of the terms in their own text."""
    condition = Q()
    for term, words in zip(terms.wanted, terms.wanted_words, strict=True):
        condition |= _has(term, words)
    return condition


def every(terms: SearchTerms, found: Callable[[str, str], Q]) -> Q:
    """The rows in which every wanted term is ``found`` and no unwanted one is."""
    condition = Q()
    for term, words in zip(terms.wanted, terms.wanted_words, strict=True):
        condition &= found(term, words)
    for term, words in zip(terms.unwanted, terms.unwanted_words, strict=True):
        condition &= ~found(term, words)
    return condition


def of_note(terms: SearchTerms, *, path: str = "") -> Q:
    """The search's conditions on notes: tags and status."""
    condition = Q()
    if terms.tags:
        condition &= have_tags(terms.tags, path=path)
    for tag in terms.unwanted_tags:
        condition &= ~Q(**{f"{path}tags__contains": [tag]})
    for status in terms.statuses:
        condition &= Q(**{f"{path}status": status})
    for status in terms.unwanted_statuses:
        condition &= ~Q(**{f"{path}status": status})
    return condition


def have_tags(tags: Sequence[str], *, path: str = "") -> Q:
    """The notes that have all of the tags, checked row by row, as the index of tags has the notes of all users."""
    return Q(Has(Q(**{f"{path}tags__contains": list(tags)}), False))


def few(wanted: Sequence[str], user_id: int, *, kind: str, at_most: int) -> Any:
    """The ids of possible matches as an array: the rows of the first term with few matches; NULL without such a term.

    ``wanted``: the terms' tsqueries. ``kind``: ``anywhere`` finds notes by all their text, ``titled`` by their titles.
    ``topics`` finds topics by their own text: the array has their ids, or, with several terms, the ids of their notes.
    """
    arrays = [_IfFew(_found_by(term, user_id, kind, is_alone=len(wanted) == 1), at_most=at_most) for term in wanted]
    return arrays[0] if len(arrays) == 1 else Coalesce(*arrays)


def few_unless_frequent(
    terms: Sequence[tuple[str, str]], user_id: int, *, kind: str, at_most: int, many_notes: int
) -> Any:
    """As :func:`few`, but matches of a frequent term are not counted, as that would take longer.

    A term is frequent if half of the newest ``LOOKED_AT`` notes have it and the user has more than ``many_notes``, or
    if a quarter of them have it and the user has more than twice as many, and so on. ``terms``: the tsquery and the
    text of each.
    """
    notes = _rows("Note").filter(user_id=user_id, deleted_at=None)
    arrays = []
    for term, words in terms:
        has_term = ExpressionWrapper(_where(term, words, kind), models.BooleanField())
        newest = notes.order_by("-updated_at", "-id").values(has_term=has_term)
        is_frequent = Q(_IsFrequent(newest, notes.values("pk"), many_notes=many_notes))
        found = _IfFew(_found_by(term, user_id, kind, is_alone=len(terms) == 1), at_most=at_most)
        arrays.append(Case(When(is_frequent, then=None), default=found))
    return arrays[0] if len(arrays) == 1 else Coalesce(*arrays)


def _where(term: str, words: str, kind: str) -> Q:
    """The notes that have a term; ``kind`` as for :func:`few`."""
    match kind:
        case "titled":
            return in_titles_of_note(term, words)
        case "topics":
            return in_topics_of_note(term, words)
    return anywhere_in_note(term, words)


def _found_by(term: str, user_id: int, kind: str, *, is_alone: bool) -> Any:
    if kind == "topics" and is_alone:
        return _topics_with(term, user_id)
    return _notes_with(term, user_id, titles_only=kind == "titled")


def every_among(ids: str | None, every: Q, terms: SearchTerms, *, path: str = "pk", note: str = "") -> Q:
    """The rows for which ``every`` holds. With ``ids``, the result of :func:`few`, only rows with these ids.

    Matches of a single word in the index are not checked again, unless their note has no vector yet.
    """
    if ids is None:
        return every
    among = Q(is_among(path, Value(ids)))
    return among & (Q(**{f"{note}words__isnull": False}) | every) if terms.is_one_word else among & every


def is_among(path: str, ids: Any) -> _IsAnyOf:
    return _IsAnyOf(F(path), ids)


def are_many(ids: Any) -> Q:
    return Q(IsNull(ids, True))


def _topics_with(term: str, user_id: int) -> Any:
    """The topics with the term in their own text, and all topics of notes that have no vector yet."""
    topics = _rows("Topic").filter(InIndex(F("words"), IndexedQuery(term))).values(hit=F("pk"))
    without_words = _rows("Topic").filter(chapter__note__words=None, chapter__note__user_id=user_id)
    return topics.union(without_words.values(hit=F("pk")), all=True)


def _notes_with(term: str, user_id: int, *, titles_only: bool) -> Any:
    """The notes with the term, and all notes that have no vector yet."""
    has_term = InIndex(F("words"), IndexedQuery(term))
    found = [
        _rows("Chapter").filter(has_term).values(hit=F("note_id")),
        _rows("Note").filter(words=None, user_id=user_id).values(hit=F("pk")),
    ]
    if not titles_only:
        # Not a join, for which PostgreSQL may read all chapters.
        note_id = _rows("Chapter").filter(pk=OuterRef("chapter_id")).values("note_id")
        found.append(_rows("Topic").filter(has_term).values(hit=Subquery(note_id)))
    notes = _rows("Note").filter(has_term).values(hit=F("pk"))
    return notes.union(*found, all=True)
