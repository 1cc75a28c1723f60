"""Our provider against an OpenAI-compatible server that somebody else wrote (``tests/gateways``)."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from ai_tasks.models import AITask
from ai_tasks.providers import openai_compatible
from ai_tasks.providers.errors import ProviderError, ProviderRefused, ProviderUnavailable, UnusableAnswer
from ai_tasks.worker import Worker
from tests.conftest import client_of
from tests.gateways import Gateway, programs_of, running
from tests.processes import wait_until

# Its packages come from the network once, and stay in the checkout.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

MESSAGES = [{"role": "system", "content": "Explain."}, {"role": "user", "content": "Python loops, please."}]
TEXT = "A loop repeats a block of statements.\n\n```python\nfor n in range(3):\n    print(n)\n```\n"


class Llmock(Gateway):
    """The running server. ``script`` says what its next requests get."""

    def script(self, *behaviors: dict[str, Any]) -> None:
        self.call("/_llmock/scenario", {"behaviors": list(behaviors)})

    @property
    def requests(self) -> list[dict[str, Any]]:
        return self.call("/_llmock/requests")["requests"]


@pytest.fixture(scope="module")
def gateway_process(tmp_path_factory) -> Iterator[Llmock]:
    command = [str(programs_of("llmock") / "llmock"), "serve", "--host", "127.0.0.1"]
    log = tmp_path_factory.mktemp("gateway") / "gateway.log"
    with running(command, log, ready="/_llmock/requests") as gateway:
        yield Llmock(gateway.port)


@pytest.fixture
def gateway(gateway_process, settings) -> Llmock:
    gateway_process.call("/_llmock/reset", {})
    settings.AI_BASE_URL, settings.AI_API_KEY, settings.AI_MODEL = f"{gateway_process.url}/v1", "test-key", "gpt-4o"
    return gateway_process


def test_a_streamed_answer_and_its_usage_are_those_of_the_same_answer_in_one_piece(gateway, observer):
    gateway.script({"type": "reply", "text": TEXT, "times": 2})
    whole = gateway.call("/v1/chat/completions", {"model": "gpt-4o", "messages": MESSAGES})

    completion = openai_compatible.complete(MESSAGES, observer)

    assert completion.text == whole["choices"][0]["message"]["content"] == TEXT
    assert completion.model == "gpt-4o"
    assert completion.usage_estimated is False
    assert {"prompt_tokens": completion.input_tokens, "completion_tokens": completion.output_tokens} == {
        name: whole["usage"][name] for name in ("prompt_tokens", "completion_tokens")
    }
    assert completion.output_tokens > 0
    assert "".join(observer.deltas) == TEXT
    assert len(observer.deltas) > 5
    assert observer.percents == sorted(set(observer.percents))
    assert gateway.requests[-1]["stream"] is True


def error(status: int, **extra: float) -> dict[str, Any]:
    return {"type": "fail", "status": status, **extra}


def broken_stream(kind: str) -> dict[str, Any]:
    return {"type": "stream_fault", "kind": kind, "after_chunks": 2}


@pytest.mark.parametrize(
    ("behavior", "failure", "code"),
    [
        (error(429, retry_after=7), ProviderUnavailable, "provider_rate_limited"),
        (error(500), ProviderUnavailable, "provider_failed"),
        (error(503, retry_after=3), ProviderUnavailable, "provider_overloaded"),
        (error(401), ProviderRefused, "provider_key_invalid"),
        (error(400), ProviderRefused, "provider_rejected"),
        (broken_stream("disconnect"), ProviderUnavailable, "provider_connection_lost"),
        (broken_stream("truncate"), UnusableAnswer, "answer_cut"),
        (broken_stream("malformed"), UnusableAnswer, "answer_unreadable"),
    ],
)
def test_its_failures_are_told_apart(gateway, observer, behavior, failure, code):
    gateway.script(behavior)

    with pytest.raises(ProviderError) as raised:
        openai_compatible.complete(MESSAGES, observer)

    assert (type(raised.value), raised.value.code) == (failure, code)
    assert getattr(raised.value, "retry_after", None) == behavior.get("retry_after")
    assert len(gateway.requests) == 1


@pytest.mark.django_db(transaction=True)
def test_a_task_is_answered_through_it_with_the_usage_that_it_counts(gateway, alice):
    gateway.script({"type": "reply", "text": TEXT})
    body = {"request_type": "generate_code", "request_data": {"topic": "Loops", "language": "Python"}}
    client = client_of(alice)
    task_id = client.post("/api/ai/tasks/", body, format="json").json()["task_id"]

    Worker().execute(uuid.UUID(task_id))

    task = AITask.objects.get()
    assert (task.status, task.provider, task.model) == ("succeeded", "openai_compatible", "gpt-4o")
    assert task.result["code"] == "for n in range(3):\n    print(n)\n"
    assert task.usage_estimated is False
    usage = client.get("/api/ai/usage/").json()
    assert (usage["input_tokens_today"], usage["output_tokens_today"]) == (task.input_tokens, task.output_tokens)
    assert task.input_tokens > 100
    wait_until(lambda: [request["completed"] for request in gateway.requests] == [True])
