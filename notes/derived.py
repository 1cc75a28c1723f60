"""Columns that are made from others when a row is written.

They are computed in Python, so PostgreSQL cannot generate them. Whatever saves or inserts objects (``save()``,
``create()``, ``bulk_create()``) gets them from their fields. What writes by ``update()`` adds them itself, by the
functions here.
"""

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib.postgres.search import SearchVectorField
from django.db import models

from notes.search.vectors import Part, vector_of

_EXPLANATION_FIRST = 200
_CODE_FIRST = 12_000
"""Positions of a topic's texts: a phrase is found as far as they reach."""


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


def words_of_note(user_id: int, *, title: str, tags: Iterable[str], **_: Any) -> str:
    return vector_of(user_id, [Part(title, "A"), *(Part(tag, "A") for tag in tags)])


def words_of_chapter(user_id: int, *, title: str, **_: Any) -> str:
    return vector_of(user_id, [Part(title, "B")])


def words_of_topic(user_id: int, *, title: str, explanation: str, code: str, **_: Any) -> str:
    parts = [
        Part(title, "B"),
        Part(explanation, "C", first=_EXPLANATION_FIRST),
        Part(code, "D", first=_CODE_FIRST),
    ]
    return vector_of(user_id, parts)
