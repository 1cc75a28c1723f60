"""Django's PostgreSQL backend, but for how it knows that a pooled connection still lives, and for what its errors tell.

With ``CONN_HEALTH_CHECKS`` Django has the pool ask the server before each use, a round trip more for every request that
reads. A server that stops closes its sockets, which shows here without asking. Only a connection with something to read
is asked: it was closed, or the server sent a notice.

A violated constraint comes with the contents of the row. They are for no log and no monitoring.
"""

import select
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from django.db.backends.postgresql import base
from django.db.utils import DatabaseErrorWrapper
from django.utils.functional import cached_property
from psycopg import Connection, DataError, IntegrityError, OperationalError
from psycopg_pool import ConnectionPool, PoolTimeout

from NoteAssist_AI.postgresql.connections import show_moments_as_text

IMPATIENT_SECONDS = 0.25

_patience: WeakKeyDictionary[ConnectionPool[Any], float] = WeakKeyDictionary()
"""How long one waits for a connection of a pool that had none a moment ago, in good times."""
_patience_lock = threading.Lock()


class _ErrorsWithoutRows(DatabaseErrorWrapper):
    """Reduces an error about data to its first line, which names the constraint or the type."""

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        if isinstance(exc_value, DataError | IntegrityError) and exc_value.diag.message_primary:
            exc_value.args = (exc_value.diag.message_primary,)
        super().__exit__(exc_type, exc_value, traceback)


class DatabaseWrapper(base.DatabaseWrapper):
    @cached_property
    def wrap_database_errors(self) -> DatabaseErrorWrapper:
        return _ErrorsWithoutRows(self)

    def fetch(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The rows of one query, with moments as the text that the server sent.

        Where this thread has no connection, it has one of the pool for just this query, without what Django does to
        begin and to end its own use of one. That takes as long as reading the rows.
        """
        pool = self.pool
        if pool is None or self.execute_wrappers or self.queries_logged:
            with self.cursor() as cursor:
                show_moments_as_text(cursor)
                cursor.execute(sql, params)
                return cursor.fetchall()
        with self.wrap_database_errors:
            if self.connection is not None or self.in_atomic_block:
                self.ensure_connection()
                self.validate_thread_sharing()
                self.validate_no_broken_transaction()
                return self.connection.rows(sql, params)
            pool.open()  # if nobody has yet
            connection = _living(pool, pool.getconn)
            try:
                if not connection.autocommit:  # it came back in the middle of a transaction
                    connection.autocommit = True
                return connection.rows(sql, params)
            finally:
                pool.putconn(connection)

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        take = partial(super().get_new_connection, conn_params)
        pool = self.pool
        return take() if pool is None else _living(pool, take)

    def _set_autocommit(self, autocommit: bool) -> None:
        if self.connection.autocommit != autocommit:  # a pooled connection has it already
            super()._set_autocommit(autocommit)  # type: ignore[misc]


def _living(pool: ConnectionPool[Any], take: Callable[[], Any]) -> Any:
    """A connection of the pool whose server has not closed it. ``take`` takes one."""
    connection = _patiently(pool, take)
    for _ in range(pool.max_size):
        if _is_alive(connection):
            break
        connection.close()
        pool.putconn(connection)  # which replaces it in the background
        connection = _patiently(pool, take)
    return connection


def _patiently(pool: ConnectionPool[Any], take: Callable[[], Any]) -> Any:
    """A connection of the pool; after one wait in vain the next are short, until a connection is there again.

    A server that is away would else hold every thread for the whole time-out, and those who need no database wait
    behind them.
    """
    try:
        connection = take()
    except PoolTimeout:
        with _patience_lock:
            _patience.setdefault(pool, pool.timeout)
            pool.timeout = IMPATIENT_SECONDS
        raise
    if pool.timeout == IMPATIENT_SECONDS:
        with _patience_lock:
            pool.timeout = _patience.pop(pool, pool.timeout)
    return connection


def _is_alive(connection: Connection[Any]) -> bool:
    if not _has_something_to_read(connection.fileno()):
        return True
    try:
        ConnectionPool.check_connection(connection)
    except OperationalError:
        return False
    return True


def _has_something_to_read(file: int) -> bool:
    poll = select.poll()  # select() knows no files past 1023
    poll.register(file, select.POLLIN)
    return bool(poll.poll(0))
