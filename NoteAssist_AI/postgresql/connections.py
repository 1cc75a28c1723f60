"""Connections that time out if the server stops responding, and that work with a pooler."""

import logging
import threading
from typing import Any, Self, TypeVar

from django.conf import settings
from psycopg import Connection, OperationalError
from psycopg.abc import PQGen
from psycopg.errors import _WaitTimeout
from psycopg.types.string import TextLoader

logger = logging.getLogger(__name__)

T = TypeVar("T")

MARGIN_SECONDS = 5
"""How long after the statement time-out a result is still waited for."""


_warned = threading.Event()
"""Set once this process has warned of a pooler that ``DATABASE_POOLER`` does not mention."""


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

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, settings.QUERY_TIMEOUT / 1000 + MARGIN_SECONDS)
        except _WaitTimeout as error:
            self.pgconn.finish()
            raise OperationalError("The server has stopped responding.") from error


def show_timestamps_as_text(cursor: Any) -> None:
    """Make a cursor, psycopg's or Django's, return timestamps as text, as the server sends them."""
    cursor.adapters.register_loader("timestamptz", TextLoader)
