"""Response headers in the API's description."""

from typing import Any

Schema = dict[str, Any]

HEADERS: dict[str, Schema] = {
    "X-Request-ID": {
        "description": "The id of the request in the server's log: yours, if it has at most 64 letters, digits "
        "and `._:-`, or a new one.",
        "required": True,
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {
        "description": "The limits that the request counts against: quota `q` in a window of `w` seconds.",
        "schema": {"type": "string", "examples": ['"burst";q=60;w=60, "sustained";q=1000;w=86400']},
    },
    "RateLimit": {
        "description": "The remaining quota: `r` requests, for `t` seconds until the window ends.",
        "schema": {"type": "string", "examples": ['"burst";r=59;t=60, "sustained";r=999;t=86400']},
    },
    "RateLimit-Limit": {
        "description": "The quota of the limit with the least left.",
        "schema": {"type": "integer"},
    },
    "RateLimit-Remaining": {"description": "The remaining requests of this limit.", "schema": {"type": "integer"}},
    "RateLimit-Reset": {"description": "Seconds until its window ends.", "schema": {"type": "integer"}},
    "Retry-After": {"description": "Seconds to wait before the next try.", "schema": {"type": "integer"}},
    "WWW-Authenticate": {"description": "How to sign in: `Bearer`.", "schema": {"type": "string"}},
    "Idempotent-Replayed": {
        "description": "`true` if this is the stored response to the same request with this `Idempotency-Key`.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "ETag": {
        "description": "The version tag of the response, for `If-None-Match` and, if accepted, `If-Match`.",
        "schema": {"type": "string", "examples": ['"3"']},
    },
    "Cache-Control": {"description": "Whether the response may be stored.", "schema": {"type": "string"}},
}
"""The header components, by name."""

_RATE_LIMITS = ("RateLimit-Policy", "RateLimit", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")


def add_headers(responses: dict[str, Schema], *, is_limited: bool, is_fast_read: bool, is_idempotent: bool) -> None:
    """Add the headers of this kind of operation to each response."""
    for status, response in responses.items():
        names = ["X-Request-ID"]
        if is_limited and status != "401":
            names += _RATE_LIMITS
        if status == "401":
            names.append("WWW-Authenticate")
        if status in ("429", "503") or (status == "409" and is_idempotent):
            names.append("Retry-After")
        if status in ("200", "304") and is_fast_read:
            names += ["ETag", "Cache-Control"]
        if status.startswith("2") and is_idempotent:
            names.append("Idempotent-Replayed")
        references = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
        response["headers"] = {**references, **response.get("headers", {})}
