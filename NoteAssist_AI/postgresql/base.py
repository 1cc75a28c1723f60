"""Django's PostgreSQL backend, but for how it knows that a pooled connection still lives.

With ``CONN_HEALTH_CHECKS`` Django has the pool ask the server before each use, a round trip more for every request that
reads. A server that stops closes its sockets, which shows here without asking. Only a connection with something to read
is asked: it was closed, or the server sent a notice.
"""

import select
from typing import Any

from django.db.backends.postgresql import base
from psycopg import Connection, OperationalError
from psycopg_pool import ConnectionPool


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        if self.pool is None:
            return connection
        for _ in range(self.pool.max_size):
            if _is_alive(connection):
                break
            connection.close()
            self.pool.putconn(connection)  # which replaces it in the background
            connection = super().get_new_connection(conn_params)
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
