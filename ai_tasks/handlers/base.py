"""The base class of request types: their data, prompt and answer."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice
from operator import itemgetter
from typing import Any, ClassVar, Literal, TypedDict

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from ai_tasks.handlers.fences import unfenced
from ai_tasks.prompts import Prompt
from ai_tasks.providers.base import Message, Observer, Source
from notes.models import TEXT_MAX_BYTES, TITLE_MAX_LENGTH, Topic
from utils.http.errors import FieldError, InvalidRequest, pointer_to
from utils.http.serializers import UNKNOWN_FIELDS_SHOWN

CONTEXT_MAX_LENGTH = 10_000
INSTRUCTIONS_MAX_LENGTH = 2_000
POINTER = "/request_data"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class InvalidRequestData(InvalidRequest):
    """``request_data`` does not match its request type; each error has a pointer to its cause."""

    detail = "The request data is invalid."


class Result(TypedDict):
    """A finished task's result: Markdown, code with its language if any, sources, and a notice for the reader."""

    content: str
    code: str | None
    code_language: str | None
    sources: list[Source]
    notice: str | None


class OfflineAnswer(TypedDict):
    """An answer made without a model. ``applicable`` is false if it only explains why there is no answer."""

    result: Result
    applicable: bool


def text_field(description: str, *, max_length: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": max_length, "description": description}


TOPIC_FIELD = text_field(
    "What it is about; with `topic_id` the topic's title if left out.", max_length=TITLE_MAX_LENGTH
)
CONTENT_FIELD = text_field("Markdown; with `topic_id` the topic's explanation if left out.", max_length=TEXT_MAX_BYTES)
CONTEXT_FIELD = text_field("Further context: the course, what you know already, a text.", max_length=CONTEXT_MAX_LENGTH)


class Handler(ABC):
    """One request type. Subclasses are stateless; the one instance of each is in ``HANDLERS``.

    ``schema`` is the JSON Schema (2020-12) of ``request_data`` as clients send it. ``from_topic`` names the required
    field that can be filled from a topic. ``applies_to`` is the topic's field that the answer can replace.
    ``quotes_notes_offline``: without a model the answer also depends on the user's notes. ``is_reused``: equal requests
    of the next hour get this answer. ``response_format`` is the JSON format that a model must answer in; such text is
    not shown while it is generated. ``gathered_bytes`` is the maximum that ``gather`` adds to the prompt.
    ``needs_topic``: the request must name a topic.
    """

    request_type: ClassVar[str]
    properties: ClassVar[dict[str, dict[str, Any]]]
    required: ClassVar[tuple[str, ...]] = ()
    defaults: ClassVar[dict[str, Any]] = {}
    from_topic: ClassVar[Literal["topic", "content"] | None]
    applies_to: ClassVar[Literal["explanation", "code"] | None]
    quotes_notes_offline: ClassVar[bool] = False
    is_reused: ClassVar[bool] = True
    response_format: ClassVar[dict[str, Any] | None] = None
    gathered_bytes: ClassVar[int] = 0
    needs_topic: ClassVar[bool] = False
    prompt: ClassVar[Prompt]

    @property
    def schema(self) -> dict[str, Any]:
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                name: {**field, "default": self.defaults[name]} if name in self.defaults else field
                for name, field in self.properties.items()
            },
            "required": list(self.required),
            "additionalProperties": False,
        }

    @cached_property
    def _validator(self) -> Draft202012Validator:
        return Draft202012Validator(self.schema)

    def checked(self, data: object, *, user_id: int) -> dict[str, Any]:
        """The data of a user's request, validated. Raises ``InvalidRequestData``, and what ``check_owner`` raises."""
        valid = self.validate(data)
        self.check_owner(valid, user_id=user_id)
        return valid

    def validate(self, data: object) -> dict[str, Any]:
        """The data with trimmed texts and filled defaults. Raises ``InvalidRequestData``."""
        if not isinstance(data, dict):
            raise InvalidRequestData(errors=[field_error(POINTER, "invalid", "Expected an object.")])
        data = {name: value.strip() if isinstance(value, str) else value for name, value in data.items()}
        errors = [error for found in self._validator.iter_errors(data) for error in _field_errors(found)]
        if not errors:
            errors = list(_value_errors(data))
        if errors:
            raise InvalidRequestData(errors=sorted(errors, key=itemgetter("pointer")))
        return {**self.defaults, **data}

    def check_owner(self, data: dict[str, Any], *, user_id: int) -> None:  # noqa: B027  # most types refer to nothing
        """Raise ``NotFound`` if the validated data refers to something that is not the user's."""

    def resolve(self, data: dict[str, Any], topic: Topic | None) -> dict[str, Any]:
        """Fill the field that the validated data leaves out from ``topic``.

        Raises ``InvalidRequestData`` if it is still missing.
        """
        name = self.from_topic
        if name is None or name in data:
            return data
        text = "" if topic is None else (topic.title if name == "topic" else topic.explanation).strip()
        if not text:
            pointer = f"{POINTER}/{name}"
            if topic is None:
                error = field_error(pointer, "required", "This field is required without `topic_id`.")
            else:
                error = field_error(pointer, "blank", "The topic has no text to work on.")
            raise InvalidRequestData(errors=[error])
        return {**data, name: text}

    def prepare(
        self, data: dict[str, Any], *, user_id: int, topic_id: int | None, observer: Observer, has_model: bool
    ) -> tuple[dict[str, Any], OfflineAnswer | None]:
        """The gathered data; and the answer, if no model is needed or there is none."""
        gathered = self.gather(data, user_id=user_id, topic_id=topic_id)
        answer = self.answer_without_model(gathered, observer)
        if answer is None and not has_model:
            answer = self.offline(gathered, user_id=user_id, observer=observer)
        return gathered, answer

    def gather(self, data: dict[str, Any], *, user_id: int, topic_id: int | None = None) -> dict[str, Any]:
        """Add what the answer needs from the user's notes to the resolved data.

        Called once, by a worker. Its result is passed to ``messages``, ``parse``, ``offline`` and
        ``answer_without_model``.
        """
        return data

    def answer_without_model(self, data: dict[str, Any], observer: Observer) -> OfflineAnswer | None:
        """The answer, if with the gathered data no model is needed."""
        return None

    def messages(self, data: dict[str, Any]) -> list[Message]:
        """The chat messages for a model. ``data`` is resolved, and gathered unless the maximum cost is computed."""
        return self.prompt.messages(data)

    @abstractmethod
    def offline(self, data: dict[str, Any], *, user_id: int, observer: Observer) -> OfflineAnswer:
        """Answer without a model, from the text itself or from the user's notes. ``data`` is gathered."""

    def parse(self, text: str, data: dict[str, Any]) -> Result:
        """Convert a model's answer to a result. Raises ``UnusableAnswer`` if a required part is missing."""
        return Result(content=unfenced(text.strip()), code=None, code_language=None, sources=[], notice=None)

    def record(self, result: Any, *, user_id: int, topic_id: int | None, may_write: bool) -> Result:
        """The result to record. Called once a task has succeeded, in the transaction that records its answer.

        Its writes are committed together with the answer, so exactly once, however many attempts there were. Without
        ``may_write`` it writes nothing, as writing has failed before, but the answer is still recorded.
        """
        return result

    def incomplete(self, content: str, notice: str) -> Result:
        """The result that shows an incomplete answer."""
        return Result(content=content, code=None, code_language=None, sources=[], notice=notice)


