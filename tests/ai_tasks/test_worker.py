"""A real worker process does what the API promised."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.utils import timezone

from ai_tasks import ledger
from ai_tasks.models import AITask
from notifications.models import Notification
from tests.ai_tasks.ledger_helpers import expire_lease
from tests.conftest import client_of
from tests.openai_behaviours import BEHAVIOURS
from tests.openai_server import Handler, OpenAIServer, running_server
from tests.processes import RUN_SECONDS, running_worker, wait_until
from utils.redis.broker import publish

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def provider() -> Iterator[OpenAIServer]:
    with running_server() as server:
        yield server


@pytest.fixture
def worker_environment(provider) -> dict[str, str]:
    return {"AI_BASE_URL": provider.base_url, "AI_MODEL": "test-model"}


def submit(client, **extra) -> str:
    body = {"request_type": "generate_explanation", "request_data": {"topic": "Python loops", **extra}}
    response = client.post("/api/ai/tasks/", body, format="json")
    assert response.status_code == 202, response.content
    return response.json()["task_id"]


def poll(client, task_id) -> dict:
    return client.get(f"/api/ai/tasks/{task_id}/").json()


def test_a_posted_task_runs_with_rising_progress_and_is_notified_once(
    alice, provider, worker_environment, tmp_path, no_limits, monkeypatch
):
    client = client_of(alice)
    seen: list[dict] = []

    def has_seen(percent: int) -> bool:
        return any(answer["status"] == "running" and answer["progress"] >= percent for answer in list(seen))

    def as_it_is_seen(handler: Handler, body: dict) -> None:
        def pieces() -> Iterator[str]:
            yield "A loop "
            wait_until(lambda: has_seen(20), 120)
            yield "repeats. " * 500
            wait_until(lambda: has_seen(40), 120)
            yield "It ends."

        handler.stream(body, pieces())

    monkeypatch.setitem(BEHAVIOURS, "as it is seen", as_it_is_seen)
    provider.state.default = "as it is seen"

    with running_worker(tmp_path / "worker.log", **worker_environment):
        task_id = submit(client)

        def finished() -> bool:
            seen.append(poll(client, task_id))
            return seen[-1]["status"] in AITask.TERMINAL

        wait_until(finished, 200, lambda: str(seen[-1]))
        pending = client.get("/api/notifications/pending/").json()

    running = [answer["progress"] for answer in seen if answer["status"] == "running"]
    assert len(set(running)) >= 2
    assert running == sorted(running)
    last = seen[-1]
    assert (last["status"], last["progress"], last["error"]) == ("succeeded", 100, None)
    assert last["result"]["content"]
    assert last["usage"] == {"input_tokens": 42, "output_tokens": 37, "estimated": False, "cost": None}
    assert [(row["type"], row["action_id"]) for row in pending["results"]] == [("success", task_id)]
    assert Notification.objects.count() == 1


def test_a_busy_provider_is_asked_again_when_the_task_is_due(alice, provider, worker_environment, tmp_path):
    client = client_of(alice)
    provider.state.script.extend(["500"])

    with running_worker(tmp_path / "worker.log", **worker_environment):
        task_id = submit(client)
        wait_until(lambda: AITask.objects.get().status == "waiting_provider")
        AITask.objects.update(next_attempt_at=timezone.now())
        ledger.sweep()
        wait_until(lambda: AITask.objects.get().status == "succeeded")

    task = AITask.objects.get(pk=task_id)
    assert (task.attempt, task.provider_failures, task.lost_leases) == (2, 1, 0)


def test_a_running_task_is_cancelled_by_its_worker(alice, provider, worker_environment, tmp_path):
    client = client_of(alice)
    provider.state.default = "hang"

    with running_worker(tmp_path / "worker.log", **worker_environment):
        task_id = submit(client)
        wait_until(lambda: AITask.objects.get().status == "running")
        answer = client.post(f"/api/ai/tasks/{task_id}/cancel/")
        assert (answer.status_code, answer.json()["status"]) == (202, "cancelling")
        wait_until(lambda: AITask.objects.get().status == "cancelled")

    assert not Notification.objects.exists()


def test_a_worker_that_is_killed_loses_no_task(alice, provider, worker_environment, tmp_path):
    client = client_of(alice)
    provider.state.script.extend(["hang"])

    with running_worker(tmp_path / "first.log", **worker_environment):
        task_id = submit(client)
        wait_until(lambda: bool(provider.state.requests))
    with running_worker(tmp_path / "second.log", **worker_environment):
        expire_lease(AITask.objects.get())
        ledger.sweep()
        wait_until(lambda: AITask.objects.get().status == "succeeded")

    task = AITask.objects.get(pk=task_id)
    assert (task.attempt, task.lost_leases) == (2, 1)
    assert Notification.objects.count() == 1


@pytest.mark.slow
def test_a_task_that_kills_its_workers_is_failed_and_delays_no_other_task(
    alice, provider, worker_environment, tmp_path
):
    client = client_of(alice)
    poison = submit(client, context="[[behave:hang]]")

    def asked_about_poison() -> int:
        return [request["behaviour"] for request in provider.state.requests].count("hang")

    for kills in range(3):
        with running_worker(tmp_path / f"worker{kills}.log", **worker_environment):
            wait_until(lambda kills=kills: asked_about_poison() == kills + 1)
            beside_it = submit(client, context=f"beside worker {kills}")
            wait_until(lambda task_id=beside_it: AITask.objects.get(pk=task_id).status == "succeeded")
        assert AITask.objects.get(pk=poison).status == "running"
        expire_lease(AITask.objects.get(pk=poison))
        ledger.sweep()

    task = AITask.objects.get(pk=poison)
    assert (task.status, task.error_code) == ("failed", "worker_lost")
    assert (task.attempt, task.lost_leases, asked_about_poison()) == (3, 3, 3)
    assert Notification.objects.get(action_id=poison).type == "error"
    assert Notification.objects.count() == 4


def test_a_worker_told_to_stop_gives_its_tasks_back_and_exits_with_0(alice, provider, worker_environment, tmp_path):
    client = client_of(alice)
    provider.state.default = "hang"

    with running_worker(tmp_path / "worker.log", AI_SHUTDOWN_SECONDS="1", **worker_environment) as worker:
        submit(client)
        wait_until(lambda: AITask.objects.get().status == "running")
        worker.send(signal.SIGTERM)
        assert worker.wait(60) == 0, worker.output

    task = AITask.objects.get()
    assert (task.status, task.lost_leases, task.published_at) == ("queued", 0, None)


def test_a_worker_told_to_stop_finishes_what_it_can_and_claims_nothing_more(
    alice, provider, worker_environment, tmp_path
):
    client = client_of(alice)
    provider.state.script.append("slow")

    with running_worker(tmp_path / "worker.log", AI_SHUTDOWN_SECONDS="15", **worker_environment) as worker:
        finished = submit(client)
        wait_until(lambda: bool(provider.state.requests))
        worker.send(signal.SIGTERM)
        wait_until(lambda: "Warm shutdown" in worker.output, describe=lambda: worker.output)
        left = submit(client, context="another")
        assert worker.wait(60) == 0, worker.output

    assert AITask.objects.get(pk=finished).status == "succeeded"
    assert (AITask.objects.get(pk=left).status, AITask.objects.get(pk=left).attempt) == ("queued", 0)
    assert len(provider.state.requests) == 1


def test_a_message_without_its_row_is_dropped(alice, provider, worker_environment, tmp_path):
    client = client_of(alice)

    with running_worker(tmp_path / "worker.log", **worker_environment) as worker:
        lost = AITask(user=alice)
        assert publish(ledger.announcing.PROCESS_TASK, str(lost.pk))
        submit(client)
        wait_until(lambda: AITask.objects.get().status == "succeeded")
        assert "Traceback" not in worker.output


def test_web_processes_do_not_import_the_http_client():
    """Only workers pay for its memory."""
    code = "import django, sys; django.setup(); import NoteAssist_AI.urls; sys.exit('httpx2' in sys.modules)"
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "NoteAssist_AI.settings"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, timeout=RUN_SECONDS, check=False)
    assert done.returncode == 0
