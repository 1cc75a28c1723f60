"""Log lines: JSON in production, readable text in development.

structlog's formatter renders the lines of all loggers, our own and those of libraries. An event is logged as a name
with fields: ``logger.info("ai_task", extra={"fields": {…}})``. The line of each request is written without a logger,
which is faster (``utils.monitoring.requests``).

No line contains a user's data: no body, token, address, email, or path with its arguments.
"""

import logging
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from structlog.stdlib import ProcessorFormatter

from utils.monitoring.context import current_fields

Fields = MutableMapping[str, Any]


def log_lines(level: str, *, log_queries: bool, as_json: bool) -> dict[str, Any]:
    """Django's ``LOGGING``."""
    return {
        **server_lines(level, as_json=as_json),
        "filters": {
            "not_every_tick": {"()": "utils.monitoring.logs.NotEveryTick"},
            "unexpected_only": {"()": "utils.monitoring.logs.UnexpectedOnly"},
        },
        "loggers": {
            "django": {"level": "INFO"},
            # The line of each request already has the status, without the path's arguments.
            "django.request": {"filters": ["unexpected_only"]},
            # Django records every query only under DEBUG; LOG_QUERIES prints them.
            "django.db.backends": {"level": "DEBUG" if log_queries else "INFO"},
            # Beat sends tasks every few seconds; their errors are logged where they happen.
            "celery.beat": {"filters": ["not_every_tick"]},
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            "httpx2": {"level": "WARNING"},
            "openai": {"level": "WARNING"},
        },
    }


def server_lines(level: str, *, as_json: bool) -> dict[str, Any]:
    """The configuration for a server's own lines, before Django is set up."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": "utils.monitoring.logs.formatter", "as_json": as_json}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["console"], "level": level},
    }


def gunicorn_lines(level: str, *, as_json: bool) -> dict[str, Any]:
    """gunicorn's ``logconfig_dict``."""
    return _lines_by("gunicorn.error", level, as_json=as_json)


def granian_lines(level: str, *, as_json: bool) -> dict[str, Any]:
    """Granian's ``log_dictconfig``."""
    return _lines_by("_granian", level, as_json=as_json)


def _lines_by(server: str, level: str, *, as_json: bool) -> dict[str, Any]:
    # gunicorn's debug lines contain paths with their arguments.
    own = {"handlers": ["console"], "level": "INFO" if level == "DEBUG" else level, "propagate": False}
    return {**server_lines(level, as_json=as_json), "loggers": {server: own}}


def formatter(*, as_json: bool) -> ProcessorFormatter:
    chain: list[Any] = [_drop_metadata]
    chain += [structlog.processors.format_exc_info, _to_json] if as_json else [_to_text]
    return ProcessorFormatter(foreign_pre_chain=[_describe], processors=chain)


def _describe(_logger: Any, _method: str, line: Fields) -> Fields:
    """The fields that every line has, then its own."""
    record: logging.LogRecord = line["_record"]
    return {
        "timestamp": datetime.fromtimestamp(record.created, UTC),
        "level": record.levelname.lower(),
        "logger": record.name,
        **line,
        **fields_of(record),
    }


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of the line's context, and its own."""
    fields = current_fields() | getattr(record, "fields", {})
    # Django logs a response after the middleware that sets the request's id has returned.
    request_id = getattr(getattr(record, "request", None), "request_id", None)
    return fields | {"request_id": request_id} if request_id else fields


def _drop_metadata(_logger: Any, _method: str, line: Fields) -> Fields:
    del line["_record"], line["_from_structlog"]
    return line


def _to_json(_logger: Any, _method: str, line: Fields) -> str:
    return to_json(dict(line)).decode()


def to_json(line: dict[str, Any]) -> bytes:
    return orjson.dumps(line, default=str, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


_text = structlog.dev.ConsoleRenderer(
    colors=sys.stderr.isatty(),
    pad_event_to=0,
    sort_keys=False,
    exception_formatter=structlog.dev.plain_traceback,  # others show local variables, such as bodies and passwords
)


def _to_text(_logger: Any, method: str, line: Fields) -> str:
    line["timestamp"] = line["timestamp"].strftime("%H:%M:%S.%f")[:-3]
    return _text(_logger, method, line)


def to_text(line: dict[str, Any]) -> bytes:
    return _to_text(None, "", line).encode()


class NotEveryTick(logging.Filter):
    """Drops beat's line for each message that it sends: they are too frequent to log."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("Scheduler: Sending due task")


class UnexpectedOnly(logging.Filter):
    """Of Django's lines about responses, keeps those with a traceback, which come from HTML pages.

    Errors of the API are logged by ``utils.http.errors``.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return bool(record.exc_info)
