"""Our provider against an OpenAI-compatible server that somebody else wrote (``tests/requirements-gateway.txt``)."""

import fcntl
import json
import subprocess
import urllib.error
import urllib.request
import uuid
import venv
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from ai_tasks.models import AITask
from ai_tasks.providers import openai_compatible
from ai_tasks.providers.errors import ProviderError, ProviderRefused, ProviderUnavailable, UnusableAnswer
from ai_tasks.worker import Worker
from NoteAssist_AI.embedded_servers import take_lock
from tests.conftest import client_of
from tests.processes import Process, free_port, wait_until

# Its packages come from the network once, and stay in the checkout.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

REQUIREMENTS = Path(django_settings.BASE_DIR, "tests/requirements-gateway.txt")
INSTALL_SECONDS = 300
MESSAGES = [{"role": "system", "content": "Explain."}, {"role": "user", "content": "Python loops, please."}]
TEXT = "A loop repeats a block of statements.\n\n```python\nfor n in range(3):\n    print(n)\n```\n"


class Gateway:
    """The running server. ``script`` says what its next requests get."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def call(self, path: str, document: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if document is None else json.dumps(document).encode()
        headers = {"Content-Type": "application/json", "Authorization": "Bearer test-key"}
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(urllib.request.Request(self.url + path, data, headers), timeout=10) as response:
            return json.load(response)

    def answers(self) -> bool:
        try:
            self.call("/_llmock/requests")
        except urllib.error.URLError:
            return False
        return True

    def script(self, *behaviors: dict[str, Any]) -> None:
        self.call("/_llmock/scenario", {"behaviors": list(behaviors)})

    @property
    def requests(self) -> list[dict[str, Any]]:
        return self.call("/_llmock/requests")["requests"]


@pytest.fixture(scope="session")
def gateway_programs() -> Path:
    """Where the server is installed. One process of a test run installs it, the others wait."""
    digest = sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    directory = Path(django_settings.BASE_DIR, ".local", f"gateway-{digest}")
    directory.parent.mkdir(exist_ok=True)
    installed = directory / "installed"
    with directory.with_suffix(".lock").open("a") as lock:
        assert take_lock(lock, fcntl.LOCK_EX, seconds=INSTALL_SECONDS)
        if not installed.exists():
            venv.create(directory, clear=True, with_pip=True)
            pip = [directory / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            try:
                result = subprocess.run(
                    [*pip, "-r", REQUIREMENTS], capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
                )
            except subprocess.TimeoutExpired:
                pytest.skip(f"{REQUIREMENTS.name} could not be installed within {INSTALL_SECONDS} s")
            if result.returncode:
                pytest.skip(f"{REQUIREMENTS.name} cannot be installed here: {result.stderr.strip()[-300:]}")
            installed.touch()
    return directory / "bin"


@pytest.fixture(scope="module")
def gateway_process(gateway_programs, tmp_path_factory) -> Iterator[Gateway]:
    port = free_port()
    log = tmp_path_factory.mktemp("gateway") / "gateway.log"
    command = [str(gateway_programs / "llmock"), "serve", "--host", "127.0.0.1", "--port", str(port)]
    process = Process(command, {"PYTHONUTF8": "1"}, log)
    gateway = Gateway(port)
    try:
        wait_until(gateway.answers, 30, lambda: process.output)
        yield gateway
    finally:
        process.kill()


@pytest.fixture
def gateway(gateway_process, settings) -> Gateway:
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
        (error(429, retry_after=7), ProviderUnavailable, "provider_busy"),
        (error(500), ProviderUnavailable, "provider_failed"),
        (error(503, retry_after=3), ProviderUnavailable, "provider_failed"),
        (error(401), ProviderRefused, "provider_misconfigured"),
        (error(400), ProviderRefused, "provider_rejected"),
        (broken_stream("disconnect"), ProviderUnavailable, "provider_connection_lost"),
        (broken_stream("truncate"), ProviderUnavailable, "provider_connection_lost"),
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
    (request,) = gateway.requests
    assert request["completed"] is True
