"""Connections that give up on a server which has stopped answering."""

from typing import Any, TypeVar

from django.conf import settings
from psycopg import Connection, OperationalError
from psycopg.abc import PQGen
from psycopg.errors import _WaitTimeout

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
