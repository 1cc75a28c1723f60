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

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=settings.BASE_DIR,
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

    def wait_for_output(self, text: str, seconds: float = 30) -> None:
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
        self._popen.wait(10)


@contextmanager
def running(command: list[str], log: Path, **extra_environment: str) -> Iterator[Process]:
    process = Process(command, environment_of_this_test(**extra_environment), log)
    try:
        yield process
    finally:
        process.kill()


@contextmanager
def running_worker(log: Path, **extra_environment: str) -> Iterator[Process]:
    """A real Celery worker on this test's databases, ready to work."""
    command = [str(BIN / "celery"), "-A", "NoteAssist_AI", "worker", "--pool", "threads", "--concurrency", "4"]
    command += ["--without-gossip", "--without-mingle", "--loglevel", "INFO"]
    with running(command, log, DB_POOL_MAX="4", **extra_environment) as process:
        process.wait_for_output(" ready.")
        yield process


def wait_until(condition: Callable[[], bool], seconds: float = 20, describe: Callable[[], str] = lambda: "it") -> None:
    """Poll until the condition holds; the test fails at the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {describe()}"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
