"""Answer a question from the user's own notes, each sentence with the passages that support it."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NotRequired

from ai_tasks.asking.finding import QUOTE_MIN, Quote, Span
from ai_tasks.asking.passages import PASSAGES_MAX_BYTES, Found, Passage, Scope, find_passages, terms_in
from ai_tasks.asking.verdicts import Named, Sentence, judge, shown_quote
from ai_tasks.handlers.base import Handler, InvalidRequestData, OfflineAnswer, Result, field_error, text_field
from ai_tasks.handlers.structured import Item, items_in, read_answer, response_format, text_in
from ai_tasks.prompts import Prompt
from ai_tasks.providers.base import Message, Observer, Source
from ai_tasks.providers.offline.prose import sentence_ends
from notes.blocks.splitting import Kind
from notes.models import TAG_MAX_LENGTH, TAGS_MAX, Note, Topic
from notes.tags import InvalidTag, normalize_tag
from utils.http.errors import NotFound

QUESTION_MAX_LENGTH = 1_000
SCOPE_NOTES_MAX = 100
SENTENCES_QUOTED = 5
QUOTED_MAX = 1_000
"""Characters of a sentence that is quoted without a model."""
TITLE_SHOWN = 60
MAX_ID = 2**63 - 1
SCOPE = "/request_data/scope"

NOT_IN_NOTES = "Not in your notes"
CHECKED = (
    "Each quote that is shown stands in your notes word for word. Whether it proves its sentence is for you to judge."
)
OFFLINE = "No AI model is configured: this is quoted from your own notes, and no more than that."

_QUOTE = {
    "type": "object",
    "properties": {"block_id": {"type": "string"}, "text": {"type": "string"}},
    "required": ["block_id", "text"],
    "additionalProperties": False,
}
_SENTENCE = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "quotes": {"type": "array", "items": _QUOTE}},
    "required": ["text", "quotes"],
    "additionalProperties": False,
}


_MARK = re.compile(r"\s*+(?:>\s*+)*+(?:(?:[-*+•]|\d{1,9}[.)])\s++)?")
_QUOTED = re.compile(r"^[ \t]*+(?:>[ \t]*+)+", re.MULTILINE)
_BREAK = re.compile(r"^[ \t]*+(?:(?:[-*+•]|\d{1,9}[.)])\s|\r?$)", re.MULTILINE)
"""Where a list item begins, or a paragraph ends."""
_TITLE = re.compile(r"^[ \t]*+(?:\[!|#{1,6}[ \t]).*\n?", re.MULTILINE)
"""A callout's title or a heading: one line, which no sentence continues."""


class Answered(Result):
    """A result with its sentences."""

    sentences: NotRequired[list[Sentence]]


