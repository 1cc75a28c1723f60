"""Which rows that this process's streams depend on are over, found by one look at all of them together."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from django.db import InterfaceError, OperationalError
from psycopg_pool import PoolTimeout

from utils.long_answers import release_connection

logger = logging.getLogger(__name__)

KEYS_PER_QUERY = 1000
DATABASE_AWAY = (OperationalError, InterfaceError, PoolTimeout)

KeyT = TypeVar("KeyT")


class EndedRows(Generic[KeyT]):
    """Whoever asks first after ``seconds`` looks for all: the number of streams adds no queries.

    ``find_going`` returns those of some keys whose rows are not over; one whose row is gone is over, too. While the
    database is away nothing is found to be over.
    """

    def __init__(self, find_going: Callable[[list[KeyT]], Iterable[KeyT]], *, seconds: float) -> None:
        self.seconds = seconds
        self._find_going = find_going
        self._watched: Counter[KeyT] = Counter()
        self._ended: set[KeyT] = set()
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._next_look = 0.0

    def watch(self, key: KeyT) -> None:
        with self._lock:
            if not self._watched:
                self._next_look = time.monotonic() + self.seconds
            self._watched[key] += 1

    def forget(self, key: KeyT) -> None:
        with self._lock:
            self._watched[key] -= 1
            if self._watched[key] <= 0:
                del self._watched[key]
                self._ended.discard(key)

    def has_ended(self, key: KeyT) -> bool:
        """Whether the row was over at the latest look."""
        if time.monotonic() >= self._next_look and self._looking.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._looking.release()
        return key in self._ended

    def _look(self) -> None:
        self._next_look = time.monotonic() + self.seconds
        with self._lock:
            watched = list(self._watched)
        going: set[KeyT] = set()
        try:
            for first in range(0, len(watched), KEYS_PER_QUERY):
                going.update(self._find_going(watched[first : first + KEYS_PER_QUERY]))
        except DATABASE_AWAY as error:
            logger.warning("What streams depend on could not be read: %s", error)
            return
        finally:
            release_connection()
        with self._lock:
            self._ended.update(key for key in watched if key in self._watched and key not in going)
