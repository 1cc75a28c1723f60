"""Cursor pagination with the same cost for every page: keyset conditions, and one extra row instead of a count."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import orjson
from django.db.models import Model, Q
from django.http import QueryDict
from django.utils.dateparse import parse_datetime
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from utils.http.errors import InvalidRequest

DEFAULT_PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
PAGE_PARAMETERS = ("cursor", "page_size")


class InvalidCursor(InvalidRequest):
    code = "invalid_cursor"
    detail = "The cursor does not belong to this list."


class InvalidPageSize(InvalidRequest):
    def __init__(self) -> None:
        detail = f"page_size must be a whole number from 1 to {MAX_PAGE_SIZE}."
        super().__init__(errors=[{"pointer": "/page_size", "code": "invalid", "detail": detail}])


@dataclass(frozen=True, slots=True)
class PageTemplate:
    """Everything that determines the SQL of a page, except the values of the position."""

    ordering: tuple[str, ...]
    page_size: int
    backward: bool

    def narrow(self, queryset: Any, position: Sequence[Any]) -> Any:
        """Restrict the queryset to the rows of this page and one more."""
        if self.backward:
            queryset = queryset.order_by(*(_flip(term) for term in self.ordering))
        if position:
            queryset = queryset.filter(self._beyond(position))
        return queryset[: self.page_size + 1]

    def join(self, *querysets: Any) -> Any:
        """The page of a union of querysets that are narrowed and have no common rows."""
        terms = (_flip(term) for term in self.ordering) if self.backward else self.ordering
        first, *others = querysets
        return first.union(*others, all=True).order_by(*terms)[: self.page_size + 1]

    def _beyond(self, position: Sequence[Any]) -> Q:
        """The rows after the position: (a, b) > (x, y), written out so that each column may have its own direction."""
        condition = Q()
        terms = [_flip(term) for term in self.ordering] if self.backward else list(self.ordering)
        equal: dict[str, Any] = {}
        for term, value in zip(terms, position, strict=True):
            name = term.lstrip("-")
            lookup = "lt" if term.startswith("-") else "gt"
            condition |= Q(**equal, **{f"{name}__{lookup}": value})
            equal[name] = value
        first, value = terms[0].lstrip("-"), position[0]
        # Redundant, but PostgreSQL needs it to start its index scan at the position.
        bound = "lte" if terms[0].startswith("-") else "gte"
        return Q(**{f"{first}__{bound}": value}) & condition


class LookAheadCursorPagination(BasePagination):
    """Pagination of a queryset whose ordering ends in a unique column.

    A cursor has the queryset's ordering, the values of these columns in the last row seen, and the direction. So no row
    is repeated or skipped when rows are inserted or deleted meanwhile.
    """

    path: str
    query: QueryDict
    ordering: Sequence[str]
    position: list[Any]
    """The values after which the page begins; empty at an end of the list."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        ordering = [str(term) for term in queryset.query.order_by or queryset.model._meta.ordering]
        self.read_request(request.path, request.query_params, ordering, queryset.model)
        return self.take(list(self.template.narrow(queryset, self.position)))

    def read_request(self, path: str, query: QueryDict, ordering: Sequence[str], model: type[Model]) -> None:
        """Read the requested page from the query. Raises :class:`InvalidPageSize` and :class:`InvalidCursor`."""
        self.path = path
        self.query = query
        self.page_size = read_page_size(query)
        self.ordering = list(ordering)
        self.backward, self.position = self._read_cursor(model) or (False, [])

    @property
    def template(self) -> PageTemplate:
        return PageTemplate(tuple(self.ordering), self.page_size, self.backward)

    def take(self, rows: list[Any]) -> list[Any]:
        """The page's rows, in the list's order, out of the rows that :meth:`PageTemplate.narrow` selected."""
        more = len(rows) > self.page_size
        rows = rows[: self.page_size]
        if self.backward:
            rows.reverse()
        # When going backward, the page that the client came from is the next one.
        self.has_next = bool(rows) and (self.backward or more)
        self.has_previous = bool(rows) and (more if self.backward else bool(self.position))
        self.rows = rows
        return rows

    def get_paginated_response(self, data: Any) -> Response:
        return Response(self.get_page(data))

    def get_page(self, data: Any) -> dict[str, Any]:
        """The body of a page: rendered rows, with links to the neighbouring pages."""
        return {"next": self.get_next_link(), "previous": self.get_previous_link(), "results": data}

    def get_next_link(self) -> str | None:
        return self._link(self.rows[-1], backward=False) if self.has_next else None

    def get_previous_link(self) -> str | None:
        return self._link(self.rows[0], backward=True) if self.has_previous else None

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "description": "Relative link to the neighbouring page."}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        size = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": DEFAULT_PAGE_SIZE}
        return [
            {
                "name": "cursor",
                "in": "query",
                "required": False,
                "description": "The start of the page. Use the whole `next` or `previous` link.",
                "schema": {"type": "string", "minLength": 1},
            },
            {"name": "page_size", "in": "query", "required": False, "schema": size},
        ]

    def _link(self, row: Any, *, backward: bool) -> str:
        values = [_value(row, term.lstrip("-")) for term in self.ordering]
        cursor = base64.urlsafe_b64encode(orjson.dumps([backward, self.ordering, values])).decode().rstrip("=")
        others = [(key, value) for key, value in self.query.items() if key != "cursor"]
        return f"{self.path}?{urlencode(others)}{'&' if others else ''}cursor={cursor}"

    def _read_cursor(self, model: type[Model]) -> tuple[bool, list[Any]] | None:
        text = self.query.get("cursor")
        if text is None:
            return None
        try:
            backward, ordering, values = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            if not isinstance(backward, bool) or ordering != self.ordering or len(values) != len(ordering):
                raise InvalidCursor
            fields = [model._meta.get_field(term.lstrip("-")) for term in self.ordering]
            return backward, [_typed(field, value) for field, value in zip(fields, values, strict=True)]
        except (binascii.Error, ValueError, TypeError, AttributeError) as error:
            raise InvalidCursor from error


