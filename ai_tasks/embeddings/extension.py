"""PostgreSQL's extension ``vector`` (pgvector): searching needs it, and the tables do not."""

import logging

from django.db import DatabaseError, connection, transaction

logger = logging.getLogger(__name__)

MISSING = (
    "EMBEDDINGS_* are set, and the database has no extension vector: questions are answered by the words of notes "
    "alone. Install pgvector and run manage.py migrate, or have a superuser run CREATE EXTENSION vector"
)


def is_installed() -> bool:
    """Whether this database knows vectors. One query."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regtype('vector') IS NOT NULL")
        row: tuple[bool] = cursor.fetchone()
    return row[0]


def install() -> bool:
    """Install the extension where the server has it and our role may; whether it is there now."""
    if is_installed():
        return True
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except DatabaseError as error:
        logger.warning("%s (%s)", MISSING, str(error).partition("\n")[0])
        return False
    return is_installed()
