"""Schemas of AI tasks for the API description. They are registered when this module is imported."""

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema

from ai_tasks.handlers import HANDLERS
from ai_tasks.handlers.base import Handler
from utils.http.openapi.headers import Schema
from utils.http.openapi.unions import any_of, component


class SubmissionSchema(OpenApiSerializerExtension):
    """One schema for each request type, with the schema of its ``request_data``."""

    target_class = "ai_tasks.serializers.SubmissionSerializer"

    def get_name(self, auto_schema: AutoSchema, direction: str) -> str:
        return "TaskSubmission"  # and "Request" is added

    def map_serializer(self, auto_schema: AutoSchema, direction: str) -> Schema:
        parts = {name: self._of_type(auto_schema, name, handler) for name, handler in HANDLERS.items()}
        return {
            "oneOf": list(parts.values()),
            "discriminator": {
                "propertyName": "request_type",
                "mapping": {name: part["$ref"] for name, part in parts.items()},
            },
            "description": "The AI request. `request_type` determines the fields of `request_data`.",
        }

    @staticmethod
    def _of_type(auto_schema: AutoSchema, request_type: str, handler: Handler) -> Schema:
        name = "".join(word.capitalize() for word in request_type.split("_"))
        described = {key: value for key, value in handler.schema.items() if key != "$schema"}
        data = component(auto_schema, f"{name}Data", {**described, "description": f"The input of `{request_type}`."})
        schema: Schema = {
            "type": "object",
            "description": f"A request of the type `{request_type}`.",
            "properties": {
                "request_type": {"type": "string", "const": request_type},
                "request_data": data,
                "topic_id": _topic_field(handler),
                "apply": {
                    "oneOf": [{"type": "boolean"}, {"type": "string", "const": "propose"}],
                    "default": False,
                    "description": "Write the answer to the topic, unless its text has changed by then; or `propose` "
                    "it, hunk by hunk, for the user to decide about.",
                },
            },
            "required": ["request_type", "request_data", *(["topic_id"] if handler.needs_topic else [])],
            "additionalProperties": False,
        }
        return component(auto_schema, f"{name}Request", schema)


def _topic_field(handler: Handler) -> Schema:
    if handler.needs_topic:
        kind: Any = "integer"
        description = "A topic of yours that has a text."
    else:
        kind = ["integer", "null"]
        description = "A topic of yours that the task is listed with."
    if handler.from_topic:
        description = f"A topic of yours. If `{handler.from_topic}` is left out, the topic supplies it."
    return {"type": kind, "minimum": 1, "maximum": 2**63 - 1, "description": description}


class TaskEventDataSchema(OpenApiSerializerExtension):
    target_class = "ai_tasks.serializers.TaskEventDataSerializer"

    def map_serializer(self, auto_schema: AutoSchema, direction: str) -> Any:
        from ai_tasks import serializers
        from notifications.serializers import TaskProgressEventSerializer

        kinds = [
            TaskProgressEventSerializer,
            serializers.TaskDeltaEventSerializer,
            serializers.TaskRestartedEventSerializer,
            serializers.TaskSerializer,
        ]
        return any_of(auto_schema, kinds, "The data of an event of one task's stream, by the event's name.")
