"""AI providers, models, prices and budgets, read from environment variables.

Three of the variables are JSON. An error names the path of the wrong part, such as ``AI_FALLBACKS[1].base_url``, and
never shows its value, which may be an API key.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from django.conf import settings

from ai_tasks.model_names import DEFAULT, MODEL_MAX_LENGTH
from NoteAssist_AI import env, service_urls

MAX_FALLBACKS = 5
NAME_MAX_LENGTH = 50
MAX_MODELS = 200
RESERVED_NAMES = frozenset({"openai_compatible", "offline"})
T = TypeVar("T")
_AMOUNT = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?")
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{NAME_MAX_LENGTH - 1}}}")
_AMOUNT_EXPECTED = 'an amount of US dollars as a string, as in "0.15"'


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens."""

    input: Decimal
    output: Decimal


@dataclass(frozen=True, slots=True)
class Fallback:
    """Another provider, called when the providers before it are unavailable or refuse."""

    name: str
    base_url: str
    api_key: str = field(repr=False)
    model: str


class _Wrong(Exception):
    """``path`` is the position in the variable's JSON, ``expected`` describes a valid value there."""

    def __init__(self, path: str, expected: str) -> None:
        self.path = path
        self.expected = expected
        super().__init__(f"{path}: {expected}")


def models(value: str) -> dict[str, str]:
    """``AI_MODELS``: the model of each request type; ``default`` is used for all other types.

    :func:`stop_with_unknown_types` checks the types, when there is a table of them.
    """
    name = "AI_MODELS"

    def read(document: Any) -> dict[str, str]:
        return {kind: _model(model, f"{name}.{_shown(kind)}") for kind, model in _items(document, name)}

    return _json(name, value, read) or {}


def stop_with_unknown_types(known: Collection[str]) -> None:
    """Exit if ``AI_MODELS`` names something that is no request type, or if another variable is wrong."""
    for name in sorted(settings.AI_MODELS.keys() - {DEFAULT, *known}):
        env.refuse(f"AI_MODELS.{name}", f"{DEFAULT} or a request type: {', '.join(known)}")
    env.exit_if_wrong()


def prices(value: str) -> dict[str, Price]:
    """``AI_PRICES``: the price of each model that has one."""
    name = "AI_PRICES"

    def read(document: Any) -> dict[str, Price]:
        return {model: _price(price, f"{name}.{_shown(model)}") for model, price in _items(document, name)}

    return _json(name, value, read) or {}


def fallbacks(value: str) -> list[Fallback]:
    """``AI_FALLBACKS``: other providers, in the order in which they are called."""
    name = "AI_FALLBACKS"
    return _json(name, value, lambda document: list(_fallbacks(document, name))) or []


def model(name: str, value: str) -> str:
    """The name of a model; empty if unset."""
    if len(value) > MODEL_MAX_LENGTH:
        env.refuse(name, f"the name of a model, of at most {MODEL_MAX_LENGTH} characters")
        return ""
    return value


def amount(name: str, value: str) -> Decimal | None:
    """An amount in US dollars; None means no limit."""
    if not value:
        return None
    if not _AMOUNT.fullmatch(value):
        env.refuse(name, "an amount of US dollars, as in 2.50")
        return None
    return Decimal(value)


def _json(name: str, value: str, read: Callable[[Any], T]) -> T | None:
    """Parse the JSON and convert it with ``read``; None if the variable is empty or wrong."""
    if not value:
        return None
    try:
        return read(json.loads(value, object_pairs_hook=_without_doubles))
    except (ValueError, RecursionError):
        env.refuse(name, "JSON on one line, no name in it twice")
    except _Wrong as wrong:
        env.refuse(wrong.path, wrong.expected)
    return None


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def _items(document: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(document, dict) or len(document) > MAX_MODELS:
        raise _Wrong(path, f"an object of at most {MAX_MODELS} members")
    yield from document.items()


def _shown(key: str) -> str:
    """The name as part of a path. An invalid name is not echoed: it may be a secret."""
    return key if re.fullmatch(rf"[\w./:-]{{1,{MODEL_MAX_LENGTH}}}", key) else "(a name)"


def _model(value: Any, path: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MODEL_MAX_LENGTH or not value.isprintable():
        raise _Wrong(path, f"the name of a model, of at most {MODEL_MAX_LENGTH} characters")
    return value.strip()


def _price(value: Any, path: str) -> Price:
    if not isinstance(value, dict) or set(value) != {"input", "output"}:
        raise _Wrong(path, 'an object with "input" and "output" and nothing else')
    for part, each in value.items():
        if not isinstance(each, str) or not _AMOUNT.fullmatch(each):
            raise _Wrong(f"{path}.{part}", _AMOUNT_EXPECTED)
    return Price(Decimal(value["input"]), Decimal(value["output"]))


def _fallbacks(document: Any, path: str) -> Iterator[Fallback]:
    if not isinstance(document, list) or len(document) > MAX_FALLBACKS:
        raise _Wrong(path, f"a list of at most {MAX_FALLBACKS} providers")
    names = set(RESERVED_NAMES)
    for index, each in enumerate(document):
        fallback = _fallback(each, f"{path}[{index}]")
        if fallback.name in names:
            raise _Wrong(f"{path}[{index}].name", f"a name of its own, and none of {', '.join(sorted(RESERVED_NAMES))}")
        names.add(fallback.name)
        yield fallback


def _fallback(value: Any, path: str) -> Fallback:
    needed, known = {"name", "base_url", "model"}, {"name", "base_url", "api_key", "model"}
    if not isinstance(value, dict) or not needed <= set(value) <= known:
        raise _Wrong(path, 'an object with "name", "base_url", "model", perhaps "api_key", and nothing else')
    if not isinstance(value["name"], str) or not _NAME.fullmatch(value["name"]):
        raise _Wrong(f"{path}.name", f"up to {NAME_MAX_LENGTH} of A-Z a-z 0-9 _ . -, the first a letter or digit")
    try:
        base_url = service_urls.check_http(value["base_url"] if isinstance(value["base_url"], str) else "")
    except service_urls.Unusable as error:
        raise _Wrong(f"{path}.base_url", str(error)) from None
    api_key = value.get("api_key", "")
    if not isinstance(api_key, str) or not re.fullmatch(r"[!-~]*", api_key):
        raise _Wrong(f"{path}.api_key", "ASCII without spaces")
    return Fallback(value["name"], base_url, api_key, _model(value["model"], f"{path}.model"))
