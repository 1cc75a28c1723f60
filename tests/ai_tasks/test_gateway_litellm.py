"""Our provider through LiteLLM's proxy, a gateway of somebody else's, to our own server behind it."""

import json
from collections.abc import Iterator

import pytest

from ai_tasks.providers import openai_compatible
from ai_tasks.providers.errors import ProviderError, ProviderUnavailable
from tests.gateways import Gateway, programs_of, running
from tests.openai_behaviours import COMPLETION_TOKENS, PROMPT_TOKENS
from tests.openai_server import ANSWER, OpenAIServer, running_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MESSAGES = [{"role": "system", "content": "Explain."}, {"role": "user", "content": "Python loops, please."}]
KEY = "sk-of-the-gateway"


@pytest.fixture(scope="module")
def behind() -> Iterator[OpenAIServer]:
    with running_server() as server:
        yield server


@pytest.fixture(scope="module")
def gateway_process(behind, tmp_path_factory) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("litellm")
    upstream = {"model": "openai/test-model", "api_base": behind.base_url, "api_key": "key-of-the-server-behind"}
    configuration = {
        "model_list": [{"model_name": "tutor", "litellm_params": upstream}],
        "general_settings": {"master_key": KEY},
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
        "litellm_settings": {"num_retries": 0, "telemetry": False},
    }
    path = directory / "config.yaml"
    path.write_text(json.dumps(configuration))  # JSON is YAML
    command = [str(programs_of("litellm") / "litellm"), "--config", str(path), "--host", "127.0.0.1"]
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
    with running(command, directory / "gateway.log", ready="/health/liveliness", key=KEY, **environment) as gateway:
        yield gateway


@pytest.fixture
def gateway(gateway_process, behind, settings) -> OpenAIServer:
    """The server behind the gateway, to be told what to do."""
    settings.AI_BASE_URL, settings.AI_API_KEY, settings.AI_MODEL = f"{gateway_process.url}/v1", KEY, "tutor"
    behind.state.requests.clear()
    behind.state.default = "stream"
    return behind


def test_an_answer_comes_through_with_its_usage(gateway, observer):
    completion = openai_compatible.complete(MESSAGES, observer)

    assert completion.text == ANSWER
    assert "".join(observer.deltas) == ANSWER
    assert len(observer.deltas) > 5
    assert (completion.input_tokens, completion.output_tokens) == (PROMPT_TOKENS, COMPLETION_TOKENS)
    assert completion.usage_estimated is False


@pytest.mark.parametrize(
    ("behaviour", "code", "is_retried"),
    [
        ("length", "answer_cut", False),
        ("filtered", "answer_refused", False),
        ("empty", "answer_empty", False),
        ("401", "provider_key_invalid", False),
        ("429", "provider_rate_limited", True),
        ("500", "provider_failed", True),
        ("400", "provider_rejected", False),
    ],
)
def test_what_happens_behind_it_is_told_apart(gateway, observer, behaviour, code, is_retried):
    gateway.state.default = behaviour

    with pytest.raises(ProviderError) as raised:
        openai_compatible.complete(MESSAGES, observer)

    assert (raised.value.code, isinstance(raised.value, ProviderUnavailable)) == (code, is_retried)


def test_a_model_that_it_does_not_know_is_told_as_such(gateway, observer, settings):
    settings.AI_MODEL = "nobody-knows-it"

    with pytest.raises(ProviderError) as raised:
        openai_compatible.complete(MESSAGES, observer)

    assert raised.value.code == "provider_model_unknown"
    assert gateway.state.requests == []
