"""Schemas that are one of several others."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent

from utils.http.openapi.headers import Schema


def component(auto_schema: AutoSchema, name: str, schema: Schema) -> Schema:
    """A reference to a component, which is added to the description if it is missing."""
    found = ResolvedComponent(name=name, type=ResolvedComponent.SCHEMA, schema=schema, object=name)
    auto_schema.registry.register_on_missing(found)
    return found.ref


def any_of(auto_schema: AutoSchema, serializers: list[Any], description: str) -> Schema:
    """A schema for data of several kinds; the event's name tells which one."""
    parts = [auto_schema.resolve_serializer(serializer, "response").ref for serializer in serializers]
    return {"anyOf": parts, "description": description}
