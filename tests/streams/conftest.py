from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import pytest
from django.core.signals import request_finished
from django.db import close_old_connections
from django.test.client import Client

from accounts.tokens import issue_access
from accounts.views.streams import ended_sessions
from ai_tasks.views.events import ended_tasks
from tests.factories import SessionFactory
from tests.processes import BIN, START_SECONDS, Process, free_port, running, wait_until
from tests.servers.wire import is_live
from tests.streams.event_source import Event, EventSource, events_in
from utils.redis.pubsub import listener
from utils.streaming.clients import limiter


@dataclass(frozen=True)
class Server:
    url: str
    process: Process

    def events_of(self, task) -> str:
        return f"{self.url}/api/ai/tasks/{task.pk}/events/"


StartServer = Callable[..., AbstractContextManager[Server]]


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    """Whatever a test does, its streams give everything back."""
    yield
    assert len(limiter) == 0
    assert (len(listener), len(ended_tasks), len(ended_sessions)) == (0, 0, 0)


@pytest.fixture
def start_server(tmp_path) -> StartServer:
    """Run a real gunicorn on this test's databases: the ``events`` process, or with ``kind="web"`` the other one."""

    @contextmanager
    def start(kind: str = "events", **environment: str) -> Iterator[Server]:
        port = free_port()
        config = {"events": "gunicorn_events.conf.py", "web": "gunicorn.conf.py"}[kind]
        command = [str(BIN / "gunicorn"), "NoteAssist_AI.wsgi:application", "-c", config]
        ports = {"PORT": str(port), "EVENTS_PORT": str(port)}
        with running(
            command, tmp_path / f"{kind}-{port}.log", **{"WEB_CONCURRENCY": "1", **ports, **environment}
        ) as it:
            it.wait_for_output("Booting worker")  # which then imports the application, while clients may connect
            wait_until(lambda: is_live(port), START_SECONDS, lambda: it.output)
            yield Server(f"http://127.0.0.1:{port}", it)

    return start


def bearer_of(user) -> dict[str, str]:
    session = SessionFactory(user=user)
    token = issue_access(user_id=user.pk, token_version=user.token_version, session_id=session.pk)
    return {"Authorization": f"Bearer {token}"}


def source_of(user, url: str) -> EventSource:
    return EventSource(url, headers=bearer_of(user))


def read_all(response) -> list[Event]:
    """The events of a stream that ends, read in this process."""
    assert response.status_code == 200, response.content
    return events_in(b"".join(response.streaming_content))  # at whose end the test client closes it


@contextmanager
def reading(client: Client, path: str, **headers: str) -> Iterator[Iterator[bytes]]:
    """The chunks of a stream that is read in this process, chunk by chunk."""
    response = client.get(path, headers=headers)
    assert response.status_code == 200, response.content
    try:
        yield iter(response.streaming_content)
    finally:
        response._iterator.close()  # the test client's own wrapper, which else would close the test's connection
        request_finished.disconnect(close_old_connections)
        response.close()
        request_finished.connect(close_old_connections)
