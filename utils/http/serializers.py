"""Strict serializers and fields: they refuse unknown fields and values of a wrong JSON type."""

import copy
from collections.abc import Mapping
from functools import cached_property
from itertools import islice
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.validators import ProhibitSurrogateCharactersValidator

UNKNOWN_FIELDS_SHOWN = 20
"""The maximum number in an error response, as a body may have a hundred thousand."""
WRONG_ITEMS_SHOWN = 20


class RefuseUnknownFields:
    """Mixin: unknown and read-only fields in the body are errors, instead of being ignored."""

    @cached_property
    def _known_names(self) -> frozenset[str]:
        return frozenset(name for name, field in self.fields.items() if not field.read_only)  # type: ignore[attr-defined]

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            known = self._known_names
            unknown = list(islice((name for name in data if name not in known), UNKNOWN_FIELDS_SHOWN))
            if unknown:
                message = ErrorDetail("Unknown field.", code="unknown_field")
                raise serializers.ValidationError({name: [message] for name in unknown})
        return super().to_internal_value(data)  # type: ignore[misc]


class StrictSerializer(RefuseUnknownFields, serializers.Serializer[Any]):
    """A plain serializer that refuses unknown fields."""


class NoSurrogates(ProhibitSurrogateCharactersValidator):
    """The same as Django's validator, but it need not check each character, which takes 60 ms for 2 MB."""

    def __call__(self, value: Any) -> None:
        try:
            str(value).encode()
        except UnicodeEncodeError:
            super().__call__(value)


class OnlyText:
    """Mixin of text fields: refuses numbers (REST framework would accept 12345678 as a password)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.validators: list[Any] = [
            NoSurrogates() if isinstance(validator, ProhibitSurrogateCharactersValidator) else validator
            for validator in self.validators
        ]

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
    return serializers.ValidationError(f"At most {maximum} are allowed.", code="too_many")


class BoundedListSerializer(serializers.ListSerializer[Any]):
    """A list with a ``max_length`` that is checked before the items. After some invalid items the rest are skipped.

    A PATCH replaces the whole list, so required fields of its items are required there, too.
    """

    max_length: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # An item with a parent would ask the root serializer whether it is partial.
        self._item = copy.deepcopy(kwargs["child"])
        super().__init__(*args, **kwargs)

    def to_internal_value(self, data: Any) -> list[Any]:
        if not isinstance(data, list) or not data:
            return super().to_internal_value(data)
        if len(data) > self.max_length:
            raise too_many(self.max_length)
        items: list[Any] = []
        errors: dict[Any, Any] = {}
        wrong = 0
        for index, item in enumerate(data):
            try:
                items.append(self._item.run_validation(item))
            except serializers.ValidationError as error:
                errors[index] = error.detail
                wrong += 1 + _wrong_items(error.detail)
                if wrong >= WRONG_ITEMS_SHOWN:
                    break
        if errors:
            raise serializers.ValidationError(errors)
        return items


def _wrong_items(detail: Any) -> int:
    """The number of wrong list items in an item's error details."""
    if not isinstance(detail, dict):
        return 0
    return sum(isinstance(key, int) + _wrong_items(inner) for key, inner in detail.items())


class BoundedListField(serializers.ListField):
    """A list of values with a ``max_length`` that is checked before the values."""

    max_length: int

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        return super().to_internal_value(data)
