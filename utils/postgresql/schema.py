"""Time-outs of migrations: short for locks, none for an index that is built concurrently.

A statement that waits for a table's exclusive lock makes all later statements on the table wait behind it. So a
migration that does not get its lock soon fails without any change, and can be run again.
"""

from types import TracebackType
from typing import Self

from django.conf import settings
from django.db.backends.postgresql.schema import DatabaseSchemaEditor

LOCK_TIMEOUT = "5s"


class SchemaEditor(DatabaseSchemaEditor):
    """Sets time-outs in atomic migrations, and lifts them in others, whose statements hold no lock for long.

    Behind a transaction pooler a session's settings would leak to other clients, so there they are not lifted.
    """

    _before: tuple[str, str] | None = None
    """The session's lock and statement time-outs before they were lifted."""

    def __enter__(self) -> Self:
        super().__enter__()
        if self.atomic_migration:
            self.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            self.execute(f"SET LOCAL statement_timeout = {settings.QUERY_TIMEOUT}")
        elif self.collect_sql or settings.DATABASE_POOLER != "transaction":
            if not self.collect_sql:
                with self.connection.cursor() as cursor:
                    cursor.execute("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")
                    self._before = cursor.fetchone()
            self.execute("SET lock_timeout = 0")
            self.execute("SET statement_timeout = 0")
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            super().__exit__(exc_type, exc_value, traceback)
        finally:
            if self._before is not None:
                set_both = "SELECT set_config('lock_timeout', %s, false), set_config('statement_timeout', %s, false)"
                with self.connection.cursor() as cursor:
                    cursor.execute(set_both, self._before)
