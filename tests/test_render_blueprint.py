"""``render.yaml`` against the facts of Render's Blueprint YAML Reference, as of November 2026."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from jsonschema import Draft202012Validator

BLUEPRINT = yaml.safe_load(Path(settings.BASE_DIR, "render.yaml").read_text())

TEXT = {"type": "string", "minLength": 1}
KEY = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}


def variable(**source: Any) -> dict[str, Any]:
    """A variable with exactly one source."""
    names = ["key", *source]
    return {"properties": {"key": KEY, **source}, "required": names, "additionalProperties": False}


VALUE = variable(value={"type": ["string", "number", "boolean"]})
GENERATED = variable(generateValue={"const": True})
ASKED_FOR = variable(sync={"const": False})
FROM_SERVICE = variable(
    fromService={
        "type": "object",
        "properties": {
            "type": {"enum": ["web", "pserv", "worker", "cron", "keyvalue", "redis"]},
            "name": TEXT,
            "property": {"enum": ["host", "port", "hostport", "connectionString"]},
            "envVarKey": KEY,
        },
        "required": ["type", "name"],
        "oneOf": [{"required": ["property"]}, {"required": ["envVarKey"]}],
        "additionalProperties": False,
    }
)
FROM_GROUP = {"properties": {"fromGroup": TEXT}, "required": ["fromGroup"], "additionalProperties": False}

NATIVE = {
    "type": {"enum": ["web", "worker"]},
    "name": TEXT,
    "runtime": {"enum": ["node", "python", "elixir", "go", "ruby", "rust"]},
    "plan": {"enum": ["free", "starter", "standard", "pro", "pro plus", "pro max", "pro ultra"]},
    "region": {"enum": ["oregon", "ohio", "virginia", "frankfurt", "singapore"]},
    "buildCommand": TEXT,
    "preDeployCommand": TEXT,
    "startCommand": TEXT,
    "healthCheckPath": {"type": "string", "pattern": "^/"},
    "maxShutdownDelaySeconds": {"type": "integer", "minimum": 1, "maximum": 300},
    "numInstances": {"type": "integer", "minimum": 1},
    "envVars": {"type": "array", "items": {"anyOf": [VALUE, GENERATED, ASKED_FOR, FROM_SERVICE, FROM_GROUP]}},
}
KEY_VALUE = {
    "type": {"const": "keyvalue"},
    "name": TEXT,
    "plan": {"enum": ["free", "starter", "standard", "pro", "pro plus"]},
    "region": NATIVE["region"],
    "maxmemoryPolicy": {
        "enum": ["allkeys-lru", "volatile-lru", "allkeys-random", "volatile-random", "volatile-ttl", "noeviction"]
    },
    "ipAllowList": {"type": "array"},
}
FREE = {"properties": {"plan": {"const": "free"}}, "required": ["plan"]}
WORKER = {"not": {"anyOf": [{"required": ["healthCheckPath"]}, FREE]}}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "envVarGroups": {
            "type": "array",
            "items": {
                "type": "object",
                # A group may neither ask for a value nor take one from a service or a database.
                "properties": {"name": TEXT, "envVars": {"type": "array", "items": {"anyOf": [VALUE, GENERATED]}}},
                "required": ["name", "envVars"],
                "additionalProperties": False,
            },
        },
        "services": {
            "type": "array",
            "items": {
                "type": "object",
                "if": {"properties": {"type": {"const": "keyvalue"}}},
                "then": {"properties": KEY_VALUE, "required": ["type", "name", "ipAllowList"]},
                "else": {
                    "properties": NATIVE,
                    "required": ["type", "name", "runtime", "buildCommand", "startCommand"],
                    "if": {"properties": {"type": {"const": "worker"}}},
                    "then": WORKER,
                },
                "unevaluatedProperties": False,
            },
        },
    },
    "required": ["services"],
    "additionalProperties": False,
}


def faults(blueprint: dict[str, Any]) -> Iterator[str]:
    """What Render would refuse, and references to what is not there."""
    for error in Draft202012Validator(SCHEMA).iter_errors(blueprint):
        yield "/".join(map(str, error.absolute_path))
    groups = {group["name"]: {v["key"] for v in group["envVars"]} for group in blueprint["envVarGroups"]}
    services = {service["name"]: service for service in blueprint["services"]}
    if len(services) < len(blueprint["services"]):
        yield "two services of one name"
    own = {
        name: {v["key"] for v in service.get("envVars", ()) if "key" in v and "fromService" not in v}
        for name, service in services.items()
    }
    for name, service in services.items():
        for entry in service.get("envVars", ()):
            if entry.get("fromGroup", next(iter(groups))) not in groups:
                yield f"{name}: no group {entry['fromGroup']}"
            if source := entry.get("fromService"):
                target = services.get(source["name"], {})
                if target.get("type") != source["type"]:
                    yield f"{name}: no {source['type']} {source['name']}"
                elif "envVarKey" in source and source["envVarKey"] not in own[source["name"]]:
                    yield f"{name}: {source['name']} has no {source['envVarKey']} of its own"


def test_render_takes_the_blueprint():
    assert list(faults(BLUEPRINT)) == []


def test_a_group_that_asks_for_a_value_is_found():
    blueprint = deepcopy(BLUEPRINT)
    blueprint["envVarGroups"][0]["envVars"].append({"key": "DATABASE_URL", "sync": False})

    assert list(faults(blueprint)) == [f"envVarGroups/0/envVars/{len(blueprint['envVarGroups'][0]['envVars']) - 1}"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"fromGroup": "nothing"}, "noteassist-web: no group nothing"),
        (
            {"key": "A", "fromService": {"type": "web", "name": "noteassist-redis", "property": "host"}},
            "noteassist-web: no web noteassist-redis",
        ),
        (
            {"key": "A", "fromService": {"type": "worker", "name": "noteassist-beat", "envVarKey": "EMAIL_URL"}},
            "noteassist-web: noteassist-beat has no EMAIL_URL of its own",
        ),
        ({"key": "A", "value": "1", "sync": False}, "services/1/envVars/0"),
    ],
)
def test_a_variable_without_its_source_is_found(change, fault):
    blueprint = deepcopy(BLUEPRINT)
    blueprint["services"][1]["envVars"] = [change]

    assert fault in list(faults(blueprint))


def test_every_process_has_what_production_must_be_given():
    required = {"SECRET_KEY", "JWT_SIGNING_KEY", "DATABASE_URL", "REDIS_URL", "ALLOWED_HOSTS", "EMAIL_URL"}
    group = {v["key"] for v in BLUEPRINT["envVarGroups"][0]["envVars"]}

    for service in BLUEPRINT["services"]:
        if service["type"] != "keyvalue":
            assert {"fromGroup": "noteassist"} in service["envVars"]
            assert required <= group | {v.get("key") for v in service["envVars"]}, service["name"]


def test_a_value_is_asked_for_once():
    asked = [
        v["key"] for service in BLUEPRINT["services"] for v in service.get("envVars", ()) if v.get("sync") is False
    ]

    assert len(asked) == len(set(asked)) == 7
