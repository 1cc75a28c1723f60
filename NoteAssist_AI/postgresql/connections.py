"""Connections that time out if the server stops responding, that work with a pooler, and whose errors name no row.

A connection prepares what it runs often. After ``ALTER TABLE ... ALTER COLUMN ... TYPE`` PostgreSQL refuses to run such
a statement, as its rows would have other types: "cached plan must not change result type".
"""

import logging
import threading
from typing import Any, Self, TypeVar

from django.conf import settings
from psycopg import Connection, DataError, IntegrityError, OperationalError
from psycopg.abc import PQGen
from psycopg.errors import FeatureNotSupported, _WaitTimeout

logger = logging.getLogger(__name__)

T = TypeVar("T")

MARGIN_SECONDS = 5
"""How long after the statement time-out a result is still waited for."""
_PLAN_REFUSED = "cached plan must not change result type"

_warned = threading.Event()
"""Set once this process has warned of a pooler that ``DATABASE_POOLER`` does not mention."""


class OutdatedPlan(OperationalError):
    """A statement was prepared before its table changed. It has done nothing, so it can be run again.

    In a transaction, which has failed, the whole transaction can.
    """


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
        except (DataError, IntegrityError) as error:
            # The other lines contain the row. Users' data must not reach logs and monitoring.
            if error.diag.message_primary:
                error.args = (error.diag.message_primary,)
            raise
        except FeatureNotSupported as error:
            if error.diag.message_primary == _PLAN_REFUSED:
                raise OutdatedPlan(*error.args) from error
            raise


def is_outdated_plan(error: BaseException) -> bool:
    """Whether an error, psycopg's or the one that Django made of it, is an :class:`OutdatedPlan`."""
    return isinstance(error, OutdatedPlan) or isinstance(error.__cause__, OutdatedPlan)
