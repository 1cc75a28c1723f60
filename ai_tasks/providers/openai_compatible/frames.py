"""Splits a response's bytes into JSON documents, regardless of its content type.

httpx2 parses the events. This module handles what it does not: a byte order mark, a last event without a blank line,
and missing or wrong content types (some vendors send ``text/plain``, or JSON although a stream was requested).
"""

import codecs
import json
import re
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import httpx2

from ai_tasks.providers.errors import UnusableAnswer
from ai_tasks.providers.openai_compatible.transport import UNREADABLE

MAX_DOCUMENT_BYTES = 1_000_000
MAX_EVENT_BYTES = 1_000_000
_FIELD = re.compile(rb"(?:data|event|id|retry)?\s*(?::|\r|\n|\Z)")
_KEEP_ALIVES = frozenset({"ping", "heartbeat", "keepalive", "keep-alive"})
_DONE = frozenset({"[DONE]", '"[DONE]"'})


@dataclass(frozen=True, slots=True)
class Frame:
    """One document of a response.

    ``is_whole``: it is the only one; ``is_done``: it marks the end of the stream; ``is_error``: the event's name marks
    an error.
    """

    document: Any = None
    is_whole: bool = False
    is_done: bool = False
    is_error: bool = False


def frames(response: httpx2.Response) -> Generator[Frame]:
    """Yield the documents as they arrive. Raises ``UnusableAnswer`` and httpx2's ``TransportError``."""
    chunks = response.iter_raw()
    lead = b""
    for chunk in chunks:  # some servers send blank lines while they wait
        lead = _begun(lead + chunk)
        if lead and not codecs.BOM_UTF8.startswith(lead):
            break
    match lead[:1]:
        case b"":
            return
        case b"{" | b"[":
            yield from _document(chain([lead], chunks))
        case b"<":
            raise UnusableAnswer("answer_unreadable", UNREADABLE)
        case _:
            yield from _events(response, lead, chunks)


def _begun(lead: bytes) -> bytes:
    """The first bytes, without byte order mark and white space; unchanged while the mark may be incomplete."""
    return lead if codecs.BOM_UTF8.startswith(lead) else lead.removeprefix(codecs.BOM_UTF8).lstrip()


def _document(chunks: Iterable[bytes]) -> Iterator[Frame]:
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > MAX_DOCUMENT_BYTES:
            raise UnusableAnswer("answer_too_large", "The AI provider's answer is too large.")
    text = data.decode(errors="replace")
    try:
        document = _parsed(text)
    except UnusableAnswer:
        yield from _lines_of(text)  # lines of JSON without event frames
    else:
        yield Frame(document, is_whole=True)


def _events(response: httpx2.Response, lead: bytes, chunks: Iterator[bytes]) -> Iterator[Frame]:
    # The blank lines complete an unfinished last event, which would be lost otherwise.
    body = httpx2.Response(
        200,
        headers={"content-type": "text/event-stream; charset=utf-8"},
        content=chain([lead], chunks, [b"\n\n"]),
        request=response.request,
    )
    has_events = False
    try:
        for event in httpx2.EventSource(body, max_event_size=MAX_EVENT_BYTES):
            data, name = event.data.strip(), event.event.strip().lower()
            has_events = True
            if not data or name in _KEEP_ALIVES or data.lower() in _KEEP_ALIVES:
                continue
            if data.upper() in _DONE:
                yield Frame(is_done=True)
                return
            yield from _frames_of(data, is_error=name == "error")
    except httpx2.SSEError as error:
        raise UnusableAnswer("answer_too_large", "The AI provider's answer is too large.") from error
    if not has_events and not _FIELD.match(lead):
        raise UnusableAnswer("answer_unreadable", UNREADABLE)


def _frames_of(data: str, *, is_error: bool) -> Iterator[Frame]:
    """Yield one document, or one per line: some servers leave out the blank line between two events."""
    try:
        yield Frame(_parsed(data), is_error=is_error)
    except UnusableAnswer:
        if is_error:
            yield Frame(data, is_error=True)
            return
        yield from _lines_of(data)


def _lines_of(text: str) -> Iterator[Frame]:
    """Yield one document per line. Raises ``UnusableAnswer``."""
    for line in filter(None, map(str.strip, text.split("\n"))):
        yield Frame(is_done=True) if line.upper() in _DONE else Frame(_parsed(line))


def _parsed(data: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UnusableAnswer("answer_unreadable", UNREADABLE) from error