class Ask(Handler):
    request_type = "ask"
    properties = {
        "question": text_field("What you want to know.", max_length=QUESTION_MAX_LENGTH),
        "scope": {
            "type": "object",
            "description": "The notes to search: these, and the notes with one of the tags. The default is all.",
            "properties": {
                "note_ids": {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 1, "maximum": MAX_ID},
                    "minItems": 1,
                    "maxItems": SCOPE_NOTES_MAX,
                    "description": "Notes of yours. Those in the trash are not searched.",
                },
                "tags": {
                    "type": "array",
                    "items": {"type": "string", "minLength": 1, "maxLength": TAG_MAX_LENGTH},
                    "minItems": 1,
                    "maxItems": TAGS_MAX,
                },
            },
            "additionalProperties": False,
        },
    }
    required = ("question",)
    from_topic = None
    applies_to = None
    is_reused = False  # notes change, and an answer must be based on their current text
    gathered_bytes = 2 * PASSAGES_MAX_BYTES  # the passages, their delimiters, and their titles
    response_format = response_format("sentences", _SENTENCE)
    prompt = Prompt("ask", 1)

    def validate(self, data: object) -> dict[str, Any]:
        """As in ``Handler``; also normalizes tags and removes an empty scope."""
        valid = super().validate(data)
        scope = valid.pop("scope", {})
        if "tags" in scope:
            scope = {**scope, "tags": [_tag(tag, index) for index, tag in enumerate(scope["tags"])]}
        return {**valid, "scope": scope} if scope else valid

    def check_owner(self, data: dict[str, Any], *, user_id: int) -> None:
        """Raise ``NotFound`` if a note of the scope is not the user's, or is in the trash."""
        ids = data.get("scope", {}).get("note_ids", [])
        if not ids:
            return
        known = set(Note.objects.owned_by(user_id).live().filter(pk__in=ids).values_list("pk", flat=True))
        errors = [
            field_error(f"{SCOPE}/note_ids/{index}", "not_found", "Not found.")
            for index, pk in enumerate(ids)
            if pk not in known
        ]
        if errors:
            raise NotFound(errors=errors)

    def resolve(self, data: dict[str, Any], topic: Topic | None) -> dict[str, Any]:
        """Sort the scope and remove duplicates, so that equal scopes are equal data."""
        if "scope" not in data:
            return data
        return {**data, "scope": {name: sorted(set(values)) for name, values in data["scope"].items()}}

    def gather(self, data: dict[str, Any], *, user_id: int, topic_id: int | None = None) -> dict[str, Any]:
        """Add the passages that match the question, as ``found``."""
        named = data.get("scope", {})
        scope = Scope(user_id, tuple(named.get("note_ids", ())), tuple(named.get("tags", ())))
        return {**data, "found": find_passages(data["question"], scope)}

    def answer_without_model(self, data: dict[str, Any], observer: Observer) -> OfflineAnswer | None:
        found: Found = data["found"]
        observer.progress(5, f"Found {len(found.passages)} passages in your notes")
        if found.passages:
            return None
        notice = f"{NOT_IN_NOTES}: nothing that was searched has enough of the question's words."
        return OfflineAnswer(result=_result([], notice, sources=[]), applicable=False)

    def messages(self, data: dict[str, Any]) -> list[Message]:
        found: Found | None = data.get("found")
        fields = {"question": data["question"]}
        if found is not None:
            fields |= {f"passage {passage.place.block.id}": passage.text for passage in found.passages}
            fields["places"] = "\n".join(_line(passage) for passage in found.passages)
        return self.prompt.messages(fields)

    def parse(self, text: str, data: dict[str, Any]) -> Result:
        """The sentences of the answer, each with a verdict about its quotes."""
        found: Found = data["found"]
        sentences = judge(_read_sentences(read_answer(text, "sentences")), found)
        if not sentences:
            notice = (
                f"{NOT_IN_NOTES}: the AI model found no answer in the {len(found.passages)} passages that it was told."
            )
            return _result([], notice, sources=[])
        doubtful = sum(sentence["verdict"] != "supported" for sentence in sentences)
        notice = CHECKED
        if doubtful:
            notice = f"{doubtful} of {len(sentences)} sentences are not supported by quotes in the notes. {CHECKED}"
        return _result(sentences, notice, sources=_sources(sentences, found))

    def incomplete(self, content: str, notice: str) -> Result:
        return Answered(**super().incomplete(content, notice), sentences=[])

    def offline(self, data: dict[str, Any], *, user_id: int, observer: Observer) -> OfflineAnswer:
        """Quote the sentences with the most words of the question, best passages first."""
        found: Found = data["found"]
        observer.progress(10, "Choosing sentences of your notes")
        sentences: list[Sentence] = []
        for passage in found.passages[:SENTENCES_QUOTED]:
            if span := _best_sentence(passage, found):
                quote = shown_quote(passage.place, span)
                kind = passage.place.block.kind
                text = _on_one_line(quote["text"], kind) if _is_prose(passage) else quote["text"]
                sentences.append({"text": text, "verdict": "supported", "quotes": [quote]})
        if not sentences:
            notice = f"{NOT_IN_NOTES}: what matches the question is too short to be quoted."
            return OfflineAnswer(result=_result([], notice, sources=[]), applicable=False)
        result = _result(sentences, OFFLINE, sources=_sources(sentences, found))
        observer.progress(50, f"Quoting {len(sentences)} passages")
        observer.progress(90, "Finishing", result["content"])
        return OfflineAnswer(result=result, applicable=False)


