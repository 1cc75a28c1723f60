"""Rows of ordinary querysets, without building the queryset's SQL or model instances for each request.

Building and compiling a list's SQL takes longer than running it, and gives the same text for every user. So the first
read builds the queryset with placeholders instead of its values, and caches the SQL as a *query template* with the
positions of the placeholders. Later reads only fill in their values.

The querysets are unchanged: ``QueryOptimizer`` returns them and serializers use them. Tests compare the results of both
ways.
"""

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from types import FunctionType
from typing import Any
from uuid import UUID

import orjson
from django.db import DataError, connection
from django.db.models import DateTimeField, IntegerField, JSONField, QuerySet

from utils.event_loop import loop_call

MAX_TEMPLATES = 500
"""The cache is bounded, as clients determine the number of templates (filters, orderings, sizes)."""

_LOCK = re.compile(r"\bFOR (?:NO KEY UPDATE|UPDATE|KEY SHARE|SHARE)\b")
_FIRST_INT = 2**31 - 10_000
"""Within the range of every integer column: for a value outside of it Django makes no query."""
_FIRST_TIMESTAMP = datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC)

Row = dict[str, Any]
Build = Callable[..., QuerySet[Any, Any]]
_Slot = tuple[int, str, int | None, type | None]
"""A parameter's position, its value's name, which item of it if the value is a list, and the type that it must have if
that is a subclass of the value's, as Django's integers of a size."""
_Converter = tuple[int, Callable[[Sequence[Any]], Sequence[Any]]]
"""A column's position, and a function that converts its values for rendering."""


@dataclass(frozen=True, slots=True)
class _Template:
    sql: str
    params: tuple[Any, ...]
    names: tuple[str, ...]
    slots: tuple[_Slot, ...]
    """The parameters to fill in."""
    converters: tuple[_Converter, ...]


_templates: dict[Hashable, _Template] = {}


def read_rows(build: Build, **values: Any) -> list[Row]:
    """Run the queryset ``build(**values)``, which ends in ``values()``, and return its rows in their order. One query.

    The rows are for rendering: a JSON column is PostgreSQL's text, as an ``orjson.Fragment``; a timestamp is text in
    the API's format.

    ``build`` is a function, or a ``functools.partial`` of one with hashable arguments; everything that changes the text
    of the SQL must be among these. ``build`` must use each value (of a list, each item) as a query parameter, as it is
    called with placeholders of the same types. Raises ``TypeError`` for a closure or a method, whose variables could
    change the SQL, and ``ValueError`` for a queryset that leaves out a value or locks rows.
    """
    lengths = tuple(len(value) for value in values.values() if isinstance(value, list))
    key = (_key_of(build), tuple(values), lengths)
    template = _templates.get(key)
    if template is None:
        template = _compile(build, values)
        if len(_templates) >= MAX_TEMPLATES:
            _templates.clear()
        _templates[key] = template
    params = list(template.params)
    for position, name, index, subclass in template.slots:
        value = values[name] if index is None else values[name][index]
        params[position] = value if subclass is None else subclass(value)
    call = loop_call()
    found = _fetch(template.sql, params) if call is None else call.fetch(template.sql, params)
    if not found:
        return []
    columns: list[Sequence[Any]] = list(zip(*found, strict=True))
    for position, convert in template.converters:
        columns[position] = convert(columns[position])
    return [dict(zip(template.names, row, strict=True)) for row in zip(*columns, strict=True)]


