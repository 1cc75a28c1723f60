"""Our provider against mocktopus, a server of somebody else's: no usage in its streams, errors of its own."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ai_tasks.providers import openai_compatible
from ai_tasks.providers.errors import ProviderError, ProviderUnavailable
from tests.gateways import Gateway, programs_of, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

MESSAGES = [{"role": "system", "content": "Explain."}, {"role": "user", "content": "Python loops, please."}]
TEXT = "A loop repeats a block of statements.\n\n```python\nfor n in range(3):\n    print(n)\n```\n"
ERRORS: dict[str, dict[str, Any]] = {
    "limited": {"error_type": "rate_limit", "message": "Slow down", "status_code": 429, "retry_after": 7},
    "locked": {"error_type": "authentication", "message": "Invalid API key", "status_code": 401},
    "late": {"error_type": "timeout", "message": "Request timeout", "status_code": 504, "delay_ms": 10},
    "filtered": {"error_type": "content_filter", "message": "Content policy", "status_code": 400},
    "broken": {"error_type": "server_error", "message": "Internal error", "status_code": 500},
}


@pytest.fixture(scope="module")
def gateway_process(tmp_path_factory) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("mocktopus")
    rules: list[dict[str, Any]] = [
        {"type": "llm.openai", "when": {"model": name}, "error": error} for name, error in ERRORS.items()
    ]
    rules.append({"type": "llm.openai", "when": {"model": "gpt-*"}, "respond": {"content": TEXT}})
    scenario = directory / "scenario.yaml"
    scenario.write_text(json.dumps({"version": 1, "rules": rules}))  # JSON is YAML
    command = [str(programs_of("mocktopus") / "mocktopus"), "serve", "--scenario", str(scenario)]
    with running(command, directory / "gateway.log", ready="/v1/models") as gateway:
        yield gateway


@pytest.fixture
def gateway(gateway_process, settings) -> Gateway:
    settings.AI_BASE_URL, settings.AI_API_KEY, settings.AI_MODEL = f"{gateway_process.url}/v1", "test-key", "gpt-4o"
    return gateway_process


def test_its_answer_is_streamed_and_its_usage_estimated(gateway, observer):
    completion = openai_compatible.complete(MESSAGES, observer)

    assert completion.text == TEXT
    assert "".join(observer.deltas) == TEXT
    assert len(observer.deltas) > 5
    assert completion.usage_estimated is True


@pytest.mark.parametrize(
    ("model", "code", "is_retried"),
    [
        ("limited", "provider_rate_limited", True),
        ("locked", "provider_key_invalid", False),
        ("late", "provider_timeout", True),
        ("filtered", "answer_refused", False),
        ("broken", "provider_failed", True),
        ("nobody-knows-it", "provider_misconfigured", False),
    ],
)
def test_its_failures_are_told_apart(gateway, observer, settings, model, code, is_retried):
    settings.AI_MODEL = model

    with pytest.raises(ProviderError) as raised:
        openai_compatible.complete(MESSAGES, observer)

    assert (raised.value.code, isinstance(raised.value, ProviderUnavailable)) == (code, is_retried)
