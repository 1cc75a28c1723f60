"""Invisible characters."""

import unicodedata

_UNSEEN_CATEGORIES = frozenset(("Cf", "Zs", "Zl", "Zp", "Cc"))
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0")
"""Hangul filler letters, which are invisible."""


def is_variation_selector(character: str) -> bool:
    return (
        "\ufe00" <= character <= "\ufe0f"
        or "\u180b" <= character <= "\u180d"
        or "\U000e0100" <= character <= "\U000e01ef"
    )


def is_unseen(character: str) -> bool:
    return (
        unicodedata.category(character) in _UNSEEN_CATEGORIES
        or character in _FILLERS
        or is_variation_selector(character)
    )


def is_visible(text: str) -> bool:
    """Whether the text has a visible character."""
    return not all(map(is_unseen, text))
