"""What a body may hold is counted before any of it is looked at."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from rest_framework import serializers

from accounts.serializers import EmailField
from notes.fields import TagsField
from notes.serializers import BulkSerializer
from utils.http.serializers import (
    BoundedListField,
    BoundedListSerializer,
    StrictCharField,
    StrictSerializer,
)

BOUNDED = (BoundedListField, BoundedListSerializer, TagsField)


def bodies() -> Iterator[type[StrictSerializer]]:
    """Every serializer of a body, in whatever module of ours."""
    for app in apps.get_app_configs():
        if Path(app.path).parent == Path(settings.BASE_DIR):
            for file in Path(app.path).rglob("*serializers.py"):
                import_module(".".join(file.relative_to(settings.BASE_DIR).with_suffix("").parts))
    pending = [StrictSerializer]
    while pending:
        found = pending.pop().__subclasses__()
        yield from found
        pending += found


def test_every_list_in_a_body_is_counted_before_its_items_are_looked_at():
    lists = [
        (body.__name__, name, field)
        for body in bodies()
        for name, field in body().fields.items()
        if isinstance(field, serializers.ListField | serializers.ListSerializer)
    ]

    assert {(body, name) for body, name, field in lists if not isinstance(field, BOUNDED)} == set()
    assert ("BulkSerializer", "ids") in {(body, name) for body, name, _ in lists}


@pytest.mark.parametrize("count", [501, 9_900])
def test_of_a_list_that_is_too_long_no_item_is_looked_at(count):
    body = BulkSerializer(data={"ids": ["no number"] * count, "action": "trash"})

    assert not body.is_valid()
    assert [error.code for error in body.errors["ids"]] == ["max_length"]


@pytest.mark.parametrize("field", [StrictCharField(), EmailField()], ids=["text", "address"])
def test_half_of_a_surrogate_pair_is_refused_as_rest_framework_does(field):
    with pytest.raises(serializers.ValidationError) as refused:
        field.run_validation("a\ud800@example.com")

    assert "surrogate_characters_not_allowed" in [error.code for error in refused.value.detail]
    assert field.run_validation("a@example.com") == "a@example.com"
