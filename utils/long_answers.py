"""Answers that are sent for longer than a request takes: who may have one, and when its reader is given up.

Each holds a thread or a greenlet of its process as long as its client reads, so a process has places for a few only,
and a user for fewer. None holds a database connection while its client reads, or does not.
"""

import socket
import threading
from collections import Counter
from collections.abc import Iterable, Iterator

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.http import HttpRequest

from utils.exceptions import Unavailable

UNSENT_SECONDS = 30
"""A client that does not take what one write sends for so long is given up."""


class Places:
    """How many answers of one kind this process is sending, and to whom."""

    def __init__(self, refusal: type[Unavailable]) -> None:
        self._refusal = refusal
        self._taken: Counter[int] = Counter()
        self._total = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._total

    def take(self, user_id: int, *, at_most: int, per_user: int) -> None:
        """Raises the refusal if the process has ``at_most`` already, or the user their share."""
        with self._lock:
            if self._total >= at_most or self._taken[user_id] >= per_user:
                raise self._refusal
            self._taken[user_id] += 1
            self._total += 1

    def leave(self, user_id: int) -> None:
        with self._lock:
            self._total -= 1
            self._taken[user_id] -= 1
            if not self._taken[user_id]:
                del self._taken[user_id]


class Download:
    """What is sent to one user while it is made. Has a place until it is closed, so close it whatever happens."""

    def __init__(
        self, request: HttpRequest, chunks: Iterable[bytes], *, user_id: int, places: Places, at_most: int
    ) -> None:
        """Raises the refusal of ``places``; each user has one of them."""
        bound_sending(request)
        places.take(user_id, at_most=at_most, per_user=1)
        self._chunks = chunks
        self._places = places
        self._place: int | None = user_id

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            release_connection()
            yield chunk

    def close(self) -> None:
        """Give the place back. Twice does no harm."""
        if self._place is not None:
            self._places.leave(self._place)
            self._place = None


def bound_sending(request: HttpRequest) -> socket.socket | None:
    """Have sending the answer fail once its client takes nothing; return the connection if the server tells of it.

    A write ends after ``UNSENT_SECONDS``, however little of it was taken; what the kernel holds, as long after the
    client last acknowledged something.
    """
    client: socket.socket | None = request.META.get("gunicorn.socket")
    if client is None:
        return None
    client.settimeout(UNSENT_SECONDS)
    if client.family != socket.AF_UNIX and hasattr(socket, "TCP_USER_TIMEOUT"):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNSENT_SECONDS * 1000)
    return client


def release_connection() -> None:
    """Give the database connection back to its pool, unless a caller's transaction needs it.

    What Django keeps beside it for each thread goes, too: 4 kB of every stream.
    """
    if not connection.in_atomic_block:
        connection.close()
        del connections[DEFAULT_DB_ALIAS]
