"""Polls in one query which watched rows have ended: the sessions and tasks that this process's streams depend on."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from django.db import InterfaceError, OperationalError
from psycopg_pool import PoolTimeout

from utils.streaming.slots import release_connection

logger = logging.getLogger(__name__)

KEYS_PER_QUERY = 1000
DATABASE_UNAVAILABLE = (OperationalError, InterfaceError, PoolTimeout)

KeyT = TypeVar("KeyT")


class LivenessPoller(Generic[KeyT]):
    """Polls all watched rows at most every ``seconds``, so more streams do not mean more queries.

    ``find_live`` returns those of the given keys whose rows have not ended; a deleted row counts as ended. While the
    database is unavailable, no row counts as ended.
    """

    def __init__(self, find_live: Callable[[list[KeyT]], Iterable[KeyT]], *, seconds: float) -> None:
        self.seconds = seconds
        self._find_live = find_live
        self._watched: Counter[KeyT] = Counter()
        self._ended: set[KeyT] = set()
        self._lock = threading.Lock()
        self._polling = threading.Lock()
        self._next_poll = 0.0

    def __len__(self) -> int:
        """How many rows are watched."""
        return len(self._watched)

    def watch(self, key: KeyT) -> None:
        with self._lock:
            if not self._watched:
                self._next_poll = time.monotonic() + self.seconds
            self._watched[key] += 1

    def unwatch(self, key: KeyT) -> None:
        with self._lock:
            self._watched[key] -= 1
            if self._watched[key] <= 0:
                del self._watched[key]
                self._ended.discard(key)

    def has_ended(self, key: KeyT) -> bool:
        """Whether the row had ended at the last poll. Polls first if that is due."""
        if time.monotonic() >= self._next_poll and self._polling.acquire(blocking=False):
            try:
                self._poll()
            finally:
                self._polling.release()
        return key in self._ended

    def _poll(self) -> None:
        self._next_poll = time.monotonic() + self.seconds
        with self._lock:
            watched = list(self._watched)
        live: set[KeyT] = set()
        try:
            for first in range(0, len(watched), KEYS_PER_QUERY):
                live.update(self._find_live(watched[first : first + KEYS_PER_QUERY]))
        except DATABASE_UNAVAILABLE as error:
            logger.warning("The rows that streams depend on could not be polled: %s", error)
            return
        finally:
            release_connection()
        with self._lock:
            self._ended.update(key for key in watched if key in self._watched and key not in live)