def read_page_size(query: QueryDict) -> int:
    text = query.get("page_size")
    if text is None:
        return DEFAULT_PAGE_SIZE
    if not (text.isascii() and text.isdigit()) or len(text) > 4 or not 1 <= int(text) <= MAX_PAGE_SIZE:
        raise InvalidPageSize
    return int(text)


def _flip(term: str) -> str:
    return term[1:] if term.startswith("-") else f"-{term}"


def _value(row: Any, name: str) -> Any:
    return row[name] if isinstance(row, dict) else getattr(row, name)


def _typed(field: Any, value: Any) -> Any:
    """Convert a cursor's value to the column's type. Raises ``ValueError`` for values that PostgreSQL would refuse."""
    kind = field.get_internal_type()
    if kind == "DateTimeField":
        timestamp = parse_datetime(value)
        if not isinstance(timestamp, datetime) or timestamp.tzinfo is None:
            raise ValueError("not a timestamp")
        return timestamp
    if kind == "UUIDField":
        return UUID(value)
    if kind in ("BigAutoField", "AutoField", "IntegerField", "BigIntegerField", "PositiveIntegerField"):
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
            raise ValueError("not an id")
        return value
    if not isinstance(value, str) or "\x00" in value:
        raise ValueError("not text")
    return value


class ForwardCursorPagination(LookAheadCursorPagination):
    """The same for lists that are read forward only: their pages have no ``previous``."""

    def get_page(self, data: Any) -> dict[str, Any]:
        return {"next": self.get_next_link(), "results": data}

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        whole = super().get_paginated_response_schema(schema)
        properties = {name: whole["properties"][name] for name in ("next", "results")}
        return {**whole, "required": list(properties), "properties": properties}
