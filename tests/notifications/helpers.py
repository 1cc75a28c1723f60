"""What tests of notifications share."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar
from uuid import UUID

from django.db import connection

from accounts.models import User
from notifications import services
from notifications.entries import NotificationEntry
from notifications.models import Notification
from utils.redis.client import reset_client

T = TypeVar("T")

PENDING = "/api/notifications/pending/"
READ = "/api/notifications/read/"


def create(user: User, title: str = "Done", **fields) -> str:
    """Create a notification and return its id as the API spells it."""
    return str(services.create(user_id=user.pk, title=title, message="", **fields))


def entry_of(row: Notification) -> NotificationEntry:
    return NotificationEntry(**{name: getattr(row, name) for name in NotificationEntry.__slots__})


def pending_ids(client) -> list[str]:
    """The ids in the user's pending list, once the inbox is complete for it."""
    answer = client.get(PENDING)
    return [entry["id"] for entry in answer.json()["results"]]


def mark_read(user: User, *ids: str) -> int:
    return services.mark_read(user_id=user.pk, ids=[UUID(id_) for id_ in ids])


@contextmanager
def redis_away(settings) -> Iterator[None]:
    """Nothing listens where Redis should be, for a while; what it holds is kept."""
    url = settings.REDIS_URL
    settings.REDIS_URL = "unix:///nonexistent/redis.sock?db=0"
    reset_client()
    yield
    settings.REDIS_URL = url
    reset_client()


def in_parallel(functions: Sequence[Callable[[], T]]) -> list[T]:
    """Run all functions at the same moment, each in a thread, and return their answers."""
    barrier = threading.Barrier(len(functions))

    def run(function: Callable[[], T]) -> T:
        barrier.wait(timeout=30)
        try:
            return function()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(functions)) as threads:
        return list(threads.map(run, functions))


def wait_until_a_statement_waits_for_a_lock() -> None:
    """Return once some other connection to this database waits for a lock of ours."""
    deadline = time.monotonic() + 60
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute(
                "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
                " WHERE NOT granted AND datname = current_database()"
            )
            if cursor.fetchone()[0]:
                return
            time.sleep(0.01)
    raise AssertionError("Nobody waits for a lock.")
