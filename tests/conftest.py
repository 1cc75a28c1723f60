"""What every test has: Alice, who owns things, Charlie, who is a stranger, and a Redis database of the test's own."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from django.conf import settings
from django.db import connection
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from rest_framework.test import APIClient

from accounts.models import Session, User
from accounts.tokens import issue_access
from NoteAssist_AI.embedded.servers import Redis
from tests.factories import SessionFactory, UserFactory
from tests.redis_proxy import RedisProxy, running_proxy
from tests.service_client import ServiceClient
from utils.admission import throttling
from utils.page_cache import invalidation
from utils.page_cache.invalidation import EpochBump
from utils.postgresql.base import DatabaseWrapper
from utils.redis.broker import broker_breaker
from utils.redis.client import SURE_SECONDS, reset_client
from utils.streaming import uploads
from utils.streaming.files import limiter as downloads

# A busy machine may take any time for an example. All runs try the same ones, so that none fails by chance;
# `--hypothesis-profile=explore` tries others.
_any_time = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.register_profile("same", _any_time, derandomize=True)
hypothesis_settings.register_profile("explore", _any_time)
hypothesis_settings.load_profile("same")

DAY_SECONDS = 86_400
PATIENCE_SECONDS = 30.0
REDIS_SECONDS = settings.REDIS_TIMEOUT_SECONDS, settings.REDIS_POOL_WAIT_SECONDS
settings.CELERY_BROKER_TRANSPORT_OPTIONS |= {
    "socket_timeout": PATIENCE_SECONDS,
    "socket_connect_timeout": PATIENCE_SECONDS,
}
settings.CACHES["default"]["OPTIONS"] |= {
    "SOCKET_TIMEOUT": PATIENCE_SECONDS,
    "SOCKET_CONNECT_TIMEOUT": PATIENCE_SECONDS,
}

# Each client's middleware would look through all static files, which another test may be collecting.
settings.STATIC_ROOT = None


@pytest.fixture(autouse=True, scope="session")
def no_database_unasked() -> Iterator[None]:
    """Tests that do not name the database reach it by no way; pytest-django knows of Django's own only."""
    fetch = DatabaseWrapper.fetch

    def guarded(self: DatabaseWrapper, *args: Any) -> Any:
        if hasattr(DatabaseWrapper.ensure_connection, "__self__"):  # pytest-django's, which refuses
            self.ensure_connection()
        return fetch(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseWrapper, "fetch", guarded)
        yield


@pytest.fixture(autouse=True)
def one_day() -> None:
    """Budgets and usage are of the day (UTC): shortly before midnight a test waits, or it would have two."""
    left = DAY_SECONDS - time.time() % DAY_SECONDS
    if left < 20:
        time.sleep(left)


@pytest.fixture(autouse=True)
def no_thread_bumps_the_epoch(monkeypatch) -> None:
    """A pending bump waits for the test's next request, or for a call of its own."""
    monkeypatch.setattr(EpochBump, "_start_thread", lambda self: None)


