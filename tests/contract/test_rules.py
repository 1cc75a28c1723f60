"""The description keeps rules that others wrote, and a few of ours."""

import re

import pytest
from jsonschema import Draft202012Validator

from tests.contract.tools import HERE, OPENAPI, node_modules, run


def operations(schema):
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_redocly_finds_no_error_and_no_warning(tmp_path):
    command = [node_modules() / ".bin/redocly", "lint", "--config", HERE / "redocly.yaml", OPENAPI]

    output = run(command, cwd=tmp_path, REDOCLY_TELEMETRY="off", REDOCLY_SUPPRESS_UPDATE_NOTICE="true")

    assert "Your API description is valid" in output


def test_what_a_patch_sends_has_no_default_anywhere(schema):
    patched = {name: part for name, part in schema["components"]["schemas"].items() if name.startswith("Patched")}

    assert len(patched) == 7
    assert [name for name, part in patched.items() if "'default'" in repr(part)] == []
    bodies = [
        o["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        for m, o in operations(schema)
        if m.startswith("PATCH")
    ]
    assert {body.rpartition("/")[2] for body in bodies} == set(patched)


def test_every_operation_is_described_for_its_callers(schema):
    ids = [operation["operationId"] for _, operation in operations(schema)]
    texts = [operation["description"] for _, operation in operations(schema)]

    assert len(ids) == len(set(ids)) > 50
    assert [name for name in ids if not re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", name)] == []
    assert len(texts) == len(set(texts)) or _doubles(texts) == set()
    for name, operation in operations(schema):
        assert operation["summary"], name
        assert "``" not in operation["description"], name
        assert not re.search(r"Serializer|ViewSet|QueryOptimizer", operation["description"] + operation["summary"]), (
            name
        )


def _doubles(texts):
    return {text for text in texts if texts.count(text) > 1 and "At the end, or at `order`" not in text}


def test_no_schema_is_described_in_terms_of_our_classes_or_named_twice(schema):
    for name, part in schema["components"]["schemas"].items():
        assert not re.search(r"[Ss]erializer|``", part.get("description", "")), name
        assert not re.search(r"Paginated|ListList|(\w{4,})\1", name), name


def test_every_body_refuses_fields_that_it_does_not_name(schema):
    for name, part in schema["components"]["schemas"].items():
        if name.endswith("Request") and "oneOf" not in part:
            assert part["additionalProperties"] is False, name


def test_every_operation_tells_its_errors_and_its_headers(schema):
    shared = schema["components"]["responses"]

    for name, operation in operations(schema):
        responses = {
            status: shared[found["$ref"].rpartition("/")[2]] if "$ref" in found else found
            for status, found in operation["responses"].items()
        }
        expected = {"400"}
        parameters = {parameter.get("name") for parameter in operation.get("parameters", ())}
        if operation["security"]:
            expected |= {"401", "429", "503"}
        if "{" in name:
            expected |= {"404"}
        if "requestBody" in operation:
            expected |= {"413", "415"}
        if "If-Match" in parameters:
            expected |= {"412"}
        if "Idempotency-Key" in parameters:
            expected |= {"409", "422"}
        assert expected <= responses.keys(), name
        for status, response in responses.items():
            assert "X-Request-ID" in response["headers"], (name, status)
            if status >= "4":
                assert list(response["content"]) == ["application/problem+json"], (name, status)
        for status, header in (
            ("401", "WWW-Authenticate"),
            ("429", "Retry-After"),
            ("429", "RateLimit"),
            ("304", "ETag"),
        ):
            assert status not in responses or header in responses[status]["headers"], (name, status)


def test_every_example_fits_its_schema(schema):
    checked = 0
    for name, operation in operations(schema):
        for body in (operation.get("requestBody", {}), *operation["responses"].values()):
            for content in body.get("content", {}).values():
                if "example" in content:
                    found = Draft202012Validator({**content["schema"], "components": schema["components"]})
                    assert [error.message for error in found.iter_errors(content["example"])] == [], name
                    checked += 1
    assert checked > 60


def test_ids_in_paths_are_of_the_type_that_bodies_give_them(schema):
    for name, operation in operations(schema):
        for parameter in operation.get("parameters", ()):
            if parameter.get("in") == "path":
                kind = parameter["schema"]
                assert kind["type"] == "integer" or kind.get("format") == "uuid" or parameter["name"] == "slug", name
