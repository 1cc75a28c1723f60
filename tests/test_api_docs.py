"""The examples of docs/api/ai-tasks.md and the tour of docs/api/README.md, run as they stand against real processes."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings

from accounts.services.users import set_password
from ai_tasks.models import AITask
from tests.factories import UserFactory
from tests.openai_behaviours import COMPLETION_TOKENS, PROMPT_TOKENS
from tests.openai_server import running_server
from tests.processes import BIN, RUN_SECONDS, free_port, running, running_worker

DOCUMENT = Path(settings.BASE_DIR, "docs/api/ai-tasks.md")
OVERVIEW = Path(settings.BASE_DIR, "docs/api/README.md")


def examples() -> dict[str, str]:
    """The shell commands of each section, by its title."""
    sections = re.split(r"^#+ (.*)\n", DOCUMENT.read_text(), flags=re.MULTILINE)
    commands = {
        title: re.findall(r"^```sh\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
        for title, text in zip(sections[1::2], sections[2::2], strict=True)
    }
    return {title: found[0] for title, found in commands.items() if found}


def tour() -> dict[str, str]:
    """The commands of the tour under each of its comments."""
    (block,) = re.findall(r"^## A tour\n.*?^```sh\n(.*?)^```$", OVERVIEW.read_text(), flags=re.MULTILINE | re.DOTALL)
    setup, *parts = re.split(r"^# (.*)\n", block, flags=re.MULTILINE)
    return {"": setup, **dict(zip(parts[::2], parts[1::2], strict=True))}


@contextmanager
def running_product(tmp_path: Path, **environment: str) -> Iterator[str]:
    """A worker and a web process with the demo user; the port."""
    user = UserFactory(email="demo@noteassist.local")
    set_password(user_id=user.pk, password="demo-password")
    web = [str(BIN / "gunicorn"), "NoteAssist_AI.wsgi:application", "-c", "gunicorn.conf.py"]
    port = str(free_port())
    with (
        running_worker(tmp_path / "worker.log", **environment),
        running(web, tmp_path / "web.log", PORT=port, WEB_CONCURRENCY="1", **environment) as server,
    ):
        server.wait_for_output("Booting worker")
        yield port


def outputs(commands: dict[str, str], port: str) -> dict[str, str]:
    """What each of the commands prints, in one shell."""
    script = "set -eu\n" + "\n".join(f"{command}\nprintf '\\n\\f'" for command in commands.values())
    result = subprocess.run(
        ["sh", "-c", script],
        env={"PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin", "PORT": port, "no_proxy": "*"},
        capture_output=True, text=True, timeout=RUN_SECONDS, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr
    return dict(zip(commands, result.stdout.split("\f"), strict=False))


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_tour_of_the_api_goes_all_the_way(tmp_path):
    with running_product(tmp_path) as port:
        registered, _, _, watched, found = list(outputs(tour(), port).values())[1:]

    assert "'name': 'Ada'" in registered
    events, answer, pending = re.fullmatch(
        r"(.*?)(^\{.*^\})\n(^\{.*^\})\s*", watched, re.MULTILINE | re.DOTALL
    ).groups()
    assert re.findall(r"^event: (.*)$", events, flags=re.MULTILINE)[-1] == "task.succeeded"
    task = json.loads(answer)
    assert (task["status"], task["provider"], "pivot" in task["result"]["content"]) == ("succeeded", "offline", True)
    assert [entry["action_id"] for entry in json.loads(pending)["results"]] == [task["id"]]
    assert [note["title"] for note in json.loads(found)["results"]] == ["Sorting"]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_examples_do_what_the_page_says(tmp_path):
    commands = examples()

    with running_server() as model:
        model.state.script.append("slow")
        model.state.default = "hang"  # the others are cancelled, or still running at the end
        with running_product(tmp_path, AI_BASE_URL=model.base_url, AI_MODEL="test-model") as port:
            shown = outputs(commands, port)

    assert list(commands)[1:] == ["Submit", "Poll", "Stream", "Cancel", "Retry", "Usage", "Errors"]

    def answer(title: str) -> tuple[int, dict[str, str], dict]:
        head, _, body = shown[title].strip().partition("\n\n")
        status, *headers = head.splitlines()
        named = dict(line.split(": ", 1) for line in headers)
        return int(status.split()[1]), {name.lower(): value for name, value in named.items()}, json.loads(body)

    status, headers, task = answer("Submit")
    assert (status, headers["location"], headers["retry-after"]) == (202, task["links"]["self"], "1")
    status, headers, polled = answer("Poll")
    assert (status, polled["id"]) == (200, task["task_id"])
    assert "etag" in headers
    events = re.findall(r"^event: (.*)$", shown["Stream"], flags=re.MULTILINE)
    assert {"task.progress", "task.delta"} < set(events)
    assert events[-1] == "task.succeeded"
    status, _, cancelled = answer("Cancel")
    assert (status, cancelled["status"] in ("cancelled", "cancelling")) == (202, True)
    status, _, again = answer("Retry")
    assert (status, again["retry_of"]) == (202, task["task_id"])
    usage = json.loads(shown["Usage"])
    assert sum(feature["tasks"] for feature in usage.pop("features").values()) == 3
    nothing = {"amount": "0.000000", "currency": "USD"}  # no model has a price
    assert usage.pop("budget") == {"spent": nothing, "reserved": nothing, "limit": None}
    assert usage == {
        "tasks_today": 3,
        "input_tokens_today": PROMPT_TOKENS,
        "output_tokens_today": COMPLETION_TOKENS,
        "estimated": False,
        "requests_left_this_hour": 17,
        "next_request_at": None,
    }
    status, headers, problem = answer("Errors")
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    documented = json.loads(re.findall(r"^```json\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)[-1])
    assert {**problem, "request_id": ""} == {**documented, "request_id": ""}
    assert AITask.objects.count() == 3
