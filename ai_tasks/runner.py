"""From a request to its answer: picks the handler and the provider. Knows no Redis, no web request, no task row."""

from dataclasses import dataclass
from typing import Any

from ai_tasks.handlers import HANDLERS
from ai_tasks.handlers.base import Handler, Result
from ai_tasks.providers import OFFLINE, configured_provider, load_provider
from ai_tasks.providers.base import MAX_ANSWER_BYTES, Observer, Usage
from ai_tasks.providers.errors import UnusableAnswer

__all__ = ["Answer", "Job", "Observer", "run"]

TRUNCATED_NOTICE = "The AI model reached its length limit, so the answer stops before its end."


@dataclass(frozen=True, slots=True)
class Job:
    """``request_data`` is validated and resolved by the request type's handler."""

    user_id: int
    request_type: str
    request_data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer(Usage):
    """``result`` is ``{content, code, code_language, sources, notice}``.

    ``applicable`` is false if the answer only says that there is none: such text must not replace the user's own.
    """

    result: Result
    provider: str
    applicable: bool = True


def run(job: Job, observer: Observer) -> Answer:
    """Answer one request, reporting to ``observer`` on the way.

    Raises ``ProviderUnavailable`` (try again later), ``ProviderRefused`` and ``UnusableAnswer`` (final), and whatever
    ``observer.check`` raises, by then with every connection of the call closed.
    """
    handler = HANDLERS[job.request_type]
    provider = configured_provider()
    if provider == OFFLINE:
        return _answer_offline(handler, job, observer)
    completion = load_provider(provider).complete(handler.messages(job.request_data), observer)
    try:
        result = handler.parse(completion.text, job.request_data)
    except UnusableAnswer as error:
        error.usage = completion
        raise
    if completion.truncated:
        result["notice"] = TRUNCATED_NOTICE
    return Answer(
        result=result,
        provider=provider,
        model=completion.model,
        input_tokens=completion.input_tokens,
        output_tokens=completion.output_tokens,
        usage_estimated=completion.usage_estimated,
    )


def _answer_offline(handler: Handler, job: Job, observer: Observer) -> Answer:
    draft = handler.offline(job.request_data, user_id=job.user_id, observer=observer)
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
