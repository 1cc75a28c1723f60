"""How a server refuses what never becomes a request of the application: in the one shape of all errors.

A server's own pages are HTML with the request's line in them. Imports no Django: gunicorn's processes load this first.
"""

import secrets
from http import HTTPStatus

import orjson

from utils.http.status_titles import title_of

CONTENT_TYPE = "application/problem+json"
RETRY_SECONDS = 5

CODES = {
    HTTPStatus.BAD_REQUEST: ("bad_request", "The request is malformed."),
    HTTPStatus.REQUEST_TIMEOUT: ("request_timeout", "The request did not arrive in time."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("body_too_large", "The request body is too large."),
    HTTPStatus.REQUEST_URI_TOO_LONG: ("url_too_long", "The path and the query are too long."),
    HTTPStatus.EXPECTATION_FAILED: ("expectation_failed", "The only supported value of Expect is 100-continue."),
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: (
        "headers_too_large",
        "The headers are too long or too many.",
    ),
    HTTPStatus.INTERNAL_SERVER_ERROR: (
        "internal_error",
        "Something went wrong on our side. Quote the request id when you report it.",
    ),
    HTTPStatus.NOT_IMPLEMENTED: ("unknown_transfer_coding", "The body's transfer coding is not supported."),
    HTTPStatus.SERVICE_UNAVAILABLE: ("unavailable", "The service is temporarily unavailable."),
}
"""Of each status that a server answers by itself: its code and what it means."""


class Refusal:
    """One answer, after which the connection ends."""

    def __init__(self, status: HTTPStatus) -> None:
        self.status = status
        self.request_id = secrets.token_hex(12)
        code, detail = CODES[status]
        self.body = orjson.dumps(
            {
                "type": "about:blank",
                "title": title_of(status),
                "status": status.value,
                "detail": detail,
                "code": code,
                "request_id": self.request_id,
                "errors": [],
            }
        )
        self.headers = [
            ("content-type", CONTENT_TYPE),
            ("content-length", str(len(self.body))),
            ("cache-control", "no-store"),
            ("x-request-id", self.request_id),
            ("connection", "close"),
        ]
        if status is HTTPStatus.SERVICE_UNAVAILABLE:
            self.headers.append(("retry-after", str(RETRY_SECONDS)))

    def as_bytes(self) -> bytes:
        """All of it, as HTTP/1.1 writes it."""
        head = [f"HTTP/1.1 {self.status.value} {self.status.phrase}", *(f"{n.title()}: {v}" for n, v in self.headers)]
        return "\r\n".join([*head, "", ""]).encode() + self.body