@pytest.fixture(autouse=True)
def patience_with_redis(settings, monkeypatch) -> None:
    """Requests wait half a second for Redis and then do without it: on a busy machine tests would see that instead.

    A test of a Redis that stands still takes it back, by ``impatient``.
    """
    settings.REDIS_TIMEOUT_SECONDS = settings.REDIS_POOL_WAIT_SECONDS = PATIENCE_SECONDS
    monkeypatch.setattr("utils.redis.client.SURE_STEP_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr("utils.redis.client.SURE_SECONDS", 4 * PATIENCE_SECONDS)


@pytest.fixture
def impatient(settings, monkeypatch) -> Callable[[], None]:
    """Call it to have the time-outs of production from now on."""

    def be_impatient() -> None:
        settings.REDIS_TIMEOUT_SECONDS, settings.REDIS_POOL_WAIT_SECONDS = REDIS_SECONDS
        monkeypatch.setattr("utils.redis.client.SURE_STEP_SECONDS", SURE_SECONDS / 4)
        monkeypatch.setattr("utils.redis.client.SURE_SECONDS", SURE_SECONDS)
        reset_client()

    return be_impatient


@pytest.fixture(autouse=True)
def empty_redis() -> Iterator[redis.Redis]:
    """The test's Redis database, empty; the process's own memories of Redis are empty, too."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.flushdb()
        reset_client()
        broker_breaker.close()
        invalidation.epoch_bump.is_pending = False
        throttling.local_counters.clear()
        yield client


@pytest.fixture(autouse=True)
def nothing_is_left_open() -> Iterator[None]:
    """A file that one test does not read to its end would take a place from the next ones."""
    before = len(uploads.limiter), len(downloads)
    yield
    assert (len(uploads.limiter), len(downloads)) == before


@pytest.fixture
def files() -> Iterator[Path]:
    """The folder of stored files, empty."""
    folder = Path(settings.STORAGES["default"]["OPTIONS"]["location"])
    shutil.rmtree(folder, ignore_errors=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def no_storage(settings) -> None:
    """Production without ``STORAGE_URL``."""
    settings.FILES_ARE_KEPT = False


@pytest.fixture
def dead_redis(settings) -> Iterator[None]:
    """Nothing listens where Redis should be."""
    settings.REDIS_URL = "unix:///nonexistent/redis.sock?db=0"
    reset_client()
    yield
    reset_client()


@pytest.fixture
def own_redis(settings) -> Iterator[Redis]:
    """A Redis of this test's own, which it may stop and start."""
    root = Path(tempfile.mkdtemp(prefix="redis-"))
    server = Redis(root, root)
    server.run()
    settings.REDIS_URL = server.url
    reset_client()
    yield server
    reset_client()
    server.stop()
    shutil.rmtree(root)


@pytest.fixture
def redis_proxy(settings) -> Iterator[RedisProxy]:
    """What requests pass on their way to Redis."""
    with running_proxy(settings.REDIS_URL) as proxy:
        settings.REDIS_URL = proxy.url
        reset_client()
        yield proxy
        reset_client()


class Interrupted(BaseException):
    """What a process that is ended raises wherever it happens to be."""


@pytest.fixture
def interrupt() -> Iterator[Callable[[], None]]:
    """Call it in another thread to end what the test's own thread is about, as a signal ends a worker."""

    def raise_here(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, raise_here)
    yield lambda: os.kill(os.getpid(), signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def alice(db: None) -> User:
    return UserFactory(email="alice@example.com", name="Alice")


@pytest.fixture
def charlie(db: None) -> User:
    """A stranger: everything of Alice's is a 404 to him."""
    return UserFactory(email="charlie@example.com", name="Charlie")


def client_of(
    user: User, session: Session | None = None, client_class: Callable[[], APIClient] = ServiceClient
) -> APIClient:
    """A client that is signed in with a real access token of a real session."""
    session = session or SessionFactory(user=user)
    client = client_class()
    token = issue_access(user_id=user.pk, token_version=user.token_version, session_id=session.pk)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


@pytest.fixture
def client() -> APIClient:
    """Nobody: a client without a token."""
    return ServiceClient()


@pytest.fixture
def alice_client(alice: User) -> APIClient:
    return client_of(alice)


@pytest.fixture
def charlie_client(charlie: User) -> APIClient:
    return client_of(charlie)


@pytest.fixture
def warm() -> Callable[[APIClient], None]:
    """Make a client's session state known to Redis, so that the next request reads only what it is about."""

    def warm(client: APIClient) -> None:
        client.get("/api/notifications/pending/")

    return warm


@pytest.fixture
def no_limits(settings) -> None:
    """For tests that send more requests than a student."""
    rest = settings.REST_FRAMEWORK
    settings.REST_FRAMEWORK = {**rest, "DEFAULT_THROTTLE_RATES": dict.fromkeys(rest["DEFAULT_THROTTLE_RATES"])}


@pytest.fixture
def breakers_stay_open(monkeypatch) -> None:
    """For tests of an open breaker: on a slow machine it would close by itself before they look."""
    monkeypatch.setattr("utils.redis.client.BREAKER_SECONDS", 3600)


@pytest.fixture
def patient_pool(transactional_db, monkeypatch) -> None:
    """For tests with more threads than connections: a slow machine makes them wait longer, not fail."""
    monkeypatch.setattr(connection.pool, "timeout", 60.0)


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    """The committed description of the API."""
    return yaml.safe_load(Path(settings.BASE_DIR, "docs/openapi.yaml").read_text())
