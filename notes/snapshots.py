"""The format of kept versions, which share equal topics.

A version's snapshot is the note without the texts of its topics. Each topic refers to a ``KeptTopic``, which all
versions share in which that topic has the same content. A kept topic has the whole content, or, if it differs little
from another one (its *base*), only the difference. A base has no base itself, so a topic needs at most two rows.

Snapshots of schema 1 contain everything themselves; they can still be read.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import orjson

from notes.contents import CHAPTER_WRITTEN, NOTE_WRITTEN, TOPIC_KEPT, written_fields
from notes.models import KeptTopic, Note, NoteVersion

SCHEMA = 2
_TEXTS = ("explanation", "code", "blocks")
_LARGEST_DIFFERENCE = 0.5
"""If the difference is a larger part of the text, the whole content is stored."""

Difference = list[list[int] | str]
"""The pieces of a text: ``[start, stop]`` in the base, or new characters."""


def snapshot_of(note: Note) -> dict[str, Any]:
    """The snapshot of the current note, which was loaded by ``for_snapshot``."""
    return {
        **written_fields(note, NOTE_WRITTEN),
        "chapters": [
            {
                "id": chapter.pk,
                **written_fields(chapter, CHAPTER_WRITTEN),
                "topics": [{"id": topic.pk, **written_fields(topic, TOPIC_KEPT)} for topic in chapter.topics.all()],
            }
            for chapter in note.chapters.all()
        ],
    }


def whole_snapshot(version: NoteVersion) -> dict[str, Any]:
    """The whole note at a version: one query. Raises ``NoteVersion.DoesNotExist`` if it was dropped meanwhile."""
    snapshot = version.snapshot
    if snapshot.get("schema") != SCHEMA:
        return {name: value for name, value in snapshot.items() if name != "schema"}
    topics = load_topics(version.kept_topics)
    return {
        **{name: value for name, value in snapshot.items() if name not in ("schema", "contents")},
        "chapters": [
            {**chapter, "topics": [kept_topic(entry, topics) for entry in chapter["topics"]]}
            for chapter in snapshot["contents"]
        ],
    }


def load_topics(kept_ids: list[int]) -> dict[int, KeptTopic]:
    return KeptTopic.objects.in_bulk(kept_ids)


def kept_topic(entry: Mapping[str, Any], topics: Mapping[int, KeptTopic]) -> dict[str, Any]:
    """A topic of a snapshot, from the given rows. Raises ``NoteVersion.DoesNotExist`` if one is missing."""
    try:
        kept = topics[entry["kept"]]
        content = dict(kept.content)
        base = None if kept.base is None else topics[kept.base].content
    except KeyError as error:
        raise NoteVersion.DoesNotExist from error
    if base is not None:
        content |= {name: patched(base[name], content[name]) for name in _TEXTS if isinstance(content[name], list)}
    return {"id": entry["id"], **content}


def digest(content: Mapping[str, Any]) -> str:
    """32 hexadecimal digits, the same for equal contents of topics."""
    return blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()


def content_from(base: KeptTopic | None, content: dict[str, Any]) -> tuple[dict[str, Any], int | None]:
    """The content to store for a topic, and the id of the base if one is used."""
    if base is None:
        return content, None
    found = {}
    for name in _TEXTS:
        if content[name] and base.content[name]:
            pieces = difference(base.content[name], content[name])
            if len(orjson.dumps(pieces)) <= _LARGEST_DIFFERENCE * len(content[name]):
                found[name] = pieces
    return {**content, **found}, base.pk if found else None


def difference(base: str, text: str) -> Difference:
    """The text as pieces of the base and new ones, in linear time: the common start and end, and whole lines."""
    start = _common_start(base, text)
    most = min(len(base), len(text)) - start
    end = _common_start(base[len(base) - most :][::-1], text[len(text) - most :][::-1])
    base_end, text_end = len(base) - end, len(text) - end
    pieces: Difference = []
    _copy(pieces, 0, start)
    lines = base[start:base_end].splitlines(keepends=True)
    places: dict[str, int] = {}
    offsets = [start]
    for number, line in enumerate(lines):
        places.setdefault(line, number)
        offsets.append(offsets[-1] + len(line))
    following = len(lines)
    for line in text[start:text_end].splitlines(keepends=True):
        place = following if following < len(lines) and lines[following] == line else places.get(line)
        if place is None:
            _add(pieces, line)
        else:
            _copy(pieces, offsets[place], offsets[place + 1])
            following = place + 1
    _copy(pieces, base_end, len(base))
    return pieces


def _common_start(one: str, other: str) -> int:
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _copy(pieces: Difference, start: int, stop: int) -> None:
    if start == stop:
        return
    last = pieces[-1] if pieces else None
    if isinstance(last, list) and last[1] == start:
        last[1] = stop
    else:
        pieces.append([start, stop])


def _add(pieces: Difference, text: str) -> None:
    if pieces and isinstance(pieces[-1], str):
        pieces[-1] += text
    else:
        pieces.append(text)


def patched(base: str, pieces: Difference) -> str:
    """Reverse :func:`difference`."""
    return "".join(piece if isinstance(piece, str) else base[piece[0] : piece[1]] for piece in pieces)
