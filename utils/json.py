"""JSON in and out: a strict parser, and a renderer that writes bytes at once."""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import IO, Any

import orjson
from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from utils.exceptions import ApplicationError, FieldError, pointer_to

MAX_DEPTH = 32
MEDIA_TYPE = "application/json"


class InvalidJSON(ApplicationError):
    code = "invalid_json"
    detail = "The request body is not valid JSON."


class BodyTooLarge(ApplicationError):
    code = "body_too_large"
    status_code = 413
    detail = "The request body is too large."


def dumps(data: Any) -> bytes:
    """Render JSON. Moments are UTC with six digits, as everywhere in the API."""
    return orjson.dumps(data, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _plain(value: object) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
    # orjson refuses subclasses of str (DRF's ErrorDetail, choices) and mappings that are no dict.
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON serializable")


def loads_strictly(body: bytes) -> Any:
    """Parse a request body.

    Refused with :class:`InvalidJSON`: bytes that are not UTF-8, lone surrogates, NaN, nesting deeper than
    ``MAX_DEPTH``, NUL characters (Postgres stores none) and duplicate keys (parsers disagree about which one counts).
    """
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # A body that nests too deeply for orjson itself ends here too.
        raise InvalidJSON(f"The request body is not valid JSON: {error.msg} at character {error.pos}.") from error
    _check(data, [])
    json.loads(body, object_pairs_hook=_without_duplicates)
    return data


def _check(value: Any, path: list[str | int]) -> None:
    """Refuse null characters and deep nesting in what stands at ``path``, which bounds the recursion."""
    if isinstance(value, str):
        if "\x00" in value:
            raise _null_character(path)
    elif isinstance(value, dict | list):
        if len(path) >= MAX_DEPTH:
            raise InvalidJSON(f"The request body nests deeper than {MAX_DEPTH} levels.")
        for place, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(place, str) and "\x00" in place:
                raise _null_character(path)
            if isinstance(item, str | dict | list):
                path.append(place)
                _check(item, path)
                path.pop()


def _null_character(path: list[str | int]) -> InvalidJSON:
    error: FieldError = {
        "pointer": pointer_to(*path),
        "code": "null_character",
        "detail": "Null characters are not allowed.",
    }
    return InvalidJSON("The request body has a null character.", errors=[error])


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        (duplicate, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise InvalidJSON(f"The key {duplicate[:100]!r} appears twice in one object.")
    return found


class StrictJSONParser(BaseParser):
    media_type = MEDIA_TYPE

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        limit = settings.MAX_BODY_BYTES
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise BodyTooLarge(f"The request body is larger than {limit} bytes.")
        if not body.strip():
            raise ParseError("The request body is empty.")
        return loads_strictly(body)


class OrjsonRenderer(BaseRenderer):
    media_type = MEDIA_TYPE
    format = "json"
    charset = None
    render_style = "binary"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return b"" if data is None else dumps(data)


class AlwaysJSON(DefaultContentNegotiation):
    """Every answer is JSON, whatever ``Accept`` says: a client asking for ``text/event-stream`` would get 406 else."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type
