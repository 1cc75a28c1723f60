"""Finds the user's own topics on a subject, for offline answers."""

from dataclasses import dataclass
from functools import reduce
from operator import add

from django.contrib.postgres.search import SearchRank
from django.db.models import Case, F, Q, When

from ai_tasks.providers.offline.words import search_terms
from notes.models import Topic
from notes.search.conditions import AnyOf, InIndex, Query
from notes.search.query import tsquery_of

TERMS_MAX = 8


@dataclass(frozen=True, slots=True)
class Found:
    """A topic with the titles of its chapter and note."""

    id: int
    title: str
    explanation: str
    code: str
    code_language: str
    chapter_title: str
    note_title: str


def find_topics(*, user_id: int, subject: str, having: str, limit: int) -> list[Found]:
    """The user's topics that match most of the subject's words, best first.

    ``having`` names a field that must not be blank. One query; ``limit`` bounds its rows, the database's statement
    time-out its cost.
    """
    terms = [query for term in search_terms(subject, limit=TERMS_MAX) if (query := tsquery_of(term, user_id=user_id))]
    if not terms:
        return []
    any_term = AnyOf(terms)
    terms_found = reduce(add, (Case(When(_has(Query(term)), then=1), default=0) for term in terms))
    rows = (
        Topic.objects.owned_by(user_id)
        .filter(_has(any_term))
        .exclude(**{having: ""})
        .annotate(terms_found=terms_found, rank=SearchRank(F("words"), any_term))
        .filter(terms_found__gte=(len(terms) + 1) // 2)
        .order_by("-terms_found", "-rank", "id")
        .values_list("id", "title", "explanation", "code", "code_language", "chapter__title", "chapter__note__title")
    )
    return [Found(*row) for row in rows[:limit]]


def _has(query: Query | AnyOf) -> Q:
    return Q(InIndex(F("words"), query))
