"""Connections that give up on a server which has stopped answering, and that read rows with little ado."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, TypeVar

from django.conf import settings
from psycopg import Connection, Cursor, OperationalError
from psycopg.abc import PQGen
from psycopg.errors import _WaitTimeout
from psycopg.types.string import TextLoader

T = TypeVar("T")

MARGIN_SECONDS = 5
"""How much longer than a statement may run its answer is waited for."""


class BoundedConnection(Connection[Any]):
    """A connection that is closed when no answer comes, as from a frozen host or through a cut network.

    ``statement_timeout`` is the server's to keep, and keep-alive is not sent while data waits to be acknowledged.
    Raises ``OperationalError`` then.
    """

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, settings.QUERY_TIMEOUT / 1000 + MARGIN_SECONDS)
        except _WaitTimeout as error:
            self.pgconn.finish()
            raise OperationalError("The server has stopped answering.") from error

    def rows(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The rows of one query, with moments as the text that the server sent.

        One cursor runs all of these queries: to make one, and to look up how to read each column, takes longer than
        reading twenty rows. It keeps no result, which may be large.
        """
        cursor = self._rows_cursor
        rows = cursor.execute(sql, params).fetchall()
        cursor._reset()
        cursor._tx.set_pgresult(None)
        return rows

    @cached_property
    def _rows_cursor(self) -> Cursor[Any]:
        cursor = self.cursor()
        show_moments_as_text(cursor)
        return cursor


def show_moments_as_text(cursor: Any) -> None:
    """Have a cursor, psycopg's or Django's, give moments as the server sends them."""
    cursor.adapters.register_loader("timestamptz", TextLoader)
