"""A response's bytes as the JSON documents that it consists of, whatever its content type says.

httpx2 reads the events. What it leaves out is ours: a byte order mark, a last event that no blank line ends, content
types that are missing or wrong (vendors send ``text/plain``, and JSON although a stream was asked for).
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
    """One document of a response. ``is_whole``: it is the only one; ``is_done``: it says that the stream is complete;
    ``is_error``: the event's name says that it is an error."""

    document: Any = None
    is_whole: bool = False
    is_done: bool = False
    is_error: bool = False


def frames(response: httpx2.Response) -> Generator[Frame]:
    """The documents as they come. Raises ``UnusableAnswer`` and httpx2's ``TransportError``."""
    chunks = response.iter_raw()
    lead = b""
    for chunk in chunks:  # some servers send blank lines for as long as they wait themselves
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
    """An answer's first bytes from the one that tells its kind, or what there is of a byte order mark."""
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
        yield from _lines_of(text)  # a stream without the frames of one
    else:
        yield Frame(document, is_whole=True)


def _events(response: httpx2.Response, lead: bytes, chunks: Iterator[bytes]) -> Iterator[Frame]:
    # Blank lines at the end make an event of what came last; without them it would be lost.
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
    """One document, or one in each line: some servers leave out the blank line between two events."""
    try:
        yield Frame(_parsed(data), is_error=is_error)
    except UnusableAnswer:
        if is_error:
            yield Frame(data, is_error=True)
            return
        yield from _lines_of(data)


def _lines_of(text: str) -> Iterator[Frame]:
    """One document in each line. Raises ``UnusableAnswer``."""
    for line in filter(None, map(str.strip, text.split("\n"))):
        yield Frame(is_done=True) if line.upper() in _DONE else Frame(_parsed(line))


def _parsed(data: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UnusableAnswer("answer_unreadable", UNREADABLE) from error
