"""Any server that speaks OpenAI's chat completions: OpenAI, Groq, Gemini, Ollama, vLLM, llama.cpp.

This module imports the SDK: import it through ``providers.load_provider``, in workers only.
"""

import functools
import json
import logging
import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

import httpx2
import openai
from django.conf import settings
from openai.types.chat import ChatCompletionChunk

from ai_tasks.providers.base import MAX_ANSWER_BYTES, Completion, Message, Observer, Usage
from ai_tasks.providers.cleaning import AnswerText
from ai_tasks.providers.errors import ProviderError, ProviderRefused, ProviderUnavailable, UnusableAnswer
from ai_tasks.providers.retry_after import seconds_to_wait
from ai_tasks.providers.transport import WatchedTransport, observed_by

logger = logging.getLogger(__name__)

OPENAI_BASE_URL = "https://api.openai.com/v1"
CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0
WRITE_SECONDS = 15.0
BYTES_PER_TOKEN = 4
MAX_TOKENS_RECORDED = 100_000_000
"""What a task's calls took is added up in an integer of 32 bits."""
MODEL_MAX_LENGTH = 100
WAITING_PERCENT, WRITING_PERCENT, WRITTEN_PERCENT = 10, 15, 90

_UNREADABLE = "The AI provider's answer cannot be read."
_client_lock = threading.Lock()
_servers_without_stream_options: set[str] = set()


@dataclass(slots=True)
class _Ending:
    """What an answer says about itself beside its text."""

    finish_reason: str | None = None
    refused: bool = False
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None

    @property
    def usage(self) -> Usage | None:
        """What the provider itself says that the call took, if it does."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return Usage(
            model=self.model or settings.AI_MODEL,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            usage_estimated=False,
        )


def complete(messages: list[Message], observer: Observer) -> Completion:
    """See ``Provider.complete``. Tokens are the provider's count; where it gives none, a guess marked as such."""
    ending = _Ending()
    try:
        return _complete(messages, observer, ending)
    except ProviderError as error:
        error.usage = ending.usage
        raise


def _complete(messages: list[Message], observer: Observer, ending: _Ending) -> Completion:
    answer, audience = AnswerText(), _Audience(observer)
    # Closing the generator closes the connection, also where the loop is left by an exception.
    with observed_by(observer), closing(_pieces(messages, ending)) as pieces:
        for piece in pieces:
            audience.show(answer.add(piece), answer.length)
    audience.show(answer.add("", final=True), answer.length)
    text = answer.text()
    if ending.refused or ending.finish_reason == "content_filter":
        raise ProviderRefused("provider_refused", "The AI model declined to answer this request.")
    if not text.strip():
        raise UnusableAnswer("answer_empty", "The AI model's answer is empty.")
    usage = ending.usage or Usage(
        model=ending.model or settings.AI_MODEL,
        input_tokens=_estimate_tokens(*(message["content"] for message in messages)),
        output_tokens=_estimate_tokens(text),
        usage_estimated=True,
    )
    return Completion(**asdict(usage), text=text, truncated=ending.finish_reason == "length")


class _Audience:
    """Passes an answer on to the observer as it grows."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._percent = WAITING_PERCENT
        observer.progress(WAITING_PERCENT, "Waiting for the AI model")

    def show(self, text: str, length: int) -> None:
        self._observer.check()
        if not text:
            return
        # Nobody knows the length of an answer before its end; most take a few percent of the limit.
        percent = WRITING_PERCENT + int((WRITTEN_PERCENT - WRITING_PERCENT) * (length / MAX_ANSWER_BYTES) ** 0.25)
        if percent > self._percent:
            self._percent = percent
            self._observer.progress(percent, "Writing the answer")
        self._observer.delta(text)


def _estimate_tokens(*texts: str) -> int:
    return sum(-(-len(text.encode()) // BYTES_PER_TOKEN) for text in texts)


def _pieces(messages: list[Message], ending: _Ending) -> Generator[str]:
    """The answer's text as it comes in; ``ending`` is filled on the way."""
    started = False
    try:
        stream = _open_stream(messages)
        with stream:
            started = True
            content_type = stream.response.headers.get("content-type", "")
            if "json" in content_type:  # a server that does not stream
                yield from _read_document(stream.response, ending)
            elif content_type.startswith("text/event-stream"):
                yield from _read_events(stream, ending)
            else:
                raise UnusableAnswer("answer_unreadable", _UNREADABLE)
    except openai.APIError as error:
        raise _translated(error, started=started) from error
    except httpx2.TransportError as error:
        raise _connection_lost(error) from error
    if ending.finish_reason is None and not ending.refused:
        raise _connection_lost(None)


def _open_stream(messages: list[Message]) -> openai.Stream[ChatCompletionChunk]:
    client = _client()
    server = str(client.base_url)
    options: dict[str, Any] = {"model": settings.AI_MODEL, "messages": messages, "stream": True}
    if server in _servers_without_stream_options:
        return client.chat.completions.create(**options)
    try:
        return client.chat.completions.create(**options, stream_options={"include_usage": True})
    except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
        if "stream_options" not in f"{error.param} {error.message}":
            raise
        _servers_without_stream_options.add(server)
        logger.info("The AI server knows no stream_options; tokens will be estimated.")
        return client.chat.completions.create(**options)