def _read_sentences(items: Sequence[Item]) -> list[tuple[str, list[Named]]]:
    """The sentences of a model's answer with the quotes that they name. Raises ``UnusableAnswer``."""
    return [
        (
            text_in(item, "text").strip(),
            [Named(text_in(each, "block_id", default=""), Quote(text_in(each, "text"))) for each in _quotes(item)],
        )
        for item in items
    ]


def _quotes(item: Item) -> list[Item]:
    return [] if item.get("quotes") is None else items_in(item, "quotes")


def _tag(text: str, index: int) -> str:
    try:
        return normalize_tag(text)
    except InvalidTag as error:
        raise InvalidRequestData(errors=[field_error(f"{SCOPE}/tags/{index}", error.code, error.detail)]) from error


def _line(passage: Passage) -> str:
    titles = [title[:TITLE_SHOWN] for title in passage.place.titles]
    return f"{passage.place.block.id}: {' > '.join(titles)}"


def _result(sentences: Sequence[Sentence], notice: str, *, sources: list[Source]) -> Result:
    content = "\n\n".join(sentence["text"] for sentence in sentences)
    return Answered(
        content=content,
        code=None,
        code_language=None,
        sources=sources,
        notice=notice,
        sentences=list(sentences),
    )


def _sources(sentences: Sequence[Sentence], found: Found) -> list[Source]:
    """The quoted topics, each once."""
    titles = {place.topic_id: f"{place.titles[0]}: {place.titles[2]}" for place in found.places}
    quoted = dict.fromkeys(quote["topic_id"] for sentence in sentences for quote in sentence["quotes"])
    return [{"title": titles[pk], "url": f"/api/topics/{pk}/"} for pk in quoted if pk in titles]


def _is_prose(passage: Passage) -> bool:
    return passage.place.block.kind in (Kind.PARAGRAPH, Kind.LIST, Kind.QUOTE)


def _best_sentence(passage: Passage, found: Found) -> Span | None:
    """The sentence or list item with the most words of the question; the whole passage if it is not prose."""
    block = passage.place.block
    offset = block.text.find(passage.text)
    spans = (
        _sentences(passage.text, block.kind) if _is_prose(passage) else [_trimmed(passage.text, 0, len(passage.text))]
    )
    long_enough = [span for span in spans if QUOTE_MIN <= span.end - span.start]
    if not long_enough:
        return None
    best = max(long_enough, key=lambda span: terms_in(passage.text[span.start : span.end], found.terms))  # the first
    return Span(offset + best.start, offset + min(best.end, best.start + QUOTED_MAX))


def _sentences(text: str, kind: Kind) -> list[Span]:
    """The sentences of a paragraph or a quote, or the items of a list, with the lines that continue them."""
    if kind is Kind.PARAGRAPH:
        ends = sentence_ends(text)
    else:
        bare = _QUOTED.sub(lambda mark: " " * len(mark[0]), text)  # each character keeps its place
        breaks = {0, len(bare), *(found.start() for found in _BREAK.finditer(bare))}
        breaks.update(at for title in _TITLE.finditer(bare) for at in title.span())
        ends = []
        for start, end in pairwise(sorted(breaks)):
            ends += [end] if kind is Kind.LIST else [start + at for at in sentence_ends(bare[start:end])]
    return [_trimmed(text, start, end) for start, end in zip([0, *ends], ends, strict=False)]


def _on_one_line(text: str, kind: Kind) -> str:
    """The words of quoted prose, without the quote markers before its further lines."""
    return " ".join((text if kind is Kind.PARAGRAPH else _QUOTED.sub("", text)).split())


def _trimmed(text: str, start: int, end: int) -> Span:
    """A part without surrounding white space, and without the list or quote markers before it."""
    end = start + len(text[start:end].rstrip())
    mark = _MARK.match(text, start, end)
    return Span(mark.end() if mark else start, end)
