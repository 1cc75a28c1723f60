"""What the OpenAPI schema says beyond what serializers and views tell it."""

from typing import Any

from utils.exceptions import CONTENT_TYPE

_PROBLEM = {
    "type": "object",
    "description": "The one shape of every error (RFC 9457).",
    "required": ["type", "title", "status", "detail", "code", "request_id", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "For people."},
        "code": {"type": "string", "description": "For programs; stable."},
        "request_id": {"type": "string", "description": "Quote it when you report the error."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "JSON pointer (RFC 6901) into the body or query."},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}


def describe_problems(result: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
    """Give every operation the answer that all of them share."""
    result["components"]["schemas"]["Problem"] = _PROBLEM
    problem = {
        "description": "An error, with a status of 400 or more.",
        "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for operations in result["paths"].values():
        for operation in operations.values():
            operation["responses"]["default"] = problem
    return result