def _client() -> openai.OpenAI:
    """The process's one client; its connections serve all threads."""
    with _client_lock:
        return _make_client(settings.AI_BASE_URL or OPENAI_BASE_URL, settings.AI_API_KEY)


@functools.cache
def _make_client(base_url: str, api_key: str) -> openai.OpenAI:
    http_client = httpx2.Client(
        transport=WatchedTransport(max_connections=settings.AI_WORKER_CONCURRENCY),
        timeout=httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS, write=WRITE_SECONDS, pool=CONNECT_SECONDS),
        headers={"Accept-Encoding": "identity"},
        follow_redirects=False,  # the key goes to the server that was configured, and to no other
        trust_env=False,
    )
    # The SDK insists on a key, and would look for one in the environment; servers that need none ignore it.
    return openai.OpenAI(base_url=base_url, api_key=api_key or "none", max_retries=0, http_client=http_client)


# --- Reading ----------------------------------------------------------------------------------------------------------


def _read_events(stream: openai.Stream[ChatCompletionChunk], ending: _Ending) -> Iterator[str]:
    try:
        for chunk in stream:
            document = chunk.to_dict(warnings=False) if isinstance(chunk, openai.BaseModel) else chunk
            yield from _read_answer(document, ending)
    except (ValueError, RecursionError) as error:
        raise UnusableAnswer("answer_unreadable", _UNREADABLE) from error


def _read_document(response: httpx2.Response, ending: _Ending) -> Iterator[str]:
    try:
        document = json.loads(response.read())
    except (ValueError, RecursionError) as error:
        raise UnusableAnswer("answer_unreadable", _UNREADABLE) from error
    if isinstance(document, dict) and document.get("error"):
        logger.warning("The AI provider sent an error with status %s.", response.status_code)
        raise _provider_failed()
    yield from _read_answer(document, ending)


def _read_answer(document: object, ending: _Ending) -> Iterator[str]:
    """Take what is ours from a chunk or a whole answer. The SDK checks no types, so nothing is believed here."""
    match document:
        case {"model": str(model)}:
            # Lone surrogates, which JSON can spell, are no more storable than NUL.
            ending.model = model.replace("\x00", "").encode(errors="replace").decode()[:MODEL_MAX_LENGTH] or None
    match document:
        case {"usage": {"prompt_tokens": tokens_in, "completion_tokens": tokens_out}}:
            ending.input_tokens, ending.output_tokens = _token_count(tokens_in), _token_count(tokens_out)
    match document:
        case {"choices": [dict(choice), *_]}:
            pass
        case {"choices": [] | None} | {"usage": dict()}:
            return
        case _:
            raise UnusableAnswer("answer_unreadable", _UNREADABLE)
    if isinstance(reason := choice.get("finish_reason"), str):
        ending.finish_reason = reason
    part = choice.get("delta") or choice.get("message") or {}
    match part:
        case {"refusal": str(refusal)} if refusal:
            ending.refused = True
        case {"content": str(text)}:
            yield text
        case {"content": object()} if part["content"] is not None:
            raise UnusableAnswer("answer_unreadable", _UNREADABLE)


def _token_count(value: object) -> int | None:
    return value if isinstance(value, int) and 0 <= value <= MAX_TOKENS_RECORDED else None


# --- Failing ----------------------------------------------------------------------------------------------------------


def _translated(error: openai.APIError, *, started: bool) -> ProviderError:
    """A vendor's failure as one of ours."""
    match error:
        case openai.APITimeoutError():
            logger.warning("The AI provider timed out.")
            return ProviderUnavailable("provider_timeout", "The AI provider took too long to answer.")
        case openai.APIConnectionError() if started:
            return _connection_lost(error)
        case openai.APIConnectionError():
            logger.warning("The AI provider cannot be reached: %r", error.__cause__)
            return ProviderUnavailable("provider_unreachable", "The AI provider cannot be reached.")
        case openai.APIStatusError():
            logger.warning("The AI provider answered %s (code %.100r).", error.status_code, error.code)
            return _of_status(error.status_code, seconds_to_wait(error.response.headers.get("retry-after")))
        case _:
            logger.warning("The AI provider sent an error inside its answer (code %.100r).", error.code)
            return _provider_failed()


def _of_status(status: int, retry_after: float | None) -> ProviderError:
    match status:
        case HTTPStatus.TOO_MANY_REQUESTS:
            return ProviderUnavailable("provider_busy", "The AI provider takes no more requests now.", retry_after)
        case HTTPStatus.REQUEST_TIMEOUT:
            return ProviderUnavailable("provider_timeout", "The AI provider took too long to answer.", retry_after)
        case _ if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return _provider_failed(retry_after)
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN | HTTPStatus.NOT_FOUND:
            return ProviderRefused("provider_misconfigured", "The AI provider does not accept this service's settings.")
        case _ if status < HTTPStatus.BAD_REQUEST:
            return ProviderRefused("provider_misconfigured", "The AI provider has moved; redirects are not followed.")
    return ProviderRefused("provider_rejected", "The AI provider did not accept this request.")


def _provider_failed(retry_after: float | None = None) -> ProviderUnavailable:
    return ProviderUnavailable("provider_failed", "The AI provider has a problem of its own.", retry_after)


def _connection_lost(error: Exception | None) -> ProviderUnavailable:
    logger.warning("The AI provider's answer broke off: %r", error)
    return ProviderUnavailable("provider_connection_lost", "The AI provider's answer broke off.")
