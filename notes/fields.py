"""Serializer fields of notes, for request bodies and query parameters."""

from typing import Any

from django.core.exceptions import ValidationError as InvalidValue
from django.core.validators import RegexValidator, URLValidator
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from notes.models import CODE_LANGUAGE, TAGS_MAX, TEXT_MAX_BYTES, TITLE_MAX_LENGTH
from notes.search.query import SEARCH_MAX_LENGTH, TooManyWords, parse
from notes.tags import InvalidTag, distinct_tags, normalize_tag
from notes.visible import is_visible
from utils.http.serializers import StrictCharField, too_many

URL_MAX_LENGTH = 2000
EXPORTED_MAX = 500
"""The maximum number of notes in one archive."""


def _fits(text: str) -> None:
    if len(text.encode()) > TEXT_MAX_BYTES:
        raise InvalidValue(f"This text is longer than {TEXT_MAX_BYTES} bytes.", code="max_length")


def _has_something_visible(text: str) -> None:
    if not is_visible(text):
        raise InvalidValue("A title needs at least one visible character.", code="blank")


@extend_schema_field({"type": "string", "minLength": 1, "maxLength": TITLE_MAX_LENGTH, "pattern": r"\S"})
class TitleField(StrictCharField):
    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=TITLE_MAX_LENGTH, validators=[_has_something_visible], **options)


@extend_schema_field({"type": "string", "maxLength": TEXT_MAX_BYTES, "description": f"At most {TEXT_MAX_BYTES} bytes."})
class LongTextField(StrictCharField):
    """Text that is not trimmed; its size is limited in UTF-8 bytes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_blank=True, trim_whitespace=False, validators=[_fits], **options)


@extend_schema_field({"type": "string", "maxLength": 30, "pattern": r"^[\w+#.\-/* ]*$"})
class CodeLanguageField(StrictCharField):
    def __init__(self, **options: Any) -> None:
        names = RegexValidator(
            rf"^{CODE_LANGUAGE}\Z", "At most 30 letters, digits, spaces and characters of + # . - _ / * are allowed."
        )
        super().__init__(allow_blank=True, validators=[names], **options)


class WebAddressField(StrictCharField):
    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=URL_MAX_LENGTH, validators=[URLValidator(schemes=["http", "https"])], **options)


class TagField(StrictCharField):
    def to_internal_value(self, data: Any) -> str:
        try:
            return normalize_tag(super().to_internal_value(data))
        except InvalidTag as error:
            raise serializers.ValidationError(error.detail, code=error.code) from error


class TagsField(serializers.ListField):
    """A list of normalized, distinct tags, in the order given."""

    child = TagField()
    sent_max = 10 * TAGS_MAX  # duplicates included

    def to_internal_value(self, data: Any) -> list[str]:
        if isinstance(data, list) and len(data) > self.sent_max:
            raise too_many(TAGS_MAX)
        try:
            return distinct_tags(super().to_internal_value(data))
        except InvalidTag as error:
            raise serializers.ValidationError(error.detail, code=error.code) from error


class TagsParameter(serializers.CharField):
    """Tags in a query parameter, separated by commas."""

    def to_internal_value(self, data: Any) -> list[str]:  # type: ignore[override]  # a text in, a list out
        return TagsField().run_validation(super().to_internal_value(data).split(","))


class IdsParameter(serializers.CharField):
    """Ids in a query parameter, separated by commas; each is there once."""

    def __init__(self, **options: Any) -> None:
        super().__init__(validators=[RegexValidator(r"^[0-9]{1,19}(,[0-9]{1,19})*\Z", "Ids are numbers.")], **options)

    def run_validation(self, data: Any = serializers.empty) -> list[int]:
        ids = {int(part) for part in super().run_validation(data).split(",")}
        if len(ids) > EXPORTED_MAX:
            raise too_many(EXPORTED_MAX)
        return sorted(ids)


class SearchParameter(serializers.CharField):
    """A search text with a limited number of words."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=SEARCH_MAX_LENGTH, **options)

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        try:
            parse(text[: SEARCH_MAX_LENGTH + 1])
        except TooManyWords as error:
            raise serializers.ValidationError(str(error), code="too_many") from error
        return text
