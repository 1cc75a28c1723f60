"""How migrations wait: briefly for a lock, and as long as it takes for an index that is built concurrently.

A statement that waits for a table's exclusive lock makes all later statements on the table wait behind it. So a
migration that does not get its lock soon gives up, and nothing has changed: run it again.
"""

from types import TracebackType
from typing import Self

from django.conf import settings
from django.db.backends.postgresql.schema import DatabaseSchemaEditor

LOCK_TIMEOUT = "5s"


class SchemaEditor(DatabaseSchemaEditor):
    """Bounds the statements of an atomic migration; lets those of another one, which hold no lock, take their time.

    What a transaction pooler's connection is set to would stay on it for others, so there nothing is set for long.
    """

    _before: tuple[str, str] | None = None
    """The session's time-outs for locks and for statements, where they were changed."""

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
