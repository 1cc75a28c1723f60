"""Faults that PostgreSQL itself makes: what it refuses, and what waits in it until a test lets it go on.

They act on every connection to the test's database, so tests that use them need ``django_db(transaction=True)``.
"""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from django.db import connection

from tests.processes import environment_of_this_test, wait_until

T = TypeVar("T")

LOCK_NOT_AVAILABLE = "55P03"
NAMESPACE = 20_261
"""Of the tests' advisory locks."""
_numbers = itertools.count(1)


@contextmanager
def own_connection() -> Iterator[psycopg.Connection]:
    """A connection beside the pool, in autocommit."""
    with psycopg.connect(environment_of_this_test()["DATABASE_URL"], autocommit=True) as own:
        yield own


@contextmanager
def in_background(call: Callable[[], T]) -> Iterator[Future[T]]:
    """Call it in another thread, with a connection of its own, while the block runs; the block's end waits for it."""

    def connected() -> T:
        try:
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(connected)


@contextmanager
def trigger(
    own: psycopg.Connection, name: str, event: str, table: str, when: str, action: str, *, at_commit: bool = False
) -> Iterator[None]:
    """For each such event of rows for which ``when`` holds PostgreSQL does this, in PL/pgSQL; ``at_commit``: then."""
    kind, deferred = ("CONSTRAINT TRIGGER", "DEFERRABLE INITIALLY DEFERRED") if at_commit else ("TRIGGER", "")
    own.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
        f"$body$ BEGIN {action} RETURN coalesce(NEW, OLD); END $body$"
    )
    own.execute(
        f"CREATE {kind} {name} {event} ON {table} {deferred} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {name}()"
    )
    try:
        yield
    finally:
        own.execute(f"DROP FUNCTION {name} CASCADE")


@contextmanager
def refusing(
    event: str,
    table: str,
    *,
    sqlstate: str = LOCK_NOT_AVAILABLE,
    when: str = "true",
    times: int | None = None,
    at_commit: bool = False,
) -> Iterator[None]:
    """PostgreSQL refuses an event, as ``"AFTER UPDATE"``, of rows of a table for which ``when`` holds.

    ``times``: only so often. ``at_commit``: only then. With ``sqlstate="ended"`` it ends the connection instead.
    """
    name = f"tests_refuse_{next(_numbers)}"
    if sqlstate == "ended":
        refuse = "PERFORM pg_terminate_backend(pg_backend_pid());"
    else:
        refuse = f"RAISE EXCEPTION 'refused by a test' USING ERRCODE = '{sqlstate}';"
    if times is not None:
        refuse = f"IF nextval('{name}') <= {times} THEN {refuse} END IF;"  # which no ROLLBACK takes back
    with own_connection() as own:
        own.execute(f"CREATE SEQUENCE {name}")
        try:
            with trigger(own, name, event, table, when, refuse, at_commit=at_commit):
                yield
        finally:
            own.execute(f"DROP SEQUENCE {name}")


class Barrier:
    """What statements wait at until it is opened: a lock of this connection's, and what unlocks it."""

    def __init__(self, own: psycopg.Connection, unlock: str) -> None:
        self._own, self._unlock = own, unlock

    def wait_for_one(self) -> None:
        """Return as soon as a statement waits."""
        self.wait_for(1)

    def wait_for(self, count: int) -> None:
        """Return as soon as so many statements wait."""
        wait_until(lambda: self._waiting() >= count, describe=lambda: f"{count} statements that come to the barrier")

    def open(self) -> None:
        self._own.execute(self._unlock)

    def _waiting(self) -> int:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        return self._own.execute(waiting).fetchone()[0]


@contextmanager
def barrier(event: str, table: str, *, when: str = "true") -> Iterator[Barrier]:
    """Each event, as ``"BEFORE UPDATE"``, of rows for which ``when`` holds waits until the barrier is opened."""
    number = next(_numbers)
    with own_connection() as own:
        own.execute("SELECT pg_advisory_lock(%s, %s)", [NAMESPACE, number])
        wait = f"PERFORM pg_advisory_xact_lock_shared({NAMESPACE}, {number});"
        it = Barrier(own, "SELECT pg_advisory_unlock_all()")
        with trigger(own, f"tests_barrier_{number}", event, table, when, wait):
            try:
                yield it
            finally:
                it.open()


@contextmanager
def uncommitted(statement: str, *parameters: object) -> Iterator[Barrier]:
    """Another transaction has run a statement, and commits when it is opened. Who wants what it has locked waits.

    With ``LOCK TABLE`` it stands between a read and its table.
    """
    with own_connection() as own:
        it = Barrier(own, "COMMIT")
        own.execute("BEGIN")
        own.execute(statement, parameters)
        try:
            yield it
        finally:
            it.open()


@contextmanager
def locked(*tables: str) -> Iterator[None]:
    """Nobody can read these tables, as while they are rebuilt; who tries is given up after 0.1 s instead of 30 s."""
    name = connection.settings_dict["NAME"]
    with own_connection() as own:
        try:
            own.execute(f'ALTER DATABASE "{name}" SET lock_timeout = 100')
            _connect_anew()
            with own.transaction():
                own.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
                yield
        finally:
            own.execute(f'ALTER DATABASE "{name}" RESET lock_timeout')
            _connect_anew()


def _connect_anew() -> None:
    connection.close()
    connection.close_pool()


@contextmanager
def after_queries(are_meant: Callable[[str], bool], act: Callable[[], object]) -> Iterator[None]:
    """After each query of this thread whose SQL is meant, something else happens in the database."""
    is_acting = False

    def run(execute: Callable[..., T], sql: str, *rest: Any) -> T:
        nonlocal is_acting
        result = execute(sql, *rest)
        if not is_acting and are_meant(sql):
            is_acting = True
            act()
            is_acting = False
        return result

    with connection.execute_wrapper(run):
        yield


@contextmanager
def without_column(table: str, column: str) -> Iterator[None]:
    """The table lacks a column, as if its migration had not been run: what reads it is a bug."""
    with own_connection() as own:
        own.execute(f"ALTER TABLE {table} RENAME COLUMN {column} TO tests_hidden")
        try:
            yield
        finally:
            own.execute(f"ALTER TABLE {table} RENAME COLUMN tests_hidden TO {column}")
