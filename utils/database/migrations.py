"""Migrations of this code that the database lacks."""

import threading
import time
from functools import cache

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

BELIEVED_SECONDS = 10.0
"""How long a result is cached: readiness is requested every few seconds."""


def read_pending() -> list[str]:
    """The names of migrations that were not applied, as ``notes.0001_initial``: one query."""
    applied = MigrationRecorder(connection).applied_migrations()
    return [".".join(key) for key in _of_this_code() if key not in applied]


@cache
def _of_this_code() -> list[tuple[str, str]]:
    return sorted(MigrationLoader(None, ignore_no_migrations=True).graph.nodes)


class _Pending:
    """The number of pending migrations, cached."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        self._believed_until = 0.0
        self._count = 0

    def count(self) -> int:
        with self._lock:
            if time.monotonic() >= self._believed_until:
                self._count = len(read_pending())
                self._believed_until = time.monotonic() + BELIEVED_SECONDS
            return self._count


pending = _Pending()
