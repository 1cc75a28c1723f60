"""Log lines: JSON in production, readable in development.

Lines come from three places. The standard library's loggers, ours and those of libraries, are rendered by structlog's
formatter; what happened is logged as a name with fields: ``logger.info("ai_task", extra={"fields": {…}})``. The line
of a request goes past them (``NoteAssist_AI.monitoring.requests``), as it is written for each request.

No line has what a user wrote: no body, token, address, email or path with its arguments.
"""

import logging
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from structlog.stdlib import ProcessorFormatter

from NoteAssist_AI.monitoring.context import current_fields

Fields = MutableMapping[str, Any]


def log_lines(level: str, *, log_queries: bool, as_json: bool) -> dict[str, Any]:
    """Django's ``LOGGING``."""
    return {
        **server_lines(level, as_json=as_json),
        "filters": {
            "not_every_tick": {"()": "NoteAssist_AI.monitoring.logs.NotEveryTick"},
            "unexpected_only": {"()": "NoteAssist_AI.monitoring.logs.UnexpectedOnly"},
        },
        "loggers": {
            "django": {"level": "INFO"},
            # What was answered stands in the requests' lines, without the path's arguments.
            "django.request": {"filters": ["unexpected_only"]},
            # Django records every query only under DEBUG; LOG_QUERIES prints them.
            "django.db.backends": {"level": "DEBUG" if log_queries else "INFO"},
            # Beat's tasks come every few seconds; what they did wrong is logged where it happened.
            "celery.beat": {"filters": ["not_every_tick"]},
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            "httpx2": {"level": "WARNING"},
            "openai": {"level": "WARNING"},
        },
    }


def server_lines(level: str, *, as_json: bool) -> dict[str, Any]:
    """What a server's own lines need, before Django is there."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": "NoteAssist_AI.monitoring.logs.formatter", "as_json": as_json}},
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
    # gunicorn's debug lines name paths with their arguments.
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
    """What a line belongs to, and its own fields."""
    fields = current_fields() | getattr(record, "fields", {})
    # Django logs an answer when the middleware that knows the request's id has left already.
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
    """Beat announces each message that it sends, one every few seconds: that is no news."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("Scheduler: Sending due task")


class UnexpectedOnly(logging.Filter):
    """Of Django's lines about answers only those with a traceback are news: they tell of pages for people.

    The errors of the API are logged where they are answered (``utils.http.errors``).
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return bool(record.exc_info)
