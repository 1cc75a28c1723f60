"""Django's PostgreSQL backend, with other checks of pooled connections.

With ``CONN_HEALTH_CHECKS`` Django's pool sends a query before each use: one more round trip for every request that
reads. Here a connection is checked by polling its socket, as a server that stops closes it. Only a readable socket is
checked by a query: the connection was closed, or the server sent a notice.

Connections time out if the server stops responding, work with a pooler, and their errors name no row. A connection
prepares what it runs often. After ``ALTER TABLE ... ALTER COLUMN ... TYPE`` PostgreSQL refuses to run such a statement,
as its rows would have other types: "cached plan must not change result type".
"""

import logging
import select
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any, Self, TypeVar
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import OperationalError as DjangoOperationalError
from django.db.backends.postgresql import base
from psycopg import Connection, Cursor, DataError, IntegrityError, OperationalError
from psycopg.abc import PQGen
from psycopg.errors import FeatureNotSupported, QueryCanceled, _WaitTimeout
from psycopg.pq import TransactionStatus
from psycopg.types.string import TextLoader
from psycopg_pool import ConnectionPool, PoolTimeout

from utils.postgresql.schema import SchemaEditor

logger = logging.getLogger(__name__)

T = TypeVar("T")
Params = Sequence[Any] | Mapping[str, Any]
Query = tuple[str, Params]
Row = tuple[Any, ...]

SHORT_TIMEOUT_SECONDS = 0.25
MARGIN_SECONDS = 5
"""How long after the statement time-out a result is still waited for."""
_PLAN_REFUSED = "cached plan must not change result type"

_warned = threading.Event()
"""Set once this process has warned of a pooler that ``DATABASE_POOLER`` does not mention."""


class _StatementCount(threading.local):
    """How many statements this thread has run. Django keeps a list of them, and only under ``DEBUG``."""

    value = 0


statement_count = _StatementCount()

_normal_timeouts: WeakKeyDictionary[ConnectionPool[Any], float] = WeakKeyDictionary()
"""The normal time-outs of pools whose time-out is shortened at present."""
_timeout_lock = threading.Lock()


class OutdatedPlan(OperationalError):
    """A statement was prepared before its table changed. It has done nothing, so it can be run again.

    In a transaction, which has failed, the whole transaction can.
    """


class ServerSilent(OperationalError):
    """The server, or the network, has failed without a sign."""


class QueryFailed(Exception):
    """One of several queries that were sent together has failed, so none has a result."""


class BoundedConnection(Connection[Any]):
    """A connection that is closed, with an ``OperationalError``, if the server or the network fails without a sign.

    ``statement_timeout`` does not cover that, as the server itself enforces it; nor do TCP keep-alives, which are not
    sent while data waits for an acknowledgement.
    """

    @classmethod
    def connect(cls, conninfo: str = "", **kwargs: Any) -> Self:
        """Connect in autocommit, as pools do, and set up the connection for ``DATABASE_POOLER``.

        Behind a pooler that ``DATABASE_POOLER`` does not mention, no statement is prepared: its name could refer to
        another client's statement, on a server connection that the pooler gives to both.

        Raises ``OperationalError``, also if a pooler accepts no options.
        """
        try:
            connection = super().connect(conninfo, **{**kwargs, "autocommit": True})
        except OperationalError as error:
            if "unsupported startup parameter" in str(error):
                raise OperationalError(
                    "There is a pooler in front of PostgreSQL, and it accepts no options. "
                    f"Set DATABASE_POOLER to its mode, transaction or session. ({error})"
                ) from None
            raise
        if settings.DATABASE_POOLER == "session" and "statement_timeout" not in kwargs.get("options", ""):
            # In this mode the server connection is not shared; poolers accept no such option at the start.
            connection.execute(f"SET statement_timeout = {settings.QUERY_TIMEOUT}")
        elif settings.DATABASE_POOLER == "none" and connection.is_behind_pooler():
            connection.prepare_threshold = None
            if not _warned.is_set():
                _warned.set()
                logger.warning(
                    "There is a pooler in front of PostgreSQL, so no statement is prepared. "
                    "Set DATABASE_POOLER to its mode, transaction or session."
                )
        return connection

    def is_behind_pooler(self) -> bool:
        """Whether the server process has another id than the connection's start message named.

        A pooler makes up the start message, as it has no server process for the client yet.
        """
        row = self.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
        return row is not None and row[0] != self.info.backend_pid

    def rows(self, sql: str, params: Params) -> list[Row]:
        """The rows of one query, with timestamps as text."""
        return self._kept_cursor.execute(sql, params).fetchall()

    def rows_together(self, queries: Sequence[Query]) -> list[list[Row]]:
        """The rows of each of some queries, as :meth:`rows`, in one round trip. If one fails, all do."""
        with self.pipeline():
            cursors = [self._text_cursor().execute(sql, params) for sql, params in queries]
        return [cursor.fetchall() for cursor in cursors]

    @cached_property
    def _kept_cursor(self) -> Cursor[Any]:
        """Kept, as that saves a fifth of what a note of 400 kB costs on Granian (decision 14)."""
        return self._text_cursor()

    def _text_cursor(self) -> Cursor[Any]:
        cursor = self.cursor()
        _show_timestamps_as_text(cursor)
        return cursor

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, settings.QUERY_TIMEOUT / 1000 + MARGIN_SECONDS)
        except _WaitTimeout as error:
            self.pgconn.finish()
            raise ServerSilent("The server has stopped responding.") from error
        except (DataError, IntegrityError) as error:
            # The other lines contain the row. Users' data must not reach logs and monitoring.
            if error.diag.message_primary:
                error.args = (error.diag.message_primary,)
            raise
        except FeatureNotSupported as error:
            if error.diag.message_primary == _PLAN_REFUSED:
                raise OutdatedPlan(*error.args) from error
            raise


