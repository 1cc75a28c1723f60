"""Serializers that refuse what they do not know."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

UNKNOWN_FIELDS_SHOWN = 20
"""An answer names no more of them: a body may have a hundred thousand."""
WRONG_ITEMS_SHOWN = 20


class RefuseUnknownFields:
    """Mixin: a field of the body that the serializer does not write is an error, not a silent loss."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            known = {name for name, field in self.fields.items() if not field.read_only}  # type: ignore[attr-defined]
            unknown = list(islice((name for name in data if name not in known), UNKNOWN_FIELDS_SHOWN))
            if unknown:
                message = ErrorDetail("This field is not known here.", code="unknown_field")
                raise serializers.ValidationError({name: [message] for name in unknown})
        return super().to_internal_value(data)  # type: ignore[misc]


class StrictSerializer(RefuseUnknownFields, serializers.Serializer[Any]):
    """A plain serializer that refuses unknown fields."""


class StrictModelSerializer(RefuseUnknownFields, serializers.ModelSerializer[Any]):
    """A model serializer that refuses unknown fields."""


class OnlyText:
    """Mixin of text fields: a number is not text (REST framework would take 12345678 for a password)."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid")  # type: ignore[attr-defined]
        return super().to_internal_value(data)  # type: ignore[misc]


class StrictCharField(OnlyText, serializers.CharField):
    """A field that takes a JSON string and nothing else."""


class StrictIntegerField(serializers.IntegerField):
    """A field that takes a JSON integer: neither its text nor ``5.0`` nor ``true``."""

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return super().to_internal_value(data)


class StrictBooleanField(serializers.BooleanField):
    """A field that takes ``true`` or ``false`` and no other word or number for them."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid")
        return data


class StrictUUIDField(OnlyText, serializers.UUIDField):
    """A field that takes the text of a UUID: REST framework would take a number for one, too."""


def too_many(maximum: int) -> serializers.ValidationError:
    return serializers.ValidationError(f"There may be at most {maximum}.", code="too_many")


class BoundedListSerializer(serializers.ListSerializer[Any]):
    """A list with a ``max_length``, of which no more is looked at than it takes to accept or to refuse it."""

    max_length: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._wrong_items = 0

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and len(data) > self.max_length:
            raise too_many(self.max_length)
        return super().to_internal_value(data)

    def run_child_validation(self, data: Any) -> Any:
        if self._wrong_items >= WRONG_ITEMS_SHOWN:
            return None  # what the others are makes no difference any more
        try:
            return super().run_child_validation(data)
        except serializers.ValidationError:
            self._wrong_items += 1
            raise


class BoundedListField(serializers.ListField):
    """A list of values with a ``max_length``, which is looked at before the values."""

    max_length: int

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        return super().to_internal_value(data)
