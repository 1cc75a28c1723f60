"""The servers that may serve `web`, each a real process on this test's databases, spoken to byte by byte."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import pytest

from accounts.models import User
from tests.factories import UserFactory
from tests.processes import BIN, START_SECONDS, Process, free_port, running, wait_until
from tests.servers.wire import is_live

GUNICORN = [str(BIN / "gunicorn"), "NoteAssist_AI.wsgi:application", "-c", "gunicorn.conf.py"]
EVENTS = [str(BIN / "gunicorn"), "NoteAssist_AI.wsgi:application", "-c", "gunicorn_events.conf.py"]
GRANIAN = [sys.executable, "granian_server.py"]
COMMANDS = {"gunicorn": GUNICORN, "granian": GRANIAN, "events": EVENTS}
PATIENCE_SECONDS = 20
"""Of the servers of these tests: a client that is slower is given up. A test that a machine holds up is no such one."""


@dataclass(frozen=True)
class Server:
    kind: str
    port: int
    process: Process

    def is_live(self) -> bool:
        return is_live(self.port)


StartServer = Callable[..., AbstractContextManager[Server]]


@pytest.fixture(scope="session")
def start(django_db_setup, django_db_blocker, tmp_path_factory) -> StartServer:
    """Run a server of this kind, with variables of its environment."""

    @contextmanager
    def start_server(kind: str, **environment: str) -> Iterator[Server]:
        port = free_port()
        environment = {
            "PORT": str(port),
            "EVENTS_PORT": str(port),
            "WEB_CONCURRENCY": "1",
            "HEADER_SECONDS": str(PATIENCE_SECONDS),
            "BODY_SECONDS": str(PATIENCE_SECONDS),
            "TRUSTED_PROXIES": "1",
            **environment,
        }
        log = tmp_path_factory.mktemp("servers") / f"{kind}.log"
        with running(COMMANDS[kind], log, **environment) as process:
            server = Server(kind, port, process)
            wait_until(server.is_live, START_SECONDS, lambda: process.output)
            yield server

    return start_server


@pytest.fixture(scope="session", params=["gunicorn", "granian"])
def kind(request) -> str:
    """Each server that may serve `web`."""
    return request.param


@pytest.fixture(scope="session")
def server(kind, start) -> Iterator[Server]:
    """One that all tests share: none may end it."""
    with start(kind) as it:
        yield it


@pytest.fixture(scope="session")
def events(start) -> Iterator[Server]:
    """The process that holds event streams."""
    with start("events") as it:
        yield it


@pytest.fixture
def alice(transactional_db) -> User:
    """Committed, for servers to see; tests without rows need not wait until the tables are emptied."""
    return UserFactory(email="alice@example.com", name="Alice")
