"""Prepared statements that a changed table has made unusable.

A connection prepares what it runs often. After ``ALTER TABLE ... ALTER COLUMN ... TYPE`` PostgreSQL refuses to run such
a statement, as its rows would have other types: "cached plan must not change result type". It has done nothing by then,
so it can be prepared and run again. In a transaction it cannot: the whole transaction has failed.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from django.db import OperationalError
from psycopg import Connection
from psycopg.errors import FeatureNotSupported
from psycopg.pq import TransactionStatus

T = TypeVar("T")

_REFUSAL = "cached plan must not change result type"


class OutdatedPlan(OperationalError):
    """A statement in a transaction was prepared before its table changed. The transaction can be run again at once."""


def is_outdated_plan(error: BaseException | None) -> bool:
    return isinstance(error, FeatureNotSupported) and error.diag.message_primary == _REFUSAL


def run_again_with_new_plans(connection: Connection[Any], run: Callable[[], T]) -> T:
    """Call ``run``, a statement on this connection; outside a transaction once more if its plan was outdated."""
    try:
        return run()
    except (OutdatedPlan, FeatureNotSupported) as error:
        is_outdated = isinstance(error, OutdatedPlan) or is_outdated_plan(error)
        if not is_outdated or connection.info.transaction_status != TransactionStatus.IDLE:
            raise
    connection.execute("DEALLOCATE ALL")  # psycopg forgets them, too; after a ROLLBACK it does so by itself
    return run()
