"""Columns that are made from others when a row is written.

They are computed in Python, so PostgreSQL cannot generate them. Whatever saves or inserts objects (``save()``,
``create()``, ``bulk_create()``) gets them from their fields. What writes by ``update()`` adds them itself.
"""

from collections.abc import Callable
from typing import Any

from django.contrib.postgres.search import SearchVectorField
from django.db import models


class DerivedField(models.Field):
    """A field whose value is computed from the others of its object."""

    def __init__(self, *args: Any, derive: Callable[[Any], Any] | None = None, **options: Any) -> None:
        self.derive = derive
        super().__init__(*args, **{"editable": False, **options})

    def pre_save(self, instance: models.Model, add: bool) -> Any:
        if self.derive is None:  # in migrations
            return super().pre_save(instance, add)
        value = self.derive(instance)
        setattr(instance, self.attname, value)
        return value


class WordsField(DerivedField, SearchVectorField):
    """What a row is found by: see ``notes.search.vectors``. NULL: not made yet."""

    def get_placeholder(self, value: Any, compiler: Any, connection: Any) -> str:
        return "%s::tsvector" if not hasattr(value, "as_sql") else "%s"


def unless_due(derive: Callable[[Any], str], *, note: Callable[[Any], Any] = lambda row: row) -> Callable[[Any], Any]:
    """What ``derive`` makes of a row, or None if its note is one whose words are due: a worker makes them."""
    return lambda row: None if note(row).words_due_at else derive(row)


class TitleKeyField(DerivedField, models.TextField):
    """What a note is ordered by: see ``notes.title_order``. Empty: not made yet."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"db_collation": "C", "db_default": "", **options})