def _show_timestamps_as_text(cursor: Any) -> None:
    """Make a cursor, psycopg's or Django's, return timestamps as text, as the server sends them."""
    cursor.adapters.register_loader("timestamptz", TextLoader)


def is_outdated_plan(error: BaseException) -> bool:
    """Whether an error, psycopg's or the one that Django made of it, is an :class:`OutdatedPlan`."""
    return isinstance(error, OutdatedPlan) or isinstance(error.__cause__, OutdatedPlan)


def is_silence(error: object) -> bool:
    """Whether an error, psycopg's or the one that Django made of it, is a :class:`ServerSilent` or a ``PoolTimeout``.

    Whoever asks next would wait as long again.
    """
    silent = (ServerSilent, PoolTimeout)
    return isinstance(error, silent) or isinstance(getattr(error, "__cause__", None), silent)


def _run(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Count a statement, and run it again if its plan was outdated: one of Django's ``execute_wrappers``."""
    statement_count.value += 1
    run = partial(execute, sql, params, many, context)
    return run() if many else _run_again_with_new_plans(context["connection"].connection, run)


def _run_again_with_new_plans(connection: Connection[Any], run: Callable[[], T]) -> T:
    """Call ``run``, a statement on this connection; outside a transaction once more if its plan was outdated."""
    try:
        return run()
    except (OutdatedPlan, DjangoOperationalError) as error:
        if not is_outdated_plan(error) or connection.info.transaction_status != TransactionStatus.IDLE:
            raise
    connection.execute("DEALLOCATE ALL")  # psycopg forgets them, too; after a ROLLBACK it does so by itself
    return run()


class DatabaseWrapper(base.DatabaseWrapper):
    SchemaEditorClass = SchemaEditor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute_wrappers.append(_run)

    def fetch(self, sql: str, params: Params) -> list[Row]:
        """The rows of one query, with timestamps as text, as the server sent them.

        If this thread has no connection, the query borrows one from the pool, without Django's own work at the start
        and the end of a connection's use. That saves a seventh of the CPU time of a request that reads one row.
        """
        is_observed = len(self.execute_wrappers) > 1 or self.queries_logged  # the first is our own
        if self.pool is None or self.connection is not None or self.in_atomic_block or is_observed:
            with self.cursor() as cursor:
                _show_timestamps_as_text(cursor)
                cursor.execute(sql, params)
                return cursor.fetchall()
        with self._borrowed() as connection:
            statement_count.value += 1
            return _run_again_with_new_plans(connection, lambda: connection.rows(sql, params))

    def fetch_together(self, queries: Sequence[Query]) -> list[list[Row]]:
        """The rows of each of some queries, as :meth:`fetch`, in one round trip.

        Raises :class:`QueryFailed` if one of them fails, and an ``OperationalError`` if the server does, or if one
        takes too long: who has waited for the whole time-out is not to wait for another one.
        """
        with self._borrowed() as connection:
            try:
                return connection.rows_together(queries)
            except Exception as error:
                is_final = connection.closed or isinstance(error, QueryCanceled)
                connection.close()
                if is_final:
                    raise
                raise QueryFailed from error

    @contextmanager
    def _borrowed(self) -> Iterator[BoundedConnection]:
        """A connection of the pool, in autocommit. Raises Django's database errors."""
        pool = self.pool
        with self.wrap_database_errors:
            pool.open()  # does nothing if it is open
            connection = _take_live(pool, pool.getconn)
            try:
                if not connection.autocommit:  # it was returned in the middle of a transaction
                    connection.autocommit = True
                yield connection
            except ServerSilent:
                pool.drain()  # the others may be as silent: each would be found out by a query that waits for it
                raise
            finally:
                pool.putconn(connection)

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        take = partial(super().get_new_connection, conn_params)
        pool = self.pool
        return take() if pool is None else _take_live(pool, take)


def _take_live(pool: ConnectionPool[Any], take: Callable[[], Any]) -> Any:
    """Take a connection that the server has not closed from the pool, by calling ``take``."""
    connection = _take(pool, take)
    for _ in range(pool.max_size):
        if _is_alive(connection):
            break
        connection.close()
        pool.putconn(connection)  # which replaces it in the background
        connection = _take(pool, take)
    return connection


def _take(pool: ConnectionPool[Any], take: Callable[[], Any]) -> Any:
    """Take a connection from the pool. After a time-out the pool's time-out is short, until one can be taken again.

    Otherwise an unavailable server would block every thread for the whole time-out, and requests that need no database
    would wait for a thread.
    """
    try:
        connection = take()
    except PoolTimeout:
        with _timeout_lock:
            _normal_timeouts.setdefault(pool, pool.timeout)
            pool.timeout = SHORT_TIMEOUT_SECONDS
        raise
    if pool.timeout == SHORT_TIMEOUT_SECONDS:
        with _timeout_lock:
            pool.timeout = _normal_timeouts.pop(pool, pool.timeout)
    return connection


def _is_alive(connection: Connection[Any]) -> bool:
    if not _is_readable(connection.fileno()):
        return True
    try:
        ConnectionPool.check_connection(connection)
    except OperationalError:
        return False
    return True


def _is_readable(file: int) -> bool:
    poll = select.poll()  # select() is limited to file descriptors below 1024
    poll.register(file, select.POLLIN)
    return bool(poll.poll(0))
