"""Extensions of the API's description. Importing this module registers them."""

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
                component(auto_schema, "ReadSomeRequest", {**some, "description": "The notifications with these ids."}),
                component(auto_schema, "ReadAllRequest", {**every, "description": "All notifications."}),
            ],
            "description": "The notifications to mark. Unknown ids, and ids of other users, are ignored.",
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
