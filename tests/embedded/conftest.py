import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from NoteAssist_AI.embedded import Engines

PROJECT = Path(__file__).resolve().parents[2]

USER = """
import os, sys
from NoteAssist_AI import embedded
embedded.ensure()
print(os.environ["DATABASE_URL"], os.environ["REDIS_URL"], flush=True)
sys.stdin.read()
"""


class User:
    """A process that uses the engines until it is told to leave, or killed."""

    def __init__(self, engines: Engines, *, script: str = USER, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=PROJECT,
            env=environment_of(engines, **environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def urls(self) -> list[str]:
        """Its DATABASE_URL and REDIS_URL, once it has them; fails after 120 s."""
        ready, _, _ = select.select([self.process.stdout], [], [], 120)
        assert ready, psutil.Process(self.process.pid).as_dict(["status", "cmdline", "open_files", "cpu_times"])
        return self.process.stdout.readline().split()

    def leave(self) -> None:
        self.process.communicate(timeout=90)
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=90)


def environment_of(engines: Engines, **environment: str) -> dict[str, str]:
    """An environment that leads to these engines and to no others; empty URLs count as missing."""
    return {
        **os.environ,
        "ENVIRONMENT": "test",
        "EMBEDDED_ROOT": str(engines.root),
        "DATABASE_URL": "",
        "REDIS_URL": "",
        **environment,
    }


@contextmanager
def private_engines(root: Path) -> Iterator[Engines]:
    engines = Engines(root)
    try:
        yield engines
    finally:
        engines.leave()
        assert engines.release()


@pytest.fixture(scope="session")
def _initialized_engines(tmp_path_factory):
    with private_engines(tmp_path_factory.mktemp("engines")) as engines:
        yield engines


@pytest.fixture
def engines(_initialized_engines):
    """Stopped engines, far from the developer's, whose data directory was made before."""
    yield _initialized_engines
    _initialized_engines.release()
    assert alive(_initialized_engines) == []


@pytest.fixture
def new_engines(tmp_path):
    """Engines that were never started."""
    with private_engines(tmp_path / "engines") as engines:
        yield engines


@pytest.fixture
def start_user(request):
    users = []

    def start(engines: Engines, **arguments: str) -> User:
        users.append(User(engines, **arguments))
        return users[-1]

    yield start
    for user in users:
        user.kill()
        user.process.stdin.close()
        user.process.stdout.close()


def alive(engines: Engines) -> list[str]:
    return [server.name for server in engines.servers if server.is_alive()]


def main_processes(engines: Engines) -> list[int]:
    """The process ids of the servers that are up."""
    return [int(server.pid_path.read_text().split("\n", 1)[0]) for server in engines.servers if server.is_alive()]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
