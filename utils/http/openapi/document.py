"""The last changes to the description, when all operations and schemas are known."""

import re
from collections.abc import Iterator
from typing import Any

from utils.http.openapi.examples import example_of
from utils.http.openapi.headers import HEADERS, Schema
from utils.http.openapi.problems import problem_schemas
from utils.http.status_titles import title_of

_IF_NONE_MATCH: Schema = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The `ETag` that you received: the response is a 304 without a body if nothing has changed.",
    "schema": {"type": "string"},
}
SHARED_BY = 3
"""A response becomes a component if at least this many operations have it."""
_ID_PATTERN = "^[0-9]{1,19}$"
_ID: Schema = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}
_JSON = re.compile(r"application/(?:problem\+)?json")


def complete(result: Schema, **_kwargs: Any) -> Schema:
    """Complete the whole description; drf-spectacular calls this hook last."""
    components = result["components"]
    schemas = components["schemas"]
    _rename_pages(result)
    _tidy(result)
    schemas.update(problem_schemas())
    components["headers"] = HEADERS
    components["parameters"] = {"IfNoneMatch": _IF_NONE_MATCH}
    for name, schema in schemas.items():
        if name.startswith("Patched"):
            _drop_defaults(schema)
        if name.endswith("Request") and schema.get("type") == "object":
            schema["additionalProperties"] = False  # RefuseUnknownFields refuses them
    for _, operation in operations_of(result):
        for parameter in operation.get("parameters", ()):
            if parameter.get("in") == "path" and parameter["schema"].get("pattern") == _ID_PATTERN:
                parameter["schema"] = dict(_ID)
        _add_examples(operation, schemas)
    components["responses"] = _share_responses(result)
    components["schemas"] = dict(sorted(schemas.items()))
    return result


def operations_of(document: Schema) -> Iterator[tuple[str, Schema]]:
    """Every operation, with its path."""
    for path, operations in document["paths"].items():
        for operation in operations.values():
            yield path, operation


def _share_responses(result: Schema) -> dict[str, Schema]:
    """Replace responses that many operations have by references to components; return the components by name."""
    places = [
        (responses, status)
        for _, operation in operations_of(result)
        for responses in [operation["responses"]]
        for status in responses
        if status >= "3"
    ]
    shared: dict[str, Schema] = {}
    for responses, status in places:
        response = responses[status]
        alike = [place for place in places if place[0][place[1]] == response]
        if "$ref" in response or len(alike) < SHARED_BY:
            continue
        phrase = re.sub(r"\W", "", title_of(int(status)))
        name = next(name for name in (phrase, *(f"{phrase}{n}" for n in range(2, 99))) if name not in shared)
        shared[name] = response
        for others, other_status in alike:
            others[other_status] = {"$ref": f"#/components/responses/{name}"}
    return dict(sorted(shared.items()))


def _rename_pages(result: Schema) -> None:
    """``PaginatedNoteSummaryList`` is a ``NotePage``."""
    schemas = result["components"]["schemas"]
    names = {name: re.sub(r"^Paginated(.+?)(?:Summary)?List$", r"\1Page", name) for name in schemas}
    for name, renamed in names.items():
        if name != renamed:
            schemas[renamed] = schemas.pop(name)
            schemas[renamed]["description"] = "One page of a list, with links to its neighbours."
    _replace_references(result["paths"], names)


def _replace_references(node: Any, names: dict[str, str]) -> None:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and (name := str(value).rpartition("/")[2]) in names:
                node[key] = f"#/components/schemas/{names[name]}"
            else:
                _replace_references(value, names)
    elif isinstance(node, list):
        for value in node:
            _replace_references(value, names)


def _tidy(node: Any) -> None:
    """Simplify schemas for generated clients.

    A string that may be blank is one schema, not a choice of two that both accept the empty string. Integers have no
    format: client generators make types of ``int64`` that do not fit the values of JSON parsers.
    """
    if isinstance(node, dict):
        if node.get("format") == "int64":
            del node["format"]
        match node.get("oneOf"):
            case [{"type": "string", "pattern": pattern} as text, {"type": "string", "maxLength": 0}]:
                if re.search(pattern, ""):
                    del node["oneOf"]
                    node.update(text)
        for value in node.values():
            _tidy(value)
    elif isinstance(node, list):
        for value in node:
            _tidy(value)


def _drop_defaults(schema: Schema) -> None:
    """For PATCH: it leaves omitted fields unchanged, and a client that fills in defaults would overwrite them."""
    for name, field in schema["properties"].items():
        field.pop("default", None)
        if field.keys() == {"allOf"} and len(field["allOf"]) == 1:
            schema["properties"][name] = field["allOf"][0]


def _add_examples(operation: Schema, schemas: dict[str, Schema]) -> None:
    """Add examples of the request's and the response's body."""
    bodies = [operation["requestBody"]] if "requestBody" in operation else []
    for body in bodies + [response for status, response in operation["responses"].items() if status < "4"]:
        for media_type, content in body.get("content", {}).items():
            if _JSON.fullmatch(media_type) and "example" not in content and "examples" not in content:
                content["example"] = example_of(content["schema"], schemas)
