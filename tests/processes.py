"""The project's own processes, run for tests that are about processes."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.db import connection

BIN = Path(sys.executable).parent
WORKER = [sys.executable, "-m", "NoteAssist_AI.consumers"]
START_SECONDS = 120.0
"""How long a process may take to begin, on a machine that starts others meanwhile."""
RUN_SECONDS = 240.0
"""How long a command may take that is waited for. The suite's time-out is longer, and would leave it running."""
WAIT_SECONDS = 60.0
"""How long what should happen soon may take. A deadline is for a product that is broken, and measures nothing."""
POLITE_SECONDS = 1.0
"""Between two questions of a client whose limit is 60 a minute."""


def environment_of_this_test(**extra: str) -> dict[str, str]:
    """The environment of a process that shares this test's databases."""
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path="/" + connection.settings_dict["NAME"])
    return {
        **os.environ,
        "ENVIRONMENT": "test",
        "DATABASE_URL": urlunsplit(database),
        "REDIS_URL": settings.REDIS_URL,
        "PYTHONUNBUFFERED": "1",
        **extra,
    }


class Process:
    """A child with its output in a file; its whole process group ends with the test."""

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path, cwd: Path | None = None) -> None:
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=cwd or settings.BASE_DIR,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def is_running(self) -> bool:
        return self._popen.poll() is None

    @property
    def pid(self) -> int:
        return self._popen.pid

    def wait_for_output(self, text: str, seconds: float = START_SECONDS) -> None:
        def seen() -> bool:
            assert self._popen.poll() is None, f"the process ended with {self._popen.returncode}:\n{self.output}"
            return text in self.output

        wait_until(seen, seconds, lambda: f"{text!r} in:\n{self.output}")

    def send(self, signal_number: int) -> None:
        self._popen.send_signal(signal_number)

    def wait(self, seconds: float) -> int:
        return self._popen.wait(seconds)

    def kill(self) -> None:
        with suppress(ProcessLookupError):  # the group outlives its leader as long as it has a member
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait(60)


@contextmanager
def running(command: list[str], log: Path, *, cwd: Path | None = None, **extra_environment: str) -> Iterator[Process]:
    process = Process(command, environment_of_this_test(**extra_environment), log, cwd)
    try:
        yield process
    finally:
        process.kill()


@contextmanager
def running_worker(
    log: Path, *, seconds: float = START_SECONDS, is_awaited: bool = True, **extra_environment: str
) -> Iterator[Process]:
    """A real worker, both its consumers, on this test's databases, ready to work unless it is not awaited."""
    few = {"DB_POOL_MAX": "4", "AI_WORKER_CONCURRENCY": "4"}
    with running(WORKER, log, **{**few, **extra_environment}) as process:
        if is_awaited:
            wait_for_consumers(process, seconds)
        yield process


def wait_for_consumers(worker: Process, seconds: float = START_SECONDS, *, name: str = "") -> None:
    """Wait until both consumers of a worker take messages. ``name`` is what it was started with."""
    for queue in ("ai", "celery"):
        worker.wait_for_output(f"{queue}{name and f'-{name}'}@{socket.gethostname()} ready.", seconds)


def wait_until(
    condition: Callable[[], bool],
    seconds: float = WAIT_SECONDS,
    describe: Callable[[], str] = lambda: "it",
    *,
    every: float = 0.02,
) -> None:
    """Poll until the condition holds; the test fails at the deadline.

    A condition that sends a request which a limit counts is asked ``every=POLITE_SECONDS``: on a slow machine a faster
    one would use the limit up, and wait in vain.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {describe()}"
        time.sleep(every)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
