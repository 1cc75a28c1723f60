"""Querysets of notes, chapters, topics and versions: chainable, never evaluated here.

They do not load the search vectors, which are as long as the texts.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from django.apps import apps
from django.contrib.postgres.aggregates import StringAgg
from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.search import SearchQuery, SearchRank, SearchVectorField
from django.db import models
from django.db.models import Count, F, Max, OuterRef, Prefetch, Q, Subquery, Value, Window
from django.db.models.functions import Coalesce, Concat, Left, Now
from django.db.models.lookups import GreaterThan

from notes.contents import CHAPTER_SHOWN, NOTE_SHOWN, TOPIC_KEPT, TOPIC_SHOWN
from notes.search import conditions
from notes.search.query import SearchTerms

CHAPTER_SEPARATOR = " · "
NOTE_ORDERINGS = ("-updated_at", "updated_at", "-created_at", "created_at", "title", "-title")
SEARCH_RESULTS_MAX = 20
RANKED_MAX = 1_000
"""The maximum number of matches that are ranked and counted: the newest ones."""
RANKED_MAX_OF_MANY = 200
"""The maximum number that is ranked if a search has more than ``FEW_FOR_RANKING`` matches."""
SNIPPET_SOURCE_LENGTH = 10_000
"""The number of characters of a text from which a snippet is made."""


def note_ordering(filters: Mapping[str, Any]) -> tuple[str, str]:
    """The ordering of a list of notes; it ends in a unique column. Raises ``ValueError`` for an unknown ordering."""
    ordering = filters.get("ordering") or NOTE_ORDERINGS[0]
    if ordering not in NOTE_ORDERINGS:
        raise ValueError(f"Notes cannot be ordered by {ordering!r}.")
    # Titles are ordered by a separate key, so cursors of earlier releases are invalid.
    return ordering.replace("title", "title_key"), "-id" if ordering.startswith("-") else "id"


class NoteQuerySet(models.QuerySet):
    def owned_by(self, user_id: int) -> Self:
        return self.filter(user_id=user_id)

    def live(self) -> Self:
        """Notes that are not in the trash."""
        return self.filter(deleted_at=None)

    def trashed(self) -> Self:
        return self.filter(deleted_at__isnull=False)

    def tagged(self, tags: Sequence[str]) -> Self:
        """Notes that have all of the tags."""
        return self.filter(conditions.have_tags(tags))

    def matching(self, terms: SearchTerms, *, among: str | None = None) -> Self:
        """Notes that have every word somewhere. ``among``: see ``conditions.every_among``."""
        if terms.is_nothing:
            return self.none()
        every = conditions.every(terms, conditions.anywhere_in_note)
        return self.filter(conditions.of_note(terms), conditions.every_among(among, every, terms))

    def titled(self, terms: SearchTerms, *, among: str | None = None) -> Self:
        """Notes that have every word in their title, tags and chapters' titles."""
        every = conditions.every(terms, conditions.in_titles_of_note)
        return self.filter(conditions.of_note(terms), conditions.every_among(among, every, terms))

    def newest(self, count: int = RANKED_MAX) -> Self:
        """The newest ``count`` matches, and one more, which shows that there are more."""
        return self.order_by("-updated_at", "-id")[: count + 1]

    def titled_by_key(self, key: Any) -> Self:
        """Notes whose titles have this ``key_without_case``: a text, or an expression."""
        beyond = Concat(key, Value("\x04")) if hasattr(key, "resolve_expression") else f"{key}\x04"
        return self.filter(title_key__gte=key, title_key__lt=beyond)

    def filtered(self, filters: Mapping[str, Any]) -> Self:
        """The rows of a list. ``filters``: see ``QueryOptimizer.get_notes_for_list``; ``search`` is ``SearchTerms``."""
        notes = self.trashed() if filters.get("trash") else self.live()
        if status := filters.get("status"):
            notes = notes.filter(status=status)
        if tags := filters.get("tags"):
            notes = notes.tagged(tags)
        if terms := filters.get("search"):
            notes = notes.matching(terms)
        return notes.for_list().order_by(*note_ordering(filters))

    def in_reading_order(self) -> Self:
        """Joined with chapters and topics, one row for each topic; use it with ``values()``."""
        return self.order_by("chapters__order", "chapters__topics__order")

    def scalars(self) -> Self:
        """Load the note's own columns, and those of a page's cursor."""
        return self.only(*NOTE_SHOWN, "title_key")

    def for_list(self) -> Self:
        """Load the fields of a row of the list."""
        return self.scalars().annotate(
            chapter_count=_count(_chapters().filter(note=OuterRef("pk")), by="note"),
            topic_count=_count(_topics().filter(chapter__note=OuterRef("pk")), by="chapter__note"),
        )

    def for_detail(self) -> Self:
        """Load notes with all chapters and topics: three queries for any number of them."""
        return self._with_contents(_topics().contents())

    def for_snapshot(self) -> Self:
        """Load the fields of a snapshot: as :meth:`for_detail`, and the topics' blocks."""
        return self._with_contents(_topics().only("chapter_id", "id", "order", *TOPIC_KEPT).order_by("order"))

    def _with_contents(self, topics: models.QuerySet) -> Self:
        chapters = _chapters().titles().prefetch_related(Prefetch("topics", queryset=topics))
        return self.scalars().prefetch_related(Prefetch("chapters", queryset=chapters))

    def ranked(self, terms: SearchTerms, *, are_many: bool = False) -> Self:
        """The best of these notes, with ``rank``, ``capped`` and the ``text`` of a snippet.

        ``capped``: whether there are more matches than are compared.
        """
        rank: Any = Value(0.0)
        if terms.wanted:
            query = conditions.AnyOf(terms.wanted)
            chapters = _chapters().filter(note=OuterRef("pk")).order_by().values("note")
            best = chapters.annotate(best=Max(SearchRank(F("words"), query))).values("best")
            rank = Coalesce(SearchRank(F("words"), query), _old_rank(terms)) + Coalesce(Subquery(best), 0.0)
        return (
            self.annotate(rank=rank, capped=_are_more(are_many), text=Subquery(_titles_of_chapters()))
            .only("id", "title")
            .order_by("-rank", "-updated_at", "-id")[:SEARCH_RESULTS_MAX]
        )


