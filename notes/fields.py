"""Fields of the API's bodies and queries that only notes have."""

from typing import Any

from django.core.exceptions import ValidationError as InvalidValue
from django.core.validators import RegexValidator, URLValidator
from rest_framework import serializers

from notes.models import TAGS_MAX, TEXT_MAX_BYTES, TITLE_MAX_LENGTH
from notes.search import SEARCH_MAX_LENGTH, TooManyWords, split_words
from notes.tags import InvalidTag, distinct_tags, normalize_tag
from utils.serializers import StrictCharField, too_many

URL_MAX_LENGTH = 2000


def _fits(text: str) -> None:
    if len(text.encode()) > TEXT_MAX_BYTES:
        raise InvalidValue(f"This text is longer than {TEXT_MAX_BYTES} bytes.", code="max_length")


class TitleField(StrictCharField):
    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=TITLE_MAX_LENGTH, **options)


class LongTextField(StrictCharField):
    """Text as it was written, white space included; bounded by its size in UTF-8."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_blank=True, trim_whitespace=False, validators=[_fits], **options)


class CodeLanguageField(StrictCharField):
    def __init__(self, **options: Any) -> None:
        names = RegexValidator(
            r"^[\w+#.\- ]{0,30}\Z", "At most 30 letters, digits, spaces and characters of + # . - _ are allowed."
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
    """Tags in the one spelling, distinct, in the order given."""

    child = TagField()
    sent_max = 10 * TAGS_MAX  # how many may be sent to become TAGS_MAX distinct ones

    def to_internal_value(self, data: Any) -> list[str]:
        if isinstance(data, list) and len(data) > self.sent_max:
            raise too_many(TAGS_MAX)
        try:
            return distinct_tags(super().to_internal_value(data))
        except InvalidTag as error:
            raise serializers.ValidationError(error.detail, code=error.code) from error


class TagsParameter(serializers.CharField):
    """Tags of a query, parted by commas."""

    def to_internal_value(self, data: Any) -> list[str]:  # type: ignore[override]  # a text in, a list out
        return TagsField().run_validation(super().to_internal_value(data).split(","))


class SearchParameter(serializers.CharField):
    """A search text of few enough words."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=SEARCH_MAX_LENGTH, **options)

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        try:
            split_words(text)
        except TooManyWords as error:
            raise serializers.ValidationError(str(error), code="too_many") from error
        return text
