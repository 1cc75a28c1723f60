"""Finds the passages nearest in meaning to a question: an exact search over the user's own vectors.

If embeddings fail for any reason, nothing is found here and only the word search is used.
"""

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.conf import settings
from django.db import DatabaseError, models, transaction
from django.db.models import F, Func, QuerySet, Value

from ai_tasks.embedding_rows import PassageVector
from ai_tasks.embeddings import calls
from ai_tasks.providers import embedding_endpoint
from ai_tasks.providers.errors import ProviderError
from ai_tasks.spending import AIBudgetReached
from notes.models import Topic

logger = logging.getLogger(__name__)

QUESTION_SECONDS = 10.0
"""The time limit for embedding a question."""
NEAREST_MAX = 20


class Near(NamedTuple):
    """A passage near a question: its topic, the hash of its text, and the cosine similarity."""

    topic_id: int
    hash: str
    similarity: float


class _Vector(Func):
    """Converts an array or a text to pgvector's type."""

    template = "(%(expressions)s)::vector"
    output_field = models.TextField()


class _CosineDistance(Func):
    template = "(%(expressions)s)"
    arg_joiner = " <=> "
    output_field = models.FloatField()


def nearest_passages(question: str, *, user_id: int, topics: QuerySet[Topic, Any]) -> list[Near]:
    """The nearest passages in these topics, nearest first; empty if none is near enough or the search is not possible.

    Three queries and one call; no query if embeddings are off.
    """
    endpoint = embedding_endpoint()
    if endpoint is None:
        return []
    standing = calls.standing_of(endpoint)
    mine = PassageVector.objects.filter(user_id=user_id, model=standing.name, dimension=standing.dimension)
    if not standing.dimension or calls.is_paused(standing) or not mine.exists():
        return []
    try:
        asked = calls.embed([question], user_id=user_id, endpoint=endpoint, standing=standing, seconds=QUESTION_SECONDS)
    except ProviderError as error:
        logger.warning("A question is answered by word search only; embeddings failed: %s", error.code)
        return []
    except AIBudgetReached as reached:
        logger.info("A question is answered by word search only: %s", reached.detail)
        return []
    if asked.dimension != standing.dimension:
        logger.warning(
            "A question is answered by word search only: its vector has %d numbers, those of passages have %d",
            asked.dimension, standing.dimension,
        )  # fmt: skip
        return []
    try:
        with transaction.atomic():
            return nearest_to(asked.vectors[0], among=mine, topics=topics)
    except DatabaseError as error:
        logger.warning("A question is answered by word search only; the vector search failed: %s", error)
        return []


def nearest_to(vector: Sequence[float], *, among: QuerySet[PassageVector], topics: QuerySet[Topic, Any]) -> list[Near]:
    """The nearest of these vectors, which must have one dimension, in these topics. One query."""
    asked = _Vector(Value(f"[{','.join(map(repr, vector))}]", output_field=models.TextField()))
    rows = (
        among.filter(topic__in=topics.values("pk"))
        .annotate(distance=_CosineDistance(_Vector(F("vector")), asked))
        .order_by("distance", "pk")
        .values_list("topic_id", "hash", "distance")[:NEAREST_MAX]
    )
    return [
        Near(topic_id, digest, 1 - distance)
        for topic_id, digest, distance in rows
        if 1 - distance >= settings.EMBEDDINGS_MIN_SIMILARITY
    ]
