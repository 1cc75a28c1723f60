"""Client for OpenAI's embeddings: one POST, one JSON document in return, all of it validated."""

import logging
import math
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import orjson

from ai_tasks.providers.base import Embeddings, Endpoint, Observer
from ai_tasks.providers.errors import ProviderUnavailable, UnusableAnswer
from ai_tasks.providers.openai_compatible.failures import failure_of
from ai_tasks.providers.openai_compatible.http import error_body, send, translated_failures
from ai_tasks.providers.openai_compatible.reading import is_error, token_count
from ai_tasks.providers.openai_compatible.reports import Report, report_in, report_of
from ai_tasks.providers.openai_compatible.transport import UNREADABLE, observed_by

logger = logging.getLogger(__name__)

DIMENSION_MAX = 16_000
"""The maximum of pgvector."""
_BYTES_PER_TOKEN = 4
_LARGEST = 3e38
"""The largest four-byte floating-point number."""


def embed(texts: Sequence[str], observer: Observer, *, endpoint: Endpoint) -> Embeddings:
    """A vector for each text, in order. See ``EmbeddingProvider``."""
    with observed_by(observer), translated_failures(_connection_lost):
        body = {"model": endpoint.model, "input": list(texts)}
        with closing(send(endpoint, body, path="embeddings", accept="application/json")) as response:
            if not response.is_success:
                raise _reported(report_of(response, error_body(response)))
            raw = b"".join(response.iter_raw())
            headers = response.headers
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise _unreadable("invalid JSON") from None
    if is_error(document):
        raise _reported(report_in(document, headers))
    return _read(document, texts)


def _read(document: Any, texts: Sequence[str]) -> Embeddings:
    match document:
        case {"data": list(data)} if len(data) == len(texts):
            pass
        case _:
            raise _unreadable("a wrong number of vectors")
    vectors: dict[int, list[float]] = {}
    for position, item in enumerate(data):
        match item:
            case {"embedding": list(numbers), **rest}:
                vectors[_text_index(rest.get("index"), position)] = _unit(numbers)
            case _:
                raise _unreadable("no vector")
    dimensions = {len(vector) for vector in vectors.values()}
    if sorted(vectors) != list(range(len(texts))) or len(dimensions) != 1:
        raise _unreadable("inconsistent vectors")
    tokens = None
    match document:
        case {"usage": dict(usage)}:
            tokens = token_count(usage.get("prompt_tokens", usage.get("total_tokens")))
    is_estimated = tokens is None
    if tokens is None:
        tokens = sum(-(-len(text.encode()) // _BYTES_PER_TOKEN) for text in texts)
    return Embeddings(
        vectors=[vectors[at] for at in range(len(texts))],
        dimension=dimensions.pop(),
        input_tokens=tokens,
        usage_estimated=is_estimated,
    )


def _text_index(index: object, position: int) -> int:
    """The index of the text of a vector: servers may answer in another order, with ``index``."""
    if index is None:
        return position
    if not isinstance(index, int) or isinstance(index, bool):
        raise _unreadable("a vector with an invalid index")
    return index


def _unit(numbers: list[Any]) -> list[float]:
    """Scale a vector to length 1. Raises ``UnusableAnswer`` for a malformed one."""
    if not 1 <= len(numbers) <= DIMENSION_MAX:
        raise _unreadable("a vector of unsupported length")
    for number in numbers:
        if type(number) not in (float, int) or not abs(number) <= _LARGEST:
            raise _unreadable("a vector with invalid numbers")
    length = math.sqrt(math.fsum(number * number for number in numbers))
    if not length:
        raise _unreadable("a vector of zeros")
    return [number / length for number in numbers]


def _reported(report: Report) -> Exception:
    logger.warning("The provider of embeddings answered %s.", report.for_the_log)
    failure = failure_of(report)
    failure.was_free = True
    return failure


def _connection_lost() -> ProviderUnavailable:
    return ProviderUnavailable("provider_connection_lost", "The AI provider's answer broke off.")


def _unreadable(why: str) -> UnusableAnswer:
    logger.warning("The provider of embeddings answered with %s.", why)
    return UnusableAnswer("answer_unreadable", UNREADABLE)


__all__ = ["embed"]
