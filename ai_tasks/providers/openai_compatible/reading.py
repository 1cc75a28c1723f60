"""Reads the documents of a chat completion: text, finish reason and usage. All fields are validated."""

from dataclasses import dataclass
from typing import Any

from ai_tasks.providers.base import Usage
from ai_tasks.providers.errors import UnusableAnswer
from ai_tasks.providers.openai_compatible.transport import UNREADABLE

MAX_TOKENS_RECORDED = 100_000_000
"""The usage of a task's calls is summed in a 32-bit integer."""
MODEL_MAX_LENGTH = 100

WHOLE = frozenset({"stop", "eos", "eos_token", "end_turn", "stop_sequence", "complete"})
"""The finish reasons of a complete answer. Every other reason, known or not, means an incomplete one."""
LENGTH = frozenset({"length", "max_tokens", "model_length", "max_length", "max_output_tokens", "max_completion_tokens"})
"""The reasons that mean a length limit was reached: the rest can be requested."""
REFUSED = frozenset(
    {
        "content_filter", "content_filtered", "safety", "recitation", "refusal", "blocklist", "prohibited_content",
        "spii", "image_safety", "guardrail_intervened", "moderation", "sensitive",
    }
)  # fmt: skip
_SAYS_ERROR = ("errors", "error_code", "error_msg", "error_message", "errorCode", "errorMessage", "errcode", "errmsg")
_NO_REASON = frozenset({"", "none", "null"})
_THINKING_PARTS = frozenset({"thinking", "reasoning", "redacted_thinking", "reasoning_content", "reasoning_text"})
_TEXT_PARTS = frozenset({"text", "output_text"})

CUT = "The AI model's answer was cut off before its end."
CUT_BY_LIMIT = "The AI model reached its length limit before the end of its answer."
REFUSAL = "The AI model declined to answer this request."
EMPTY = "The AI model's answer is empty."


@dataclass(slots=True)
class Ending:
    """The metadata of an answer."""

    finish_reason: str | None = None
    is_done: bool = False
    refusal: str = ""
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    has_text: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether the answer is complete. It may still be empty."""
        if self.refusal:
            return False
        return self.is_done if self.finish_reason is None else self.finish_reason in WHOLE

    def shortfall(self, text: str) -> UnusableAnswer | None:
        """Why this answer is incomplete; None if it is complete."""
        if self.refusal or (self.finish_reason or "") in REFUSED:
            return UnusableAnswer("answer_refused", REFUSAL, text.strip() or self.refusal)
        if not self.is_whole:
            return UnusableAnswer("answer_cut", CUT_BY_LIMIT if self.finish_reason in LENGTH else CUT, text)
        if not text.strip():
            return UnusableAnswer("answer_empty", EMPTY)
        return None

    def usage(self, model: str) -> Usage | None:
        """The usage that the provider reported, if it did."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return Usage(
            model=self.model or model,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            usage_estimated=False,
        )


def read_answer(document: object, ending: Ending, *, is_whole: bool) -> str:
    """Read a chunk, or a whole answer, into ``ending`` and return its text. Raises ``UnusableAnswer``."""
    if not isinstance(document, dict):
        raise _unreadable()
    _read_usage(document, ending)
    choices = document.get("choices")
    if choices is None and not is_whole:
        return ""  # a ping, or usage alone
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise _unreadable()
    choice = next((choice for choice in choices if choice.get("index") in (0, None)), None)
    if choice is None:
        return ""
    _read_reason(choice.get("finish_reason"), ending)
    text = _text_of(choice.get("delta"), ending)
    if not text and not ending.has_text:  # otherwise it repeats the whole text
        text = _text_of(choice.get("message"), ending)
    ending.has_text = ending.has_text or bool(text)
    return text


def is_error(document: object) -> bool:
    """Whether a document is an error instead of an answer."""
    match document:
        case [dict() as only]:
            return is_error(only)
        case dict():
            return bool(document.get("error")) or "error" in (document.get("object"), document.get("type"))
    return False


def may_be_error(document: object) -> bool:
    """Whether a document without an answer may be an error."""
    match document:
        case {"choices": choices} if choices is not None:
            return False
        case {"base_resp": {"status_code": int(code)}}:
            return code != 0
        case dict():
            has_words = any(isinstance(document.get(name), str) and document[name] for name in ("detail", "message"))
            return has_words or any(map(document.get, _SAYS_ERROR))
    return False


def _read_usage(document: dict[str, Any], ending: Ending) -> None:
    match document:
        case {"model": str(model)}:
            # Neither NUL nor lone surrogates, which JSON can express, can be stored.
            ending.model = model.replace("\x00", "").encode(errors="replace").decode()[:MODEL_MAX_LENGTH] or None
    match document:
        case {"usage": dict(usage)} | {"x_groq": {"usage": dict(usage)}}:
            tokens_in = token_count(usage.get("prompt_tokens", usage.get("input_tokens")))
            tokens_out = token_count(usage.get("completion_tokens", usage.get("output_tokens")))
            if tokens_in is not None and tokens_out is not None:
                ending.input_tokens, ending.output_tokens = tokens_in, tokens_out


def token_count(value: object) -> int | None:
    """The number of tokens that a server sent; None if it is not a valid number."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS_RECORDED
    return value if is_count else None  # type: ignore[return-value]  # mypy does not see through the name


def _read_reason(reason: object, ending: Ending) -> None:
    """A later reason never replaces one that means an incomplete answer."""
    if reason is None:
        return
    name = reason.strip().lower() if isinstance(reason, str) else "unknown"
    if name in _NO_REASON:
        return
    if ending.finish_reason is None or ending.finish_reason in WHOLE:
        ending.finish_reason = name


def _text_of(part: object, ending: Ending) -> str:
    match part:
        case None:
            return ""
        case {"refusal": str(refusal)} if refusal:
            ending.refusal += refusal
            return ""
        case dict():
            return _content(part.get("content"), ending)
    raise _unreadable()


def _content(content: object, ending: Ending) -> str:
    match content:
        case None:
            return ""
        case str():
            return content
        case list():
            return "".join(_content(each, ending) for each in content if not isinstance(each, list))
        case {"type": str(kind)} if kind in _THINKING_PARTS:
            return ""
        case {"type": "refusal", "refusal": str(refusal)}:
            ending.refusal += refusal
            return ""
        case {"text": str(text), **rest} if rest.get("type", "text") in _TEXT_PARTS:
            return text
        case {"text": {"value": str(text)}, **rest} if rest.get("type", "text") in _TEXT_PARTS:
            return text
    raise _unreadable()


def _unreadable() -> UnusableAnswer:
    return UnusableAnswer("answer_unreadable", UNREADABLE)
