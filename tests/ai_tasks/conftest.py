"""What tests of AI tasks share: a model server on loopback, and someone to watch a call."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from celery import Celery
from django.db import connection

from ai_tasks.embeddings import extension
from ai_tasks.ledger.requests import reservation_for
from ai_tasks.providers.openai_compatible import parameters
from NoteAssist_AI.celery import app
from notes.models import Note
from tests.ai_tasks.spending import PRICE, SHORT
from tests.openai_behaviours import MODEL
from tests.openai_server import OpenAIServer, running_server
from tests.redis_proxy import RedisProxy, running_proxy

T = TypeVar("T")
EMBEDDING_MODEL = "test-embeddings"


class Stop(BaseException):
    """What a caller raises to end a call."""


class Recorder:
    """An observer that remembers what it was told; ``stop_at`` names an event after which it wants the call to end."""

    def __init__(self, *, seconds: float = 120.0) -> None:
        self.deadline = time.monotonic() + seconds
        self.steps: list[tuple[int, str]] = []
        self.deltas: list[str] = []
        self.restarts = 0
        self.stop_when: threading.Event | None = None
        self.stop_after_deltas: int | None = None

    def progress(self, percent: int, message: str, text: str = "") -> None:
        self.check()
        self.steps.append((percent, message))
        if text:
            self.delta(text)

    def delta(self, text: str) -> None:
        self.deltas.append(text)

    def restart(self) -> None:
        self.deltas.clear()
        self.restarts += 1

    def check(self) -> None:
        if self.stop_when is not None and self.stop_when.is_set():
            raise Stop
        if self.stop_after_deltas is not None and len(self.deltas) >= self.stop_after_deltas:
            raise Stop

    @property
    def percents(self) -> list[int]:
        return [percent for percent, _ in self.steps]


class Hasty(Recorder):
    """Its time is over as soon as the server has been asked: as soon as ``requests`` is not empty."""

    def __init__(self, requests: Sequence[object]) -> None:
        super().__init__()
        self._requests = requests

    @property
    def deadline(self) -> float:
        return 0.0 if self._requests else self._latest

    @deadline.setter
    def deadline(self, latest: float) -> None:
        self._latest = latest


def in_threads(count: int, call: Callable[[int], T]) -> list[T]:
    """Call a function in parallel, in all threads at once, each with a connection of its own."""
    together = threading.Barrier(count)

    def connected(index: int) -> T:
        together.wait(30)
        try:
            return call(index)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(connected, range(count)))


@pytest.fixture
def observer() -> Recorder:
    return Recorder()


@pytest.fixture
def openai_server(settings) -> Iterator[OpenAIServer]:
    """A model server of the test's own, and the settings that lead to it."""
    with running_server() as server:
        settings.AI_BASE_URL, settings.AI_API_KEY, settings.AI_MODEL = server.base_url, "test-key", MODEL
        yield server
    parameters.forget()


@pytest.fixture
def embeddings(settings, db) -> Iterator[OpenAIServer]:
    """A server of embeddings, the settings that lead to it, and a database that knows vectors."""
    if not extension.install():
        pytest.skip("this PostgreSQL has no extension vector")
    with running_server() as server:
        settings.EMBEDDINGS_ARE_ON, settings.EMBEDDINGS_MODEL = True, EMBEDDING_MODEL
        settings.EMBEDDINGS_BASE_URL, settings.EMBEDDINGS_API_KEY = server.base_url, "embedding-key"
        yield server


@pytest.fixture
def state_of(alice_client) -> Callable[[Note], dict[str, Any]]:
    """What the API shows Alice of a note's indexing."""
    return lambda note: alice_client.get(f"/api/notes/{note.pk}/indexing/").json()


@pytest.fixture
def offline(settings) -> None:
    """Neither a key nor a server: no model."""
    settings.AI_BASE_URL, settings.AI_API_KEY = "", ""


@pytest.fixture
def broker_proxy(settings, monkeypatch) -> Iterator[RedisProxy]:
    """What messages to workers pass on their way to the broker."""
    with running_proxy(settings.REDIS_URL) as proxy:
        through = Celery(broker=proxy.url)
        through.conf.update(task_queues=app.conf.task_queues, task_routes=app.conf.task_routes)
        monkeypatch.setattr("utils.redis.broker.app", through)
        yield proxy
        through.close()


def refusing_pushes(*, after: int = 0) -> Callable[[bytes], bytes]:
    """For a proxy of a broker: cut the connection over each message after so many."""
    pushes = itertools.count(1)

    def send(data: bytes) -> bytes:
        if b"LPUSH" in data and next(pushes) > after:
            raise ConnectionError
        return data

    return send


@pytest.fixture
def prices(openai_server, settings, no_limits) -> None:
    """The model has a price, and an answer a longest one."""
    settings.AI_PRICES = {MODEL: PRICE}
    settings.AI_MAX_TOKENS = 1000


@pytest.fixture
def most(openai_server, prices) -> Decimal:
    """What ``SHORT`` reserves."""
    return reservation_for(SHORT["request_type"], SHORT["request_data"])