def _fetch(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    database: Any = connection  # of our backend
    rows: list[tuple[Any, ...]] = database.fetch(sql, params)
    return rows


def _key_of(build: Build) -> Hashable:
    if isinstance(build, partial):
        return _key_of(build.func), build.args, tuple(build.keywords.items())
    if not isinstance(build, FunctionType) or build.__closure__ is not None:
        raise TypeError("Only a function without a closure can be compiled: pass what changes the SQL by partial.")
    # Functions of two modules may have equal code, and those of a loop differ in their defaults only.
    return build.__code__, id(build.__globals__), build.__defaults__, tuple((build.__kwdefaults__ or {}).items())


def _compile(build: Build, values: dict[str, Any]) -> _Template:
    placeholders = {name: _placeholder(value, number) for number, (name, value) in enumerate(values.items())}
    query = build(**placeholders).query
    compiler = query.get_compiler(connection=connection)
    sql, params = compiler.as_sql()
    if _LOCK.search(sql):  # also of a subquery
        raise ValueError("A queryset that locks rows cannot be compiled: Django checks its transaction at each use.")
    wanted: list[tuple[Any, str, int | None]] = []
    for name, placeholder in placeholders.items():
        items = enumerate(placeholder) if isinstance(placeholder, list) else [(None, placeholder)]
        wanted += [(item, name, index) for index, item in items]
    slots = tuple(
        (position, name, index, None if type(param) is type(placeholder) else type(param))
        for position, param in enumerate(params)
        for placeholder, name, index in wanted
        if isinstance(param, type(placeholder)) and param == placeholder
    )
    if missing := {(name, index) for _, name, index in wanted} - {slot[1:3] for slot in slots}:
        raise ValueError(f"The queryset does not use as a parameter: {missing}.")
    columns = [expression for expression, _, _ in compiler.select]
    names = tuple(name for name in query.selected or ())
    converters = _converters(columns, compiler.get_converters(columns))
    return _Template(sql, tuple(params), names, slots, converters)


def _converters(
    columns: Sequence[Any], of_django: Mapping[int, tuple[Sequence[Callable[..., Any]], Any]]
) -> tuple[_Converter, ...]:
    """The converters of the columns: Django's, or faster equivalents for JSON, timestamps and numbers."""
    found: list[_Converter] = []
    for position, column in enumerate(columns):
        if isinstance(column.output_field, JSONField):
            found.append((position, _fragments))
        elif isinstance(column.output_field, DateTimeField):
            found.append((position, _timestamps))
        elif position in of_django and isinstance(column.output_field, IntegerField):
            found.append((position, _integers))
        elif position in of_django:
            found += [(position, partial(_convert, converter, column)) for converter in of_django[position][0]]
    return tuple(found)


def _convert(converter: Callable[..., Any], column: Any, values: Sequence[Any]) -> list[Any]:
    return [converter(value, column, connection) for value in values]


def _integers(values: Sequence[Any]) -> list[int | None]:
    return [None if value is None else int(value) for value in values]


def _fragments(values: Sequence[str | None]) -> list[orjson.Fragment | None]:
    """Keep JSON as PostgreSQL rendered it, instead of parsing and rendering it again."""
    return [None if value is None else orjson.Fragment(value) for value in values]


def _timestamps(values: Sequence[str | None]) -> list[str | None]:
    # The usual case is written out: a call for each value would take longer than the rest.
    return [
        f"{value[:10]}T{value[11:26]}Z"
        if value is not None and value[26:] == "+00" and value[10] == " "
        else shown_timestamp(value)
        for value in values
    ]


def shown_timestamp(value: Any) -> Any:
    """Convert ``2026-11-23 10:00:00.123456+00`` to ``2026-11-23T10:00:00.123456Z`` without a ``datetime``."""
    if value is None:
        return None
    # Of any year, with any number of fractional digits.
    if not value.endswith("+00"):
        raise DataError("Connections read timestamps in UTC.")
    date, _, time = value[:-3].partition(" ")
    second, _, fraction = time.partition(".")
    return f"{date}T{second}.{fraction:0<6}Z"


def _placeholder(value: Any, number: int) -> Any:
    """A value of the same type that does not occur in queries, different for each number."""
    match value:
        case bool():
            raise TypeError("A truth value changes the SQL: pass it by functools.partial.")
        case int():
            return _FIRST_INT + number
        case datetime():
            return _FIRST_TIMESTAMP + timedelta(days=number)
        case UUID():
            return UUID(int=2**127 + number)
        case str():
            return f"\ue000{number}"
        case list():
            return [_placeholder(item, 1000 * (number + 1) + index) for index, item in enumerate(value)]
    raise TypeError(f"A {type(value).__name__} cannot be a value of a compiled query.")
