"""Inserting tasks.

A task has many columns. ``save()`` makes the text of the same INSERT again for each, which takes longer than to run it.
"""

from django.db import DEFAULT_DB_ALIAS, connections

from ai_tasks.models import AITask

_FIELDS = AITask._meta.concrete_fields
_INSERT = "INSERT INTO {} ({}) VALUES ({})".format(
    AITask._meta.db_table,
    ", ".join(f'"{field.column}"' for field in _FIELDS),
    ", ".join(["%s"] * len(_FIELDS)),
)


def insert(task: AITask) -> None:
    """Insert a new task, each of whose fields has a value: one statement."""
    database = connections[DEFAULT_DB_ALIAS]  # django.db.connection looks it up for each field
    values = [field.get_db_prep_save(getattr(task, field.attname), database) for field in _FIELDS]
    with database.cursor() as cursor:
        cursor.execute(_INSERT, values)
