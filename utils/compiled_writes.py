"""New rows of a model, without building the same SQL for each: that takes longer than inserting them."""

from functools import cache
from types import SimpleNamespace
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from django.db.models import Field, Model
from django.db.models.sql import InsertQuery


def insert_row(instance: Model) -> None:
    """Insert a new row as ``save(force_insert=True)`` does, but for signals. One query.

    Every field must have a plain value, and the row its key: an expression, such as a default that the database gives,
    raises ``ValueError``. Related objects must have their keys when they are assigned.
    """
    fields = _fields(type(instance))
    values = [field.pre_save(instance, add=True) for field in fields]
    for field, value in zip(fields, values, strict=True):
        if hasattr(value, "resolve_expression") or (field.primary_key and value is None):
            raise ValueError(f"{field.name} has no plain value.")
    database = connections[DEFAULT_DB_ALIAS]  # what `connection` looks up anew for each field
    params = [field.get_db_prep_save(value, database) for field, value in zip(fields, values, strict=True)]
    with transaction.mark_for_rollback_on_error(database.alias), database.cursor() as cursor:
        cursor.execute(_statement(type(instance)), params)
    instance._state.adding = False
    instance._state.db = database.alias


@cache
def _fields(model: type[Model]) -> "tuple[Field[Any, Any], ...]":
    return tuple(field for field in model._meta.local_concrete_fields if not field.generated)


@cache
def _statement(model: type[Model]) -> str:
    """What Django makes for a row of nulls: every row of values has the same placeholders."""
    nulls: Any = SimpleNamespace(**{field.attname: None for field in _fields(model)})
    query = InsertQuery(model)
    query.insert_values(_fields(model), [nulls], raw=True)
    [(sql, _)] = query.get_compiler(connection=connection).as_sql()
    return sql
