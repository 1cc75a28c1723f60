"""What one provider answers, without the others that would be asked next."""

from ai_tasks.answering import AIRequest, Answer, ask, prepare
from ai_tasks.providers import endpoints_of
from ai_tasks.providers.base import Observer


def run(request: AIRequest, observer: Observer) -> Answer:
    endpoints = endpoints_of(request.request_type)
    prepared = prepare(request, observer, has_model=bool(endpoints))
    return prepared if isinstance(prepared, Answer) else ask(prepared, observer, endpoints[0])
