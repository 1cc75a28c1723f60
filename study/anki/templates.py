"""Renders Anki's card templates with a note's fields.

See https://docs.ankiweb.net/templates/intro.html.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

TEMPLATE_MAX = 50_000
SHOWN_MAX = 200_000
"""In characters. Longer cards are rejected anyway."""
_PART = re.compile(r"\{\{([^{}]*)\}\}")
_COMMENT = re.compile(r"<!--(?:(?!<!--).)*?-->", re.DOTALL)
_INVISIBLE = re.compile(r"<(?!img|audio|video|object)[^<>]*>|&nbsp;|\s", re.IGNORECASE)
_OF_ONE_DELETION = re.compile(r"c\d+")
_CLOZE = ("cloze", "cloze-only")
_SILENT = ("tts", "tts-voices")
_FRONT = "FrontSide"


class CannotShow(ValueError):
    """The template is longer than :data:`TEMPLATE_MAX`, or its result longer than :data:`SHOWN_MAX`."""


class _Part(NamedTuple):
    """A part of a template. ``kind`` is text, if, unless, end or field; ``name`` is the text or the field's name."""

    kind: str
    name: str
    filters: tuple[str, ...] = ()


def fill(template: str, fields: Mapping[str, str], *, is_question: bool, with_cloze: bool) -> str:
    """Fill a template. ``fields`` includes Anki's special fields, such as ``Tags``.

    Cloze deletions stay in source form, ``{{c1::…}}``; without ``with_cloze``, fields that contain them are left out,
    since they are the other side of the card. ``{{FrontSide}}`` is left out too. Raises :class:`CannotShow`.
    """
    shown: list[str] = []
    conditions: list[tuple[str, bool]] = []
    size = hidden = 0
    for part in _parts(template):
        match part.kind:
            case "if" | "unless":
                is_hidden = _is_empty(part.name, fields) == (part.kind == "if")
                conditions.append((part.name, is_hidden))
                hidden += is_hidden
            case "end":
                if conditions and conditions[-1][0] == part.name:
                    hidden -= conditions.pop()[1]
            case _ if hidden:
                pass
            case "text":
                shown.append(part.name)
                size += len(part.name)
            case _:
                if with_cloze or not any(name in _CLOZE for name in part.filters):
                    shown.append(_value(part, fields, is_question=is_question))
                    size += len(shown[-1])
        if size > SHOWN_MAX:
            raise CannotShow("A card's text is too long.")
    return "".join(shown)


@lru_cache(maxsize=64)
def _parts(template: str) -> tuple[_Part, ...]:
    if len(template) > TEMPLATE_MAX:
        raise CannotShow("A template is too long.")
    template = _COMMENT.sub("", template)
    parts = []
    at = 0
    for found in _PART.finditer(template):
        parts.append(_Part("text", template[at : found.start()]))
        at = found.end()
        name = found[1].strip()
        kind = {"#": "if", "^": "unless", "/": "end"}.get(name[:1])
        if kind:
            parts.append(_Part(kind, name[1:].strip()))
        else:
            *filters, field = (one.strip() for one in name.split(":"))
            parts.append(_Part("field", field, tuple(one.split(" ")[0] for one in filters)))
    return (*parts, _Part("text", template[at:]))


def _is_empty(name: str, fields: Mapping[str, str]) -> bool:
    if _OF_ONE_DELETION.fullmatch(name):  # one text serves all deletions
        return False
    return not _INVISIBLE.sub("", fields.get(name, ""))


def _value(part: _Part, fields: Mapping[str, str], *, is_question: bool) -> str:
    is_typed = "type" in part.filters and is_question  # an input for a typed answer
    if is_typed or part.name == _FRONT or any(name in _SILENT for name in part.filters):
        return ""
    return fields.get(part.name, "")
