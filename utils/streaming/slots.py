"""Slots for long responses: how many a process and a user may have, and when a client that reads too slowly is dropped.

Each long response occupies a thread or a greenlet while its client reads, so their number is limited. None of them
holds a database connection while its client reads.
"""

import socket
import threading
from collections import Counter
from collections.abc import Iterable, Iterator

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.http import HttpRequest

from utils.http.errors import Unavailable

SEND_TIMEOUT_SECONDS = 30
"""A client that does not receive the data of one write for this long is disconnected."""


class ConcurrencyLimiter:
    """Limits how many responses of one kind this process sends at a time, in total and to one user."""

    def __init__(self, refusal: type[Unavailable], *, per_user: int) -> None:
        self._refusal = refusal
        self._per_user = per_user
        self._acquired: Counter[int] = Counter()
        self._total = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._total

    def acquire(self, user_id: int, *, at_most: int) -> None:
        """Acquire a slot.

        Raises the refusal if the process has ``at_most`` already, or the user has their share: ``per_user``, and at
        most half of the slots if there are several, so that no user can take them all.
        """
        share = max(1, min(self._per_user, at_most // 2))
        with self._lock:
            if self._total >= at_most or self._acquired.get(user_id, 0) >= share:
                raise self._refusal
            self._acquired[user_id] += 1
            self._total += 1

    def release(self, user_id: int) -> None:
        with self._lock:
            self._total -= 1
            self._acquired[user_id] -= 1
            if not self._acquired[user_id]:
                del self._acquired[user_id]


class Download:
    """A response that is generated while it is sent. Holds a slot until it is closed, so it must always be closed."""

    def __init__(
        self, request: HttpRequest, chunks: Iterable[bytes], *, user_id: int, limiter: ConcurrencyLimiter, at_most: int
    ) -> None:
        """Acquire a slot. Raises the refusal of ``limiter``."""
        set_send_timeout(request)
        limiter.acquire(user_id, at_most=at_most)
        self._chunks = chunks
        self._limiter = limiter
        self._user_with_slot: int | None = user_id

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            release_connection()
            yield chunk

    def close(self) -> None:
        """Release the slot. May be called more than once."""
        if self._user_with_slot is not None:
            self._limiter.release(self._user_with_slot)
            self._user_with_slot = None


def set_send_timeout(request: HttpRequest) -> socket.socket | None:
    """Make sending the response fail if its client stops reading; return the socket if the server gives access to it.

    A write fails after ``SEND_TIMEOUT_SECONDS``, even if a part of it was sent. After the same time without an
    acknowledgement the kernel drops buffered data.
    """
    client: socket.socket | None = request.META.get("gunicorn.socket")
    if client is None:
        return None
    client.settimeout(SEND_TIMEOUT_SECONDS)
    if client.family != socket.AF_UNIX and hasattr(socket, "TCP_USER_TIMEOUT"):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SEND_TIMEOUT_SECONDS * 1000)
    return client


def release_connection() -> None:
    """Return the database connection to its pool, unless a caller's transaction needs it.

    Also deletes Django's per-thread connection wrapper, which would take 4 kB for every stream.
    """
    if not connection.in_atomic_block:
        connection.close()
        del connections[DEFAULT_DB_ALIAS]