class ChapterQuerySet(models.QuerySet):
    def owned_by(self, user_id: int) -> Self:
        """Chapters in the user's notes outside the trash."""
        return self.filter(note__user_id=user_id, note__deleted_at=None)

    def titles(self) -> Self:
        return self.only("note_id", *CHAPTER_SHOWN).order_by("order")

    def for_api(self) -> Self:
        """Load the fields that the API shows, including the note's version."""
        return self.titles().annotate(version=F("note__version"))


class TopicQuerySet(models.QuerySet):
    def owned_by(self, user_id: int) -> Self:
        """Topics in the user's notes outside the trash."""
        return self.filter(chapter__note__user_id=user_id, chapter__note__deleted_at=None)

    def contents(self) -> Self:
        return self.only("chapter_id", *TOPIC_SHOWN).order_by("order")

    def for_api(self) -> Self:
        """Load the fields that the API shows, including the note's id and version."""
        return self.contents().annotate(note_id=F("chapter__note_id"), version=F("chapter__note__version"))

    def matching(self, terms: SearchTerms, *, among: str | None = None) -> Self:
        """Topics with at least one word in their own text, and every word there or in the titles above them.

        ``among``: see ``conditions.every_among``.
        """
        if not terms.wanted:
            return self.none()
        # A single word is in the topic's own text, so the titles need not be searched.
        every = Q() if terms.is_one_word else conditions.every(terms, conditions.around_topic)
        note, path = "chapter__note__", "pk" if len(terms.wanted) == 1 else "chapter__note_id"
        every = conditions.every_among(among, conditions.in_topic(terms) & every, terms, path=path, note=note)
        return self.filter(conditions.of_note(terms, path=note), every)

    def newest(self) -> Self:
        return self.order_by("-chapter__note__updated_at", "-id")[: RANKED_MAX + 1]

    def walked(self, notes: NoteQuerySet) -> models.QuerySet[Any, Any]:
        """The ids of the newest of these topics, found by walking the notes, as ``pk``.

        Each note yields an array: for a join, PostgreSQL would read all topics first.
        """
        topics = ArraySubquery(self.filter(chapter__note=OuterRef("pk")).order_by().values("pk"))
        walked = notes.order_by("-updated_at", "-id").annotate(topic=Unnest(topics))
        return walked.values("topic")[: RANKED_MAX_OF_MANY + 1]

    def ranked(self, terms: SearchTerms, *, are_many: bool = False) -> Self:
        """The best of these topics, with ``note_id`` and the columns of ``NoteQuerySet.ranked``."""
        if not terms.wanted:
            return self.none()
        # The vectors are ranked separately: concatenating them costs as much as ranking.
        query, titles = conditions.AnyOf(terms.wanted), ("chapter__words", "chapter__note__words")
        rank: Any = Coalesce(SearchRank(F("words"), query), _old_rank(terms))
        for words in titles:
            rank += Coalesce(SearchRank(F(words), query), 0.0)
        text = Left(Concat("explanation", Value("\n"), "code", output_field=models.TextField()), SNIPPET_SOURCE_LENGTH)
        return (
            self.annotate(
                rank=rank,
                capped=_are_more(are_many),
                # A subquery, which PostgreSQL runs only for the rows of the result.
                text=Subquery(_topics().filter(pk=OuterRef("pk")).values(shown=text)),
                note_id=F("chapter__note_id"),
            )
            .only("id", "chapter_id", "title")
            .order_by("-rank", "-chapter__note__updated_at", "-id")[:SEARCH_RESULTS_MAX]
        )


