"""Normalization of tags."""

import unicodedata
from collections.abc import Iterable

from notes.models import TAG_MAX_LENGTH, TAGS_MAX
from notes.text import fold
from notes.visible import is_visible


class InvalidTag(ValueError):
    """A text is not a valid tag, or a list has too many tags; ``code`` and ``detail`` say why."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


_LONGEST_SPELLING = 10 * TAG_MAX_LENGTH
"""The limit before normalization, which may shorten a text; it takes a quarter of a second for 2 MB."""


def normalize_tag(text: str) -> str:
    """Normalize one tag. Raises :class:`InvalidTag` if it is blank, too long or has a forbidden character."""
    if len(text) > _LONGEST_SPELLING:
        raise _too_long()
    tag = fold(text)
    if not is_visible(tag):
        raise InvalidTag("blank", "A tag may not be blank.")
    if len(tag) > TAG_MAX_LENGTH:
        raise _too_long()
    if any(character == "," or unicodedata.category(character) == "Cc" for character in tag):
        raise InvalidTag("invalid", "A tag cannot contain commas or control characters.")
    return tag


def refolded(tags: Iterable[str]) -> list[str]:
    """Normalize tags that an earlier release has stored, and remove duplicates."""
    return list(dict.fromkeys(tag for tag in map(fold, tags) if is_visible(tag)))


def _too_long() -> InvalidTag:
    return InvalidTag("max_length", f"A tag has at most {TAG_MAX_LENGTH} characters.")


def distinct_tags(tags: Iterable[str]) -> list[str]:
    """Remove duplicate tags, keeping the order. Raises :class:`InvalidTag` if too many are left."""
    distinct = list(dict.fromkeys(tags))
    if len(distinct) > TAGS_MAX:
        raise InvalidTag("too_many", f"A note has at most {TAGS_MAX} tags.")
    return distinct
