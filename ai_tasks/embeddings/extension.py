"""PostgreSQL's extension ``vector`` (pgvector). Searching needs it; storing vectors does not.

With the extension, the column has its type ``vector``. A ``real[]`` column works too, but each search converts it.
"""

import logging

from django.db import DatabaseError, connection, transaction

from utils.postgresql.schema import LOCK_TIMEOUT

logger = logging.getLogger(__name__)

MISSING = (
    "EMBEDDINGS_* is set, but the database lacks the extension vector: questions are answered by word search "
    "only. Install pgvector and run manage.py migrate, or have a superuser run CREATE EXTENSION vector"
)

_TYPE = """
SELECT format_type(atttypid, NULL) FROM pg_attribute
WHERE attrelid = to_regclass('ai_tasks_passagevector') AND attname = 'vector'
"""
# MAIN keeps a vector in its row where it fits into a page. Otherwise a search fetches it from the TOAST table in parts.
TO_VECTOR = """
ALTER TABLE ai_tasks_passagevector
ALTER COLUMN vector TYPE vector USING CASE WHEN dimension > 0 THEN vector::vector ELSE '[0]' END,
ALTER COLUMN vector SET STORAGE MAIN
"""


def is_installed() -> bool:
    """Whether this database has the extension. One query."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regtype('vector') IS NOT NULL")
        row: tuple[bool] = cursor.fetchone()
    return row[0]


def install() -> bool:
    """Install the extension if the server offers it and our role may, and convert our column to its type.

    Return whether the extension is installed.
    """
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except DatabaseError as error:
        if not is_installed():
            logger.warning("%s (%s)", MISSING, _first_line(error))
            return False
    try:
        with transaction.atomic():
            _convert_column()
    except DatabaseError as error:
        logger.warning("Vector search is slower: the column stays real[] (%s)", _first_line(error))
    return True


def _convert_column() -> None:
    """Convert the column from ``real[]`` to ``vector``. This rewrites the table."""
    with connection.cursor() as cursor:
        cursor.execute(_TYPE)
        row: tuple[str] | None = cursor.fetchone()
        if row == ("real[]",):
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            cursor.execute(TO_VECTOR)


def _first_line(error: DatabaseError) -> str:
    return str(error).partition("\n")[0]
