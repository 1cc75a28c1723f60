"""Strict serializers and fields: they refuse unknown fields and values of a wrong JSON type."""

import copy
from collections.abc import Mapping
from itertools import islice
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

UNKNOWN_FIELDS_SHOWN = 20
"""The maximum in an error response, as a body may have a hundred thousand."""
WRONG_ITEMS_SHOWN = 20


class RefuseUnknownFields:
    """Mixin: unknown and read-only fields in the body are errors, instead of being ignored."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            known = {name for name, field in self.fields.items() if not field.read_only}  # type: ignore[attr-defined]
            unknown = list(islice((name for name in data if name not in known), UNKNOWN_FIELDS_SHOWN))
            if unknown:
                message = ErrorDetail("Unknown field.", code="unknown_field")
                raise serializers.ValidationError({name: [message] for name in unknown})
        return super().to_internal_value(data)  # type: ignore[misc]


class StrictSerializer(RefuseUnknownFields, serializers.Serializer[Any]):
    """A plain serializer that refuses unknown fields."""


class OnlyText:
    """Mixin of text fields: refuses numbers (REST framework would accept 12345678 as a password)."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid")  # type: ignore[attr-defined]
        return super().to_internal_value(data)  # type: ignore[misc]


class StrictCharField(OnlyText, serializers.CharField):
    """A field that accepts only JSON strings."""


class StrictIntegerField(serializers.IntegerField):
    """A field that accepts only JSON integers: no strings, no ``5.0``, no ``true``."""

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return super().to_internal_value(data)


class StrictBooleanField(serializers.BooleanField):
    """A field that accepts only ``true`` and ``false``."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid")
        return data


class StrictUUIDField(OnlyText, serializers.UUIDField):
    """A field that accepts only the text of a UUID: REST framework would also accept a number."""


def too_many(maximum: int) -> serializers.ValidationError:
    return serializers.ValidationError(f"There may be at most {maximum}.", code="too_many")


class BoundedListSerializer(serializers.ListSerializer[Any]):
    """A list with a ``max_length`` that is checked before the items. After some invalid items the rest are skipped.

    A PATCH replaces the whole list, so its items are whole, too: what they require must be there.
    """

    max_length: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # An item with a parent would ask the root whether fields may be missing.
        self._item = copy.deepcopy(kwargs["child"])
        super().__init__(*args, **kwargs)
        self._wrong_items = 0

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and len(data) > self.max_length:
            raise too_many(self.max_length)
        return super().to_internal_value(data)

    def run_child_validation(self, data: Any) -> Any:
        if self._wrong_items >= WRONG_ITEMS_SHOWN:
            return None  # the list is refused anyway
        try:
            return self._item.run_validation(data)
        except serializers.ValidationError:
            self._wrong_items += 1
            raise


class BoundedListField(serializers.ListField):
    """A list of values with a ``max_length`` that is checked before the values."""

    max_length: int

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        return super().to_internal_value(data)
