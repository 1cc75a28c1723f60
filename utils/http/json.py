"""JSON: a strict parser, and a renderer to bytes."""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import IO, Any

import orjson
from django.conf import settings
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from utils.http.errors import ApplicationError, FieldError, pointer_to

MAX_DEPTH = 32
MAX_VALUES = 10_000
"""The maximum number of values (objects, lists, strings, numbers …) in a body: a note of 1,000 topics has 6,000."""
PUBLIC_MAX_VALUES = 100
PUBLIC_MAX_BYTES = 16 * 1024
"""The maximum size of bodies of public routes; the largest that they expect has three short texts."""
MEDIA_TYPE = "application/json"


class InvalidJSON(ApplicationError):
    code = "invalid_json"
    detail = "The request body is not valid JSON."


class TooManyValues(InvalidJSON):
    def __init__(self, maximum: int) -> None:
        super().__init__(f"The request body has more than {maximum} values.")


class BodyTooLarge(ApplicationError):
    code = "body_too_large"
    status_code = 413
    detail = "The request body is too large."


def dumps(data: Any) -> bytes:
    """Render JSON. Timestamps are UTC with six fractional digits, as everywhere in the API."""
    return orjson.dumps(data, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _plain(value: object) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
    # orjson refuses subclasses of str (DRF's ErrorDetail, choices) and mappings other than dict.
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON serializable")


def loads_strictly(body: bytes, *, max_values: int = MAX_VALUES) -> Any:
    """Parse a request body.

    Refused with :class:`InvalidJSON`: bytes that are not UTF-8, lone surrogates, NaN, nesting deeper than
    ``MAX_DEPTH``, more than ``max_values`` values, NUL characters (PostgreSQL cannot store them) and duplicate keys
    (parsers disagree on which one counts). The number of values is checked before parsing, so that a small body cannot
    take much memory or time.
    """
    colons = _count_colons(body, max_values)
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # Also raised for nesting that is too deep for orjson itself.
        raise InvalidJSON(f"The request body is not valid JSON: {error.msg} at character {error.pos}.") from error
    if _check(data, [], has_null=b"\\u0000" in body) != colons:
        json.loads(body, object_pairs_hook=_without_duplicates)  # raises an error that names the key
    return data


def _count_colons(body: bytes, max_values: int) -> int:
    """Limit the number of values, and return the number of keys: outside of strings each key has one colon.

    Counts separators in a few passes over the bytes. The result is exact for valid JSON.
    """
    if b"\\" in body:
        body_without_escapes = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    else:
        body_without_escapes = body
    if body_without_escapes.count(b'"') > 4 * max_values:  # two for each value and two for its key
        raise TooManyValues(max_values)
    outside = b"".join(body_without_escapes.split(b'"')[::2])
    if outside.count(b",") + outside.count(b"[") + outside.count(b"{") >= max_values:
        raise TooManyValues(max_values)
    return outside.count(b":")


def _check(value: Any, path: list[str | int], *, has_null: bool) -> int:
    """Refuse null characters and deep nesting in the value at ``path``; return the number of keys in it.

    Strings are searched only if the body ``has_null``: an escaped null character.
    """
    if isinstance(value, str):
        if has_null and "\x00" in value:
            raise _null_character(path)
        return 0
    if not isinstance(value, dict | list):
        return 0
    if len(path) >= MAX_DEPTH:
        raise InvalidJSON(f"The request body nests deeper than {MAX_DEPTH} levels.")
    keys = len(value) if isinstance(value, dict) else 0
    checked = str | dict | list if has_null else dict | list
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if has_null and isinstance(key, str) and "\x00" in key:
            raise _null_character(path)
        if isinstance(item, checked):
            path.append(key)
            keys += _check(item, path, has_null=has_null)
            path.pop()
    return keys


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
    max_values = MAX_VALUES

    @property
    def max_bytes(self) -> int:
        return settings.MAX_BODY_BYTES

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        coding = parser_context["request"].headers.get("Content-Encoding", "identity")
        if coding.strip().lower() != "identity":
            raise UnsupportedMediaType(coding, "Send the body uncompressed, without Content-Encoding.")
        body = stream.read(self.max_bytes + 1)
        if len(body) > self.max_bytes:
            raise BodyTooLarge(f"The request body is larger than {self.max_bytes} bytes.")
        if not body.strip():
            raise ParseError("The request body is empty.")
        return loads_strictly(body, max_values=self.max_values)


class PublicJSONParser(StrictJSONParser):
    """For public routes."""

    max_values = PUBLIC_MAX_VALUES
    max_bytes = PUBLIC_MAX_BYTES


class OrjsonRenderer(BaseRenderer):
    media_type = MEDIA_TYPE
    format = "json"
    charset = None
    render_style = "binary"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return b"" if data is None else dumps(data)


class AlwaysJSON(DefaultContentNegotiation):
    """Responds with JSON and ignores ``Accept``, which may name only ``text/event-stream``."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type
