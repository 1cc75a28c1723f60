"""Client for any server with OpenAI's chat completions: OpenAI, Groq, Gemini, Ollama, vLLM, llama.cpp.

Each call is one POST and a stream of events. ``http`` sends it, ``frames`` splits the bytes into documents, ``reading``
reads a document, ``thinking`` removes the model's reasoning, ``failures`` classifies errors, ``parameters`` remembers
which parameters a server rejects.

This package imports an HTTP client: import it through ``providers.load_provider``, in workers only.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from ai_tasks.model_names import DEFAULT
from ai_tasks.providers import endpoints_of
from ai_tasks.providers.base import MAX_ANSWER_BYTES, Completion, Endpoint, Message, Observer, Usage
from ai_tasks.providers.errors import ProviderError, UnusableAnswer
from ai_tasks.providers.openai_compatible.asking import Audience, Call
from ai_tasks.providers.openai_compatible.reading import CUT_BY_LIMIT, LENGTH
from ai_tasks.providers.openai_compatible.seam import joined

__all__ = ["complete"]

WORTH_CONTINUING = 500
"""In characters. If the limit is reached earlier, one more call would not help."""
FORMAT = "response_format"
GO_ON = "Your answer was cut off. Go on exactly where it stops: repeat nothing, and write no introduction."


def complete(
    messages: list[Message],
    observer: Observer,
    options: Mapping[str, Any] | None = None,
    *,
    endpoint: Endpoint | None = None,
) -> Completion:
    """See ``Provider.complete``. Tokens are the provider's count, or an estimate marked as such."""
    began = time.monotonic()
    call = Call(messages, dict(options or {}), endpoint or endpoints_of(DEFAULT)[0])
    try:
        text = call.ask(observer, Audience(observer))
    except UnusableAnswer as cut:
        took = time.monotonic() - began
        if call.ending.finish_reason in LENGTH and _can_go_on(cut, observer, took):
            return _continued(call, cut, observer)
        cut.usage = call.usage_if_failed
        raise
    except ProviderError as error:
        error.usage = call.reported_usage
        raise
    return Completion(**asdict(call.usage), text=text)


def _can_go_on(cut: UnusableAnswer, observer: Observer, took: float) -> bool:
    """Whether a second call is worthwhile, and has as much time as the first one took."""
    is_worth_it = cut.code == "answer_cut" and len(cut.text) >= WORTH_CONTINUING
    return is_worth_it and time.monotonic() + took < observer.deadline


def _continued(first: Call, cut: UnusableAnswer, observer: Observer) -> Completion:
    """Request once the rest of an answer that reached the model's limit, and join the two."""
    so_far: list[Message] = [{"role": "assistant", "content": cut.text}, {"role": "user", "content": GO_ON}]
    options = {name: value for name, value in first.options.items() if name != FORMAT}  # the rest is not JSON
    second = Call([*first.messages, *so_far], options, first.endpoint)
    usage = first.usage
    failure = UnusableAnswer("answer_cut", CUT_BY_LIMIT, cut.text)
    rest, error = "", None
    try:
        rest = second.ask(observer, None)
    except ProviderError as failed:
        error = failed
        if isinstance(failed, UnusableAnswer) and failed.code == "answer_cut":
            rest = failed.text
    if added := second.usage_if_failed:
        usage = _sum(usage, added)
    elif error and not error.was_free:
        usage = replace(usage, usage_estimated=True)  # the second call's usage is unknown
    text, addition = joined(cut.text, rest)
    if len(text.encode()) > MAX_ANSWER_BYTES:
        failure.usage = usage
        raise failure
    if addition:
        observer.delta(addition)
    if error:
        failure.text, failure.usage = text, usage
        raise failure from error
    return Completion(**asdict(usage), text=text)


def _sum(first: Usage, second: Usage) -> Usage:
    return replace(
        first,
        input_tokens=first.input_tokens + second.input_tokens,
        output_tokens=first.output_tokens + second.output_tokens,
        usage_estimated=first.usage_estimated or second.usage_estimated,
    )
