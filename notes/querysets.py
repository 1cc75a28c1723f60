"""The SQL ideas of notes: chainable, never evaluated here.

Nothing here loads the search vectors, which are as long as the texts.
"""

from collections.abc import Sequence
from typing import Self

from django.apps import apps
from django.contrib.postgres.aggregates import StringAgg
from django.contrib.postgres.search import SearchHeadline, SearchQuery, SearchRank, SearchVector
from django.db import models
from django.db.models import Count, Exists, F, OuterRef, Prefetch, Q, Subquery, Value
from django.db.models.functions import Coalesce, Concat

from notes.search import (
    MARK_START,
    MARK_STOP,
    SEARCH_CONFIG,
    Concatenation,
    SearchTerms,
    any_word,
    every_word,
    snippet_source,
)

CHAPTER_SEPARATOR = " · "


class NoteQuerySet(models.QuerySet):
    def owned_by(self, user_id: int) -> Self:
        return self.filter(user_id=user_id)

    def live(self) -> Self:
        """Not in the trash."""
        return self.filter(deleted_at=None)

    def trashed(self) -> Self:
        return self.filter(deleted_at__isnull=False)

    def tagged(self, tags: Sequence[str]) -> Self:
        """Notes that have all of the tags."""
        return self.filter(tags__contains=list(tags))

    def matching(self, terms: SearchTerms) -> Self:
        """Notes in which each word is found somewhere."""
        return self.filter(every_word(terms, _anywhere_in_note, tags="tags")) if terms.words else self

    def scalars(self) -> Self:
        """Load the note's own columns."""
        return self.only("id", "title", "status", "tags", "version", "created_at", "updated_at")

    def for_list(self) -> Self:
        """Load what a row of the list shows."""
        return self.scalars().annotate(
            chapter_count=_count(_chapters().filter(note=OuterRef("pk")), by="note"),
            topic_count=_count(_topics().filter(chapter__note=OuterRef("pk")), by="chapter__note"),
        )

    def for_detail(self) -> Self:
        """Load a row with all chapters and topics: three queries, however many there are."""
        topics = Prefetch("topics", queryset=_topics().contents())
        chapters = Prefetch("chapters", queryset=_chapters().titles().prefetch_related(topics))
        return self.scalars().prefetch_related(chapters)

    def ranked(self, terms: SearchTerms) -> Self:
        """Notes in whose title, tags and chapters' titles each word is found, the best first, each with a headline."""
        if not terms.words:
            return self.none()
        query = any_word(terms.words)
        vector = Concatenation(F("search"), SearchVector("chapter_titles", weight="B", config=SEARCH_CONFIG))
        return (
            self.filter(every_word(terms, _in_titles_of_note, tags="tags"))
            .alias(chapter_titles=Coalesce(Subquery(_titles_of_chapters()), Value(""), output_field=models.TextField()))
            .annotate(rank=SearchRank(vector, query), headline=_headline(F("chapter_titles"), query))
            .only("id", "title")
            .order_by("-rank", "-updated_at", "-id")
        )


class ChapterQuerySet(models.QuerySet):
    def owned_by(self, user_id: int) -> Self:
        """Chapters in the user's notes outside the trash."""
        return self.filter(note__user_id=user_id, note__deleted_at=None)

    def titles(self) -> Self:
        return self.only("id", "note_id", "title", "order").order_by("order")

    def for_api(self) -> Self:
        """Load what the API shows of a chapter, its note's version included."""
        return self.titles().annotate(version=F("note__version"))


class TopicQuerySet(models.QuerySet):
    def owned_by(self, user_id: int) -> Self:
        """Topics in the user's notes outside the trash."""
        return self.filter(chapter__note__user_id=user_id, chapter__note__deleted_at=None)

    def contents(self) -> Self:
        return self.only(
            "id", "chapter_id", "title", "order", "explanation", "code", "code_language", "sources"
        ).order_by("order")

    def for_api(self) -> Self:
        """Load what the API shows of a topic, its note's version included, and which note that is."""
        return self.contents().annotate(note_id=F("chapter__note_id"), version=F("chapter__note__version"))

    def ranked(self, terms: SearchTerms) -> Self:
        """Topics that have a word themselves and every word together with the titles above them, the best first."""
        if not terms.words:
            return self.none()
        query = any_word(terms.words)
        context = Concatenation(F("search"), F("chapter__search"), F("chapter__note__search"))
        text = Concat("explanation", Value("\n"), "code", output_field=models.TextField())
        return (
            self.filter(search=query)
            .alias(context=context)
            .filter(every_word(terms, lambda word: Q(context=word), tags="chapter__note__tags"))
            .annotate(
                rank=SearchRank(F("context"), query),
                headline=_headline(text, query),
                note_id=F("chapter__note_id"),
            )
            .only("id", "chapter_id", "title")
            .order_by("-rank", "-chapter__note__updated_at", "-id")
        )


class NoteVersionQuerySet(models.QuerySet):
    def owned_by(self, user_id: int) -> Self:
        return self.filter(note__user_id=user_id, note__deleted_at=None)

    def for_list(self) -> Self:
        """Everything but the snapshots, which are as long as the notes; the newest first."""
        return self.defer("snapshot").order_by("-version")


def _chapters() -> ChapterQuerySet:
    return apps.get_model("notes", "Chapter").objects.all()


def _topics() -> TopicQuerySet:
    return apps.get_model("notes", "Topic").objects.all()


def _count(rows: models.QuerySet, *, by: str) -> Coalesce:
    """Count the rows of a correlated query. A join would multiply chapters by topics."""
    return Coalesce(Subquery(rows.order_by().values(by).annotate(count=Count("*")).values("count")), 0)


def _titles_of_chapters() -> models.QuerySet:
    titles = _chapters().filter(note=OuterRef("pk")).order_by().values("note")
    return titles.annotate(text=StringAgg("title", CHAPTER_SEPARATOR, order_by="order")).values("text")


def _in_titles_of_note(word: SearchQuery) -> Q:
    return Q(search=word) | Q(Exists(_chapters().filter(note=OuterRef("pk"), search=word)))


def _anywhere_in_note(word: SearchQuery) -> Q:
    return _in_titles_of_note(word) | Q(Exists(_topics().filter(chapter__note=OuterRef("pk"), search=word)))


def _headline(text: models.F | models.Func, query: SearchQuery) -> SearchHeadline:
    return SearchHeadline(
        snippet_source(text),
        query,
        config=SEARCH_CONFIG,
        start_sel=MARK_START,
        stop_sel=MARK_STOP,
        max_words=35,
        min_words=15,
    )
