"""Serializers that refuse what they do not know."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail


class RefuseUnknownFields:
    """Mixin: a field of the body that the serializer does not write is an error, not a silent loss."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            known = {name for name, field in self.fields.items() if not field.read_only}  # type: ignore[attr-defined]
            unknown = [name for name in data if name not in known]
            if unknown:
                message = ErrorDetail("This field is not known here.", code="unknown_field")
                raise serializers.ValidationError({name: [message] for name in unknown})
        return super().to_internal_value(data)  # type: ignore[misc]


class StrictSerializer(RefuseUnknownFields, serializers.Serializer):
    """A plain serializer that refuses unknown fields."""


class StrictModelSerializer(RefuseUnknownFields, serializers.ModelSerializer):
    """A model serializer that refuses unknown fields."""
