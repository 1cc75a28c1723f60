"""Errors in the API's description: their one shape, their codes, and the errors that an operation may return."""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any, NamedTuple

from utils.http import refusals
from utils.http.errors import CONTENT_TYPE, ApplicationError
from utils.http.status_titles import title_of

Schema = dict[str, Any]


class Code(NamedTuple):
    """One ``code`` of the problem document, and its meaning."""

    status: int
    code: str
    meaning: str


LITERALS = (
    Code(400, "bad_request", "The request is malformed."),
    Code(400, "parse_error", "The request body is empty."),
    Code(400, "https_required", "The request was sent over plain HTTP. Use https."),
    Code(401, "not_authenticated", "The request has no access token."),
    Code(403, "permission_denied", "You may not do this."),
    Code(404, "only_streams_here", "This process serves event streams only."),
    Code(405, "method_not_allowed", "This method is not allowed here."),
    Code(415, "unsupported_media_type", "The body must be application/json."),
    Code(500, "internal_error", "Something went wrong on our side. Quote the request id when you report it."),
    *(Code(status, *refusals.CODES[status]) for status in map(HTTPStatus, (408, 414, 417, 431, 501))),
)
"""Codes that have no exception class in this project."""

LITERALS_BY_CODE = {literal.code: literal for literal in LITERALS}

_FIELD_ERROR: Schema = {
    "type": "object",
    "description": "One error in the request, and its position.",
    "required": ["pointer", "code", "detail"],
    "properties": {
        "pointer": {
            "type": "string",
            "description": "JSON pointer (RFC 6901) into the body or the query; empty for the whole.",
        },
        "code": {"type": "string", "description": "For programs, such as `required`, `max_length`, `unknown_field`."},
        "detail": {"type": "string", "description": "For people."},
    },
}


def problem_schemas() -> dict[str, Schema]:
    """The components that describe an error."""
    codes = all_codes()
    return {
        "FieldError": _FIELD_ERROR,
        "Problem": {
            "type": "object",
            "description": "The format of all errors (RFC 9457). Some codes have additional members.",
            "required": ["type", "title", "status", "detail", "code", "request_id", "errors"],
            "properties": {
                "type": {"type": "string", "description": "Always `about:blank`; use `code` to distinguish errors."},
                "title": {"type": "string", "description": "The status in words."},
                "status": {"type": "integer", "description": "The status of the response."},
                "detail": {"type": "string", "description": "What is wrong, for people."},
                "code": {
                    "type": "string",
                    "description": "The error, for programs. A code never changes its meaning. New codes may be added, "
                    "so handle an unknown one by its status.\n\n" + "\n".join(map(_line, codes)),
                    "x-extensible-enum": sorted({code.code for code in codes}),
                },
                "request_id": {
                    "type": ["string", "null"],
                    "description": "Quote it when you report the error. It is also in `X-Request-ID`.",
                },
                "errors": {
                    "type": "array",
                    "description": "The single errors in the request, if they can be located.",
                    "items": {"$ref": "#/components/schemas/FieldError"},
                },
                "current_version": {
                    "type": "integer",
                    "description": "With `precondition_failed`: the note's current version.",
                },
                "hunks": {
                    "type": "array",
                    "description": "With `proposal_drifted` and `proposal_changed`: the proposal's current hunks.",
                    "items": {"$ref": "#/components/schemas/Hunk"},
                },
                "limit": {
                    "type": "integer",
                    "description": "With `note_too_large`, `account_full` and `text_too_large`: the limit in bytes.",
                },
                "used": {"type": "integer", "description": "With the same codes: the bytes used."},
                "left": {"type": "integer", "description": "With the same codes: the bytes left."},
                "scope": {"type": "string", "description": "With a status of 429: which limit was reached."},
            },
        },
    }


def _example(codes: dict[str, Code]) -> Schema:
    code = next(iter(codes.values()))
    return {
        "type": "about:blank",
        "title": title_of(code.status),
        "status": code.status,
        "detail": code.meaning,
        "code": code.code,
        "request_id": "05febdba3210ae2f74896ce8",
        "errors": [],
    }


def _line(code: Code) -> str:
    return f"- `{code.code}` ({code.status}): {code.meaning}"


def code_of(error: type[ApplicationError]) -> Code:
    return Code(int(error.status_code), error.code, error.detail)


def all_codes() -> list[Code]:
    """Every code, sorted by status and name. If classes share a code, the class that defines it describes it."""
    found = {literal.code: literal for literal in LITERALS}
    for error in _subclasses(ApplicationError):
        found.setdefault(error.code, code_of(error))
    return sorted(found.values())


def _subclasses(parent: type[ApplicationError]) -> Iterator[type[ApplicationError]]:
    for child in parent.__subclasses__():
        yield child
        yield from _subclasses(child)


def problem_responses(codes: Iterable[Code]) -> dict[str, Schema]:
    """The responses with these codes, by status."""
    by_status: dict[int, dict[str, Code]] = {}
    for code in sorted(codes):
        by_status.setdefault(code.status, {}).setdefault(code.code, code)
    return {
        str(status): {
            "description": f"{title_of(status)}: "
            + "; ".join(f"`{code.code}` ({code.meaning.rstrip('.')})" for code in found.values())
            + ".",
            "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": _example(found)}},
        }
        for status, found in by_status.items()
    }
