"""Runs one request: chooses handler and provider. Independent of Redis, web requests and task rows."""

from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings

from ai_tasks import prices
from ai_tasks.handlers import HANDLERS
from ai_tasks.handlers.base import Draft, Handler, Result
from ai_tasks.providers import OFFLINE, OPENAI_COMPATIBLE, endpoints_of, load_provider
from ai_tasks.providers.base import MAX_ANSWER_BYTES, Endpoint, Message, Observer, Usage
from ai_tasks.providers.errors import ProviderError, UnusableAnswer

__all__ = ["Answer", "Job", "Observer", "ask", "prepare", "run"]

WHAT_CAME_NOTICE = "This is what came of it."


@dataclass(frozen=True, slots=True)
class Job:
    """A request to run. ``request_data`` is validated and resolved by the request type's handler."""

    user_id: int
    request_type: str
    request_data: dict[str, Any]
    topic_id: int | None = None


@dataclass(frozen=True, slots=True)
class Answer(Usage):
    """An AI answer. ``result`` is ``{content, code, code_language, sources, notice}``.

    ``applicable`` is false if the text only explains why there is no answer: it must not replace the user's own text.
    """

    result: Result
    provider: str
    applicable: bool = True


def run(job: Job, observer: Observer, endpoint: Endpoint | None = None) -> Answer:
    """Answer one request and report progress to ``observer``. ``endpoint``: the provider of choice if left out.

    Raises ``ProviderUnavailable`` (temporary), ``ProviderRefused`` and ``UnusableAnswer`` (final; its ``result`` is the
    incomplete answer), and any exception of ``observer.check``; by then all connections of the call are closed.
    """
    endpoints = endpoints_of(job.request_type)
    prepared = prepare(job, observer, has_model=bool(endpoints))
    if isinstance(prepared, Answer):
        return prepared
    return ask(prepared, observer, endpoint or endpoints[0])


def prepare(job: Job, observer: Observer, *, has_model: bool) -> Job | Answer:
    """Read what the request needs of the user's notes: once, whoever is asked then.

    Returns the answer itself if there is no model, or nothing to ask one.
    """
    handler = HANDLERS[job.request_type]
    gathered = handler.gather(job.request_data, user_id=job.user_id, topic_id=job.topic_id)
    job = replace(job, request_data=gathered)
    if draft := handler.answer_without_model(job.request_data, observer):
        return _answer_of_draft(draft)
    if has_model:
        return job
    return _answer_of_draft(handler.offline(job.request_data, user_id=job.user_id, observer=observer))


def ask(job: Job, observer: Observer, endpoint: Endpoint) -> Answer:
    """Have a model answer a job that was prepared. Raises what ``run`` does."""
    handler = HANDLERS[job.request_type]
    messages = handler.messages(job.request_data)
    # A price calls for a bound on what an answer may cost.
    options: dict[str, Any] = {"max_tokens": settings.AI_MAX_TOKENS} if prices.has_price(endpoint.model) else {}
    audience: Observer = observer
    if handler.response_format:
        options["response_format"] = handler.response_format
        audience = _Unshown(observer)
    completion = None
    try:
        completion = load_provider(OPENAI_COMPATIBLE).complete(messages, audience, options, endpoint=endpoint)
        result = handler.parse(completion.text, job.request_data)
    except ProviderError as error:
        error.usage = _spent(endpoint, messages, completion or error.usage, was_free=error.was_free)
        if isinstance(error, UnusableAnswer):
            error.text = completion.text if completion else error.text
            error.result = _what_came(handler, error)
        raise
    usage = _spent(endpoint, messages, completion)
    if audience is not observer or result["content"] != completion.text.strip():
        observer.restart()
        observer.delta(result["content"])
    return Answer(
        result=result,
        provider=endpoint.name,
        asked=endpoint.name,
        cost=usage.cost if usage else None,
        model=completion.model,
        input_tokens=completion.input_tokens,
        output_tokens=completion.output_tokens,
        usage_estimated=completion.usage_estimated,
    )


class _Unshown:
    """Passes progress on, and no text: what the model writes is no prose, and is not checked yet."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.deadline = observer.deadline

    def progress(self, percent: int, message: str) -> None:
        self._observer.progress(percent, message)

    def delta(self, text: str) -> None:
        """Nothing to show."""

    def restart(self) -> None:
        """Nothing was shown."""

    def check(self) -> None:
        self._observer.check()


def _spent(endpoint: Endpoint, messages: list[Message], usage: Usage | None, *, was_free: bool = False) -> Usage | None:
    """What a call took, and what is to be paid for it; None if there is neither."""
    cost = prices.cost_of(endpoint, messages, usage, was_free=was_free)
    if usage is None and not cost:
        return None
    known = usage or Usage(model=endpoint.model, input_tokens=0, output_tokens=0, usage_estimated=True)
    return Usage(
        model=known.model,
        input_tokens=known.input_tokens,
        output_tokens=known.output_tokens,
        usage_estimated=known.usage_estimated,
        asked=endpoint.name,
        cost=cost,
    )


def _what_came(handler: Handler, error: UnusableAnswer) -> Result:
    """An answer that is not whole, to be shown and never used: its notice says why."""
    content = error.text.strip()
    return handler.incomplete(content, f"{error.detail} {WHAT_CAME_NOTICE}" if content else error.detail)


def _answer_of_draft(draft: Draft) -> Answer:
    if len(draft["result"]["content"].encode()) > MAX_ANSWER_BYTES:
        raise UnusableAnswer("answer_too_large", f"The answer is longer than {MAX_ANSWER_BYTES} bytes.")
    return Answer(
        result=draft["result"],
        provider=OFFLINE,
        model=None,
        input_tokens=0,
        output_tokens=0,
        usage_estimated=False,
        applicable=draft["applicable"],
    )
