"""Calls the embeddings provider: with a time limit and a record of the cost, and not during an outage."""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import F, Value
from django.db.models.functions import Least, Now
from django.utils import timezone

from ai_tasks import prices
from ai_tasks.embedding_rows import EmbeddingModel
from ai_tasks.embeddings.use import charge, settle, take_back
from ai_tasks.observed_calls import count_tokens, observed_call
from ai_tasks.providers import EMBEDDINGS, load_embedding_provider
from ai_tasks.providers.base import Embeddings, Endpoint, Usage
from ai_tasks.providers.errors import ProviderError, ProviderUnavailable

logger = logging.getLogger(__name__)

FIRST_PAUSE = timedelta(seconds=15)
LONGEST_PAUSE = timedelta(minutes=10)
FAILURES_MAX = 1_000
ABOUT_THE_TEXT = frozenset({"provider_context_too_long", "provider_rejected", "answer_refused"})
"""Errors specific to one request: others may succeed."""


class Stopped(BaseException):
    """The worker is shutting down. Not an ``Exception``, so that no error handling catches it."""


class _SilentObserver:
    """An observer that reports nothing: it only ends the call at its deadline, or when the worker stops."""

    def __init__(self, seconds: float, should_stop: Callable[[], bool]) -> None:
        self.deadline = time.monotonic() + seconds
        self._should_stop = should_stop

    def progress(self, percent: int, message: str, text: str = "") -> None:
        """No-op."""

    def delta(self, text: str) -> None:
        """No-op."""

    def restart(self) -> None:
        """No-op."""

    def check(self) -> None:
        if self._should_stop():
            raise Stopped


def standing_of(endpoint: Endpoint) -> EmbeddingModel:
    """What is known about the model. One query."""
    return EmbeddingModel.objects.filter(pk=endpoint.model).first() or EmbeddingModel(name=endpoint.model)


def is_paused(standing: EmbeddingModel) -> bool:
    return standing.paused_until is not None and standing.paused_until > timezone.now()


def embed(
    texts: Sequence[str],
    *,
    user_id: int,
    endpoint: Endpoint,
    standing: EmbeddingModel,
    seconds: float,
    should_stop: Callable[[], bool] = lambda: False,
) -> Embeddings:
    """Vectors for the texts of a user. Records the cost; after a failure of the provider it pauses all calls.

    Raises ``ProviderError``, ``AIBudgetReached`` and :class:`Stopped`.
    """
    begun = charge(user_id, endpoint.model, texts)
    if not connection.in_atomic_block:
        connection.close()  # return it to the pool, as a call takes seconds
    try:
        with observed_call(EMBEDDINGS):
            answer = load_embedding_provider().embed(texts, _SilentObserver(seconds, should_stop), endpoint=endpoint)
    except ProviderError as error:
        if error.was_free:
            take_back(begun)
        if error.code not in ABOUT_THE_TEXT:
            pause(standing, error)
        raise
    used = Usage(
        model=endpoint.model,
        input_tokens=answer.input_tokens,
        output_tokens=0,
        usage_estimated=answer.usage_estimated,
        cost=prices.price_of(endpoint.model, input_tokens=answer.input_tokens, output_tokens=0),
    )
    count_tokens(EMBEDDINGS, used)
    settle(begun, answer, used.cost)
    if standing.failures:
        _change(standing, failures=0, paused_until=None, error_code="", error_detail="")
    return answer


def pause(standing: EmbeddingModel, error: ProviderError) -> None:
    """Pause all calls to the provider: twice as long after each failure, or as long as it asked for."""
    wait = min(FIRST_PAUSE * 2 ** min(standing.failures, 10), LONGEST_PAUSE)
    if isinstance(error, ProviderUnavailable) and error.retry_after:
        wait = max(wait, min(timedelta(seconds=error.retry_after), LONGEST_PAUSE))
    logger.warning("Embeddings failed (%s); next attempt in %d s", error.code, wait.total_seconds())
    _change(
        standing,
        failures=Least(F("failures") + 1, Value(FAILURES_MAX)),
        paused_until=Now() + wait,
        error_code=error.code,
        error_detail=error.detail[:300],
    )


def learn_dimension(standing: EmbeddingModel, dimension: int) -> None:
    """Store the dimension of the model's vectors. Vectors of another dimension are computed again."""
    if standing.dimension:
        logger.warning(
            "The model %s returns vectors of %d numbers instead of %d: all notes are indexed again",
            standing.name, dimension, standing.dimension,
        )  # fmt: skip
    _change(standing, dimension=dimension)


def _change(standing: EmbeddingModel, **values: Any) -> None:
    EmbeddingModel.objects.bulk_create([EmbeddingModel(name=standing.name)], ignore_conflicts=True)
    EmbeddingModel.objects.filter(pk=standing.name).update(**values)
    standing.refresh_from_db()
