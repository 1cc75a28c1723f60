"""Columns that are derived from others when a row is written.

They are computed in Python, so PostgreSQL cannot generate them. ``save()``, ``create()`` and ``bulk_create()`` compute
them. Code that calls ``update()`` must set them itself.
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
    """The search vector of a row: see ``notes.search.vectors``. NULL: not made yet."""

    def get_placeholder(self, value: Any, compiler: Any, connection: Any) -> str:
        return "%s::tsvector" if not hasattr(value, "as_sql") else "%s"


def unless_due(derive: Callable[[Any], str], *, note: Callable[[Any], Any] = lambda row: row) -> Callable[[Any], Any]:
    """The result of ``derive`` for a row; None if its note's search vectors are due, as a worker makes them then."""
    return lambda row: None if note(row).words_due_at else derive(row)


class TitleKeyField(DerivedField, models.TextField):
    """The sort key of a note's title: see ``notes.title_order``. Empty: not made yet."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"db_collation": "C", "db_default": "", **options})
