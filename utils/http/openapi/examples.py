"""Examples in the API's description, built from one sample for each kind of field, so that they fit the schemas."""

from typing import Any

Schema = dict[str, Any]

_MOMENT = "2026-11-23T10:00:00.123456Z"
_TASK = "fb39bb45-5cf6-4e9d-bb29-203590876a39"
_WHOLE: dict[str, Any] = {
    "TaskError": None,
    "TaskSubmissionRequest": {
        "request_type": "generate_explanation",
        "request_data": {"topic": "Python loops", "level": "beginner"},
    },
    "ReadRequest": {"all": True},
    "HunkDecisionRequest": {"accept": [1, 3], "reject": [2]},
    "Hunk": {
        "n": 1,
        "op": "replace",
        "block_id": "bG9vcHMtMTIz",
        "after_block": None,
        "before_hash": "1d7f9b2f6a5f4c1e8f0d3c2b1a090807",
        "before": "A loop repeats.",
        "after": "A loop repeats a block of statements.",
        "status": "open",
        "drifted": False,
    },
}
"""Examples of schemas that cannot be built from samples of their fields."""

_SAMPLES: dict[str, Any] = {
    "access": "eyJhbGciOiJIUzI1NiJ9.eyJ1IjoxfQ.c2lnbmF0dXJl",
    "action_id": _TASK,
    "address": "203.0.113.7",
    "amount": "0.001234",
    "applied_at": None,
    "chapter": 4,
    "chapter_id": 4,
    "code": "for n in range(3):\n    print(n)\n",
    "code_language": "Python",
    "content": "A loop repeats a block of statements.",
    "count": 1,
    "device": "Mozilla/5.0",
    "email": "ada@example.com",
    "error": None,
    "expires_in": 900,
    "explanation": "A loop repeats a block of statements.",
    "finished_at": None,
    "id": 1,
    "level": "beginner",
    "message": "Your answer is ready.",
    "model": None,
    "name": "Ada",
    "new_password": "better-words-this-time",
    "next": "/api/notes/?cursor=W2ZhbHNlXQ",
    "next_request_at": None,
    "note": 3,
    "note_id": 3,
    "notice": None,
    "old_password": "correct-horse-battery",
    "password": "correct-horse-battery",
    "previous": None,
    "progress": 15,
    "provider": None,
    "q": "loops",
    "rank": 0.61,
    "read_at": None,
    "refresh": "eyJhbGciOiJIUzI1NiJ9.eyJzIjoxfQ.c2lnbmF0dXJl",
    "request_data": {"topic": "Python loops", "level": "beginner"},
    "requests_left_this_hour": 17,
    "result": None,
    "retry_of": None,
    "schema": {"type": "object"},
    "self": f"/api/ai/tasks/{_TASK}/",
    "events": f"/api/ai/tasks/{_TASK}/events/",
    "cancel": f"/api/ai/tasks/{_TASK}/cancel/",
    "links": {"notes": "/api/notes/"},
    "snippet": "A <mark>loop</mark> repeats a block of statements.",
    "started_at": None,
    "tag": "python",
    "tags": ["python"],
    "ticket": "eyJhbGciOiJIUzI1NiJ9.eyJ0IjoxfQ.c2lnbmF0dXJl",
    "title": "Python loops",
    "token": "12.c2lnbmF0dXJl",
    "topic_id": 9,
    "url": "https://docs.python.org/3/tutorial/controlflow.html",
    "version": 3,
}


def example_of(schema: Schema, schemas: dict[str, Schema], name: str = "") -> Any:
    """An example that fits the schema; ``name`` is the field's name."""
    if reference := schema.get("$ref"):
        component = reference.rpartition("/")[2]
        if component in _WHOLE and name != "results":
            return _WHOLE[component]
        found = example_of(schemas[component], schemas, name)
        if component.startswith("Patched") and isinstance(found, dict):
            return dict(list(found.items())[:1])
        return found
    if parts := schema.get("allOf") or schema.get("oneOf") or schema.get("anyOf"):
        return (
            None
            if _SAMPLES.get(name, "") is None and {"type": "null"} in parts
            else example_of(parts[0], schemas, name)
        )
    if "properties" in schema:
        fields = schema["properties"].items()
        if schema.get("title") == "links" or name == "links":
            return {field: _SAMPLES[field] for field, _ in fields}
        return {field: example_of(found, schemas, field) for field, found in fields}
    kinds = schema.get("type", "object")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "null" in kinds and name in _SAMPLES and _SAMPLES[name] is None:
        return None
    if schema.get("format") == "uuid":
        return _TASK
    if schema.get("format") == "date-time":
        return _MOMENT
    if "array" in kinds:
        if isinstance(_SAMPLES.get(name), list) and "$ref" not in schema["items"]:
            return _SAMPLES[name]
        return [example_of(schema["items"], schemas, name)]
    if _SAMPLES.get(name) is not None and _fits(_SAMPLES[name], kinds):
        return _SAMPLES[name]
    return {
        "integer": schema.get("minimum", 0),
        "number": schema.get("minimum", 0.5),
        "boolean": False,
        "string": "text",
        "object": {},
    }[kinds[0]]


def _fits(value: Any, kinds: list[str]) -> bool:
    return {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object"}.get(type(value)) in kinds
