"""The sizes of notes: the UTF-8 bytes of titles, tags, explanations, code and sources.

New data is measured in Python, stored data by PostgreSQL; tests compare the two.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db.models import BigIntegerField, F, Func, OuterRef, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from notes.models import Chapter, Topic


def text_size(*texts: str) -> int:
    return sum(len(text.encode()) for text in texts)


def topic_size(
    *, title: str, explanation: str = "", code: str = "", sources: Iterable[Mapping[str, str]] = (), **_: Any
) -> int:
    links = (text for source in sources for text in (source["title"], source["url"]))
    return text_size(title, explanation, code, *links)


def chapter_size(*, title: str, topics: Iterable[Mapping[str, Any]] = (), **_: Any) -> int:
    return text_size(title) + sum(topic_size(**topic) for topic in topics)


def note_size(*, title: str, tags: Sequence[str] = (), chapters: Iterable[Mapping[str, Any]] = (), **_: Any) -> int:
    return text_size(title, *tags) + sum(chapter_size(**chapter) for chapter in chapters)


class _OctetLength(Func):
    """The length in bytes, which PostgreSQL knows without reading a long text."""

    function = "octet_length"
    output_field = BigIntegerField()


class _SourcesSize(Func):
    template = (
        "(SELECT COALESCE(SUM(octet_length(source->>'title') + octet_length(source->>'url')), 0)::bigint "
        "FROM jsonb_array_elements(%(expressions)s) AS source)"
    )
    output_field = BigIntegerField()


def stored_topic_size() -> Any:
    """The size of each topic of a queryset, as an expression."""
    return _OctetLength("title") + _OctetLength("explanation") + _OctetLength("code") + _SourcesSize("sources")


def _total(rows: QuerySet[Any], size: Any, *, by: str) -> Coalesce:
    totals = rows.order_by().values(by).annotate(total=Sum(size)).values("total")
    return Coalesce(Subquery(totals, output_field=BigIntegerField()), 0)


def stored_size() -> Any:
    """The size of each note of a queryset, as an expression."""
    chapters = Chapter.objects.filter(note=OuterRef("pk"))
    topics = Topic.objects.filter(chapter__note=OuterRef("pk"))
    tags = Func(F("tags"), Value(""), function="array_to_string")
    return (
        _OctetLength("title")
        + _OctetLength(tags)
        + _total(chapters, _OctetLength("title"), by="note")
        + _total(topics, stored_topic_size(), by="chapter__note")
    )


def size_of_title(chapter_id: int) -> int:
    return Chapter.objects.filter(pk=chapter_id).values_list(_OctetLength("title"), flat=True).first() or 0


def stored_chapter_size() -> Any:
    """The size of each chapter of a queryset, with its topics, as an expression."""
    topics = Topic.objects.filter(chapter=OuterRef("pk"))
    return _OctetLength("title") + _total(topics, stored_topic_size(), by="chapter")


def size_of_chapter(chapter_id: int) -> int:
    """The size of a chapter with its topics; 0 if it does not exist."""
    return Chapter.objects.filter(pk=chapter_id).values_list(stored_chapter_size(), flat=True).first() or 0


def size_of_topic(topic_id: int) -> int:
    """The size of a topic; 0 if it does not exist."""
    return Topic.objects.filter(pk=topic_id).values_list(stored_topic_size(), flat=True).first() or 0
