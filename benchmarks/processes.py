"""The service's own processes under test, as the Procfile starts them, and what they take."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.environment import BASE_DIR, HOST, ROOT, Bench, cpu_seconds, free_port

START_SECONDS = 60
STOP_SECONDS = 40  # gunicorn's own patience is 25


class Service:
    """A process of ours with its children."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str]) -> None:
        self.log = ROOT / f"{name}.log"
        with self.log.open("wb") as output:
            self.popen = subprocess.Popen(
                command,
                cwd=BASE_DIR,
                env=dict(environment),
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def processes(self) -> list[psutil.Process]:
        parent = psutil.Process(self.popen.pid)
        return [parent, *parent.children(recursive=True)]

    def cpu(self) -> float:
        """CPU seconds so far."""
        return sum(self.cpu_by_process().values())

    def cpu_by_process(self) -> dict[int, float]:
        return {process.pid: cpu_seconds(process.pid) for process in self.processes()}

    def open_files(self) -> dict[int, int]:
        """How many files and sockets each process has open: connections stay with the process that took them."""
        return {process.pid: process.num_fds() for process in self.processes()}

    def memory_mb(self) -> float:
        """What it would free if it ended: pages shared by its processes count in proportion."""
        return sum(process.memory_full_info().pss for process in self.processes()) / 2**20

    def require_alive(self) -> None:
        if self.popen.poll() is not None:
            sys.exit(f"It ended with {self.popen.returncode}:\n{self.tail()}")

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])

    def stop(self) -> None:
        self.popen.terminate()
        try:
            self.popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            for process in self.processes():
                process.kill()
            self.popen.wait()


@contextmanager
def web(this: Bench, **changes: str) -> Iterator[tuple[Service, int]]:
    """gunicorn as in production, on a port of its own."""
    command = [sys.executable, "-m", "gunicorn", "NoteAssist_AI.wsgi:application", "-c", "gunicorn.conf.py", "--bind"]
    port = free_port()
    # Production listens on all interfaces; a benchmark only on loopback.
    with _server("web", [*command, f"{HOST}:{port}"], port, this.environ(PORT=str(port), **changes)) as service:
        yield service, port


@contextmanager
def granian(this: Bench, **changes: str) -> Iterator[tuple[Service, int]]:
    """Granian as `compose.yaml` starts it, on a port of its own."""
    port = free_port()
    with _server(
        "granian", [sys.executable, "granian_server.py"], port, this.environ(PORT=str(port), **changes)
    ) as service:
        yield service, port


@contextmanager
def _server(name: str, command: list[str], port: int, environment: Mapping[str, str]) -> Iterator[Service]:
    service = Service(name, command, environment)
    try:
        wait_for_answer(service, f"http://{HOST}:{port}/healthz/live")
        yield service
    finally:
        service.stop()


@contextmanager
def worker(this: Bench, *, concurrency: int, with_beat: bool = False, **changes: str) -> Iterator[Service]:
    """A Celery worker as in production, ready to take tasks; with the scheduler inside where that is wanted."""
    command = [sys.executable, "-m", "NoteAssist_AI.consumers"]
    if with_beat:
        command += ["--", "--beat", "--schedule", str(this.engines.root / "celerybeat-schedule")]
    environment = this.environ(
        AI_WORKER_CONCURRENCY=str(concurrency), DB_POOL_MAX="8", **{"LOG_LEVEL": "INFO", **changes}
    )
    service = Service("worker", command, environment)
    try:
        for queue in ("ai", "celery"):
            wait_for_line(service, f"{queue}@{socket.gethostname()} ready.")
        yield service
    finally:
        service.stop()


@contextmanager
def provider(*, behaviour: str, slow_seconds: float = 0.05) -> Iterator[str]:
    """The tests' server that speaks OpenAI's protocol, in a process of its own; its base URL."""
    port = free_port()
    command = [sys.executable, "-m", "tests.openai_server", "--port", str(port), "--default", behaviour]
    service = Service("provider", [*command, "--slow-seconds", str(slow_seconds)], {})
    try:
        wait_for_answer(service, f"http://{HOST}:{port}/admin/requests")
        yield f"http://{HOST}:{port}/v1"
    finally:
        service.stop()


def wait_for_answer(service: Service, url: str) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_SECONDS
    while True:
        service.require_alive()
        try:
            with direct.open(url, timeout=5):
                return
        except OSError:
            if time.monotonic() > deadline:
                sys.exit(f"{url} does not answer:\n{service.tail()}")
        time.sleep(0.1)


def wait_for_line(service: Service, text: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while text not in Path(service.log).read_text(errors="replace"):
        service.require_alive()
        if time.monotonic() > deadline:
            sys.exit(f"it is not ready:\n{service.tail()}")
        time.sleep(0.1)