class NoteVersionQuerySet(models.QuerySet):
    def owned_by(self, user_id: int) -> Self:
        return self.filter(note__user_id=user_id, note__deleted_at=None)

    def for_list(self) -> Self:
        """All fields except the snapshots, which are as long as the notes; newest first."""
        return self.defer("snapshot", "kept_topics").order_by("-version")


class AttachmentQuerySet(models.QuerySet):
    def owned_by(self, user_id: int) -> Self:
        """Attachments of the user's notes outside the trash."""
        return self.filter(user_id=user_id, note__deleted_at=None)

    def of_living_user(self, user_id: int) -> Self:
        """As :meth:`owned_by`, but none if the account was deactivated: for links that need no sign-in."""
        return self.owned_by(user_id).filter(user__is_active=True)


class ShareQuerySet(models.QuerySet):
    def owned_by(self, user_id: int) -> Self:
        """Shares of the user's notes outside the trash, including expired ones."""
        return self.filter(note__user_id=user_id, note__deleted_at=None)

    def open(self) -> Self:
        """Shares that can be read: not expired, of a note outside the trash, whose owner is active."""
        not_expired = Q(expires_at=None) | Q(expires_at__gt=Now())
        return self.filter(not_expired, note__deleted_at=None, note__user__is_active=True)


def _chapters() -> ChapterQuerySet:
    return apps.get_model("notes", "Chapter").objects.all()


def _topics() -> TopicQuerySet:
    return apps.get_model("notes", "Topic").objects.all()


def _count(rows: models.QuerySet, *, by: str) -> Coalesce:
    """Count the rows of a correlated subquery. A join would multiply chapters by topics."""
    return Coalesce(Subquery(rows.order_by().values(by).annotate(count=Count("*")).values("count")), 0)


def _are_more(are_many: bool) -> GreaterThan:
    return GreaterThan(Window(Count("*")), RANKED_MAX_OF_MANY if are_many else RANKED_MAX)


def _titles_of_chapters() -> models.QuerySet:
    titles = _chapters().filter(note=OuterRef("pk")).order_by().values("note")
    return titles.annotate(text=StringAgg("title", CHAPTER_SEPARATOR, order_by="order")).values("text")


class Unnest(models.Func):
    function = "unnest"
    set_returning = True
    output_field = models.BigIntegerField()


class Concatenation(models.Func):
    """The concatenation of several search vectors."""

    template = "(%(expressions)s)"
    arg_joiner = " || "
    output_field = SearchVectorField()


def _old_rank(terms: SearchTerms) -> Coalesce:
    """The rank by the search vector of earlier releases, whose lexemes differ from today's."""
    query = SearchQuery(terms.wanted_words[0], config=conditions.OLD_CONFIG)
    for words in terms.wanted_words[1:]:
        query |= SearchQuery(words, config=conditions.OLD_CONFIG)
    return Coalesce(SearchRank(F("search"), query), 0.0)
