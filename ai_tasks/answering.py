"""Answering one request: by the first provider that does, or without a model from the user's own text and notes.

The next provider is asked when one is out or refuses. Independent of Redis and of web requests.
"""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from django.conf import settings
from django.db import connection

from ai_tasks import outages, prices
from ai_tasks.handlers import HANDLERS
from ai_tasks.handlers.base import Handler, OfflineAnswer, Result
from ai_tasks.observed_calls import count_tokens, observed_call
from ai_tasks.providers import OFFLINE, OPENAI_COMPATIBLE, endpoints_of, load_provider
from ai_tasks.providers.base import MAX_ANSWER_BYTES, Endpoint, Message, Observer, Usage
from ai_tasks.providers.errors import ProviderError, ProviderUnavailable, UnusableAnswer

NO_ANSWER = "The AI provider does not answer."
INCOMPLETE_NOTICE = "This is what came of it."


@dataclass(frozen=True, slots=True)
class AIRequest:
    """A request to answer. ``request_data`` is validated and resolved by the request type's handler."""

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


class ProvidersOut(ProviderError):
    """All providers are out, and none is due for a probe by this task. It waits, and that counts as no failure."""


class Asked(NamedTuple):
    """The provider that an attempt asks. ``was_failing``: its last call, and perhaps more, had failed."""

    name: str
    is_probe: bool
    was_failing: bool


class Caller(Observer, Protocol):
    """The observer of an attempt. ``asked`` is set to the provider of the running call."""

    asked: Asked | None

    @property
    def key(self) -> tuple[UUID, int]: ...


def run(request: AIRequest, caller: Caller) -> Answer:
    """Answer one request and report progress to ``caller``.

    A failure that may have cost something ends the attempt: at most one provider is paid for it. Raises
    ``ProviderUnavailable`` and ``ProvidersOut`` (temporary), ``ProviderRefused`` and ``UnusableAnswer`` (final; its
    ``result`` is the incomplete answer), and any exception of ``caller.check``; by then all connections of the call are
    closed.
    """
    endpoints = endpoints_of(request.request_type)
    with nullcontext() if endpoints else observed_call(OFFLINE):
        prepared = prepare(request, caller, has_model=bool(endpoints))
    if isinstance(prepared, Answer):
        return prepared
    states = outages.read_states(endpoint.name for endpoint in endpoints)
    out: list[outages.Outage] = []
    failures: list[tuple[str, ProviderError]] = []
    for endpoint in endpoints:
        state = states.get(endpoint.name)
        is_probe = False
        if state is not None and state.out_since is not None:
            is_probe = outages.take_probe(endpoint.name, *caller.key)
            if not is_probe:
                out.append(outages.Outage(endpoint.name, state.error_code, state.error_detail))
                continue
        caller.asked = Asked(endpoint.name, is_probe, was_failing=state is not None and state.failures > 0)
        connection.close()  # back to the pool, as a call takes seconds
        try:
            with observed_call(endpoint.name):
                answer = ask(prepared, caller, endpoint)
        except ProviderError as error:
            standing = outages.record_failure(endpoint.name, caller.key[0], error, was_probe=is_probe)
            # The task that finds out that the key is wrong fails, and says so; the others wait.
            if standing == "out" or (standing == "gone out" and isinstance(error, ProviderUnavailable)):
                out.append(outages.Outage(endpoint.name, error.code, error.detail))
            failures.append((endpoint.name, error))
            if error.is_paid_for or isinstance(error, UnusableAnswer):
                break
        else:
            count_tokens(endpoint.name, answer)
            return answer
    raise _deciding_failure(failures, out, are_all_out=len(out) == len(endpoints))


def prepare(request: AIRequest, observer: Observer, *, has_model: bool) -> AIRequest | Answer:
    """Read what the request needs of the user's notes: once, whichever provider is asked then.

    Returns the answer itself if there is no model, or nothing to ask one.
    """
    handler = HANDLERS[request.request_type]
    gathered, answer = handler.prepare(
        request.request_data,
        user_id=request.user_id,
        topic_id=request.topic_id,
        observer=observer,
        has_model=has_model,
    )
    return replace(request, request_data=gathered) if answer is None else _without_model(answer)


def _without_model(answer: OfflineAnswer) -> Answer:
    if len(answer["result"]["content"].encode()) > MAX_ANSWER_BYTES:
        raise UnusableAnswer("answer_too_large", f"The answer is longer than {MAX_ANSWER_BYTES} bytes.")
    return Answer(
        result=answer["result"],
        provider=OFFLINE,
        model=None,
        input_tokens=0,
        output_tokens=0,
        usage_estimated=False,
        applicable=answer["applicable"],
    )


def ask(request: AIRequest, observer: Observer, endpoint: Endpoint) -> Answer:
    """Have one provider's model answer a prepared request. Raises what ``run`` does, but for ``ProvidersOut``."""
    handler = HANDLERS[request.request_type]
    messages = handler.messages(request.request_data)
    # Where answers cost money, their length is bounded.
    options: dict[str, Any] = {"max_tokens": settings.AI_MAX_TOKENS} if prices.has_price(endpoint.model) else {}
    audience: Observer = observer
    if handler.response_format:
        options["response_format"] = handler.response_format
        audience = _WithoutText(observer)
    completion = None
    try:
        completion = load_provider(OPENAI_COMPATIBLE).complete(messages, audience, options, endpoint=endpoint)
        result = handler.parse(completion.text, request.request_data)
    except ProviderError as error:
        error.usage = _usage(endpoint, messages, completion or error.usage, was_free=error.was_free)
        if isinstance(error, UnusableAnswer):
            error.text = completion.text if completion else error.text
            error.result = _incomplete(handler, error)
        raise
    usage = _usage(endpoint, messages, completion)
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


class _WithoutText:
    """Passes progress on, but no text: a model's JSON is not for readers, and has not been checked yet."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.deadline = observer.deadline

    def progress(self, percent: int, message: str, text: str = "") -> None:
        self._observer.progress(percent, message)

    def delta(self, text: str) -> None:
        """Shows nothing."""

    def restart(self) -> None:
        """Nothing was shown."""

    def check(self) -> None:
        self._observer.check()


def _usage(endpoint: Endpoint, messages: list[Message], usage: Usage | None, *, was_free: bool = False) -> Usage | None:
    """A call's usage with its provider and cost; None if it used nothing and cost nothing."""
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


def _incomplete(handler: Handler, error: UnusableAnswer) -> Result:
    """An incomplete answer, to be shown and never used: its notice says why."""
    content = error.text.strip()
    return handler.incomplete(content, f"{error.detail} {INCOMPLETE_NOTICE}" if content else error.detail)


def _deciding_failure(
    failures: list[tuple[str, ProviderError]], out: list[outages.Outage], *, are_all_out: bool
) -> ProviderError:
    """The failure that decides what becomes of the task."""
    last = failures[-1][1] if failures else None
    if isinstance(last, UnusableAnswer):
        return last
    names_out = {outage.name for outage in out}
    well = [error for name, error in failures if name not in names_out]
    if are_all_out:
        chosen: ProviderError = ProvidersOut(out[0].error_code, out[0].error_detail)
    elif last is not None and last.is_paid_for:
        return last
    elif unavailable := next((error for error in well if isinstance(error, ProviderUnavailable)), None):
        return unavailable
    elif not out:
        return well[0]
    else:  # those that answer refused; another may not, but it is out
        chosen = ProviderUnavailable("provider_unavailable", NO_ANSWER)
    chosen.usage = last.usage if last else None
    return chosen
