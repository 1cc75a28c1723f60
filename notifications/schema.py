"""How the API's description tells of notifications. Imported when the application is ready: it registers itself."""

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema

from notifications.inbox import CAPACITY
from utils.http.openapi.headers import Schema
from utils.http.openapi.unions import any_of, component


class Read(OpenApiSerializerExtension):
    """Exactly one of two fields."""

    target_class = "notifications.serializers.ReadSerializer"

    def map_serializer(self, auto_schema: AutoSchema, direction: str) -> Schema:
        ids = {"type": "array", "items": {"type": "string", "format": "uuid"}, "minItems": 1, "maxItems": CAPACITY}
        some = {"type": "object", "properties": {"ids": ids}, "required": ["ids"], "additionalProperties": False}
        every = {
            "type": "object",
            "properties": {"all": {"type": "boolean", "const": True}},
            "required": ["all"],
            "additionalProperties": False,
        }
        return {
            "oneOf": [
                component(auto_schema, "ReadSomeRequest", {**some, "description": "Those with these ids."}),
                component(auto_schema, "ReadAllRequest", {**every, "description": "All of them."}),
            ],
            "description": "Which notifications were read. Ids that nobody has, or others, are ignored.",
        }


class UserEventData(OpenApiSerializerExtension):
    target_class = "notifications.serializers.UserEventDataSerializer"

    def map_serializer(self, auto_schema: AutoSchema, direction: str) -> Any:
        from notifications import serializers

        kinds = [
            serializers.PendingNotificationSerializer,
            serializers.TaskProgressEventSerializer,
            serializers.TaskEndedEventSerializer,
        ]
        return any_of(auto_schema, kinds, "The data of an event of the user's stream, by the event's name.")
