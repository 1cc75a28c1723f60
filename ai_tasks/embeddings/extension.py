"""PostgreSQL's extension ``vector`` (pgvector): searching needs it, and the tables do not.

Once it is there the vectors are kept in its type. As ``real[]`` they can be searched, too, but each is converted then.
"""

import logging

from django.db import DatabaseError, connection, transaction

from NoteAssist_AI.postgresql.schema import LOCK_TIMEOUT

logger = logging.getLogger(__name__)

MISSING = (
    "EMBEDDINGS_* are set, and the database has no extension vector: questions are answered by the words of notes "
    "alone. Install pgvector and run manage.py migrate, or have a superuser run CREATE EXTENSION vector"
)

_TYPE = """
SELECT format_type(atttypid, NULL) FROM pg_attribute
WHERE attrelid = to_regclass('ai_tasks_passagevector') AND attname = 'vector'
"""
# In the row itself, where it fits into a page: a search would fetch each vector from another table in several pieces.
TO_VECTOR = """
ALTER TABLE ai_tasks_passagevector
ALTER COLUMN vector TYPE vector USING CASE WHEN dimension > 0 THEN vector::vector ELSE '[0]' END,
ALTER COLUMN vector SET STORAGE MAIN
"""


def is_installed() -> bool:
    """Whether this database knows vectors. One query."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regtype('vector') IS NOT NULL")
        row: tuple[bool] = cursor.fetchone()
    return row[0]


def install() -> bool:
    """Install the extension where the server has it and our role may, and have it keep our vectors.

    Return whether it is there now.
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
            _keep_vectors()
    except DatabaseError as error:
        logger.warning("Vectors are searched more slowly, as they stay real[] (%s)", _first_line(error))
    return True


def _keep_vectors() -> None:
    """Turn the column of vectors from ``real[]`` into a ``vector``. That writes the table anew."""
    with connection.cursor() as cursor:
        cursor.execute(_TYPE)
        row: tuple[str] | None = cursor.fetchone()
        if row == ("real[]",):
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            cursor.execute(TO_VECTOR)


def _first_line(error: DatabaseError) -> str:
    return str(error).partition("\n")[0]
