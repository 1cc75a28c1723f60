"""Rows of ordinary querysets, without building the queryset's SQL or model instances for each request.

Building and compiling a list's SQL takes longer than running it, and gives the same text for every user. So a read
names its *shape* (everything that changes the SQL's text) and how to build its queryset from *values* (everything that
does not). The first read of a shape builds the queryset with markers in place of the values and remembers the SQL with
the markers' positions; later ones only put their values there.

The querysets stay what they are: ``QueryOptimizer`` makes them, serializers and tests use them, and tests hold both
ways to the same answers.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import orjson
from django.db import DataError, connection
from django.db.models import DateTimeField, IntegerField, JSONField, QuerySet

MAX_SHAPES = 500
"""Clients choose among shapes (filters, orderings, sizes), so what is remembered is bounded."""

_FIRST_INT = 2**31 - 10_000
"""In the range of every integer column: Django answers what lies outside it without a query."""
_FIRST_MOMENT = datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC)

Row = dict[str, Any]
_Slot = tuple[int, str, int | None, type | None]
"""A parameter's position, its value's name, which item of it if the value is a list, and the type that it must have if
that is a subclass of the value's, as Django's integers of a size."""
_Converter = tuple[int, Callable[[Sequence[Any]], Sequence[Any]]]
"""A column's position, and what makes of its values what is shown."""


@dataclass(frozen=True, slots=True)
class _Compiled:
    sql: str
    params: tuple[Any, ...]
    names: tuple[str, ...]
    slots: tuple[_Slot, ...]
    """Which parameters are values."""
    converters: tuple[_Converter, ...]


_compiled: dict[Hashable, _Compiled] = {}


def read_rows(shape: Hashable, build: Callable[..., QuerySet[Any, Any]], **values: Any) -> list[Row]:
    """Run the queryset ``build(**values)``, which ends in ``values()``, and return its rows in their order.

    For rendering: a column of JSON stays the text that Postgres gave, as an ``orjson.Fragment``, and a moment is the
    text that the API shows.

    ``shape`` must differ wherever ``build`` makes SQL of another text, but for the lengths of values that are lists;
    ``build`` must use each value (of a list, each item) as it is: it is called with markers of their types. One query.
    """
    lengths = tuple(len(value) for value in values.values() if isinstance(value, list))
    compiled = _compiled.get((shape, lengths))
    if compiled is None:
        compiled = _compile(build, values)
        if len(_compiled) >= MAX_SHAPES:
            _compiled.clear()
        _compiled[shape, lengths] = compiled
    params = list(compiled.params)
    for position, name, index, subclass in compiled.slots:
        value = values[name] if index is None else values[name][index]
        params[position] = value if subclass is None else subclass(value)
    found = connection.fetch(compiled.sql, params)  # type: ignore[attr-defined]  # our backend's
    if not found:
        return []
    columns: list[Sequence[Any]] = list(zip(*found, strict=True))
    for position, convert in compiled.converters:
        columns[position] = convert(columns[position])
    return [dict(zip(compiled.names, row, strict=True)) for row in zip(*columns, strict=True)]


def _compile(build: Callable[..., QuerySet[Any, Any]], values: dict[str, Any]) -> _Compiled:
    markers = {name: _marker(value, number) for number, (name, value) in enumerate(values.items())}
    query = build(**markers).query
    compiler = query.get_compiler(connection=connection)
    sql, params = compiler.as_sql()
    places: list[tuple[Any, str, int | None]] = []
    for name, marker in markers.items():
        items = enumerate(marker) if isinstance(marker, list) else [(None, marker)]
        places += [(item, name, index) for index, item in items]
    slots = tuple(
        (position, name, index, None if type(param) is type(marker) else type(param))
        for position, param in enumerate(params)
        for marker, name, index in places
        if isinstance(param, type(marker)) and param == marker
    )
    if missing := {(name, index) for _, name, index in places} - {slot[1:3] for slot in slots}:
        raise ValueError(f"The queryset does not use as a parameter: {missing}.")
    columns = [expression for expression, _, _ in compiler.select]
    names = tuple(name for name in query.selected or ())
    converters = _converters(columns, compiler.get_converters(columns))
    return _Compiled(sql, tuple(params), names, slots, converters)


def _converters(
    columns: Sequence[Any], of_django: Mapping[int, tuple[Sequence[Callable[..., Any]], Any]]
) -> tuple[_Converter, ...]:
    """By column: Django's, or for JSON, moments and numbers what does the same with less."""
    found: list[_Converter] = []
    for position, column in enumerate(columns):
        if isinstance(column.output_field, JSONField):
            found.append((position, _fragments))
        elif isinstance(column.output_field, DateTimeField):
            found.append((position, _moments))
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
    """JSON that Postgres has rendered is not parsed to be rendered again."""
    return [None if value is None else orjson.Fragment(value) for value in values]


def _moments(values: Sequence[str | None]) -> list[str | None]:
    """``2026-11-23 10:00:00.5+00`` as ``2026-11-23T10:00:00.500000Z``, without making a moment of it in between."""
    return [
        f"{value[:10]}T{value[11:26]}Z"
        if value is not None and value[26:] == "+00" and value[10] == " "
        else _moment(value)
        for value in values
    ]


def _moment(value: str | None) -> str | None:
    """Of any year, with any fraction of a second."""
    if value is None:
        return None
    if not value.endswith("+00"):
        raise DataError("Connections read moments in UTC.")
    date, _, time = value[:-3].partition(" ")
    second, _, fraction = time.partition(".")
    return f"{date}T{second}.{fraction:0<6}Z"


def _marker(value: Any, number: int) -> Any:
    """A value of the same type that no query has of itself, another one for each number."""
    match value:
        case bool():
            raise TypeError("A truth value belongs to the shape.")
        case int():
            return _FIRST_INT + number
        case datetime():
            return _FIRST_MOMENT + timedelta(days=number)
        case UUID():
            return UUID(int=2**127 + number)
        case str():
            return f"\ue000{number}"
        case list():
            return [_marker(item, 1000 * (number + 1) + index) for index, item in enumerate(value)]
    raise TypeError(f"A {type(value).__name__} cannot be a value of a compiled read.")
