"""A provider that dies for two minutes under 200 tasks: none is lost or answered twice, and few calls are made."""

import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db.models import Max

from ai_tasks import ledger
from ai_tasks.models import AITask, ProviderState
from notifications.models import Notification
from tests.openai_behaviours import BEHAVIOURS, MODEL
from tests.openai_behaviours import slow as answer_slowly
from tests.openai_server import Handler, OpenAIServer, State
from tests.processes import BIN, free_port, running, wait_until

TASKS = 200
BEFORE = 100
"""Tasks that are accepted before the provider dies. The others are accepted while it is dead."""
CONCURRENCY = 50
OUTAGE_SECONDS = 120.0
MOST_PROBES = 15
"""At 2, 4, 8, 16, 30, 30 … s, each rounded up to the next look of beat."""


class MortalServer(OpenAIServer):
    """A model server that can be killed with all its connections."""

    def __init__(self, port: int, state: State) -> None:
        self.sockets: list[socket.socket] = []
        super().__init__(port, state)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.sockets.append(connection)
        return connection, address

    def die(self) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()
        for each in self.sockets:
            with_linger_off(each)


def with_linger_off(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it had ended


class Grave:
    """Where the server was: whoever comes is counted and turned away."""

    def __init__(self, port: int) -> None:
        self.visits: list[float] = []
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self._listener.settimeout(0.1)
        self._is_open = True
        self._thread = threading.Thread(target=self._turn_away, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._is_open = False
        self._thread.join()
        self._listener.close()

    def _turn_away(self) -> None:
        while self._is_open:
            try:
                visitor, _ = self._listener.accept()
            except TimeoutError:
                continue
            self.visits.append(time.monotonic())
            visitor.close()


@contextmanager
def processes(tmp_path, **environment: str) -> Iterator[Any]:
    worker = [str(BIN / "celery"), "-A", "NoteAssist_AI", "worker", "--pool", "threads", "-c", str(CONCURRENCY)]
    worker += ["-Q", "celery,ai", "--without-gossip", "--without-mingle", "--loglevel", "INFO"]
    beat = [str(BIN / "celery"), "-A", "NoteAssist_AI", "beat", "-s", str(tmp_path / "schedule")]
    environment = {"DB_POOL_MAX": "8", **environment}
    with (
        running(worker, tmp_path / "worker.log", **environment) as process,
        running(beat, tmp_path / "beat.log", **environment),
    ):
        process.wait_for_output(" ready.")
        yield process


def name_in(text: str) -> str:
    return re.findall(r"task-\d+", text)[0]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.django_db(transaction=True)
def test_a_provider_that_dies_for_two_minutes_costs_no_task_and_few_calls(alice, no_limits, tmp_path, monkeypatch):
    begun: list[str] = []
    completed: list[str] = []

    def story(handler: Handler, body: dict[str, Any]) -> None:
        name = name_in(str(body["messages"]))
        begun.append(name)
        answer_slowly(handler, body)
        completed.append(name)

    def submit(number: int) -> None:
        content = f"This is about task-{number}. A loop repeats."
        ledger.submit(user_id=alice.pk, request_type="summarize", request_data={"content": content})

    def in_state(status: str) -> int:
        return AITask.objects.filter(status=status).count()

    monkeypatch.setitem(BEHAVIOURS, "story", story)
    state, port = State(default="story", slow_seconds=0.2), free_port()
    server = MortalServer(port, state)
    environment = {"AI_BASE_URL": server.base_url, "AI_MODEL": MODEL, "AI_API_KEY": ""}
    with processes(tmp_path, **environment) as worker:
        for number in range(BEFORE):
            submit(number)
        wait_until(lambda: len(completed) >= CONCURRENCY // 2, 60)
        server.die()
        grave, died_at = Grave(port), time.monotonic()
        broken = len(begun) - len(completed)
        for number in range(BEFORE, TASKS):
            submit(number)
            time.sleep(OUTAGE_SECONDS / 2 / (TASKS - BEFORE))
        wait_until(lambda: in_state("queued") == 0, 100)
        waiting = in_state("waiting_provider") + in_state("running")
        time.sleep(max(0.0, died_at + OUTAGE_SECONDS - time.monotonic()))
        visits, done_before = list(grave.visits), in_state("succeeded")
        failures = AITask.objects.aggregate(most=Max("provider_failures"))["most"]
        grave.close()
        server, back_at = MortalServer(port, state), time.monotonic()
        wait_until(lambda: AITask.objects.filter(status__in=AITask.TERMINAL).count() == TASKS, 200)
        took = time.monotonic() - back_at
        refused = worker.output.count("The AI provider cannot be reached.")
        server.die()

    times = Counter(completed)
    first = sum(visit - died_at < 5 for visit in visits)
    print(  # noqa: T201  # these are the figures of docs/providers.md
        f"tasks {TASKS}, succeeded {in_state('succeeded')} ({done_before} before it was back)\n"
        f"streams broken at its death {broken}; answered more than once {sum(n > 1 for n in times.values())}\n"
        f"calls in {OUTAGE_SECONDS:.0f} s of outage {len(visits)}: {first} in the first 5 s, {len(visits) - first} "
        f"later at {[round(visit - died_at) for visit in visits[first:]]} s; {refused} lines of unreachable\n"
        f"waiting together {waiting}; most failures counted for a task {failures}\n"
        f"all ended {took:.1f} s after it was back, at {CONCURRENCY} calls at a time"
    )
    assert in_state("succeeded") == TASKS
    assert set(times) == {f"task-{number}" for number in range(TASKS)}
    assert set(times.values()) == {1}
    assert Notification.objects.count() == TASKS
    assert ProviderState.objects.get().out_since is None
    assert failures < ledger.waiting.MAX_PROVIDER_FAILURES - 1
    assert 0 < len(visits) <= CONCURRENCY + MOST_PROBES
