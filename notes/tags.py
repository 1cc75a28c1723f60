"""The one spelling of a tag."""

import unicodedata
from collections.abc import Iterable

from notes.models import TAG_MAX_LENGTH, TAGS_MAX
from notes.text import fold


class InvalidTag(ValueError):
    """Why a text is no tag, or a list no list of tags; ``code`` is for programs."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def normalize_tag(text: str) -> str:
    """Fold one tag. Raises :class:`InvalidTag` where nothing is left, or something that no tag may hold."""
    tag = fold(text)
    if not tag:
        raise InvalidTag("blank", "A tag may not be blank.")
    if len(tag) > TAG_MAX_LENGTH:
        raise InvalidTag("max_length", f"A tag has at most {TAG_MAX_LENGTH} characters.")
    if any(character == "," or unicodedata.category(character) == "Cc" for character in tag):
        raise InvalidTag("invalid", "A tag has neither commas nor control characters.")
    return tag


def distinct_tags(tags: Iterable[str]) -> list[str]:
    """Drop repeated tags, keeping the order given. Raises :class:`InvalidTag` where too many are left."""
    distinct = list(dict.fromkeys(tags))
    if len(distinct) > TAGS_MAX:
        raise InvalidTag("too_many", f"A note has at most {TAGS_MAX} tags.")
    return distinct
