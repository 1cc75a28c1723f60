"""The context of log lines: the request, and in a worker the attempt at a task."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

current_request_id: ContextVar[str] = ContextVar("current_request_id", default="")
"""Empty if no request is the cause, as for beat's tasks."""

_current_fields: ContextVar[Mapping[str, Any]] = ContextVar("current_fields", default={})  # noqa: B039  # never mutated


@contextmanager
def log_fields(**fields: Any) -> Iterator[None]:
    """Add these fields to each line that is logged inside."""
    token = _current_fields.set({**_current_fields.get(), **fields})
    try:
        yield
    finally:
        _current_fields.reset(token)


def current_fields() -> dict[str, Any]:
    """The fields of a line that is logged now."""
    request_id = current_request_id.get()
    fields = dict(_current_fields.get())
    return {"request_id": request_id, **fields} if request_id else fields