def text_answer(content: str, *, notice: str, sources: Iterable[Source] = (), applicable: bool = True) -> OfflineAnswer:
    """An offline answer without code."""
    result = Result(content=content, code=None, code_language=None, sources=list(sources), notice=notice)
    return OfflineAnswer(result=result, applicable=applicable)


def _field_errors(found: ValidationError) -> Iterator[FieldError]:
    """A schema error in our words, as the validator's own message repeats the user's text."""
    pointer = POINTER + pointer_to(*found.absolute_path)
    expected: Any = found.validator_value
    instance: Any = found.instance
    schema: Any = found.schema
    match found.validator:
        case "additionalProperties":
            unknown = (name for name in instance if name not in schema["properties"])
            for name in islice(unknown, UNKNOWN_FIELDS_SHOWN):
                yield field_error(pointer + pointer_to(name), "unknown_field", "This field is not known here.")
        case "required":
            # Each missing field is an error of its own; only its message has the field's name.
            name = next(name for name in expected if found.message.startswith(repr(name)))
            yield field_error(f"{pointer}/{name}", "required", "This field is required.")
        case "minLength":
            yield field_error(pointer, "blank", "This field may not be blank.")
        case "maxLength":
            yield field_error(pointer, "max_length", f"Expected at most {expected} characters.")
        case "minItems":
            yield field_error(pointer, "empty", "This list may not be empty.")
        case "maxItems":
            yield field_error(pointer, "too_many", f"Expected at most {expected} items.")
        case "minimum":
            yield field_error(pointer, "min_value", f"Expected at least {expected}.")
        case "maximum":
            yield field_error(pointer, "max_value", f"Expected at most {expected}.")
        case "uniqueItems":
            yield field_error(pointer, "duplicate", "Each may be named once.")
        case "enum":
            yield field_error(pointer, "invalid_choice", f"Expected one of: {', '.join(expected)}.")
        case "type":
            article = "an" if expected[0] in "aeiou" else "a"
            yield field_error(pointer, "invalid", f"Expected {article} {expected}.")
        case _:
            yield field_error(pointer, "invalid", "This value is not allowed here.")


def _value_errors(value: Any, *path: str | int) -> Iterator[FieldError]:
    """The errors that JSON Schema cannot express: characters that the database cannot store, bytes, and 1.0."""
    match value:
        case dict():
            for name, item in value.items():
                yield from _value_errors(item, *path, name)
        case list():
            for index, item in enumerate(value):
                yield from _value_errors(item, *path, index)
        case float():
            yield field_error(POINTER + pointer_to(*path), "invalid", "Expected an integer.")
        case str() if _UNSTORABLE.search(value):
            detail = "This text has characters that cannot be stored."
            yield field_error(POINTER + pointer_to(*path), "invalid_characters", detail)
        case str() if len(value.encode()) > TEXT_MAX_BYTES:
            detail = f"Expected at most {TEXT_MAX_BYTES} bytes."
            yield field_error(POINTER + pointer_to(*path), "max_length", detail)


def field_error(pointer: str, code: str, detail: str) -> FieldError:
    return {"pointer": pointer, "code": code, "detail": detail}
