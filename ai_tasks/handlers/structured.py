"""Answers of models as JSON: ``{"sentences": [{…}]}``, ``{"cards": [{…}]}``.

Everything here raises ``UnusableAnswer`` (``answer_unreadable``) for an answer of another format. Unknown keys are
ignored.
"""

from typing import Any

import orjson

from ai_tasks.handlers.fences import code_blocks
from ai_tasks.providers.errors import UnusableAnswer

UNREADABLE = "The AI model's answer is not in the form that was asked for."
_FENCED_AS = frozenset({"", "json"})

Item = dict[str, Any]


def response_format(name: str, item: dict[str, Any]) -> dict[str, Any]:
    """The parameter of a chat completion that asks for ``{name: [item, …]}``; ``item`` is a JSON Schema.

    Every object of the schema requires all its properties and allows no others, as strict servers demand.
    """
    schema = {
        "type": "object",
        "properties": {name: {"type": "array", "items": item}},
        "required": [name],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}


def read_answer(text: str, name: str) -> list[Item]:
    """The objects in the list ``name`` of a model's answer: one JSON document, in a fence or not.

    Takes time linear in the length of the text.
    """
    for candidate in [text, *(block.code for block in code_blocks(text) if block.language.lower() in _FENCED_AS)]:
        try:
            document = orjson.loads(candidate)
        except orjson.JSONDecodeError:  # also raised for too deep nesting and lone surrogates
            continue
        if isinstance(document, dict) and name in document:
            return items_in(document, name)
    raise unreadable()


def items_in(item: Item, name: str) -> list[Item]:
    """The objects in the list ``name`` of an object; empty without that key."""
    found = item.get(name, [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise unreadable()
    return found


def text_in(item: Item, name: str, *, default: str | None = None) -> str:
    """The text ``name`` of an object, without null characters. Required if there is no ``default``."""
    found = item.get(name)
    if found is None:
        found = default
    if not isinstance(found, str):
        raise unreadable()
    return found.replace("\x00", "")


def unreadable() -> UnusableAnswer:
    return UnusableAnswer("answer_unreadable", UNREADABLE)
